"""Neurons with signed spikes that fire until their spike count is what their charge asks for.

    Staircase       V ← V + I;  s = +1 if V ≥ θ and S < high, -1 if V < 0 and S > low, else 0;  V ← V - s·θ;  S ← S + s
    StaircaseTable  U ← U + I;  s = sign(g(U) - S);  S ← S + s,  g a table of steps

The first one is the table with uniform steps, ST-BIF: what it fired too early it takes back, so its count settles at
clip(floor((ΣI + V(0))/θ), low, high) whatever the order of its inputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import onnx_graphsurgeon as gs
from onnx import TensorProto

from snnc.ir.graph import constant, sample_shape
from snnc.ir.names import COUNT, own
from snnc.ir.signal import Signal
from snnc.ir.state import State
from snnc.operators.layer import Shape, SpikeSource
from snnc.operators.neuron import Neuron

if TYPE_CHECKING:
    from snnc.emit.block import BlockWriter
    from snnc.emit.nodes import Nodes
    from snnc.integers.calibration import Calibrator

_INT32 = 2**31 - 1


class Staircase(Neuron):
    """Attributes low and high: the limits of the spike count; v_init and the threshold as of `IntegrateAndFire`."""

    name = "Staircase"

    def signal(self, node: gs.Node) -> Signal:
        return Signal.of_spikes(len(sample_shape(node.outputs[0])), signed=True)

    def states(self, node: gs.Node) -> list[State]:
        return [*super().states(node), _counts(node)]

    def attributes(self, node: gs.Node, *, whole_layer: bool) -> dict[str, int]:
        return {name: int(node.attrs[name]) for name in ("low", "high")}

    def layer_operator(self, shape: Shape) -> str:
        return f"Staircase{shape}"

    def problems(self, node: gs.Node) -> Iterator[str]:
        yield from super().problems(node)
        if not node.attrs["low"] <= 0 < node.attrs["high"]:
            yield f"{node.name!r} can never fire"


class StaircaseTable(SpikeSource):
    """Steps of any height anywhere, one table for every channel or one for all.

    Attributes, in ANN units: `value`, what a spike is worth; `first` `[C']`, the count at the lowest charge; `breaks`
    `[C', K]`, where steps are, ascending, in charge; `rises` `[C', K]`, by how many spikes the count changes there.
    On the grid the table becomes the constants 1 to 3: a break is the smallest integer charge behind it.
    """

    name, kind, integrates = "StaircaseTable", "neuron", True

    def signal(self, node: gs.Node) -> Signal:
        return Signal.of_spikes(len(sample_shape(node.outputs[0])), signed=True)

    def states(self, node: gs.Node) -> list[State]:
        dims = sample_shape(node.outputs[0])
        return [State(f"v/{node.name}", f"v_next/{node.name}", "int32", dims), _counts(node)]

    def analog(self, node: gs.Node, x: str, output: str, nodes: Nodes) -> str:
        """value·g(x): the sum over the steps that x has reached."""
        rank = len(sample_shape(node.outputs[0]))

        def table(name: str) -> str:
            values = np.asarray(node.attrs[name], np.float32)
            by_channel = values.reshape(len(values), *[1] * (rank - 1), *values.shape[1:])
            return nodes.constant(f"{name}/{node.name}", by_channel)

        last = nodes.constant("last_axis", np.array([rank + 1], np.int64))
        column = nodes.node("Unsqueeze", [x, last], f"{output}/column")
        reached = nodes.node("GreaterOrEqual", [column, table("breaks")], f"{output}/reached")
        steps = nodes.node("Cast", [reached], f"{output}/steps", to=TensorProto.FLOAT)
        rises = nodes.node("Mul", [steps, table("rises")], f"{output}/rises")
        risen = nodes.node("ReduceSum", [rises, last], f"{output}/risen", keepdims=0)
        count = nodes.node("Add", [risen, table("first")], f"{output}/count")
        value = nodes.constant(f"value/{node.name}", np.array(node.attrs["value"], np.float32))
        return nodes.node("Mul", [count, value], output)

    def calibrate(self, node: gs.Node, calibrator: Calibrator) -> None:
        scale = calibrator.round(node).scale
        shape = sample_shape(node.outputs[0])
        by_channel = np.broadcast_to(scale.reshape(-1), (shape[0],))[:, None] if scale.size > 1 else scale.reshape(1, 1)
        breaks = np.clip(np.ceil(np.asarray(node.attrs["breaks"]) / by_channel), -_INT32 - 1, _INT32)
        rows = len(breaks)
        tables = {
            "first": np.broadcast_to(np.asarray(node.attrs["first"]), (rows,)),
            "breaks": breaks,
            "rises": np.broadcast_to(np.asarray(node.attrs["rises"]), breaks.shape),
        }
        constants = [
            gs.Constant(own(f"{node.name}/{name}"), np.array(table, np.int32)) for name, table in tables.items()
        ]
        node.inputs = [node.inputs[0], *constants]
        calibrator.settle(node, np.asarray(node.attrs["value"], np.float64))

    def emit(self, node: gs.Node, block: BlockWriter) -> None:
        v, counts = block.states_of(node)
        spikes = node.outputs[0]
        tables = [block.constant(f"{name}/{node.name}", table) for name, table in self._tables(node).items()]
        names = [v.name, counts.name, *tables, COUNT]
        block.layer(node, names, [spikes.name, v.next_name, counts.next_name])
        block.words.declare(spikes, spikes.name)

    def problems(self, node: gs.Node) -> Iterator[str]:
        yield from super().problems(node)
        if (np.diff(self._tables(node)["breaks"], axis=1) < 0).any():
            yield f"the steps of {node.name!r} are not in order"

    @staticmethod
    def _tables(node: gs.Node) -> dict[str, np.ndarray]:
        tables = {name: constant(node, index) for index, name in enumerate(("first", "breaks", "rises"), start=1)}
        found = {name: table for name, table in tables.items() if table is not None}
        assert len(found) == len(tables), f"{node.name!r} has no table"
        return found


def _counts(node: gs.Node) -> State:
    """The spikes so far, positive minus negative."""
    return State(f"counts/{node.name}", f"counts_next/{node.name}", "int32", sample_shape(node.outputs[0]))
