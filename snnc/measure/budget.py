"""What every layer of a spiking network loses against the ANN, and to what.

For the values of a layer, on the same samples, in the units of the ANN:

    a   what the layer gives in the ANN
    z   what the ANN's layer would make of the inputs that it gets in the spiking network
    c   z clipped to what spikes can stand for: clip(z, low·u, high·u), u the worth of a spike (of a count of 1)
    q   u·clip(floor(U/θ), low, high), U the sum of its integer currents and V(0): the count that its charge stands for.
        Soft reset keeps all of the charge, so that U = θ·count + V(T). Where a hard reset or a leak takes some of it:
        u·floor(c/u + V(0)/θ). Of a network that settles: what its quantised ANN gives
    s   what the spiking network gives: u·count

    s - a = (z - a) + (c - z) + (q - c) + (s - q)  =  inherited + clipping + quantisation + timing

holds element by element. Quantisation is that of counts and of weights. Timing is what is left: spikes that are not
fired yet or were fired too early, and what a hard reset or a leak takes; 0 where a network has settled. The input gets
what the ANN gets (z = a); the noise of Poisson coding is its timing. An output inherits all but the rounding of its
weights and what a delay leaves out (timing).

The error of a layer is ‖s - a‖/‖a‖ over neurons and samples. The share of a part p in it is

    <p, s - a> / (‖s - a‖·‖a‖)

The shares of the four parts add up to the error exactly, whatever their signs and correlations: a negative one undoes
some of the others. The size of a part is ‖p‖/‖a‖; sizes do not add up, as parts may cancel.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import onnx

from snnc.files import ConvertedFile
from snnc.measure.budget_signals import LayerSignals, Signals

Kind = Literal["input", "neuron", "output"]
#: The parts of an error, in the order in which they come about.
PARTS = ("inherited", "clipping", "quantisation", "timing")


@dataclass(frozen=True)
class Part:
    """What a part contributes to the error of its layer (`share`), and how large it is for itself (`size`): relative to
    the norm of the ANN's values."""

    share: float
    size: float


@dataclass(frozen=True)
class LayerBudget:
    """The error of a layer and its parts by name; None, and no parts, where the ANN gives nothing but zeros there."""

    name: str
    op: str
    kind: Kind
    error: float | None
    parts: dict[str, Part]

    @property
    def own(self) -> dict[str, Part]:
        """The parts that came about in this layer."""
        return {name: part for name, part in self.parts.items() if name != "inherited"}


@dataclass(frozen=True)
class Budget:
    """Layers in order of the graph: the input, neurons, outputs. `skipped` are layers that the ANN does not have in
    this form: what they lose is in the parts of those behind them. `steps` are None where the network ran until it was
    quiet."""

    layers: list[LayerBudget]
    skipped: list[str]
    samples: int
    steps: int | None

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values, documented in docs/cli.md."""
        return asdict(self)


class _Sums:
    """Inner products of the parts of a layer with each other, and of the ANN's values with themselves."""

    def __init__(self) -> None:
        self._gram = np.zeros((len(PARTS), len(PARTS)))
        self._norm = 0.0

    def add(self, found: LayerSignals) -> None:
        """The signals of some samples more."""
        chain = [value.astype(np.float64).reshape(-1) for value in found.chain]
        parts = [after - before for before, after in itertools.pairwise(chain)]
        self._gram += np.array([[float(one @ other) for other in parts] for one in parts])
        self._norm += float(chain[0] @ chain[0])

    def budget(self, name: str, op: str, kind: Kind) -> LayerBudget:
        total, norm = math.sqrt(max(0.0, self._gram.sum())), math.sqrt(self._norm)
        if not norm or not math.isfinite(total / norm):
            return LayerBudget(name, op, kind, None, {})
        shares = self._gram.sum(1) / (total * norm) if total else np.zeros(len(PARTS))
        sizes = np.sqrt(self._gram.diagonal()) / norm
        parts = {part: Part(float(share), float(size)) for part, share, size in zip(PARTS, shares, sizes, strict=True)}
        return LayerBudget(name, op, kind, total / norm, parts)


def measure_budget(
    file: ConvertedFile,
    ann: onnx.ModelProto,
    images: np.ndarray,
    *,
    steps: int | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Budget:
    """Run both networks on `images` `[S, ...]`; `steps` are those of the file, of a network that settles as many as it
    takes."""
    signals = Signals(file, ann, steps, seed, threads)
    sums: dict[tuple[str, str, Kind], _Sums] = {}
    for start in range(0, len(images), signals.batch):
        chosen = images[start : start + signals.batch]
        for found in signals.of(chosen, start):
            sums.setdefault((found.name, found.op, found.kind), _Sums()).add(found)
        progress((start + len(chosen)) / len(images))
    layers = [collected.budget(*layer) for layer, collected in sums.items()]
    return Budget(layers, signals.skipped, len(images), signals.steps)
