"""What all pictures have in common: formats, colours and style. Needs matplotlib."""

from __future__ import annotations

import io
from os import PathLike, fspath
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from snnc.diagnostics import fail

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which colour-blind readers can tell apart, the lightest colours last.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#B8A800")
GREY = "#666666"
STYLE: Any = {  # matplotlib's stubs accept the keys in literals only
    "font.size": 10,
    "axes.spines.top": False,
    "axes.grid": True,
    "grid.color": "#E5E5E5",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "legend.frameon": False,
    "savefig.dpi": 160,
}


def require_matplotlib() -> None:
    """SNN407 if matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        fail("SNN407", "plots need matplotlib", hint="pip install matplotlib")


def picture_format(path: str | PathLike[str]) -> str:
    """The format that the suffix of `path` names, png where it has none; SNN401 if there is none of this name."""
    require_matplotlib()
    from matplotlib.backend_bases import FigureCanvasBase

    suffix = PurePath(path).suffix.lstrip(".").lower() or "png"
    formats = FigureCanvasBase.get_supported_filetypes()
    if suffix not in formats:
        message = f"{fspath(path)}: no picture format is called {suffix!r}"
        fail("SNN401", message, hint=f"choose one of {', '.join(sorted(formats))}")
    return suffix


def drawn(figure: Figure, form: str) -> bytes:
    """The picture as the content of a file of this format."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form)
    return buffer.getvalue()
