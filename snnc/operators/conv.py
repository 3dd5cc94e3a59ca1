"""`Conv` in any number of spatial dimensions: y_m = Σ_{c,k} W_mck·x_ck [+ b_m] over windows, in groups of channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx_graphsurgeon as gs

from snnc.emit.nodes import Nodes
from snnc.ir.graph import sample_shape
from snnc.ir.signal import FloatArray, Signal, per_channel
from snnc.operators.contract import (
    IntArray,
    Mode,
    WeightedOperator,
    Weights,
    bias_of_block,
    elements_reached,
    sums_of_products,
)
from snnc.operators.taps import Window, convolved_by_taps


class Conv(WeightedOperator):
    """Its attributes are all written out: kernel_shape, strides, dilations, pads, group."""

    name = ann_name = "Conv"

    def signal(
        self, node: gs.Node, operands: Sequence[Signal], weights: Weights | None, exact: Weights | None = None
    ) -> Signal:
        assert weights is not None
        channels = self._input_channels(node, weights)
        by_weight = operands[0].of_channels(sample_shape(node.inputs[0])[0]).arranged(lambda values: values[channels])

        def rows(chosen: Weights) -> FloatArray:
            found: FloatArray = np.asarray(chosen.weight.reshape(*channels.shape[:2], -1), np.float64)
            return found

        rank = len(sample_shape(node.outputs[0]))
        before = None if exact is None else rows(exact)
        sums = sums_of_products(rows(weights), by_weight, weights.bias, before, rank)
        depthwise = weights.weight.shape[1] == 1 and weights.weight.shape[0] == node.attrs.get("group", 1)
        return replace(sums, rows=np.zeros_like(sums.rows)) if depthwise else sums

    def takes(self, node: gs.Node, scale: FloatArray) -> bool:
        return per_channel(scale, sample_shape(node.inputs[0])[0]) is not None

    def on_grid(self, node: gs.Node, weights: Weights, scale_in: FloatArray, scale: FloatArray) -> Weights | None:
        outputs = weights.weight.shape[0]
        before, behind = per_channel(scale_in, sample_shape(node.inputs[0])[0]), per_channel(scale, outputs)
        if before is None or behind is None:
            return None
        ratio = before[self._input_channels(node, weights)[..., 0]] / behind[:, None]
        by_tap = ratio.reshape(*ratio.shape, *[1] * (weights.weight.ndim - 2))
        return Weights(weights.weight * by_tap, None if weights.bias is None else weights.bias / behind)

    @staticmethod
    def _input_channels(node: gs.Node, weights: Weights) -> IntArray:
        """The input channel that every weight reads, `[outputs, inputs of the group, 1]`."""
        outputs, per_group = weights.weight.shape[:2]
        group_of = np.arange(outputs) // (outputs // node.attrs.get("group", 1))
        channels: IntArray = (group_of[:, None] * per_group + np.arange(per_group)[None])[..., None]
        return channels

    def fanout(self, node: gs.Node, position: int, cost: IntArray) -> IntArray:
        outputs, shape = sample_shape(node.outputs[0]), sample_shape(node.inputs[0])
        plane = np.full(outputs[1:], outputs[0] // node.attrs["group"], np.int64)
        reached: IntArray = np.broadcast_to(elements_reached(node, plane, shape[1:], node.attrs["dilations"]), shape)
        return reached

    def macs(self, node: gs.Node) -> int:
        return int(self.fanout(node, 0, np.ones(sample_shape(node.outputs[0]), np.int64)).sum())

    def fan_in(self, node: gs.Node) -> int:
        return int(np.prod(self.weights(node).weight.shape[1:]))

    def current(self, node: gs.Node, operands: list[str], output: str, mode: Mode, nodes: Nodes) -> str:
        weights = self.weights(node)
        if mode == "steps":
            inputs = [*operands, nodes.constant(f"weight/{node.name}", weights.weight)]
            if weights.bias is not None:
                inputs.append(nodes.constant(f"bias/{node.name}", weights.bias))
            return nodes.node("Conv", inputs, output, **node.attrs)
        window = Window(*(node.attrs[name] for name in ("kernel_shape", "strides", "dilations", "pads")))
        planes = sample_shape(node.inputs[0])[1:], sample_shape(node.outputs[0])[1:]
        label = output if weights.bias is None else f"{output}/weighted"
        sums = convolved_by_taps(nodes, operands[0], weights.weight, window, node.attrs["group"], planes, label)
        if weights.bias is None:
            return sums
        return nodes.node("Add", [sums, bias_of_block(nodes, node, weights.bias, output)], output)
