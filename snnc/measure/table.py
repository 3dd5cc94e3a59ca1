"""Tables that fit the terminal, and elsewhere 80 columns."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 80
GAP = "  "
_SHORTEST_NAME = 8


@dataclass(frozen=True)
class Grid:
    """A table before it is text or HTML: the first `text_columns` of its columns are words, the others numbers."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: int = 1

    def text(self, width: int | None = None) -> str:
        """As `table` writes it."""
        return table(self.headers, self.rows, text_columns=self.text_columns, width=width)

    def html(self) -> str:
        """As a `<table>`."""
        sides = ["left" if column < self.text_columns else "right" for column in range(len(self.headers))]

        def row(cells: Sequence[str], tag: str) -> str:
            pairs = zip(cells, sides, strict=True)
            return "".join(f'<{tag} style="text-align:{side}">{escape(cell)}</{tag}>' for cell, side in pairs)

        body = "".join(f"<tr>{row(cells, 'td')}</tr>" for cells in self.rows)
        return f"<table><thead><tr>{row(self.headers, 'th')}</tr></thead><tbody>{body}</tbody></table>"


def table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, text_columns: int = 1, width: int | None = None
) -> str:
    """Rows below their headers. The first `text_columns` are flush left, numbers flush right.

    If the table is wider than `width` (None: the terminal), names of the first column are shortened in the middle, as
    far as they stay apart; if that is not enough, what does not fit goes below, behind the first column again.
    """
    width = table_width() if width is None else width
    cells = [list(headers), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - width
    if excess > 0:
        shortest = _shortest({row[0] for row in cells}, min(widths[0], width))
        widths[0] = max(shortest, widths[0] - excess)
    for row in cells:
        row[0] = shorten(row[0], widths[0])
    return "\n\n".join(_part(cells, widths, columns, text_columns) for columns in _columns(widths, width))


def _shortest(names: Collection[str], most: int) -> int:
    """The fewest columns, up to `most`, in which shortened names are as many as the names."""
    for width in range(min(_SHORTEST_NAME, most), most):
        if len({shorten(name, width) for name in names}) == len(names):
            return width
    return most


def table_width() -> int:
    """The columns that the environment states (COLUMNS), else those of the terminal of stdout, else 80."""
    return shutil.get_terminal_size().columns


def filled(text: str, indent: int) -> str:
    """`text` in lines of at most 80 columns, fewer where the terminal has fewer; those that go on are indented."""
    width = min(WIDTH, max(table_width(), 2 * indent))
    return textwrap.fill(text, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)


def _columns(widths: Sequence[int], width: int) -> list[list[int]]:
    """The columns of every part of a table: the first one, and as many as there is room for."""
    parts = [[0]]
    for column in range(1, len(widths)):
        used = sum(widths[each] + len(GAP) for each in parts[-1])
        if used + widths[column] > width and len(parts[-1]) > 1:
            parts.append([0])
        parts[-1].append(column)
    return parts


def _part(cells: Sequence[Sequence[str]], widths: Sequence[int], columns: Sequence[int], text_columns: int) -> str:
    lines = []
    for row in cells:
        padded = [
            row[column].ljust(widths[column]) if column < text_columns else row[column].rjust(widths[column])
            for column in columns
        ]
        lines.append(GAP.join(padded).rstrip())
    lines.insert(1, GAP.join("─" * widths[column] for column in columns))
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
