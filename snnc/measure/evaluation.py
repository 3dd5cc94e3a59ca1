"""Accuracy, agreement, spikes and synaptic operations against steps, all from one simulation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from snnc.diagnostics import fail
from snnc.emit.block import Block
from snnc.ir.conversion import LayerReport
from snnc.ir.report import Row
from snnc.measure.energy import FLOAT32, mean_busy_steps, multiplications
from snnc.runtime.session import beyond_limit, largest_batch
from snnc.simulate.block_runner import StreamRunner


@dataclass(frozen=True)
class Point:
    """A network after `steps` steps, over a set of samples.

    `accuracy` and `agreement` are shares; `error` is ‖ŷ - y‖₂/‖y‖₂ against the ANN's outputs, None where they are class
    numbers or not finite; `spike_rate` is R of RMP-SNN, equation 8, in percent (input and output not counted);
    `layer_rates` spikes per neuron and step; `spikes_per_neuron` all spikes of the hidden layers over their neurons;
    `operations` synaptic operations and `macs` multiply-accumulates per sample (of what reads numbers instead of
    spikes), and `energy_uj` what they cost in µJ by the arithmetic of 32-bit floats alone (`snnc.measure.energy`).
    """

    steps: int
    accuracy: float | None
    agreement: float | None
    error: float | None
    spike_rate: float
    layer_rates: dict[str, float]
    spikes_per_neuron: float
    operations: float
    macs: float
    energy_uj: float


@dataclass(frozen=True)
class Curve:
    """Points by increasing steps, with the ANN beside them.

    `commonest_class` is the share of samples that the ANN puts into one class: near 1, agreement says nothing.
    `settled` are the steps that each sample took until its last spike, sorted, of a network that settles.
    """

    points: list[Point]
    samples: int
    seed: int
    ann_accuracy: float | None
    ann_macs: int
    clipped: float
    commonest_class: float | None = None
    settled: list[int] | None = None

    @property
    def ann_energy_uj(self) -> float:
        """What the ANN's multiply-accumulates cost, in µJ by the arithmetic of 32-bit floats alone."""
        return FLOAT32.ann_energy_uj(self.ann_macs)

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values, documented in docs/cli.md."""
        return {**asdict(self), "ann_energy_uj": self.ann_energy_uj}


def rows_of(points: Sequence[Point]) -> list[Row]:
    """Steps, agreement and error of `points`."""
    return [(point.steps, point.agreement, point.error) for point in points]


def _dims(block: Block) -> Any:
    return block.outputs[0].type.tensor_type.shape.dim


class _Sums:
    """Running sums of one step count over batches."""

    def __init__(self) -> None:
        self.correct = self.agree = 0
        self.classified = False
        self.error = self.norm = 0.0
        self.totals: np.ndarray | int = 0
        self.operations = 0.0


def predictions(output: np.ndarray) -> np.ndarray | None:
    """The class of each sample: argmax of scores `[N, classes, 1...]`, or class numbers as they are; else None."""
    if output.ndim > 2 and output.size == len(output) * output.shape[1]:
        output = output.reshape(len(output), -1)
    if np.issubdtype(output.dtype, np.integer):
        return output.reshape(len(output), -1)[:, 0]
    if output.ndim == 2 and output.shape[1] > 1:
        best: np.ndarray = output.argmax(1)
        return best
    return None


def measure_curve(
    block: Block,
    layers: Sequence[LayerReport],
    images: np.ndarray,
    cuts: Sequence[int],
    *,
    labels: np.ndarray | None = None,
    ann_outputs: dict[str, np.ndarray] | None = None,
    seed: int = 0,
    first_sample: int = 0,
    threads: int | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Curve:
    """Simulate `images` once and take stock at every step count in `cuts`.

    `layers` are the file's layers (input first, then neurons, in the order of `spike_totals`).
    """
    cuts = sorted(set(cuts))
    runner = StreamRunner(block, threads=threads)
    sources = [layer for layer in layers if layer.kind != "readout"]
    sums = {cut: _Sums() for cut in cuts}
    batch = largest_batch(sources)
    output = block.outputs[0].name
    truth = None if ann_outputs is None else ann_outputs[output]
    if truth is not None and truth.shape[1:] != tuple(dim.dim_value for dim in _dims(block)[1:]):
        fail("SNN405", f"output {output!r} of the given ANN has shape {list(truth.shape)}, not that of the file")
    settled: list[int] = []
    for start in range(0, len(images), batch):
        chosen = slice(start, min(start + batch, len(images)))
        for snapshot in runner.run(images[chosen], cuts, seed=seed, first_sample=first_sample + start):
            # What is quiet stays as it is.
            for cut in [cut for cut in cuts if cut == snapshot.step or (snapshot.quiet and cut > snapshot.step)]:
                _add(
                    sums[cut],
                    snapshot.outputs[output],
                    snapshot.spike_totals,
                    snapshot.synaptic_operations,
                    None if labels is None else labels[chosen],
                    None if truth is None else truth[chosen],
                )
            progress((start + (chosen.stop - start) * snapshot.step / cuts[-1]) / len(images))
            if snapshot.quiet:
                break
        if snapshot.steps_used is not None:
            settled += snapshot.steps_used.tolist()
    steps = sorted(settled) if block.quiet else None
    macs_at = {cut: multiplications(layers, cut, mean_busy_steps(cut, steps)) for cut in cuts}
    points = [_point(cut, sums[cut], sources, len(images), labels, truth, macs_at[cut]) for cut in cuts]
    classes = None if truth is None else predictions(truth)
    ann_accuracy = None if classes is None or labels is None else float((classes == labels).mean())
    commonest = None if classes is None else float(np.unique(classes, return_counts=True)[1].max() / len(classes))
    clipped = float(beyond_limit(sources, images).mean())
    macs = sum(layer.macs for layer in layers)
    return Curve(points, len(images), seed, ann_accuracy, macs, clipped, commonest, steps)


def _add(
    sums: _Sums,
    outputs: np.ndarray,
    totals: np.ndarray,
    operations: np.ndarray,
    labels: np.ndarray | None,
    truth: np.ndarray | None,
) -> None:
    classes = predictions(outputs)
    sums.classified = classes is not None
    if classes is not None and labels is not None:
        sums.correct += int((classes == labels).sum())
    if truth is not None:
        expected = predictions(truth)
        if classes is not None and expected is not None:
            sums.agree += int((classes == expected).sum())
        with np.errstate(over="ignore", invalid="ignore"):
            sums.error += float(((outputs.astype(np.float64) - truth) ** 2).sum())
            sums.norm += float((truth.astype(np.float64) ** 2).sum())
    sums.totals = sums.totals + totals.sum(0)
    sums.operations += float(operations.sum())


def _point(
    steps: int,
    sums: _Sums,
    sources: Sequence[LayerReport],
    samples: int,
    labels: np.ndarray | None,
    truth: np.ndarray | None,
    macs: float,
) -> Point:
    totals = np.asarray(sums.totals, np.float64)
    neurons = np.array([source.neurons for source in sources], np.float64)
    rates = totals / (neurons * steps * samples)
    classified = truth is not None and predictions(truth[:1]) is not None
    operations = sums.operations / samples
    hidden = np.array([source.kind == "neuron" for source in sources])
    return Point(
        steps=steps,
        accuracy=sums.correct / samples if labels is not None and sums.classified else None,
        agreement=sums.agree / samples if classified else None,
        error=None if truth is None or np.issubdtype(truth.dtype, np.integer) else _relative(sums.error, sums.norm),
        spike_rate=float(100 * totals[hidden].sum() / (neurons[hidden].sum() * steps * samples)),
        layer_rates={source.name: float(rate) for source, rate in zip(sources, rates, strict=True)},
        spikes_per_neuron=float(totals[hidden].sum() / (neurons[hidden].sum() * samples)),
        operations=operations,
        macs=macs,
        energy_uj=FLOAT32.energy_uj(operations, macs),
    )


def _relative(squared_error: float, squared_norm: float) -> float | None:
    """‖ŷ - y‖/‖y‖, None where it is not a finite number (outputs beyond float32)."""
    if squared_error == 0:
        return 0.0
    ratio = squared_error / squared_norm if squared_norm else math.inf
    return math.sqrt(ratio) if math.isfinite(ratio) else None
