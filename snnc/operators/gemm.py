"""`Gemm` in its plain form, x·W [+ c] with W `[K, M]`: a dense layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx_graphsurgeon as gs
from onnx import TensorProto

from snnc.emit.nodes import Nodes
from snnc.ir.graph import constant, sample_shape
from snnc.ir.signal import FloatArray, Signal
from snnc.operators.contract import (
    Finding,
    IntArray,
    Mode,
    WeightedOperator,
    Weights,
    bias_of_block,
    sums_of_products,
)

if TYPE_CHECKING:
    from snnc.ir.options import Options


class Gemm(WeightedOperator):
    """No attributes; one bias for all samples."""

    name = ann_name = "Gemm"

    def check(self, node: gs.Node, options: Options) -> Iterator[Finding]:
        weight, bias = constant(node, 1), constant(node, 2)
        if weight is not None and (node.attrs or weight.ndim != 2):
            yield "SNN207", "transposed inputs or an addend per sample are not supported", ""
            return
        yield from super().check(node, options)
        if bias is not None and bias.ndim != 1:
            yield "SNN207", "an addend per sample is not supported", ""

    def signal(
        self, node: gs.Node, operands: Sequence[Signal], weights: Weights | None, exact: Weights | None = None
    ) -> Signal:
        assert weights is not None
        by_weight = operands[0].of_channels(weights.weight.shape[0]).arranged(lambda values: values[None])
        before = None if exact is None else np.asarray(exact.weight.T, np.float64)
        return sums_of_products(np.asarray(weights.weight.T, np.float64), by_weight, weights.bias, before, 1)

    def takes(self, node: gs.Node, scale: FloatArray) -> bool:
        return True

    def on_grid(self, node: gs.Node, weights: Weights, scale_in: FloatArray, scale: FloatArray) -> Weights | None:
        weight = weights.weight * (scale_in[:, None] / scale[None])
        return Weights(weight, None if weights.bias is None else weights.bias / scale)

    def fanout(self, node: gs.Node, position: int, cost: IntArray) -> IntArray:
        return np.full(sample_shape(node.inputs[0]), self.weights(node).weight.shape[1], np.int64)

    def macs(self, node: gs.Node) -> int:
        return int(self.weights(node).weight.size)

    def fan_in(self, node: gs.Node) -> int:
        return int(self.weights(node).weight.shape[0])

    def current(self, node: gs.Node, operands: list[str], output: str, mode: Mode, nodes: Nodes) -> str:
        weights = self.weights(node)
        weight = nodes.constant(f"weight/{node.name}", weights.weight.astype(np.float32))
        if mode == "sums":
            weight = nodes.node("Cast", [weight], f"{output}/weight", to=TensorProto.DOUBLE)
        if weights.bias is None:
            return nodes.node("Gemm", [*operands, weight], output)
        if mode == "steps":
            return nodes.node("Gemm", [*operands, weight, nodes.constant(f"bias/{node.name}", weights.bias)], output)
        sums = nodes.node("Gemm", [*operands, weight], f"{output}/weighted")
        return nodes.node("Add", [sums, bias_of_block(nodes, node, weights.bias, output)], output)
