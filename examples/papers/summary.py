"""What was measured as tables in markdown, as JSON and as pictures in the form of RMP-SNN's figures."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from snnc.files import write_atomically
from snnc.measure.evaluation import Curve, Point
from snnc.measure.intervals import paired_difference
from snnc.measure.plot import draw_curves

if TYPE_CHECKING:
    from cells import Cell, Laboratory

#: What counts as having reached the ANN, and what is shown beside it.
DROP, COARSE_DROP = 0.01, 0.05
_COLUMNS = 8
_FIGURE_STEPS = 16


@dataclass
class Results:
    """Curves by cell. `choice` is on training images, all else on test images; `runs` has one curve for each seed."""

    chosen: float
    choice: dict[Cell, Curve]
    cells: dict[Cell, Curve] = field(default_factory=dict)
    runs: dict[Cell, list[Curve]] = field(default_factory=dict)
    after: dict[Cell, Curve] = field(default_factory=dict)
    whole: dict[Cell, Curve] = field(default_factory=dict)


def steps_to_reach(curve: Curve, drop: float = DROP) -> int | None:
    """The fewest of the measured steps from which on the accuracy stays within `drop` of the ANN's; None if none."""
    found = None
    for point in reversed(curve.points):
        if (curve.ann_accuracy or 0) - (point.accuracy or 0) > drop + 1e-12:
            break
        found = point.steps
    return found


def write_summary(laboratory: Laboratory, results: Results) -> None:
    """`summary.md`, `summary.json`, and the pictures that there are curves for."""
    folder = laboratory.folder
    write_atomically(folder / "summary.md", _markdown(laboratory, results).encode())
    write_atomically(folder / "summary.json", json.dumps(_document(results), indent=2).encode())
    pictures = {"figure-5.png": results.cells, "fast.png": _four(results), "after.png": results.after}
    for name, curves in pictures.items():
        if curves:
            shown = {cell.label: [_drawn(curve)] for cell, curve in curves.items()}
            picture = draw_curves(shown, title=laboratory.settings.ann.rpartition("/")[2])
            write_atomically(folder / name, picture)


def _four(results: Results) -> dict[Cell, Curve]:
    """Soft and hard reset with the alpha that was chosen and with 1."""
    return {cell: curve for cell, curve in results.cells.items() if cell.alpha in (results.chosen, 1.0)}


def _drawn(curve: Curve) -> Curve:
    """At powers of two, without the first steps, in which nothing has arrived at the end of a deep network."""
    least = min(_FIGURE_STEPS, curve.points[-1].steps)
    kept = [point for point in _shown(curve) if point.steps >= least]
    return Curve(kept, curve.samples, curve.seed, curve.ann_accuracy, curve.ann_macs, curve.clipped)


def _shown(curve: Curve) -> list[Point]:
    """The points at powers of two, and the last one."""
    last = curve.points[-1]
    return [point for point in curve.points if point.steps & (point.steps - 1) == 0 or point is last]


def _markdown(laboratory: Laboratory, results: Results) -> str:
    settings = laboratory.settings
    blocks = [
        f"# RMP-SNN: {settings.ann.rpartition('/')[2]}",
        f"Measured on {settings.data}. Thresholds from {settings.calib_samples} images of {settings.calib} for "
        f"{settings.calib_steps} steps, V(0) = 0, Poisson coding. Accuracy %, in brackets the spike rate R %.",
        f"## Alpha, chosen on training images: {results.chosen:g}",
        _curve_table(results.choice),
    ]
    if results.cells:
        blocks += ["## Figure 5", _curve_table(results.cells), "## Spikes per neuron and step, %", _rates(results)]
    if any(results.runs.values()):
        blocks += [f"## Tables 1 and 2, mean of {max(map(len, results.runs.values()))} runs", _loss_table(results.runs)]
    if results.after:
        blocks += ["## Alpha applied after all thresholds are known", _curve_table(results.after)]
    if results.whole:
        blocks += ["## The alpha that was chosen, on more images", _curve_table(results.whole)]
    return "\n\n".join(blocks) + "\n"


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Markdown; the first row has the headers."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def _curve_table(curves: Mapping[Cell, Curve]) -> str:
    first = next(iter(curves.values()))
    shown = [point.steps for point in _shown(first)][-_COLUMNS:]
    titles = ["ANN", f"lost at T = {shown[-1]} (95 %)", "steps to ANN - 1", "to ANN - 5"]
    rows = [["cell", "images", *(f"T = {steps}" for steps in shown), *titles]]
    for cell, curve in curves.items():
        points = {point.steps: point for point in curve.points}
        reached = [steps_to_reach(curve, drop) for drop in (DROP, COARSE_DROP)]
        numbers = [f"{_percent(points[steps])} ({points[steps].spike_rate:.1f})" for steps in shown]
        ann = f"{100 * (curve.ann_accuracy or 0):.2f}"
        loss = _loss(curve, points[shown[-1]])
        counts = ["-" if count is None else str(count) for count in reached]
        rows.append([cell.label, str(curve.samples), *numbers, ann, loss, *counts])
    return f"{_table(rows)}\n\nStandard error of an accuracy: {100 * standard_error(first):.1f} points."


def standard_error(curve: Curve) -> float:
    """Of the ANN's accuracy, as a share; that of a difference on the same images is smaller."""
    accuracy = curve.ann_accuracy or 0
    return math.sqrt(accuracy * (1 - accuracy) / curve.samples)


def _loss(curve: Curve, point: Point) -> str:
    """In points of accuracy, with the interval of a difference on the same images."""
    if point.lost is None or point.gained is None:
        return ""
    low, high = paired_difference(point.lost, point.gained, curve.samples)
    return f"{100 * (point.lost - point.gained) / curve.samples:.2f} ({100 * low:.1f} to {100 * high:.1f})"


def _percent(point: Point) -> str:
    return f"{100 * (point.accuracy or 0):.2f}"


def _loss_table(runs: Mapping[Cell, Sequence[Curve]]) -> str:
    """The columns of the paper, and how far the runs lie apart."""
    rows = [["neuron", "images", "T", "ANN", "SNN", "loss", "deviation of the runs", "R %"]]
    for cell, curves in runs.items():
        if not curves:
            continue
        last = [curve.points[-1] for curve in curves]
        ann = 100 * (curves[0].ann_accuracy or 0)
        found = [100 * (point.accuracy or 0) for point in last]
        mean, spread = statistics.fmean(found), statistics.stdev(found) if len(found) > 1 else 0.0
        rate = statistics.fmean(point.spike_rate for point in last)
        neuron = f"{'RMP' if cell.reset == 'soft' else 'IF'} ({cell.label})"
        numbers = [f"{number:.2f}" for number in (ann, mean, ann - mean, spread, rate)]
        rows.append([neuron, str(curves[0].samples), str(last[0].steps), *numbers])
    return _table(rows)


def _rates(results: Results) -> str:
    """Layer by layer, of soft reset with alpha 1 and with the one that was chosen, and of what `after` makes of it."""
    shown = [cell for cell in results.cells if cell.reset == "soft" and cell.alpha in (1.0, results.chosen)]
    columns = {f"{cell.label}": results.cells[cell].points[-1] for cell in shown}
    columns |= {
        f"{cell.label} after": curve.points[-1]
        for cell, curve in results.after.items()
        if (cell.reset, cell.alpha) == ("soft", results.chosen)
    }
    names = list(next(iter(columns.values())).layer_rates)
    rows = [["layer", *(f"{label}, T = {point.steps}" for label, point in columns.items())]]
    rows += [[f"`{name}`", *(f"{100 * point.layer_rates[name]:.3f}" for point in columns.values())] for name in names]
    return _table(rows)


def _document(results: Results) -> dict[str, Any]:
    """The same as plain values."""

    def curves(found: Mapping[Cell, Curve]) -> list[dict[str, Any]]:
        return [{**cell.__dict__, **_plain(curve)} for cell, curve in found.items()]

    return {
        "chosen": results.chosen,
        "choice": curves(results.choice),
        "cells": curves(results.cells),
        "runs": [{**cell.__dict__, "curves": list(map(_plain, found))} for cell, found in results.runs.items()],
        "after": curves(results.after),
        "whole": curves(results.whole),
    }


def _plain(curve: Curve) -> dict[str, Any]:
    names = ("steps", "accuracy", "agreement", "error", "spike_rate", "lost", "gained", "layer_rates")
    points = [{name: getattr(point, name) for name in names} for point in curve.points]
    reaches = {f"ann - {100 * drop:g}": steps_to_reach(curve, drop) for drop in (DROP, COARSE_DROP)}
    return {
        "images": curve.samples,
        "reaches": reaches,
        "ann": curve.ann_accuracy,
        "seed": curve.seed,
        "points": points,
    }
