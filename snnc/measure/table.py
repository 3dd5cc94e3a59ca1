"""Tables of at most 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 80
GAP = "  "
_SHORTEST_NAME = 8


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, text_columns: int = 1, width: int = WIDTH) -> str:
    """Rows below their headers. The first `text_columns` are flush left, numbers flush right.

    If the table is wider than `width`, the first column is shortened in the middle.
    """
    cells = [list(headers), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - width
    if excess > 0:
        widths[0] = max(_SHORTEST_NAME, widths[0] - excess)
    lines = []
    for row in cells:
        row[0] = shorten(row[0], widths[0])
        padded = [
            cell.ljust(size) if column < text_columns else cell.rjust(size)
            for column, (cell, size) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(GAP.join(padded).rstrip())
    lines.insert(1, GAP.join("─" * size for size in widths))
    return "\n".join(lines)


def shorten(text: str, width: int) -> str:
    """`text`, with an ellipsis in its middle if it is longer than `width`: the end of a node's name tells most."""
    if len(text) <= width:
        return text
    front = (width - 1) // 3
    return f"{text[:front]}…{text[len(text) - (width - 1 - front) :]}"


def percent(share: float) -> str:
    """`0.994` as `99.4 %`."""
    return f"{100 * share:.1f} %"
