"""Pictures of the inside of a converted network: layers, potentials, classes, energy. Needs matplotlib.

Every function gives the content of a file in the format `form`, in the colours of `theme`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from snnc.measure.energy import FLOAT32, INT8, break_even
from snnc.measure.pictures import LIGHT, Theme, drawn, require_matplotlib
from snnc.measure.table import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from snnc.ir.conversion import LayerReport
    from snnc.measure.evaluation import Curve

_ROW_INCHES = 0.3
_LONGEST_NAME = 26
_MOST_PANELS = 12
_MOST_POINTS = 3000
_MOST_CLASSES = 20
_BINS = 60
# From here on the largest threshold is drawn on a log axis.
_WIDE = 30
# Potentials are drawn between these percentiles, and in thresholds no further than that; how many are beyond is said.
_SHOWN_PERCENTILES, _SHOWN_POTENTIALS = (1, 99.9), (-2.0, 4.0)
# Below the first percentile lies one percent anyway.
_NOTED = 0.015
# Points of the energy picture so near in energy (a ratio) and in height (points of per cent) share one number of steps.
_APART, _ABOVE = 1.12, 4
# Words on a matrix are light or dark from this share of its row on.
_DEEP = 60


def draw_layers(layers: Sequence[LayerReport], *, form: str = "png", theme: Theme = LIGHT) -> bytes:
    """Rates and thresholds of all layers that fire, from the input downwards."""
    require_matplotlib()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    shown = [layer for layer in layers if layer.rate is not None]
    with mpl.rc_context(theme.style(axes__spines__right=False)):
        figure = Figure(figsize=(7, 1.4 + _ROW_INCHES * max(1, len(shown))), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        rows = range(len(shown))
        left.barh(rows, [layer.rate or 0.0 for layer in shown], height=0.66, color=theme.colours[0])
        left.set(xlabel="spikes per neuron and step")
        for row, layer in enumerate(shown):
            values = np.atleast_1d(np.array([] if layer.threshold is None else layer.threshold, float))
            if values.size:
                right.plot([values.min(), values.max()], [row, row], color=theme.colours[1], linewidth=5)
                right.plot(np.median(values), row, "o", color=theme.colours[1], markeredgecolor=theme.back)
        _threshold_axis(right, shown)
        left.set_yticks(rows, [shorten(layer.name, _LONGEST_NAME) for layer in shown])
        left.set_ylim(len(shown) - 0.4, -0.6)
        for axes in (left, right):
            axes.grid(False, axis="y")
        return drawn(figure, form)


def _threshold_axis(axes: Axes, layers: Sequence[LayerReport]) -> None:
    """From 0 on, or where thresholds differ much by powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    found = [np.atleast_1d(np.array(layer.threshold, float)) for layer in layers if layer.threshold is not None]
    values = np.concatenate(found or [np.ones(1)])
    axes.set_xlabel("threshold V_th (input spikes)")
    if values.max() < _WIDE * values.min():
        axes.set_xlim(0, 1.08 * values.max())
        return
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def draw_scatter(
    layers: Mapping[str, tuple[np.ndarray, np.ndarray]], *, form: str = "png", theme: Theme = LIGHT
) -> bytes:
    """Of every layer what the ANN computes (to the right) and what spikes stand for (upwards), neuron by neuron."""

    def draw(axes: Axes, pair: tuple[np.ndarray, np.ndarray], name: str) -> None:
        activation, rate = (values.reshape(-1) for values in pair)
        chosen = np.random.default_rng(0).permutation(activation.size)[:_MOST_POINTS]
        axes.scatter(activation[chosen], rate[chosen], s=4, alpha=0.35, linewidths=0, color=theme.colours[0])
        ends = [float(min(activation.min(), rate.min())), float(max(activation.max(), rate.max()))]
        axes.plot(ends, ends, color=theme.grey, linestyle=(0, (4, 2)), linewidth=1)

    return _panels(layers, draw, "activation of the ANN", "spike rate in units of the ANN", form, theme)


def draw_potentials(
    potentials: Mapping[str, np.ndarray],
    *,
    without_threshold: Collection[str] = (),
    form: str = "png",
    theme: Theme = LIGHT,
) -> bytes:
    """Membrane potentials of every layer over all steps; neurons fire at the line. Layers `without_threshold`, which
    look their counts up, have their charge in the units of their grid."""

    def draw(axes: Axes, values: np.ndarray, name: str) -> None:
        low, high = np.percentile(values, _SHOWN_PERCENTILES)
        if name not in without_threshold:
            low, high = np.clip((low, high), *_SHOWN_POTENTIALS)
            high = max(high, 1.1)
            axes.axvline(1.0, color=theme.grey, linestyle=(0, (4, 2)), linewidth=1)
            axes.set_xlim(low, high)
        inside = values[(values >= low) & (values <= high)].reshape(-1)
        weights = np.full(inside.size, 1 / values.size)
        axes.hist(inside, _BINS, range=(low, high), weights=weights, color=theme.colours[2])
        axes.set_yticks([])
        below = float((values < low).mean())
        if below > _NOTED:
            place: Any = {"xycoords": "axes fraction", "va": "top", "fontsize": 7, "color": theme.grey}
            axes.annotate(f"← {100 * below:.0f} % below", (0.03, 0.97), **place)

    return _panels(potentials, draw, "membrane potential in thresholds", "share of neurons and steps", form, theme)


def draw_confusion(counts: np.ndarray, *, against_ann: bool = False, form: str = "png", theme: Theme = LIGHT) -> bytes:
    """How often each class (rows) is taken for each other one (columns), in % of its row."""
    require_matplotlib()
    import matplotlib as mpl
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    classes = len(counts)
    shares = 100 * counts / np.maximum(1, counts.sum(1, keepdims=True))
    with mpl.rc_context(theme.style(axes__grid=False)):
        figure = Figure(figsize=(5.4, 4.6), layout="compressed")
        axes = figure.add_subplot()
        colours = LinearSegmentedColormap.from_list("heat", theme.heat)
        picture = axes.imshow(shares, cmap=colours, vmin=0, vmax=100)
        figure.colorbar(picture, label="% of the row")
        axes.set(xlabel="class of the spiking network", ylabel="class of the ANN" if against_ann else "label")
        if classes <= _MOST_CLASSES:
            axes.set(xticks=range(classes), yticks=range(classes))
            for row, column in zip(*np.nonzero(counts), strict=True):
                colour = theme.back if shares[row, column] > _DEEP else theme.text
                look: Any = {"ha": "center", "va": "center", "fontsize": 7, "color": colour}
                axes.text(column, row, f"{counts[row, column]}", **look)
        return drawn(figure, form)


def draw_energy(curve: Curve, *, form: str = "png", theme: Theme = LIGHT) -> bytes:
    """Accuracy (else agreement) against the energy of synapses, beside the float and the int8 ANN."""
    require_matplotlib()
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    name = "accuracy" if curve.points[-1].accuracy is not None else "agreement"
    with mpl.rc_context(theme.style(axes__spines__right=False)):
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.add_subplot()
        for index, (label, line) in enumerate(break_even([curve]).items()):
            prices = {"float32": FLOAT32, "int8": INT8}[label]
            title = "32-bit floats" if label == "float32" else "8-bit integers"
            energies = [standing.energy_uj for standing in line.points]
            shares = [100 * (getattr(point, name) or 0.0) for point in curve.points]
            axes.plot(energies, shares, marker="os"[index], color=theme.colours[index], label=f"spiking, {title}")
            if index == 0:
                _note_steps(axes, energies, shares, [point.steps for point in curve.points], theme)
            energy = prices.ann_energy_uj(curve.ann_macs)
            axes.axvline(energy, color=theme.colours[index], linestyle=(0, (4, 2)), label=f"ANN, {title}")
        if name == "accuracy" and curve.ann_accuracy is not None:
            axes.axhline(100 * curve.ann_accuracy, color=theme.grey, linestyle=":", label="accuracy of the ANN")
        axes.set(xscale="log", xlabel="energy of synapses per sample (µJ, 45 nm)", ylabel=f"{name} (%)", ylim=(0, 102))
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda energy, _: f"{energy:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        figure.legend(loc="outside lower center", ncols=3)
        return drawn(figure, form)


def _note_steps(
    axes: Axes, energies: Sequence[float], shares: Sequence[float], steps: Sequence[int], theme: Theme
) -> None:
    """The numbers of steps at their points; of points that lie on each other the first one."""
    place: Any = {"textcoords": "offset points", "xytext": (4, -10), "fontsize": 7, "color": theme.grey}
    noted: list[tuple[float, float]] = []
    for energy, share, count in zip(energies, shares, steps, strict=True):
        if all(energy > _APART * left or abs(share - height) > _ABOVE for left, height in noted):
            axes.annotate(f"T={count}", (energy, share), **place)
            noted.append((energy, share))


def _panels(values: Mapping[str, Any], draw: Any, xlabel: str, ylabel: str, form: str, theme: Theme) -> bytes:
    """A panel for each layer; of very many those at even distances."""
    require_matplotlib()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    names = list(values)
    kept = np.unique(np.linspace(0, len(names) - 1, min(len(names), _MOST_PANELS)).round().astype(int))
    columns = min(3, max(1, len(kept)))
    rows = math.ceil(len(kept) / columns)
    with mpl.rc_context(theme.style(font__size=8, axes__spines__right=False)):
        figure: Figure = Figure(figsize=(7, 0.5 + 2.1 * max(1, rows)), layout="constrained")
        for place, index in enumerate(kept):
            axes = figure.add_subplot(rows, columns, place + 1)
            draw(axes, values[names[index]], names[index])
            axes.set_title(shorten(names[index], _LONGEST_NAME), fontsize=8)
        figure.supxlabel(xlabel, fontsize=9)
        figure.supylabel(ylabel, fontsize=9)
        return drawn(figure, form)
