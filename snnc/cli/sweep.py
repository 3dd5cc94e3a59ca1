"""`snnc sweep`: convert with several resets and alphas, or numbers of levels, and compare the results."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnc.cli import options, reports
from snnc.cli.cells import SweepProgress, cell_label
from snnc.cli.console import Console
from snnc.cli.convert import load_for

if TYPE_CHECKING:
    from snnc.measure.evaluation import Curve

_STEPS = [1, 2, 4, 8, 16, 32, 64, 128, 256]
_LEVELS = [4, 8, 16, 32]


@click.command(short_help="Convert and measure for several resets and alphas, or levels.")
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
    "--levels",
    callback=options.INTEGERS,
    metavar="L,...",
    help="Levels of the method exact, which has no steps to choose.  [default: 4,8,16,32]",
)
@click.option(
    "--steps",
    "cuts",
    callback=options.INTEGERS,
    metavar="T,...",
    help="Numbers of steps.  [default: 1,2,4,8,16,32,64,128,256]",
)
@options.leak
@options.calibration
@options.strictness
@options.seed
@click.option("--samples", type=click.IntRange(min=1), metavar="N", help="Take N samples, evenly spread over DATA.")
@options.data_form
@reports.json_report
@click.option("--plot", type=options.OUTPUT, metavar="FILE.png", help="Draw accuracy and spike rate against steps.")
@reports.dark
@options.on
@options.resume
@options.worker_threads
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
    levels: list[int] | None,
    cuts: list[int] | None,
    samples: int | None,
    scale: float | None,
    mean: list[float] | None,
    std: list[float] | None,
    layout: str | None,
    json_file: str | None,
    plot: str | None,
    dark: bool,
    on: str | None,
    resume: str | None,
    threads: int | None,
    **arguments: Any,
) -> None:
    """Convert NET.onnx with every reset and alpha, and measure each conversion on DATA. With --method exact: with every
    number of levels.

    \b
    snnc sweep net.onnx --calib mnist.npz:train --data mnist.npz:test \\
         --reset soft,hard --alpha 1,0.8,0.6 --plot sweep.png
    snnc sweep net.onnx --calib mnist.npz:train --data mnist.npz:test \\
         --method exact --levels 4,8,16,32
    """
    from snnc import api
    from snnc.api.sweeping import sweep_files, thresholds_beside
    from snnc.data import Preparation
    from snnc.integers.calibration_split import CALIB_MEMORY, image_memory
    from snnc.measure.pictures import picture_format
    from snnc.measure.plot import draw_curves
    from snnc.methods.defaults import check_range_is_used, make_options
    from snnc.simulate.ann import load_model

    kept = [] if resume is None else [resume, thresholds_beside(resume)]
    theme = reports.theme(dark, plot)
    reports.check_outputs(console, json_file, kept, inputs=[net, calib, data], pictures=[plot])
    given = options.conversion_options(arguments)
    settles = has_levels(given.get("method"))
    if settles:
        refuse_steps(cuts, given["method"])
        levels = levels or _LEVELS
    else:
        cuts = cuts or _STEPS
        given["steps"] = max(cuts)
    cells = cells_of(resets, alphas, levels)
    for cell in cells:
        least = {} if cuts is None else {"steps": min(cuts)}
        make_options(**{**given, **cell, **least})
        check_range_is_used(make_options(**given, **cell), calib)
    decided = [make_options(**given, **cell) for cell in cells]
    ann = load_model(net)
    form: dict[str, Any] = {"scale": scale, "mean": mean, "std": std, "layout": layout}
    calibration = load_for(console, ann, calib, form, given)
    form = api.preparation_for(ann, Preparation.of(**form)).given
    dims, memory = api.input_dims(ann, decided[0].shape), image_memory(CALIB_MEMORY)
    dataset = options.load_data(console, data, dims, form, samples=samples, memory=memory)
    labels = [
        f"levels {taken.levels}" if settles else cell_label(taken.reset, cell["alpha"], taken.threshold)
        for cell, taken in zip(cells, decided, strict=True)
    ]
    progress = SweepProgress(console, labels, decided)
    where: dict[str, Any] = {"threads": threads, "on": on}
    where["checkpoint"] = console.kept_until_done(sweep_files(resume), *kept)
    found = api.sweep(ann, calibration, dataset, cells, at_steps=cuts, progress=progress, **where, **given)
    curves = dict(zip(labels, found, strict=True))
    if settles:
        print_levels(console, [taken.levels for taken in decided], list(curves.values()))
    else:
        print_sweep(console, curves)
    if plot:
        drawn = {label: [curve] for label, curve in curves.items()}
        console.write(plot, draw_curves(drawn, title=Path(net).name, form=picture_format(plot), theme=theme))
    document = [
        {**cell, "reset": taken.reset, "curve": curve.to_json()}
        for taken, cell, curve in zip(decided, cells, curves.values(), strict=True)
    ]
    console.report({"model": net, "calib": calib, "data": data, "options": given, "cells": document})


def has_levels(method: str | None) -> bool:
    """Whether a method (None: the default) has levels in the place of steps."""
    from snnc.ir.options import Options
    from snnc.methods import METHODS

    chosen = METHODS[method or Options.method]
    return chosen.settles and any(option.name == "levels" for option in chosen.options)


def refuse_steps(cuts: list[int] | None, method: str) -> None:
    """SNN405 where steps are given for a method that has none."""
    from snnc.diagnostics import fail
    from snnc.methods import METHODS

    if cuts is not None:
        message = f"steps is no option of the method {method}: {METHODS[method].without['steps']}"
        fail("SNN405", message, hint="give `--levels`, which its networks have in the place of steps")


def cells_of(resets: list[str] | None, alphas: list[float] | None, levels: list[int] | None) -> list[dict[str, Any]]:
    """The options of every conversion; None where nothing is given."""
    nothing: list[Any] = [None]
    values = (resets or nothing, alphas or nothing, levels or nothing)
    return [dict(zip(("reset", "alpha", "levels"), cell, strict=True)) for cell in itertools.product(*values)]


def print_levels(console: Console, levels: list[int], curves: list[Curve]) -> None:
    """Where each network ends, once it has settled: what it gets right, and what that costs."""
    from snnc.measure.report import levels_table
    from snnc.measure.table import percent

    console.result(levels_table(levels, curves))
    if curves[0].ann_accuracy is not None:
        console.result(f"ANN: {percent(curves[0].ann_accuracy)}")
    console.result("steps: until the last spike, mean and most of the samples. Spikes and SOPs: per\nsample.")


def print_sweep(console: Console, curves: dict[str, Curve]) -> None:
    """What is known of every cell (accuracy, else agreement, else the error of the outputs), and its spike rate."""
    from snnc.measure.report import sweep_table
    from snnc.measure.table import percent

    first = next(iter(curves.values()))
    titles = {"accuracy": "accuracy", "agreement": "agreement with the ANN", "error": "error of the outputs"}
    name = next(name for name in titles if getattr(first.points[0], name) is not None)
    console.result(f"{titles[name]} %")
    console.result(sweep_table(curves, name))
    if first.ann_accuracy is not None:
        console.result(f"ANN: {percent(first.ann_accuracy)}")
    console.result("\nspike rate R %")
    console.result(sweep_table(curves, "spike_rate"))
