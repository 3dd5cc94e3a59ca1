"""Accuracy, agreement, spikes and synaptic operations against steps, all from one simulation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from snnc.data.rows import Rows
from snnc.diagnostics import fail
from snnc.emit.block import Block
from snnc.ir.conversion import LayerReport
from snnc.ir.report import Row
from snnc.measure.energy import FLOAT32, mean_busy_steps, multiplications
from snnc.measure.intervals import Interval, interval, paired_difference
from snnc.measure.outputs import OutputFacts, OutputPoint, OutputSums, Truth, output_kinds, predictions
from snnc.measure.simulation import CutPart, Samples, Simulation, samples_in_part, simulated
from snnc.workers import Here, Part, Workers, in_order
from snnc.workers.journal import Journal


@dataclass(frozen=True)
class Point:
    """A network after `steps` steps, over a set of samples.

    `accuracy` is a share, and so is the `agreement` of the first output; its `error` is ‖ŷ - y‖₂/‖y‖₂ against the
    ANN's, None where it has class numbers or is not finite. Of the samples `lost` are right in the ANN alone, `gained`
    in the spiking network alone; `accuracy_interval`, and `drop_interval` of the ANN's accuracy minus this one, have
    95 % confidence. `outputs` has every output beside the ANN's. `spike_rate` is R of RMP-SNN, equation 8, in percent
    (input and output not counted);
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
    accuracy_interval: Interval | None = None
    lost: int | None = None
    gained: int | None = None
    drop_interval: Interval | None = None
    outputs: dict[str, OutputPoint] = field(default_factory=dict)

    @property
    def spread_error(self) -> float | None:
        """That of the first output; None where it is not known."""
        return next((found.spread_error for found in self.outputs.values()), None)

    @property
    def agreement_interval(self) -> Interval | None:
        """That of the first output; None where it is not known."""
        return next((found.agreement_interval for found in self.outputs.values()), None)


@dataclass(frozen=True, repr=False)
class Curve:
    """Points by increasing steps, with the ANN beside them.

    `commonest_class` is the share of samples (of a map: of places) that the ANN puts into one class: near 1, agreement
    says nothing. `outputs` has that, and what they stand for, for every output by name.
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
    outputs: dict[str, OutputFacts] = field(default_factory=dict)

    @property
    def ann_energy_uj(self) -> float:
        """What the ANN's multiply-accumulates cost, in µJ by the arithmetic of 32-bit floats alone."""
        return FLOAT32.ann_energy_uj(self.ann_macs)

    def __repr__(self) -> str:
        from snnc.measure.shown import curve_summary

        return f"Curve({curve_summary(self)})"

    def __str__(self) -> str:
        from snnc.measure.shown import curve_text

        return curve_text(self)

    def _repr_html_(self) -> str:
        from snnc.measure.shown import curve_html

        return curve_html(self)

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values, documented in docs/cli.md."""
        return {**asdict(self), "ann_energy_uj": self.ann_energy_uj}


def rows_of(points: Sequence[Point]) -> list[Row]:
    """Steps, agreement and error of `points`."""
    return [(point.steps, point.agreement, point.error) for point in points]


class _Sums:
    """Running sums of one step count over the parts of the samples."""

    def __init__(self, truths: Sequence[Truth]) -> None:
        self.outputs = {truth.kind.name: OutputSums(truth) for truth in truths}
        self.correct = self.lost = self.gained = self.operations = 0
        self.classified = False
        self.totals: np.ndarray | int = 0

    def add(self, part: CutPart) -> None:
        """The next part."""
        for name, sums in self.outputs.items():
            sums.add(part.outputs[name])
        self.classified = part.classified
        self.correct, self.lost = self.correct + part.correct, self.lost + part.lost
        self.gained, self.operations = self.gained + part.gained, self.operations + part.operations
        self.totals = self.totals + np.array(part.spikes, np.int64)

    def of_labels(self, samples: int, *, labels: bool, ann: bool) -> dict[str, Any]:
        """The fields of a point that tell of labels; whether there are any, and classes of the ANN."""
        if not labels or not self.classified:
            return {"accuracy": None}
        accuracy = self.correct / samples
        found: dict[str, Any] = {"accuracy": accuracy, "accuracy_interval": interval(accuracy, samples)}
        if ann:
            drop = paired_difference(self.lost, self.gained, samples)
            found |= {"lost": self.lost, "gained": self.gained, "drop_interval": drop}
        return found


def measure_curve(
    block: Block,
    layers: Sequence[LayerReport],
    images: np.ndarray | Rows,
    cuts: Sequence[int],
    *,
    labels: np.ndarray | None = None,
    ann_outputs: dict[str, np.ndarray] | None = None,
    seed: int = 0,
    first_sample: int = 0,
    workers: Workers | None = None,
    journal: Journal | None = None,
    to_rest: bool = False,
    progress: Callable[[float], None] = lambda share: None,
) -> Curve:
    """Simulate `images` once and take stock at every step count in `cuts`.

    `layers` are the file's layers (input first, then neurons, in the order of `spike_totals`). `to_rest`: of a network
    that settles, and the curve ends with the last spike of all samples instead of the last cut. The `workers` (None:
    this process) get the samples in the same batches, whoever they are; a `journal` knows and keeps what they find.
    """
    cuts = sorted(set(cuts))
    sources = [layer for layer in layers if layer.kind != "readout"]
    truths = _truths(block, ann_outputs)
    classes = predictions(truths[0].values) if truths else None
    sums = {cut: _Sums(truths) for cut in cuts}
    settled: list[int] = []
    clipped = 0
    batch = samples_in_part(layers)
    work = Simulation(block, sources, cuts, seed)

    def part(index: int) -> Part[Samples]:
        chosen = slice(index * batch, (index + 1) * batch)
        outputs = None if ann_outputs is None else {name: values[chosen] for name, values in ann_outputs.items()}
        own_labels = None if labels is None else labels[chosen]
        return Part(index, Samples(images[chosen], first_sample + chosen.start, own_labels, outputs))

    parts = range(-(-len(images) // batch))
    for found in in_order(simulated(workers or Here(), work, parts, part, journal, progress)):
        for cut, stock in found.cuts.items():
            sums[cut].add(stock)
        settled += found.settled
        clipped += found.clipped
    steps = sorted(settled) if block.quiet else None
    if to_rest:
        rest = max(1, *settled)
        sums[rest] = sums[cuts[-1]]
        cuts = [cut for cut in cuts if cut < rest] + [rest]
    macs_at = {cut: multiplications(layers, cut, mean_busy_steps(cut, steps)) for cut in cuts}
    told = {"labels": labels is not None, "ann": classes is not None}
    points = [_point(cut, sums[cut], sources, len(images), macs_at[cut], told) for cut in cuts]
    ann_accuracy = None if classes is None or labels is None else float((classes == labels).mean())
    facts = {truth.kind.name: truth.facts for truth in truths}
    commonest = next((fact.commonest_class for fact in facts.values()), None)
    macs = sum(layer.macs for layer in layers)
    share = clipped / images.size
    return Curve(points, len(images), seed, ann_accuracy, macs, share, commonest, steps, facts)


def _truths(block: Block, ann_outputs: dict[str, np.ndarray] | None) -> list[Truth]:
    """The outputs of the ANN, in the order of the file; SNN405 where it has others."""
    if ann_outputs is None:
        return []
    truths = []
    for value, kind in zip(block.outputs, output_kinds(block).values(), strict=True):
        if kind.name not in ann_outputs:
            fail("SNN405", f"the given ANN has no output {kind.name!r}, which the file has")
        truth, dims = ann_outputs[kind.name], value.type.tensor_type.shape.dim
        if truth.shape[1:] != tuple(dim.dim_value for dim in dims[1:]):
            message = f"output {kind.name!r} of the given ANN has shape {list(truth.shape)}, not that of the file"
            fail("SNN405", message)
        truths.append(Truth(kind, truth))
    return truths


def _point(
    steps: int, sums: _Sums, sources: Sequence[LayerReport], samples: int, macs: float, told: dict[str, bool]
) -> Point:
    totals = np.asarray(sums.totals, np.float64)
    neurons = np.array([source.neurons for source in sources], np.float64)
    rates = totals / (neurons * steps * samples)
    operations = sums.operations / samples
    hidden = np.array([source.kind == "neuron" for source in sources])
    outputs = {name: found.point() for name, found in sums.outputs.items()}
    first = next(iter(outputs.values()), None)
    return Point(
        steps=steps,
        agreement=None if first is None else first.agreement,
        error=None if first is None else first.error,
        spike_rate=float(100 * totals[hidden].sum() / (neurons[hidden].sum() * steps * samples)),
        layer_rates={source.name: float(rate) for source, rate in zip(sources, rates, strict=True)},
        spikes_per_neuron=float(totals[hidden].sum() / (neurons[hidden].sum() * samples)),
        operations=operations,
        macs=macs,
        energy_uj=FLOAT32.energy_uj(operations, macs),
        outputs=outputs,
        **sums.of_labels(samples, **told),
    )
