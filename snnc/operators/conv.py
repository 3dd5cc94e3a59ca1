"""`Conv` in any number of spatial dimensions: y_m = Σ_{c,k} W_mck·x_ck [+ b_m] over windows, in groups of channels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_graphsurgeon as gs

from snnc.emit.nodes import Nodes
from snnc.ir.graph import sample_shape
from snnc.operators.contract import (
    Bounds,
    IntArray,
    Mode,
    WeightedOperator,
    Weights,
    bias_of_block,
    elements_reached,
    sums_of_products,
)


class Conv(WeightedOperator):
    """Its attributes are all written out: kernel_shape, strides, dilations, pads, group."""

    name = ann_name = "Conv"

    def bounds(self, node: gs.Node, operands: Sequence[Bounds], weights: Weights | None) -> Bounds:
        assert weights is not None
        outputs, per_group = weights.weight.shape[:2]
        group_of = np.arange(outputs) // (outputs // node.attrs.get("group", 1))
        channel = group_of[:, None] * per_group + np.arange(per_group)[None]
        (operand,) = operands
        rows = weights.weight.reshape(outputs, per_group, -1).astype(np.float64)
        return sums_of_products(rows, operand.low[channel][..., None], operand.high[channel][..., None], weights.bias)

    def fanout(self, node: gs.Node, operand: gs.Tensor, cost: IntArray) -> IntArray:
        outputs, shape = sample_shape(node.outputs[0]), sample_shape(operand)
        plane = np.full(outputs[1:], outputs[0] // node.attrs["group"], np.int64)
        reached: IntArray = np.broadcast_to(elements_reached(node, plane, shape[1:], node.attrs["dilations"]), shape)
        return reached

    def macs(self, node: gs.Node) -> int:
        return int(self.fanout(node, node.inputs[0], np.ones(sample_shape(node.outputs[0]), np.int64)).sum())

    def fan_in(self, node: gs.Node) -> int:
        return int(np.prod(self.weights(node).weight.shape[1:]))

    def current(self, node: gs.Node, operands: list[str], output: str, mode: Mode, nodes: Nodes) -> str:
        weights = self.weights(node)
        inputs = [*operands, nodes.constant(f"weight/{node.name}", weights.weight)]
        if weights.bias is None:
            return nodes.node("Conv", inputs, output, **node.attrs)
        if mode == "steps":
            bias = nodes.constant(f"bias/{node.name}", weights.bias)
            return nodes.node("Conv", [*inputs, bias], output, **node.attrs)
        weighted = nodes.node("Conv", inputs, f"{output}/weighted", **node.attrs)
        return nodes.node("Add", [weighted, bias_of_block(nodes, node, weights.bias, output)], output)
