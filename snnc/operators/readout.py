"""`SpikeReadout`: an output layer that integrates its current and never fires; V(0) = 0.

Its value is decoded as scale·V(T)/T + bias (`snnc.emit.decode`). V has 64 bits, so that sums over large planes and long
runs keep the bits of their weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_graphsurgeon as gs
from onnx import TensorProto

from snnc.ir.graph import constant, sample_shape
from snnc.ir.names import COUNT
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
        return [State(f"v/{node.name}", f"v_next/{node.name}", "int64", sample_shape(node.outputs[0]))]

    def analog(self, node: gs.Node, x: str, output: str, nodes: Nodes) -> str:
        bias = constant(node, 1)
        if bias is None:
            return nodes.node("Identity", [x], output)
        return nodes.node("Add", [x, nodes.constant(f"bias/{node.name}", bias)], output)

    def calibrate(self, node: gs.Node, calibrator: Calibrator) -> None:
        calibrator.settle(node, calibrator.round(node).scale)

    def emit(self, node: gs.Node, block: BlockWriter) -> None:
        (state,) = block.states_of(node)
        if block.fused(node) is not None:
            block.layer(node, [state.name, COUNT], [state.next_name])
            return
        block_sum = block.currents.of(node.inputs[0], "sums")
        integer = block.node("Cast", [block_sum], f"{node.name}/integer", to=TensorProto.INT64)
        name = block.names.unique(f"node/{state.next_name}")
        block.write("Add", [state.name, integer], [state.next_name], name)

    def layer_operator(self, shape: Shape) -> str | None:
        return "SpikeReadout" if shape == "Gemm" else None
