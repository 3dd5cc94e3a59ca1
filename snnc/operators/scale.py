"""`Scale` of domain ai.snnc, y = w·x [+ b] with constants w and b: the 1x1 synapse of an identity path (RMP-SNN,
section 5), and the affine functions that no layer beside them takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx_graphsurgeon as gs
from onnx import TensorProto

from snnc.emit.nodes import Nodes
from snnc.ir.domain import DOMAIN
from snnc.ir.graph import sample_shape
from snnc.ir.signal import FloatArray, Signal
from snnc.operators.contract import DTYPE, IntArray, Mode, WeightedOperator, Weights


class Scale(WeightedOperator):
    """One synapse per neuron. Weight and bias broadcast against a sample."""

    name, domain, ann_name = "Scale", DOMAIN, "Scale"

    def signal(
        self, node: gs.Node, operands: Sequence[Signal], weights: Weights | None, exact: Weights | None = None
    ) -> Signal:
        assert weights is not None
        (operand,), weight = operands, self._by_axis(node, weights.weight)
        low = np.minimum(operand.low * weight, operand.high * weight)
        high = np.maximum(operand.low * weight, operand.high * weight)
        noise = power = np.zeros_like(weight)
        if exact is not None:
            error = np.square(weight - self._by_axis(node, exact.weight))
            noise = error * np.square(operand.largest) + np.square(weight) * operand.noise
            power = np.square(weight) * operand.power
        if weights.bias is not None:
            bias = self._by_axis(node, weights.bias)
            low, high = low + np.minimum(bias, 0), high + np.maximum(bias, 0)
            power = power if exact is None else power + np.square(bias)
        return Signal(low, high, noise, power, np.abs(weight), np.zeros_like(weight))

    def may_be_zero(self, bias: npt.NDArray[np.floating] | None) -> bool:
        """A constant beside activations is 0·x + b (the pass `joined_constants`)."""
        return bias is not None

    def takes(self, node: gs.Node, scale: FloatArray) -> bool:
        return True

    def on_grid(self, node: gs.Node, weights: Weights, scale_in: FloatArray, scale: FloatArray) -> Weights | None:
        bias = None if weights.bias is None else self._by_axis(node, weights.bias) / scale
        return Weights(self._by_axis(node, weights.weight) * scale_in / scale, bias)

    @staticmethod
    def _by_axis(node: gs.Node, values: npt.NDArray[np.floating]) -> FloatArray:
        """Constants in an array that broadcasts against a sample."""
        found: FloatArray = np.asarray(values, np.float64)
        return found.reshape((1,) * (len(sample_shape(node.outputs[0])) - found.ndim) + found.shape)

    def fanout(self, node: gs.Node, position: int, cost: IntArray) -> IntArray:
        return np.ones(sample_shape(node.inputs[0]), np.int64)

    def fan_in(self, node: gs.Node) -> int:
        return 1

    def current(self, node: gs.Node, operands: list[str], output: str, mode: Mode, nodes: Nodes) -> str:
        weights = self.weights(node)
        weight = nodes.constant(f"weight/{node.name}/{mode}", weights.weight.astype(DTYPE[mode]))
        if weights.bias is None:
            return nodes.node("Mul", [*operands, weight], output)
        weighted = nodes.node("Mul", [*operands, weight], f"{output}/weighted")
        bias = nodes.constant(f"bias/{node.name}/{mode}", weights.bias.astype(DTYPE[mode]))
        if mode == "sums":
            steps = nodes.node("Cast", [nodes.count], f"{output}/count", to=TensorProto.DOUBLE)
            bias = nodes.node("Mul", [bias, steps], f"{output}/bias")
        return nodes.node("Add", [weighted, bias], output)
