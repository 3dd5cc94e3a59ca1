"""`snnc stream`: the frames of streams, of which each costs what it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from snnc.cli import options, reports
from snnc.cli.console import Console

if TYPE_CHECKING:
    import numpy as np

    from snnc.data import DataSet
    from snnc.files import ConvertedFile
    from snnc.measure.streams import Course


@click.command(short_help="Feed the frames of streams to an exact network.")
@click.argument("net", type=options.EXISTING, metavar="NET.snn.onnx")
@click.option(
    "--frames",
    "source",
    required=True,
    metavar="F.npy",
    help="Frames [T, ...], of several streams [T, N, ...]; other DATA works too.",
)
@click.option("--streams", type=click.IntRange(min=1), metavar="N", help="Number of streams.  [default: 1]")
@click.option(
    "-o",
    "--output",
    type=options.OUTPUT,
    metavar="Y.npy",
    help="Write the first output of every frame; to a .npz all outputs, spike counts and steps.",
)
@reports.json_report
@click.option(
    "--check",
    type=click.IntRange(min=0),
    default=0,
    metavar="K",
    help="Hold every K-th frame against a fresh run; 0 for none.",
    show_default=True,
)
@click.option("--graded", is_flag=True, help="Run each frame in one sweep over the layers: events carry integers.")
@options.stored_form
@options.threads
@options.verbosity
@click.pass_obj
def stream(
    console: Console,
    /,
    net: str,
    source: str,
    streams: int | None,
    output: str | None,
    json_file: str | None,
    check: int,
    graded: bool,
    threads: int | None,
    **form: Any,
) -> None:
    """Feed frames to NET.snn.onnx, converted by the method exact, one after the other: states stay, and the change of
    the frame is the input. Prints what a frame costs beside one that begins cold. Exits with 1 if a frame that is
    checked ends anywhere else than a fresh run.

    \b
    snnc stream net.snn.onnx --frames frames.npy --check 10
    """
    from snnc import api
    from snnc.cli.run import packed, warn_of_clipping
    from snnc.measure.streams import course_table, follow

    reports.check_outputs(console, json_file, [output], [net, source])
    file = api.open_converted(net)
    file.require_settling()
    dataset = options.load_data_for(console, file, source, form, streams=streams or 1)
    frames = dataset.images.reshape(-1, streams or 1, *file.input_dims)
    course = follow(
        file,
        frames,
        graded=graded,
        check=check,
        threads=threads,
        progress=lambda share: console.progress("feeding", share),
    )
    warn_of_clipping(console, file, dataset.images)
    console.result(course_table(course))
    console.result(_notes(course, file))
    if output:
        outputs = outputs_of(course, one_stream=streams is None)
        console.write(output, packed(outputs, archive=output.endswith(".npz")))
    console.report(stream_document(net, dataset, file, course))


def outputs_of(course: Course, *, one_stream: bool) -> dict[str, np.ndarray]:
    """Every output by name, then spikes, operations and, where there are some, steps: `[T, N, ...]`, or `[T, ...]` of
    `one_stream`."""
    from snnc.ir.names import SPIKE_TOTALS, STEPS_USED, SYNAPTIC_OPERATIONS

    counts = {SPIKE_TOTALS: course.spikes, SYNAPTIC_OPERATIONS: course.operations}
    steps = {} if course.steps is None else {STEPS_USED: course.steps}
    found = {**course.outputs, **counts, **steps}
    return {name: value[:, 0] for name, value in found.items()} if one_stream else found


def stream_document(net: str, dataset: DataSet, file: ConvertedFile, course: Course) -> dict[str, Any]:
    """What `--json` writes (docs/cli.md)."""
    frames, streams = course.changed.shape
    cold: dict[str, float] = {} if course.cold.steps is None else {"steps": float(course.cold.steps.mean())}
    cold |= {"spikes": float(course.cold.spikes.mean()), "operations": float(course.cold.operations.mean())}
    return {
        "model": net,
        "data": {"name": dataset.name, "frames": frames, "streams": streams, "notes": list(dataset.notes)},
        "layers": [layer.name for layer in file.layers if layer.kind != "readout"],
        "macs_on_numbers": sum(layer.macs_on_numbers for layer in file.layers),
        "graded": course.steps is None,
        "checked": course.checked,
        "cold": cold,
        "frames": [
            {
                "changed": course.changed[index].tolist(),
                **({} if course.steps is None else {"steps": course.steps[index].tolist()}),
                "spikes": course.spikes[index].tolist(),
                "operations": course.operations[index].tolist(),
            }
            for index in range(frames)
        ],
    }


def _notes(course: Course, file: ConvertedFile) -> str:
    frames, streams = course.changed.shape
    of_streams = "" if streams == 1 else f" of {streams:,} streams"
    lines = [
        f"{frames:,} frame{'' if frames == 1 else 's'}{of_streams}; SOPs do not count the multiply-accumulates of the",
        f"first layer, which reads numbers: {sum(layer.macs_on_numbers for layer in file.layers):,} in every "
        f"{'block' if course.steps is not None else 'sweep at most'}.",
    ]
    if course.checked:
        count = f"{course.checked:,} frame{' was' if course.checked == 1 else 's were'}"
        lines.append(f"{count} held against fresh runs: all counts, potentials and outputs equal.")
    return "\n".join(lines)
