"""Passes that put other neurons in the place of `RMP` and `IF`, for tests: no method chooses them yet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.emit.nodes import Nodes
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import sample_shape
from snnc.ir.trees import layers
from snnc.passes.spike import connect_pools

LOW, HIGH = -3, 40


@dataclass(frozen=True)
class StepFunction:
    """value·(first + Σ rises where x ≥ breaks): `first` `[C]`, `breaks` and `rises` `[C, K]`."""

    value: float
    first: np.ndarray
    breaks: np.ndarray
    rises: np.ndarray

    @property
    def channels(self) -> int:
        return len(self.first)

    def curve(self, values: np.ndarray) -> np.ndarray:
        reached = values[..., None] >= self.breaks.astype(np.float32)
        return (self.value * (self.first + (reached * self.rises).sum(-1))).astype(np.float32)

    def write(self, nodes: Nodes, x: str, output: str) -> str:
        raise NotImplementedError("no rule of the tests looks at its activations")


def _staircases(conversion: Conversion) -> None:
    """Uniform steps, of which neurons may also go some down."""
    for node in layers(conversion.graph):
        if node.op in ("RMP", "IF"):
            node.op = "Staircase"
            node.attrs |= {"low": LOW, "high": HIGH}
    connect_pools(conversion.graph)


def _tables(conversion: Conversion) -> None:
    """A table of random steps up and down for every channel of every other layer, one table for the rest."""
    random = np.random.default_rng(5)
    for index, node in enumerate(layers(conversion.graph)):
        if node.op not in ("RMP", "IF"):
            continue
        rows = sample_shape(node.outputs[0])[0] if index % 2 else 1
        steps = StepFunction(
            0.25,
            random.integers(-2, 3, rows),
            np.sort(random.normal(0, 3, (rows, 7)), axis=1),
            random.integers(-2, 4, (rows, 7)),
        )
        node.op, node.attrs = "StaircaseTable", {"region": steps, "value": 0.25, "low": -40, "high": 40}
    connect_pools(conversion.graph)


def _charges(conversion: Conversion) -> None:
    """Staircases behind an input that is all charge of the first step."""
    _staircases(conversion)
    for node in conversion.graph.nodes:
        if node.op in ("PoissonEncode", "DirectEncode"):
            node.op = "ChargeEncode"


STAIRCASES = Pass("staircases", Level.SPIKING, Level.SPIKING, _staircases)
TABLES = Pass("tables", Level.SPIKING, Level.SPIKING, _tables)
CHARGES = Pass("charges", Level.SPIKING, Level.SPIKING, _charges)
OTHER_NEURONS = {"staircase": STAIRCASES, "table": TABLES, "charge": CHARGES}
