"""`snnc sweep`: convert with several resets and alphas, and compare the results."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnc.cli import options
from snnc.cli.cells import CellProgress, cell_label, measure_cell
from snnc.cli.console import Console
from snnc.cli.convert import load_for

if TYPE_CHECKING:
    from snnc.measure.evaluation import Curve


@click.command(short_help="Convert and measure for several resets and alphas.")
@click.argument("net", type=options.EXISTING, metavar="NET.onnx")
@click.option("--calib", required=True, metavar="DATA", help="Data for the thresholds.")
@click.option("--data", "data", required=True, metavar="DATA", help="Samples with labels.")
@options.method
@click.option(
    "--reset", "resets", callback=options.WORDS, metavar="R,...", help="soft, hard.  [default: that of the method]"
)
@click.option(
    "--alpha",
    "alphas",
    callback=options.NUMBERS,
    metavar="A,...",
    help="Factors on the thresholds.  [default: none; the rule is rate for soft reset and vmax for hard]",
)
@click.option(
    "--steps",
    "cuts",
    callback=options.INTEGERS,
    default="1,2,4,8,16,32,64,128,256",
    show_default=True,
    metavar="T,...",
    help="Numbers of steps.",
)
@options.leak
@options.calibration
@options.strictness
@options.seed
@click.option("--samples", type=click.IntRange(min=1), metavar="N", help="Take N samples, evenly spread over DATA.")
@options.data_form
@click.option("--json", "json_file", type=options.OUTPUT, metavar="FILE.json", help="Write all numbers.")
@click.option("--plot", type=options.OUTPUT, metavar="FILE.png", help="Draw accuracy and spike rate against steps.")
@options.threads
@options.verbosity
@click.pass_obj
def sweep(
    console: Console,
    /,
    net: str,
    calib: str,
    data: str,
    resets: list[str] | None,
    alphas: list[float] | None,
    cuts: list[int],
    samples: int | None,
    scale: float | None,
    mean: list[float] | None,
    std: list[float] | None,
    layout: str | None,
    json_file: str | None,
    plot: str | None,
    threads: int | None,
    **arguments: Any,
) -> None:
    """Convert NET.onnx with every reset and alpha, and measure each conversion on DATA.

    \b
    snnc sweep net.onnx --calib mnist.npz:train --data mnist.npz:test \\
         --reset soft,hard --alpha 1,0.8,0.6 --plot sweep.png
    """
    from snnc import api
    from snnc.files import check_writable
    from snnc.measure import plot as plots
    from snnc.measure.report import write_json
    from snnc.methods.defaults import check_range_is_used, make_options
    from snnc.simulate.ann import load_model

    chosen = {**options.conversion_options(arguments), "steps": max(cuts)}
    chosen_resets: list[str] | list[None] = resets or [None]
    factors: list[float] | list[None] = alphas or [None]
    cells: list[dict[str, Any]] = [
        {"reset": reset, "alpha": alpha} for reset, alpha in itertools.product(chosen_resets, factors)
    ]
    for cell in cells:
        make_options(**{**chosen, **cell, "steps": min(cuts)})
        check_range_is_used(make_options(**chosen, **cell), calib)
    for path in (json_file, plot):
        if path:
            check_writable(path, [net, calib, data])
    if plot:
        plots.require_matplotlib()
    ann = load_model(net)
    form = {"scale": scale, "mean": mean, "std": std, "layout": layout}
    calibration = load_for(console, ann, calib, form, chosen)
    dataset = options.load_data(console, data, api.input_dims(ann), form, samples=samples)
    decided = [make_options(**{**chosen, **cell}) for cell in cells]
    curves: dict[str, Curve] = {}
    estimates: api.Estimates = {}
    for index, cell in enumerate(cells):
        label = cell_label(decided[index].reset, cell["alpha"], decided[index].threshold)
        progress = CellProgress(console, label, index, len(cells))
        curves[label] = measure_cell(ann, calibration, dataset, cuts, progress, {**chosen, **cell}, threads, estimates)
    print_sweep(console, curves)
    if json_file:
        document = [
            {"reset": taken.reset, "alpha": cell["alpha"], "curve": curve.to_json()}
            for taken, cell, curve in zip(decided, cells, curves.values(), strict=True)
        ]
        write_json(json_file, {"model": net, "calib": calib, "data": data, "options": chosen, "cells": document})
        console.result(f"wrote {json_file}")
    if plot:
        plots.plot_curves({label: [curve] for label, curve in curves.items()}, plot, title=Path(net).name)
        console.result(f"wrote {plot}")


def print_sweep(console: Console, curves: dict[str, Curve]) -> None:
    """What is known of every cell (accuracy, else agreement, else the error of the outputs), and its spike rate."""
    from snnc.measure.report import percent, sweep_table

    first = next(iter(curves.values()))
    titles = {"accuracy": "accuracy", "agreement": "agreement with the ANN", "error": "error of the outputs"}
    name = next(name for name in titles if getattr(first.points[0], name) is not None)
    console.result(f"{titles[name]} %")
    console.result(sweep_table(curves, name))
    if first.ann_accuracy is not None:
        console.result(f"ANN: {percent(first.ann_accuracy)}")
    console.result("\nspike rate R %")
    console.result(sweep_table(curves, "spike_rate"))
