"""Passes that put other neurons in the place of `RMP` and `IF`, for tests: no method chooses them yet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from snnc.emit.nodes import Nodes
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import sample_shape
from snnc.ir.trees import layers
from snnc.passes.spike import connect_spikes

LOW, HIGH = -3, 40


@dataclass(frozen=True)
class StepFunction:
    """value·(first + Σ rises where x ≥ breaks): `first` `[C]`, `breaks` and `rises` `[C, K]`; `rank` is that of a
    sample."""

    rank: int
    value: float
    first: np.ndarray
    breaks: np.ndarray
    rises: np.ndarray

    @property
    def channels(self) -> int:
        return len(self.first)

    def curve(self, values: np.ndarray) -> np.ndarray:
        counts = np.concatenate([np.zeros((self.channels, 1), np.int64), np.cumsum(self.rises, axis=1)], axis=1)
        found = np.empty(values.shape, np.float32)
        for channel in range(values.shape[1]):
            row = channel if self.channels > 1 else 0
            reached = np.searchsorted(self.breaks[row].astype(np.float32), values[:, channel], side="right")
            found[:, channel] = self.value * (self.first[row] + counts[row][reached])
        return found

    def write(self, nodes: Nodes, x: str, output: str) -> str:
        rank = self.rank
        ones = [1] * (rank - 1)

        def table(name: str, values: np.ndarray) -> str:
            by_channel = np.asarray(values, np.float32).reshape(len(values), *ones, *values.shape[1:])
            return nodes.constant(f"{name}/{output}", by_channel)

        last = nodes.constant("last_axis", np.array([rank + 1], np.int64))
        column = nodes.node("Unsqueeze", [x, last], f"{output}/column")
        reached = nodes.node("GreaterOrEqual", [column, table("breaks", self.breaks)], f"{output}/reached")
        steps = nodes.node("Cast", [reached], f"{output}/steps", to=TensorProto.FLOAT)
        rises = nodes.node("Mul", [steps, table("rises", self.rises)], f"{output}/rises")
        risen = nodes.node("ReduceSum", [rises, last], f"{output}/risen", keepdims=0)
        count = nodes.node("Add", [risen, table("first", self.first)], f"{output}/count")
        return nodes.node("Mul", [count, nodes.constant("value", np.float32(self.value))], output)


def _staircases(conversion: Conversion) -> None:
    """Uniform steps, of which neurons may also go some down."""
    for node in layers(conversion.graph):
        if node.op in ("RMP", "IF"):
            node.op = "Staircase"
            node.attrs |= {"low": LOW, "high": HIGH}
    connect_spikes(conversion.graph)


def _tables(conversion: Conversion) -> None:
    """A table of random steps up and down for every channel of every other layer, one table for the rest."""
    random = np.random.default_rng(5)
    for index, node in enumerate(layers(conversion.graph)):
        if node.op not in ("RMP", "IF"):
            continue
        rows = sample_shape(node.outputs[0])[0] if index % 2 else 1
        steps = StepFunction(
            len(sample_shape(node.outputs[0])),
            0.25,
            random.integers(-2, 3, rows),
            np.sort(random.normal(0, 3, (rows, 7)), axis=1),
            random.integers(-2, 4, (rows, 7)),
        )
        node.op, node.attrs = "StaircaseTable", {"region": steps, "value": 0.25, "low": -40, "high": 40}
    connect_spikes(conversion.graph)


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
