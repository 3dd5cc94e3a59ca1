"""`SpikeReadout`: an output layer that integrates its current and never fires; V(0) = 0.

Its value is decoded as scale·V(T)/T + bias (`snnc.emit.decode`) or, behind neurons that settle (attribute `settles`),
as scale·V + bias. V has 64 bits, so that sums over large planes and long runs keep the bits of their weights.

With the attribute delay, D, it integrates from step D + 1 on only, and the value is scale·V(T)/(T - D) + bias: what the
layers in front fire before they get their inputs themselves does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import onnx_graphsurgeon as gs
from onnx import TensorProto

from snnc.ir.graph import constant, sample_shape
from snnc.ir.state import State
from snnc.operators.layer import Layer, Shape

if TYPE_CHECKING:
    from snnc.emit.block import BlockWriter
    from snnc.emit.nodes import Nodes
    from snnc.integers.calibration import Calibrator


class Readout(Layer):
    """The bias of the last layer, input 1, is in ANN units: it is added after decoding."""

    name, kind, integrates = "SpikeReadout", "readout", True

    def states(self, node: gs.Node) -> list[State]:
        dims, name = sample_shape(node.outputs[0]), node.name
        return [State(f"v/{name}", f"v_next/{name}", "int64", dims, what="membrane potential")]

    def analog(self, node: gs.Node, reads: Sequence[str], output: str, nodes: Nodes) -> str:
        bias = constant(node, 1)
        if bias is None:
            return nodes.node("Identity", reads, output)
        return nodes.node("Add", [*reads, nodes.constant(f"bias/{node.name}", bias)], output)

    def calibrate(self, node: gs.Node, calibrator: Calibrator) -> None:
        own = calibrator.round_on_own_grid(node) if calibrator.reads_given(node) else None
        calibrator.settle(node, (own or calibrator.round(node)).scale)

    def emit(self, node: gs.Node, block: BlockWriter) -> None:
        if delay_of(node):
            block = block.late(delay_of(node))
        (state,) = block.states_of(node)
        if block.fused(node) is not None:
            block.layer(node, [state.name, block.count], [state.next_name])
            return
        block_sum = block.currents.of(node.inputs[0], "sums")
        integer = block.node("Cast", [block_sum], f"{node.name}/integer", to=TensorProto.INT64)
        name = block.names.unique(f"node/{state.next_name}")
        block.write("Add", [state.name, integer], [state.next_name], name)

    def layer_operator(self, shape: Shape) -> str | None:
        return "SpikeReadout" if shape == "Gemm" else None


def delay_of(node: gs.Node) -> int:
    """How many steps a readout lets go by before it integrates."""
    return int(node.attrs.get("delay", 0))


def is_settling(node: gs.Node) -> bool:
    """Whether V itself stands for the value, not its growth per step."""
    return node.op == Readout.name and bool(node.attrs.get("settles", 0))
