"""`snnc run`: outputs of a converted network for some inputs."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import click

from snnc.cli import options
from snnc.cli.console import Console

if TYPE_CHECKING:
    import numpy as np

    from snnc.files import ConvertedFile

_MOST_PRINTED = 10


@click.command(short_help="Run a converted network on some inputs.")
@click.argument("net", type=options.EXISTING, metavar="NET.snn.onnx")
@click.option("--input", "source", required=True, metavar="X.npy", help="Inputs [N, ...]; other DATA works too.")
@click.option("--steps", type=int, metavar="T", help="Number of steps.  [default: that of the file]")
@click.option("--seed", type=int, help="Seed of the input spikes.  [default: that of the file]")
@click.option(
    "-o",
    "--output",
    type=options.OUTPUT,
    metavar="Y.npy",
    help="Write the first output; to a .npz all outputs and spike counts.  [default: print]",
)
@options.data_form
@options.threads
@options.verbosity
@click.pass_obj
def run(
    console: Console,
    /,
    net: str,
    source: str,
    steps: int | None,
    seed: int | None,
    output: str | None,
    threads: int | None,
    **form: Any,
) -> None:
    """Run NET.snn.onnx on the inputs in X.npy, and print the classes or write the outputs.

    \b
    snnc run net.snn.onnx --input x.npy --steps 64 -o y.npy
    """
    from snnc import api
    from snnc.files import check_writable, write_atomically

    if output:
        check_writable(output, [net, source])
    file = api.open_converted(net)
    steps, seed = choose_controls(file, steps, seed)
    images = options.load_data(console, source, file.input_dims, form).images
    outputs = simulate(file, images, steps, seed, threads, console)
    warn_of_clipping(console, file, images)
    if output is None:
        console.result(_as_text(next(iter(outputs.values()))))
        return
    write_atomically(output, packed(outputs, archive=output.endswith(".npz")))
    console.result(f"wrote {output}")


def choose_controls(file: ConvertedFile, steps: int | None, seed: int | None) -> tuple[int, int]:
    """Steps and seed that the user asked for, or else the file's own."""
    from snnc.diagnostics import fail

    steps = file.options.steps if steps is None else steps
    seed = file.choose_seed(seed)
    file.check_steps(steps)
    if file.options.schedule == "unrolled" and steps != file.options.steps:
        fail("SNN405", f"{file.name} was converted with --schedule unrolled: its steps cannot be chosen")
    if file.options.controls == "fixed" and (steps, seed) != (file.options.steps, file.options.seed):
        fail("SNN405", f"{file.name} was converted with --controls fixed: its steps and seed cannot be chosen")
    return steps, seed


def simulate(
    file: ConvertedFile, images: np.ndarray, steps: int, seed: int, threads: int | None, console: Console
) -> dict[str, np.ndarray]:
    """Every output of the file by name, the first one first; `spike_totals` and `synaptic_operations` last."""
    from snnc.ir.names import SPIKE_TOTALS, SYNAPTIC_OPERATIONS
    from snnc.runtime.session import SpikingSession, largest_batch
    from snnc.simulate.block_runner import StreamRunner

    if file.options.schedule != "stream" and file.options.controls != "fixed":
        session = SpikingSession(file.model.SerializeToString(), threads=threads)
        result = session.run(
            images,
            steps,
            seed=seed,
            warn=False,  # clipped inputs are reported as SNN502
            progress=lambda done, every: console.progress("running", done / every),
        )
        totals, operations, outputs = result.spike_totals, result.synaptic_operations, result.outputs
    else:
        last = StreamRunner(file.block, threads=threads).run_to_end(
            images, steps, seed=seed, batch=largest_batch(file.layers)
        )
        totals, operations, outputs = last.spike_totals, last.synaptic_operations, last.outputs
    return {**outputs, SPIKE_TOTALS: totals, SYNAPTIC_OPERATIONS: operations}


def warn_of_clipping(console: Console, file: ConvertedFile, images: np.ndarray) -> None:
    """SNN502 where inputs exceed the input scale."""
    from snnc.diagnostics import RULES, Diagnostic
    from snnc.runtime.session import beyond_limit, input_limit

    clipped = float(beyond_limit(file.layers, images).mean())
    if clipped:
        message = f"{clipped:.2%} of the input elements exceed the input scale {input_limit(file.layers):g}"
        console.diagnostic(Diagnostic(RULES["SNN502"], message))


def packed(outputs: dict[str, np.ndarray], *, archive: bool) -> bytes:
    """The content of a file: all outputs by name in an `archive`, else the first one alone."""
    import numpy as np

    buffer = io.BytesIO()
    if archive:
        np.savez(buffer, **outputs)  # type: ignore[arg-type]  # numpy 2 takes a flag among the arrays' names
    else:
        np.save(buffer, next(iter(outputs.values())))
    return buffer.getvalue()


def _as_text(output: np.ndarray) -> str:
    """One line for each sample: its class and score, or its values."""
    from snnc.measure.evaluation import predictions

    classes = predictions(output)
    lines = []
    for index, values in enumerate(output.reshape(len(output), -1)):
        if classes is None:
            shown = " ".join(f"{value:.5g}" for value in values[:_MOST_PRINTED])
            lines.append(f"{index}: {shown}{' ...' if len(values) > _MOST_PRINTED else ''}")
        elif len(values) == 1:
            lines.append(f"{index}: class {classes[index]}")
        else:
            lines.append(f"{index}: class {classes[index]} ({values[classes[index]]:.5g})")
    return "\n".join(lines)
