"""`snnc run`: outputs of a converted network for some inputs."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import click

from snnc.cli import options, reports
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
@click.option(
    "--record",
    "recording",
    type=options.OUTPUT,
    metavar="R.npz",
    help="Write the spikes of all neurons in every step, [T, N, ...] by layer.",
)
@click.option("--potentials", is_flag=True, help="Record the membrane potentials too, in thresholds.")
@click.option(
    "--exit-margin",
    type=float,
    metavar="M",
    help="Let a sample leave once its largest output leads by M, in units of the output.  [default: all steps]",
)
@options.exit_every
@options.stored_form
@reports.json_report
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
    recording: str | None,
    potentials: bool,
    exit_margin: float | None,
    exit_every: int | None,
    json_file: str | None,
    threads: int | None,
    **form: Any,
) -> None:
    """Run NET.snn.onnx on the inputs in X.npy, and print the classes or write the outputs.

    With --record it runs once more, for what every neuron does in every step.

    \b
    snnc run net.snn.onnx --input x.npy --steps 64 -o y.npy
    """
    from snnc import api

    if potentials and not recording:
        raise click.UsageError("--potentials is for --record")
    reports.check_outputs(console, json_file, [output, recording], [net, source])
    if exit_every is not None and exit_margin is None:
        raise click.UsageError("--exit-every is about --exit-margin, which is not given")
    file = api.open_converted(net)
    if exit_margin is not None:
        api.check_exits(file, [exit_margin], exit_every)
    steps, seed = choose_controls(file, steps, seed)
    dataset = options.load_data_for(console, file, source, form)
    images = dataset.images
    if exit_margin is None:
        outputs = simulate(file, images, steps, seed, threads, console)
    else:
        outputs = leave_early(file, images, exit_margin, exit_every, steps, seed, threads, console)
    warn_of_clipping(console, file, images)
    if recording:
        console.write(recording, packed(recorded(file, images, steps, seed, potentials), archive=True))
    if output is None:
        console.result(_as_text(next(iter(outputs.values()))))
    else:
        console.write(output, packed(outputs, archive=output.endswith(".npz")))
    about = {"name": dataset.name, "samples": len(dataset), "notes": list(dataset.notes)}
    console.report({"model": net, "data": about, "steps": steps, "seed": seed, **run_numbers(outputs)})


def recorded(file: ConvertedFile, images: np.ndarray, steps: int, seed: int, potentials: bool) -> dict[str, np.ndarray]:
    """`spikes/LAYER` and, with `potentials`, `potentials/LAYER` (`snnc.measure.recording.Recording`)."""
    from snnc.measure.recording import record

    found = record(file, images, steps=steps, layers=None, seed=seed, first_sample=0, potentials=potentials)
    spikes = {f"spikes/{name}": train for name, train in found.items()}
    return spikes | {f"potentials/{name}": values for name, values in found.potentials.items()}


def choose_controls(file: ConvertedFile, steps: int | None, seed: int | None) -> tuple[int, int]:
    """Steps and seed that the user asked for, or else the file's own."""
    from snnc.diagnostics import fail

    steps, seed = file.choose_steps(steps), file.choose_seed(seed)
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


def leave_early(
    file: ConvertedFile,
    images: np.ndarray,
    margin: float,
    every: int | None,
    steps: int,
    seed: int,
    threads: int | None,
    console: Console,
) -> dict[str, np.ndarray]:
    """As `simulate`, where every sample leaves once it is decided; `steps_used` are those that it took."""
    import numpy as np

    from snnc.ir.names import SPIKE_TOTALS, STEPS_USED, SYNAPTIC_OPERATIONS
    from snnc.runtime.early_exit import EarlyExitSession

    result = EarlyExitSession(file.stream_form().SerializeToString(), threads=threads).run(
        images,
        margin,
        steps,
        every=every,
        seed=seed,
        progress=lambda done, every: console.progress("running", done / every),
    )
    taken = result.sample_steps
    assert taken is not None
    if len(taken):
        mean, median, most = taken.mean(), np.median(taken), np.percentile(taken, 95)
        console.note(f"steps used: {mean:.1f} on average, median {median:.0f}, 95 % within {most:.0f}")
    totals, operations = result.spike_totals, result.synaptic_operations
    return {**result.outputs, SPIKE_TOTALS: totals, SYNAPTIC_OPERATIONS: operations, STEPS_USED: taken}


def warn_of_clipping(console: Console, file: ConvertedFile, images: np.ndarray) -> None:
    """SNN502 where inputs exceed the input scale."""
    from snnc.diagnostics import RULES, Diagnostic
    from snnc.runtime.session import beyond_limit, input_limit

    clipped = float(beyond_limit(file.layers, images).mean())
    if clipped:
        message = f"{clipped:.2%} of the input elements exceed the input scale {input_limit(file.layers):g}"
        console.diagnostics([Diagnostic(RULES["SNN502"], message)])


def packed(outputs: dict[str, np.ndarray], *, archive: bool) -> bytes:
    """The content of a file: all outputs by name in an `archive`, else the first one alone."""
    import numpy as np

    buffer = io.BytesIO()
    if archive:
        np.savez(buffer, **outputs)  # type: ignore[arg-type]  # numpy 2 takes a flag among the arrays' names
    else:
        np.save(buffer, next(iter(outputs.values())))
    return buffer.getvalue()


def _finite(values: np.ndarray) -> np.ndarray:
    """`values` as Python objects, None where they are not finite: JSON has no such numbers."""
    import numpy as np

    found = values.astype(object)
    found[~np.isfinite(values)] = None
    return found


def run_numbers(outputs: dict[str, np.ndarray]) -> dict[str, Any]:
    """What `--json` writes of them (docs/cli.md); what is not finite is null there."""
    from snnc.ir.names import SPIKE_TOTALS, STEPS_USED, SYNAPTIC_OPERATIONS
    from snnc.measure.outputs import predictions

    counts = {name: outputs[name].tolist() for name in (SPIKE_TOTALS, SYNAPTIC_OPERATIONS)}
    values = {name: value for name, value in outputs.items() if name not in (*counts, STEPS_USED)}
    classes = predictions(next(iter(values.values())))
    return {
        "classes": None if classes is None else classes.tolist(),
        "outputs": {name: _finite(value).tolist() for name, value in values.items()},
        **counts,
        STEPS_USED: outputs[STEPS_USED].tolist() if STEPS_USED in outputs else None,
    }


def _as_text(output: np.ndarray) -> str:
    """One line for each sample: its class and score, or its values."""
    from snnc.measure.outputs import predictions

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
