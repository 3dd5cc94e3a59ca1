"""Networks of the method exact on whole test sets: certificate, accuracy, steps, spikes and operations against levels.

    python -m tests.benchmarks.certificates NET.onnx... --calib DATA --data DATA --levels 4,8,16,32

For every network and number of levels a row of the table in docs/results/exact.md. Every count and potential of every
layer is compared with the quantised ANN on all samples; the program ends where one differs.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snnc.api import SpikingModel, convert, input_dims, verify
from snnc.data import DataSet, load
from snnc.diagnostics import DiagnosticError
from snnc.measure.outputs import predictions
from snnc.simulate.ann import Ann, load_model


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    options = _parse(arguments)
    for path in options.networks:
        for levels in options.levels:
            try:
                row = measured(path, levels, options)
            except DiagnosticError as error:
                row = {"network": path.stem, "levels": levels, "refused": [str(found) for found in error.diagnostics]}
            print(as_line(row), flush=True)
            if options.results:
                with options.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")


def measured(path: Path, levels: int, options: argparse.Namespace) -> dict[str, Any]:
    """One network with so many levels, converted, verified and judged on the test data."""
    ann = load_model(path)
    form = {name: getattr(options, name) for name in ("scale", "mean", "std", "layout")}
    calib = load(options.calib, input_dims(ann), **form)
    data = load(options.data, input_dims(ann), **form)
    if options.samples is not None and options.samples < len(data):
        data = data.select(np.linspace(0, len(data) - 1, options.samples).round().astype(np.int64))
    model = convert(
        ann, method="exact", levels=levels, calib=calib, calib_samples=options.calib_samples, accept_poor=True
    )
    found = verify(model, data)
    assert not found.differences, found.differences
    output = model.model.graph.output[0].name
    neurons = [layer for layer in model.report.layers if layer.kind in ("neuron", "pool")]
    return {
        "network": path.stem,
        "data": data.name,
        "samples": len(data),
        "levels": levels,
        "ann_accuracy": _accuracy(Ann(ann).run(data.images)[output], data),
        "accuracy": _accuracy(found.outputs[output], data),
        "layers": found.layers,
        "mean_steps": float(found.steps.mean()),
        "most_steps": int(found.steps.max()),
        "spikes_per_neuron": found.spikes / len(data) / sum(math.prod(layer.shape) for layer in neurons),
        "operations": found.operations / len(data),
        "macs": sum(layer.macs for layer in model.report.layers),
        "own": _is_own(model),
    }


def as_line(row: dict[str, Any]) -> str:
    """A row of the table, in Markdown."""
    if "refused" in row:
        return f"| {row['network']} | {row['levels']} | refused: {'; '.join(row['refused'])} |"
    ratio = row["operations"] / row["macs"]
    return (
        f"| {row['network']} | {row['levels']} | {100 * row['ann_accuracy']:.2f} | {100 * row['accuracy']:.2f} "
        f"| {row['mean_steps']:.1f} ({row['most_steps']}) | {row['spikes_per_neuron']:.2f} "
        f"| {row['operations'] / 1e6:.3g} M ({ratio:.2f}) | {row['samples']:,} |"
    )


def _accuracy(outputs: np.ndarray, data: DataSet) -> float:
    classes = predictions(outputs)
    assert classes is not None
    assert data.labels is not None
    return float((classes == data.labels).mean())


def _is_own(model: SpikingModel) -> bool:
    assert model.certificate is not None
    return model.certificate.own


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    def numbers(text: str) -> tuple[float, ...]:
        return tuple(float(part) for part in text.split(","))

    parser = argparse.ArgumentParser(description="Certificates of the method exact on whole test sets.")
    parser.add_argument("networks", type=Path, nargs="+")
    parser.add_argument("--calib", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--levels", type=lambda text: [int(part) for part in text.split(",")], default=[4, 8, 16, 32])
    parser.add_argument("--calib-samples", type=int, default=1000)
    parser.add_argument("--samples", type=int)
    parser.add_argument("--scale", type=float)
    parser.add_argument("--mean", type=numbers)
    parser.add_argument("--std", type=numbers)
    parser.add_argument("--layout", choices=["NCHW", "NHWC"])
    parser.add_argument("--results", type=Path, help="append a line of JSON for each row")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
