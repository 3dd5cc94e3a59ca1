"""What all pictures have in common: formats, colours and style, light and dark. Needs matplotlib."""

from __future__ import annotations

import io
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from snnc.diagnostics import fail

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PALETTE = 256
# Inches around a picture.
_BORDER = 0.08


@dataclass(frozen=True)
class Theme:
    """The colours of pictures; readers who are colour-blind can tell them apart (tests/test_themes.py).

    Attributes:
        back: behind everything.
        text: words and axes.
        grey: what is said aside: lines of the ANN, notes.
        grid: lines of the grid.
        muted: areas that are nobody's own.
        colours: of networks and parts, the first ones differing most.
        shades: the part of viridis, from 0 to 1, that is seen well on `back`.
        heat: from nothing to everything, in pictures of a matrix.
    """

    back: str
    text: str
    grey: str
    grid: str
    muted: str
    colours: tuple[str, ...]
    shades: tuple[float, float]
    heat: tuple[str, ...]

    def style(self, **more: Any) -> Any:
        """Settings of matplotlib for a picture; `more` by their names, `__` for the point."""
        settings = {
            "font.size": 10,
            "axes.spines.top": False,
            "axes.grid": True,
            "grid.color": self.grid,
            "grid.linewidth": 0.8,
            "axes.axisbelow": True,
            "lines.linewidth": 1.8,
            "lines.markersize": 5,
            "legend.frameon": False,
            "savefig.dpi": 160,
            **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), self.back),
            **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor"), self.text),
            **dict.fromkeys(("xtick.color", "ytick.color"), self.text),
        }
        return settings | {name.replace("__", "."): value for name, value in more.items()}


# Okabe and Ito's palette, which colour-blind readers can tell apart; brown for its yellow, which is not seen on white.
LIGHT = Theme(
    back="#FFFFFF",
    text="#1C1C1C",
    grey="#666666",
    grid="#E5E5E5",
    muted="#BBBBBB",
    colours=("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#6A3D00"),
    shades=(0.0, 0.88),
    heat=("#F7FBFF", "#6BAED6", "#08306B"),
)
# The same hues, as light as a dark ground needs them.
DARK = Theme(
    back="#16181B",
    text="#E8E8E8",
    grey="#A8A8A8",
    grid="#33373C",
    muted="#5E646C",
    colours=("#56B4E9", "#F0763B", "#2DBE94", "#E39BC4", "#F2B632", "#7366D0", "#FFFFFF", "#F7F3A8"),
    shades=(0.25, 1.0),
    heat=("#1D2125", "#2A78A8", "#D6EEFC"),
)


def theme_of(*, dark: bool) -> Theme:
    """The colours on a dark ground, or on a white one."""
    return DARK if dark else LIGHT


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
    """The picture as the content of a file of this format, with all that is in it and a narrow border."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, bbox_inches="tight", pad_inches=_BORDER)
    return buffer.getvalue()


def compact(png: bytes) -> bytes:
    """The same picture with a palette of 256 colours, a third as heavy: for pages that have pictures in them."""
    from PIL import Image  # comes with matplotlib

    buffer = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        picture.convert("RGB").quantize(_PALETTE, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
            buffer, "png", optimize=True
        )
    return buffer.getvalue()
