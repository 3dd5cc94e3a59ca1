"""Pictures: accuracy and spike rate against steps, and spike rasters. Needs matplotlib."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from snnc.files import write_atomically
from snnc.measure.energy import break_even
from snnc.measure.pictures import LIGHT, Theme, drawn, picture_format, require_matplotlib, theme_of
from snnc.measure.table import shorten

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from snnc.measure.evaluation import Curve

_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_LINES = ("-", (0, (4, 1.5)), ":")
_SCORES = {
    "accuracy": "accuracy (%)",
    "agreement": "agreement with the ANN (%)",
    "error": "error of the outputs (%)",
}
_MOST_ON_TWO_AXES = 3
_MOST_RASTER_NEURONS = 2000
_LONGEST_LABEL = 40
# The value of the ANN stands so far below its line, from where to where.
_ANN_LINE, _ANN_LABEL = 0.01, 0.08
# About as many letters fit below a picture, and a line with its marker is as wide as so many.
_LEGEND_LETTERS, _HANDLE_LETTERS = 90, 8


def draw_curves(
    curves: Mapping[str, Sequence[Curve]], *, title: str = "", form: str = "png", theme: Theme = LIGHT
) -> bytes:
    """Accuracy and spike rate against steps, after figure 5 of RMP-SNN (Han et al. 2020).

    Up to three networks share one picture, with accuracy on the left axis and spike rate on the right one; more are
    drawn in two panels. Without labels agreement with the ANN takes the place of accuracy, without classes the error of
    the outputs; several seeds of a network give the mean and a band of one standard deviation. Of a single network,
    dotted lines show from which step on its arithmetic costs more than that of an ANN (`snnc.measure.energy`).

    Args:
        curves: label → curves of its seeds, which have the same steps.
        title: printed above.
        form: the format of the picture, such as png, svg or pdf.
        theme: its colours.
    """
    require_matplotlib()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(theme.style()):
        shared = len(curves) <= _MOST_ON_TWO_AXES
        if shared:
            figure = Figure(figsize=(7, 4.6), layout="constrained")
            left = figure.add_subplot()
            right = left.twinx()
            right.grid(False)
        else:
            figure = Figure(figsize=(7, 7), layout="constrained")
            left, right = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
            left.spines.right.set_visible(False)
            right.spines.right.set_visible(False)
        for (label, seeds), look in zip(curves.items(), _looks(list(curves), theme), strict=True):
            _draw(left, seeds, _score_name(seeds[0]), 100, label=label, **look)
            rate_look = {**look, "linestyle": "--", "markerfacecolor": theme.back} if shared else look
            _draw(right, seeds, "spike_rate", 1, **rate_look)
        _label_axes(left, right, curves, shared=shared)
        _draw_ann(left, curves, theme)
        if len(curves) == 1:
            _draw_break_even(left, next(iter(curves.values())), theme)
        _add_legend(figure, left, theme, shared=shared)
        if title:
            figure.suptitle(title, fontweight="bold")
        return drawn(figure, form)


def plot_raster(spikes: np.ndarray, path: str | PathLike[str], *, title: str = "", dark: bool = False) -> None:
    """Write the picture of `draw_raster` to `path`, in the format that its suffix names (png, svg, pdf); `dark`: light
    colours on a dark ground."""
    write_atomically(path, draw_raster(spikes, title=title, form=picture_format(path), theme=theme_of(dark=dark)))


def draw_raster(spikes: np.ndarray, *, title: str = "", form: str = "png", theme: Theme = LIGHT) -> bytes:
    """A dot for every spike: neurons upwards, steps to the right, and below them how many neurons fire at each step.

    Args:
        spikes: `[T, ...]`, as `record` gives them of one sample; anything but 0 is a spike, negative ones (of signed
            inputs) are drawn in another colour.
        title: printed above.
        form: the format of the picture.
        theme: its colours.

    Raises:
        ValueError: `spikes` has no neurons, or no steps.
    """
    require_matplotlib()
    import matplotlib as mpl
    import numpy as np
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    spikes = np.asarray(spikes)
    if spikes.ndim < 2 or not spikes.size:
        raise ValueError(f"spikes have shape {spikes.shape}, must be [T, ...] with one neuron and one step at least")
    spikes = spikes.reshape(len(spikes), -1)
    steps, neurons = spikes.shape
    shown = np.unique(np.linspace(0, neurons - 1, min(neurons, _MOST_RASTER_NEURONS)).round().astype(int))
    signs = np.sign(spikes[:, shown].astype(np.int64))
    with mpl.rc_context(theme.style(axes__grid=False, axes__spines__right=False)):
        figure = Figure(figsize=(7, 4.6), layout="constrained")
        raster, share = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        size = max(1.2, min(6.0, 320 / max(len(shown), steps)))
        for sign, label, colour in ((1, "positive", theme.colours[0]), (-1, "negative", theme.colours[1])):
            step, position = np.nonzero(signs == sign)
            raster.scatter(step + 1, shown[position], s=size**2, marker="s", linewidths=0, color=colour, label=label)
        if signs.min() < 0:
            handles = raster.get_legend_handles_labels()
            figure.legend(*handles, loc="outside lower center", ncols=2, markerscale=6 / size)
        for axis in (raster.yaxis, share.xaxis):
            axis.set_major_locator(MaxNLocator(integer=True))
        raster.set(ylabel="neuron", ylim=(-0.5, neurons - 0.5))
        firing = 100 * (spikes != 0).mean(1)
        share.bar(np.arange(1, steps + 1), firing, width=1.0, color=theme.grey)
        share.set(xlabel="step", ylabel="firing (%)", xlim=(0.5, steps + 0.5))
        if title:
            figure.suptitle(title, fontweight="bold")
        return drawn(figure, form)


def _looks(labels: Sequence[str], theme: Theme) -> list[dict[str, Any]]:
    """Colour, marker and line of every network.

    Many labels of two words, as `soft α=0.6` of a sweep, share the line of the first word and the colour of the second,
    in an ordered palette.
    """
    words = [tuple(label.split(" ", 1)) for label in labels]
    firsts, seconds = list(dict.fromkeys(word[0] for word in words)), list(dict.fromkeys(word[-1] for word in words))
    if len(labels) <= _MOST_ON_TWO_AXES or len(firsts) > len(_LINES) or any(len(word) != 2 for word in words):
        return [
            {"color": theme.colours[index % len(theme.colours)], "marker": marker, "linestyle": "-"}
            for index, marker in zip(range(len(labels)), itertools.cycle(_MARKERS), strict=False)
        ]
    import matplotlib as mpl

    shades = mpl.colormaps["viridis"]
    low, high = theme.shades
    return [
        {
            "color": shades(low + (high - low) * seconds.index(second) / max(1, len(seconds) - 1)),
            "marker": _MARKERS[firsts.index(first)],
            "linestyle": _LINES[firsts.index(first)],
        }
        for first, second in words
    ]


def _score_name(curve: Curve) -> str:
    """What the left axis shows: accuracy; without labels agreement with the ANN; without classes the error."""
    first = curve.points[0]
    return next((name for name in ("accuracy", "agreement", "error") if getattr(first, name) is not None), "accuracy")


def _draw(axes: Axes, seeds: Sequence[Curve], name: str, factor: float, **look: Any) -> None:
    import numpy as np

    steps = [point.steps for point in seeds[0].points]
    values = np.array([[getattr(point, name) for point in curve.points] for curve in seeds], float) * factor
    mean = values.mean(0)
    axes.plot(steps, mean, clip_on=False, **look)
    if len(seeds) > 1:
        spread = values.std(0, ddof=1)
        axes.fill_between(steps, mean - spread, mean + spread, color=look["color"], alpha=0.18, linewidth=0)


def _label_axes(left: Axes, right: Axes, curves: Mapping[str, Sequence[Curve]], *, shared: bool) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    first = next(iter(curves.values()))[0]
    steps = sorted({point.steps for seeds in curves.values() for curve in seeds for point in curve.points})
    left.set_ylabel(_SCORES[_score_name(first)])
    if _score_name(first) == "error":
        left.set_ylim(bottom=0)
    else:
        left.set_ylim(0, 102)
    right.set_ylabel("spike rate R (%)")
    highest = max(point.spike_rate for seeds in curves.values() for curve in seeds for point in curve.points)
    # On shared axes the rates stay in the lower half, out of the way of the accuracies.
    right.set_ylim(0, max(0.1, highest * (2.2 if shared else 1.1)))
    bottom = left if shared else right
    bottom.set(xscale="log", xlabel="steps T", xlim=(steps[0], max(steps[-1], 2 * steps[0])))
    bottom.xaxis.set_major_locator(FixedLocator(_ticks(steps)))
    bottom.xaxis.set_minor_locator(NullLocator())
    bottom.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _ticks(steps: Sequence[int]) -> list[int]:
    """Those of `steps` that have room on a log axis."""
    kept = [steps[0]]
    for step in steps[1:]:
        if step >= 1.5 * kept[-1]:
            kept.append(step)
    return kept


def _draw_ann(axes: Axes, curves: Mapping[str, Sequence[Curve]], theme: Theme) -> None:
    """The accuracy of the ANN as a dashed line with its value, at the end where fewer curves are in the way."""
    accuracy = next(iter(curves.values()))[0].ann_accuracy
    if accuracy is None:
        return
    axes.axhline(100 * accuracy, color=theme.grey, linestyle=(0, (6, 3)), linewidth=1.2, zorder=1)
    points = [curve.points for seeds in curves.values() for curve in seeds]
    ends = [[point for found in points for point in found[:2]], [point for found in points for point in found[-2:]]]
    left, right = (sum(-_ANN_LABEL < (point.accuracy or 0) - accuracy < -_ANN_LINE for point in end) for end in ends)
    axes.annotate(
        f"ANN {100 * accuracy:.1f} %",
        (float(right < left), 100 * accuracy),
        xycoords=("axes fraction", "data"),
        xytext=(-6 if right < left else 6, -4),
        textcoords="offset points",
        ha="right" if right < left else "left",
        va="top",
        color=theme.grey,
    )


def _draw_break_even(axes: Axes, seeds: Sequence[Curve], theme: Theme) -> None:
    """From where on the network costs more than the float and than an int8 ANN, or that it does so always or never."""
    notes = []
    for name, line in break_even(seeds).items():
        ann = "float ANN" if name == "float32" else "int8 ANN"
        where = f"{'above' if line.last.ratio > 1 else 'below'} that of the {ann} at all T shown"
        if line.steps is not None:
            where = f"above that of the {ann} right of its line"
            axes.axvline(line.steps, color=theme.grey, linestyle=":", linewidth=1.2, zorder=1)
            look: Any = {"rotation": 90, "va": "top", "color": theme.grey, "fontsize": 7}
            place: Any = {"xycoords": ("data", "axes fraction"), "xytext": (2, -12), "textcoords": "offset points"}
            axes.annotate(f"break-even: {ann}", (line.steps, 1), **place, **look)
        notes.append(f"energy {where} ({line.prices.accumulate:g} pJ per SOP, {line.prices.ann_mac:g} per MAC)")
    axes.set_title("\n".join(notes), fontsize=7, color=theme.grey, loc="right")


def _add_legend(figure: Figure, left: Axes, theme: Theme, *, shared: bool) -> None:
    """The networks, and on shared axes which line belongs to which axis."""
    from matplotlib.lines import Line2D

    handles, labels = left.get_legend_handles_labels()
    labels = [shorten(label, _LONGEST_LABEL) for label in labels]
    if shared:
        score = left.get_ylabel().partition(" (")[0]
        handles += [
            Line2D([], [], color=theme.grey, linestyle="-", marker="o"),
            Line2D([], [], color=theme.grey, linestyle="--", marker="o", markerfacecolor=theme.back),
        ]
        labels += [f"{score} (left)", "spike rate (right)"]
    room = _LEGEND_LETTERS // (max(map(len, labels)) + _HANDLE_LETTERS)
    figure.legend(handles, labels, loc="outside lower center", ncols=min(max(1, room), 5 if shared else 4, len(labels)))
