"""`snnc verify`: the certificate of a network of the method exact, repeated on any data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from snnc.cli import options, reports
from snnc.cli.console import Console

if TYPE_CHECKING:
    import numpy as np

    from snnc.data import DataSet
    from snnc.measure.certificate import Equality


@click.command(short_help="Repeat the certificate of an exact network on any data.")
@click.argument("net", type=options.EXISTING, metavar="NET.snn.onnx")
@click.option("--data", "data", required=True, metavar="DATA", help="Samples; with labels for the accuracy.")
@click.option(
    "--quantised",
    type=options.EXISTING,
    metavar="FILE.onnx",
    help="A quantised ANN, as convert writes it.  [default: the one in the file]",
)
@click.option("--samples", type=click.IntRange(min=1), metavar="N", help="Take N samples, evenly spread over DATA.")
@options.stored_form
@reports.json_report
@options.threads
@options.verbosity
@click.pass_obj
def verify(
    console: Console,
    /,
    net: str,
    data: str,
    quantised: str | None,
    samples: int | None,
    json_file: str | None,
    threads: int | None,
    **form: Any,
) -> None:
    """Run NET.snn.onnx, converted by the method exact, until it is quiet, and hold counts and potentials of every layer
    against those of its quantised ANN, as integers. Exits with 1 if a single one differs.

    \b
    snnc verify net.snn.onnx --data mnist.npz:test
    """
    from snnc import api
    from snnc.diagnostics import fail
    from snnc.simulate.ann import load_model

    reports.check_outputs(console, json_file, inputs=[net, data, quantised])
    file = api.open_converted(net)
    opponent = file.quantised() if quantised is None else load_model(quantised)
    dataset = options.load_data_for(console, file, data, form, samples=samples)
    api.check_classes(file, dataset)
    found = api.verify(
        net,
        dataset,
        quantised=opponent,
        threads=threads,
        progress=lambda share: console.progress("verifying", share),
    )
    if found.differences:
        more = len(found.differences) - 1
        rest = f" (and {more} more)" if more else ""
        fail("SNN410", f"{found.differences[0]}{rest}")
    right = _right(found, dataset.labels)
    console.result(_lines(found, dataset.name))
    if right is not None:
        console.result(f"{accuracy_of(right)}, and so has the quantised ANN")
    console.report(verify_document(net, dataset, found, right))


def _right(found: Equality, labels: np.ndarray | None) -> np.ndarray | None:
    """Which samples are classified as their labels say; None without labels or classes."""
    from snnc.measure.outputs import predictions

    classes = predictions(next(iter(found.outputs.values()))) if found.outputs else None
    return None if classes is None or labels is None else classes == labels


def accuracy_of(right: np.ndarray) -> str:
    """The share of samples that are classified right, with its interval."""
    from snnc.measure.intervals import interval
    from snnc.measure.output_lines import accuracy_line

    share = float(right.mean())
    return accuracy_line(share, interval(share, len(right)), None, None)


def verify_document(net: str, dataset: DataSet, found: Equality, right: np.ndarray | None) -> dict[str, Any]:
    """What `--json` writes (docs/cli.md)."""
    from snnc.measure.intervals import interval

    accuracy = None if right is None else float(right.mean())
    return {
        "model": net,
        "data": {"name": dataset.name, "samples": len(dataset), "notes": list(dataset.notes)},
        "layers": found.layers,
        "steps": found.steps.tolist(),
        "spikes": found.spikes,
        "operations": found.operations,
        "accuracy": accuracy,
        "accuracy_interval": None if accuracy is None else interval(accuracy, len(dataset)),
    }


def _lines(found: Equality, name: str) -> str:
    samples = len(found.steps)
    if samples == 0:
        return f"{name} has no samples: nothing was compared"
    return (
        f"all counts and potentials of {found.layers} layers equal those of the quantised ANN\n"
        f"on {samples:,} sample{'' if samples == 1 else 's'} of {name}; last spike after\n"
        f"{found.steps.mean():.1f} steps on average, {found.steps.max()} at most; {found.spikes / samples:,.0f} spikes "
        f"and {found.operations / samples:,.0f} SOPs per sample"
    )
