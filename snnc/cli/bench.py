"""`snnc bench`: how fast a converted network runs, layer by layer."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import click

from snnc.cli import options, reports
from snnc.cli.console import Console
from snnc.cli.contest import Contest, choose_samples, versus_text
from snnc.cli.run import choose_controls

if TYPE_CHECKING:
    from snnc.data import DataSet
    from snnc.files import ConvertedFile
    from snnc.measure.bench import LayerBench, NetworkBench, Roofline
    from snnc.measure.evaluation import Curve
    from snnc.measure.opponents import Name

_NOTES = """\
input %: spikes of either sign per 100 input neurons and step; numbers: none.
µs: per image and step.
SOP: an accumulation that a spike causes."""
_ROOF_NOTES = """\
roof %: SOP/s as a share of the add stream, what {threads} would reach by only
adding rows of these weights:"""


def _images_and_steps(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Reads `50000x4096`."""
    if value is None:
        return None
    images, _, steps = value.partition("x")
    if not (images.isdecimal() and steps.isdecimal() and int(images) and int(steps)):
        raise click.BadParameter(f"{value!r} is not of the form 50000x4096", ctx, param)
    return int(images), int(steps)


def _opponents(ctx: click.Context, param: click.Parameter, value: str | None) -> list[Name] | None:
    """Reads `int8,dense`."""
    if value is None:
        return None
    from snnc.measure.opponents import NAMES

    names = options.WORDS(ctx, param, value) or []
    wrong = [name for name in names if name not in NAMES]
    if wrong:
        known = ", ".join(NAMES)
        raise click.BadParameter(f"{', '.join(map(repr, wrong))} is none of {known}", ctx, param)
    return names


@click.command(short_help="Measure the speed of a converted network.")
@click.argument("net", type=options.EXISTING, metavar="NET.snn.onnx")
@click.option("--data", metavar="DATA", help="Take the images from here.  [default: random images]")
@click.option(
    "--against",
    callback=_opponents,
    metavar="NAME,...",
    help="Time it in turn with others, instead of layer by layer: int8, dense (its ANN in onnxruntime, quantised or as "
    "it is), spikingjelly (the same spiking network there).",
)
@click.option("--ann", type=options.EXISTING, metavar="NET.onnx", help="The ANN, for --against, and for its accuracy.")
@click.option(
    "--samples", type=click.IntRange(min=1), metavar="N", help="Samples to time, for --against.  [default: 32]"
)
@click.option("--batch", type=click.IntRange(min=1), help="Images that run at once.  [default: 16; with --against 1]")
@click.option("--steps", type=int, metavar="T", help="Number of steps.  [default: that of the file]")
@click.option("--seed", type=int, help="Seed of the input spikes.  [default: that of the file]")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="Runs; medians are printed.")
@click.option(
    "--cost",
    callback=_images_and_steps,
    metavar="IMAGESxSTEPS",
    help="Also say how many core hours so many images take, such as 50000x4096; measure over a few hundred steps then.",
)
@options.stored_form
@reports.json_report
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Threads to measure with.")
@options.verbosity
@click.pass_obj
def bench(
    console: Console,
    /,
    net: str,
    data: str | None,
    against: list[Name] | None,
    ann: str | None,
    samples: int | None,
    batch: int | None,
    steps: int | None,
    seed: int | None,
    repeats: int,
    cost: tuple[int, int] | None,
    json_file: str | None,
    threads: int,
    **form: Any,
) -> None:
    """Measure how fast NET.snn.onnx runs on this machine: input density, kernel, time and synaptic operations per
    second of each layer, and how close that is to what the machine could do at most.

    Simulates the images repeats + 2 times in one batch: once to count spikes, once to warm up. The time
    grows with steps times batch, up to minutes for a large network; smaller --steps and --batch make it short.
    Random images may spike more than your data.

    With --against, times the whole network in turn with others on the same samples, and says what all get right.

    \b
    snnc bench net.snn.onnx --data mnist.npz:test --batch 16 --threads 2
    snnc bench net.snn.onnx --data mnist.npz:test --against int8 --ann net.onnx
    """
    from snnc import api
    from snnc.measure.bench import measure
    from snnc.measure.output_lines import curve_lines

    _check_usage(against, ann, data, samples)
    if against is not None and cost is not None:
        raise click.UsageError("--cost is about the spiking network alone: leave --against away")
    reports.check_outputs(console, json_file, inputs=[net, ann, data])
    file = api.open_converted(net)
    steps, seed = choose_controls(file, steps, seed)
    if cost is not None and not file.settles:
        file.choose_steps(cost[1])
    if against is not None and ann is not None and data is not None:
        dataset, calibration = choose_samples(console, file, data, form, samples or 32, batch or 1)
        require_room(file, min(batch or 1, len(dataset)))
        contest = Contest(against, ann, batch or 1, steps, seed, threads, repeats)
        versus = contest.run(console, file, dataset, calibration)
        console.result(versus_text(versus))
        numbers = {"comparison": dataclasses.asdict(versus)}
    else:
        dataset = _images(console, file, data, form, batch or 16)
        curve = _accuracies(net, ann, dataset, steps, seed, threads)
        measured = measure(
            file, dataset.images, steps=steps, seed=seed, threads=threads, repeats=repeats, progress=console.progress
        )
        console.result(f"{layer_table(measured)}\n\n{summary(measured)}")
        numbers = bench_numbers(measured)
        if cost is not None:
            # One that settles does nothing once it is quiet.
            count, most = cost[0], min(cost[1], measured.steps_run) if file.settles else cost[1]
            console.result(cost_line(measured, count, most))
            numbers["cost"] = {"images": count, "steps": most, "core_hours": measured.core_hours(count, most)}
        if curve is not None:
            console.lines(["", *curve_lines(curve)])
            numbers |= accuracy_numbers(curve)
    data_entry = {"name": dataset.name, "samples": len(dataset), "notes": list(dataset.notes)}
    console.report({"model": net, "ann": ann, "data": data_entry, "seed": seed, **numbers})


def _check_usage(against: list[Name] | None, ann: str | None, data: str | None, samples: int | None) -> None:
    if against is None and samples is not None:
        raise click.UsageError("--samples is for --against")
    if against is not None and (ann is None or data is None):
        raise click.UsageError("--against needs --ann, the network to compare with, and --data")
    if ann is not None and data is None:
        raise click.UsageError("--ann is for --against and for accuracies, both of which need --data")


def _accuracies(net: str, ann: str | None, dataset: DataSet, steps: int, seed: int, threads: int) -> Curve | None:
    """The network and, where it is given, its ANN on these samples; None where there is nothing to tell."""
    from snnc import api

    if dataset.labels is None and ann is None:
        return None
    return api.evaluate(net, dataset, ann=ann, steps=steps, seed=seed, threads=threads)


def accuracy_numbers(curve: Curve) -> dict[str, Any]:
    """What `--json` writes of them (docs/cli.md)."""
    last = curve.points[-1]
    names = ("accuracy", "accuracy_interval", "drop_interval", "agreement", "error")
    return {"ann_accuracy": curve.ann_accuracy, **{name: getattr(last, name) for name in names}}


def _images(console: Console, file: ConvertedFile, data: str | None, form: dict[str, Any], batch: int) -> DataSet:
    """One batch of the user's data, or of random images."""
    if data is not None:
        dataset = options.load_data_for(console, file, data, form, samples=batch)
        require_room(file, len(dataset))
        return dataset
    require_room(file, batch)
    dataset = random_images(file, batch)
    console.note(f"data: {dataset.name}")
    return dataset


def require_room(file: ConvertedFile, batch: int) -> None:
    """SNN414 where so many images at once do not fit into memory."""
    from snnc.memory import free_memory, require_memory
    from snnc.runtime.session import bytes_per_sample
    from snnc.scratch import text_of

    each = bytes_per_sample(file.layers) + 4 * math.prod(file.input_dims)
    most = max(1, (free_memory() or 0) // each)
    what = f"{_counted(batch, 'image')} at once take{'s' if batch == 1 else ''} {text_of(batch * each)}"
    require_memory(batch * each, what, f"give `--batch {most}` or fewer")


def random_images(file: ConvertedFile, count: int) -> DataSet:
    """Images for a network whose data is not at hand; always the same."""
    import numpy as np

    from snnc.data import DataSet

    scale = np.float32(np.max(file.layers[0].scale) * file.layers[0].levels)
    images = scale * np.random.default_rng(0).random((count, *file.input_dims), np.float32)
    return DataSet(images, None, f"{_counted(count, 'random image')}, uniform from 0 to the input scale {scale:g}")


def layer_table(measured: NetworkBench) -> str:
    """One row for each layer; plain ones have no time of their own."""
    from snnc.measure.table import table

    rows = [_row(layer) for layer in measured.layers]
    rows.append(["everything else", "", "", "", f"{measured.other_microseconds:.3f}", "", ""])
    total = f"{measured.operations_per_second / 1e9:.2f}"
    rows.append(["whole network", "", "", "", f"{measured.microseconds:.3f}", total, ""])
    return table(["layer", "runs as", "kernel", "input %", "µs", "GSOP/s", "roof %"], rows, text_columns=3)


def _row(layer: LayerBench) -> list[str]:
    density = "numbers" if layer.input_density is None else f"{100 * layer.input_density:.2f}"
    row = [layer.name, layer.op, layer.kernel, density, "", "", ""]
    if layer.microseconds is not None and layer.operations_per_second is not None:
        row[4:6] = f"{layer.microseconds:.3f}", f"{layer.operations_per_second / 1e9:.2f}"
    if layer.roofline_share is not None:
        row[6] = f"{100 * layer.roofline_share:.0f}"
    return row


def summary(measured: NetworkBench) -> str:
    """What was run, how fast it was in all, what the columns mean, and the rooflines."""
    threads = _counted(measured.threads, "thread")
    lines = [
        f"{_counted(measured.images, 'image')} at once, {_steps(measured)}, {threads}, "
        f"{measured.vector_unit}, median of {_counted(measured.repeats, 'run')}:",
        f"{measured.images_per_second:,.1f} images per second, "
        f"{measured.operations / measured.images:,.0f} SOP per image",
    ]
    by_roofline: dict[Roofline, list[str]] = {}
    for layer in measured.layers:
        if layer.roofline is not None:
            by_roofline.setdefault(layer.roofline, []).append(layer.name)
    lines += ["", _NOTES]
    if by_roofline:
        lines.append(_ROOF_NOTES.format(threads=threads))
    lines += [_roofline_line(roofline, layers) for roofline, layers in by_roofline.items()]
    return "\n".join(lines)


def cost_line(measured: NetworkBench, images: int, steps: int) -> str:
    """What many images take, and what stands behind the number."""
    hours = measured.core_hours(images, steps)
    shown = f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"
    threads = _counted(measured.threads, "thread")
    rate = f"{measured.microseconds:,.0f} µs" if measured.microseconds >= 100 else f"{measured.microseconds:.3g} µs"
    return (
        f"\n{images:,} images x {steps:,} steps: {shown} core hours,\n"
        f"from {rate} per image and step on {threads} over {_steps(measured)}"
    )


def _steps(measured: NetworkBench) -> str:
    text = _counted(measured.steps, "step")
    return text if measured.steps_run == measured.steps else f"{measured.steps_run:,} of {text} (quiet then)"


def _roofline_line(roofline: Roofline, layers: list[str]) -> str:
    from snnc.measure.table import WIDTH

    rows = f"{roofline.width} x int{8 * roofline.weight_bytes}, {roofline.working_set / 2**10:,.1f} KiB"
    line = f"  {rows:<24}{roofline.additions_per_second / 1e9:8.1f} G/s  "
    named = ", ".join(layers)
    if len(line + named) > WIDTH:
        named = f"{len(layers)} layers"
    return line + named


def bench_numbers(measured: NetworkBench) -> dict[str, Any]:
    """What `--json` writes of the layers (docs/cli.md)."""
    numbers = dataclasses.asdict(measured)
    for entry, layer in zip(numbers["layers"], measured.layers, strict=True):
        entry["kernel"] = layer.kernel
    return numbers


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
