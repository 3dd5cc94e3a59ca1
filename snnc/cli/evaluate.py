"""`snnc eval`: accuracy, spikes and operations of a converted network against steps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnc.cli import options, reports
from snnc.cli.console import Console, as_json
from snnc.ir.options import OPTIONS

if TYPE_CHECKING:
    import onnx

    from snnc.data import DataSet
    from snnc.measure.early_exit import Exits
    from snnc.measure.evaluation import Curve
    from snnc.workers.journal import JournalFile


@click.command("eval", short_help="Measure accuracy, spikes and energy against steps.")
@click.argument("net", type=options.EXISTING, metavar="NET.snn.onnx")
@click.option("--data", "data", required=True, metavar="DATA", help="Samples, with labels for the accuracy.")
@click.option("--ann", type=options.EXISTING, metavar="NET.onnx", help="The ANN, for its accuracy and the agreement.")
@click.option(
    "--steps",
    callback=options.INTEGERS,
    metavar="T,...",
    help="Numbers of steps.  [default: 1,2,4,... up to the steps of the file]",
)
@click.option("--samples", type=click.IntRange(min=1), metavar="N", help="Take N samples, evenly spread over DATA.")
@click.option("--seed", type=int, help="Seed of the input spikes.  [default: that of the file]")
@click.option("--seeds", callback=options.INTEGERS, metavar="S,...", help="Several seeds: mean and standard deviation.")
@click.option(
    "--exit-margin",
    "margins",
    callback=options.MARGINS,
    metavar="M,...",
    help="Also measure what it saves and costs to let a sample leave once its largest output leads by M, in units of "
    "the output; auto chooses by --target-drop, on calibration data. Simulates once more.",
)
@click.option(
    "--target-drop",
    type=options.Declared(OPTIONS["target_drop"]),
    metavar="P%",
    help="With --exit-margin auto: the accuracy that the margin may cost.",
)
@options.exit_every
@options.stored_form
@reports.json_report
@reports.page_report
@click.option("--plot", type=options.OUTPUT, metavar="FILE.png", help="Draw accuracy and spike rate against steps.")
@reports.dark
@click.option(
    "--neurobench",
    type=options.OUTPUT,
    metavar="FILE.json",
    help="Write the report of NeuroBench, for the most steps; simulates once more, step by step.",
)
@options.on
@options.resume
@options.worker_threads
@options.verbosity
@click.pass_obj
def evaluate(
    console: Console,
    /,
    net: str,
    data: str,
    ann: str | None,
    steps: list[int] | None,
    samples: int | None,
    seed: int | None,
    seeds: list[int] | None,
    margins: list[float] | None,
    target_drop: float | None,
    exit_every: int | None,
    json_file: str | None,
    page: str | None,
    plot: str | None,
    dark: bool,
    neurobench: str | None,
    on: str | None,
    resume: str | None,
    threads: int | None,
    **form: Any,
) -> None:
    """Measure NET.snn.onnx on DATA: accuracy, agreement with the ANN, spike rate, synaptic operations and energy
    against the number of steps. One simulation gives all steps.

    \b
    snnc eval net.snn.onnx --data mnist.npz:test --ann net.onnx --plot net.png
    """
    from snnc import api
    from snnc.api.gathering import gather
    from snnc.integers.calibration_split import CALIB_MEMORY, image_memory
    from snnc.measure.neurobench import measure_neurobench
    from snnc.measure.output_lines import curve_lines
    from snnc.measure.page import page as html
    from snnc.measure.pictures import picture_format
    from snnc.measure.plot import draw_curves
    from snnc.measure.report import curve_notes, curve_table, exit_lines
    from snnc.simulate.ann import load_model
    from snnc.workers.journal import journal_at

    if seed is not None and seeds is not None:
        raise click.UsageError("--seed and --seeds exclude each other")
    if neurobench and seeds is not None and len(seeds) > 1:
        raise click.UsageError("--neurobench is a report of one run: give one seed")
    leaving = margins is not None
    if leaving and seeds is not None and len(seeds) > 1:
        raise click.UsageError("--exit-margin measures one run: give one seed")
    if (target_drop is not None) != (margins == []):
        raise click.UsageError("--exit-margin auto and --target-drop belong together")
    if exit_every is not None and not leaving:
        raise click.UsageError("--exit-every is about --exit-margin, which is not given")
    theme = reports.theme(dark, plot)
    reports.check_outputs(console, json_file, [neurobench, resume], [net, ann, data], pictures=[plot], page=page)
    file = api.open_converted(net)
    if margins is not None:
        api.check_exits(file, margins, exit_every)
    opponent = None if ann is None else load_model(ann)
    if ann is not None and opponent is not None:
        api.require_same_network(file, opponent, ann)
    memory = image_memory(CALIB_MEMORY)
    dataset = options.load_data_for(console, file, data, form, samples=samples, memory=memory)
    seeds = seeds or [file.options.seed if seed is None else seed]
    kept = console.kept_until_done(journal_at(resume), resume)
    curves = measure(console, net, dataset, opponent, seeds, steps=steps, threads=threads, on=on, checkpoint=kept)
    console.result(curve_table(curves))
    if len(curves) == 1:
        console.lines(curve_lines(curves[0]))
    console.result(curve_notes(curves))
    exits = None
    if margins is not None:
        exits = api.evaluate_exits(
            net,
            dataset,
            margins,
            target_drop=target_drop,
            ann=opponent,
            steps=curves[0].points[-1].steps,
            every=exit_every,
            seed=seeds[0],
            threads=threads,
            progress=lambda share: console.progress("leaving early", share),
        )
        console.result(exit_lines(exits))
    if plot:
        console.write(plot, draw_curves({Path(net).name: curves}, form=picture_format(plot), theme=theme))
    if page:
        model = api.SpikingModel.load(net)
        found = gather(model, file, dataset, opponent, curves=curves, threads=threads, progress=console.progress)
        console.write(page, html(found, net))
    if neurobench:
        report = measure_neurobench(
            file,
            dataset,
            steps=curves[0].points[-1].steps,
            seed=seeds[0],
            threads=threads,
            progress=lambda share: console.progress("simulating step by step", share),
        )
        about = {"model": net, "data": dataset.name, "samples": report.samples, "steps": report.steps, "seed": seeds[0]}
        console.write(neurobench, as_json({**report.to_json(), "snnc": about}))
    console.report(eval_document(net, ann, dataset, curves, exits))


def measure(
    console: Console,
    net: Any,
    dataset: DataSet,
    ann: onnx.ModelProto | None,
    seeds: list[int],
    *,
    steps: list[int] | None,
    threads: int | None,
    on: str | None = None,
    checkpoint: JournalFile | None = None,
) -> list[Curve]:
    """One curve for each seed."""
    from snnc import api
    from snnc.workers import opened

    curves = []
    with opened(on, threads) as workers:
        for index, seed in enumerate(seeds):
            stage = "simulating" if len(seeds) == 1 else f"simulating with seed {seed}"

            def progress(share: float, index: int = index, stage: str = stage) -> None:
                console.progress(stage, (index + share) / len(seeds))

            given: dict[str, Any] = {"threads": threads, "on": workers, "checkpoint": checkpoint, "progress": progress}
            curves.append(api.evaluate(net, dataset, ann=ann, steps=steps, seed=seed, **given))
    return curves


def eval_document(
    net: str, ann: str | None, dataset: DataSet, curves: list[Curve], exits: Exits | None = None
) -> dict[str, Any]:
    """What `--json` writes (docs/cli.md)."""
    from snnc.measure.energy import FLOAT32, break_even
    from snnc.measure.report import summary

    return {
        "model": net,
        "ann": ann,
        "data": {"name": dataset.name, "samples": len(dataset), "notes": list(dataset.notes)},
        "energy": {
            "process": "45 nm, 32-bit floats, arithmetic of synapses only",
            "picojoule_per_accumulate": FLOAT32.accumulate,
            "picojoule_per_mac": FLOAT32.mac,
        },
        "break_even": {name: line.to_json() for name, line in break_even(curves).items()},
        "seeds": [curve.seed for curve in curves],
        "summary": summary(curves),
        "curves": [curve.to_json() for curve in curves],
        "early_exit": None if exits is None else exits.to_json(),
    }
