"""`Scale` of domain ai.snnc, y = w·x with a constant w: the 1x1 synapse of an identity path (RMP-SNN, section 5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_graphsurgeon as gs

from snnc.emit.nodes import Nodes
from snnc.ir.domain import DOMAIN
from snnc.ir.graph import sample_shape
from snnc.ir.signal import FloatArray, Signal
from snnc.operators.contract import DTYPE, IntArray, Mode, WeightedOperator, Weights


class Scale(WeightedOperator):
    """One synapse per neuron. The weight broadcasts against a sample."""

    name, domain = "Scale", DOMAIN

    def signal(
        self, node: gs.Node, operands: Sequence[Signal], weights: Weights | None, exact: Weights | None = None
    ) -> Signal:
        assert weights is not None
        (operand,), weight = operands, self._by_axis(node, weights)
        low = np.minimum(operand.low * weight, operand.high * weight)
        high = np.maximum(operand.low * weight, operand.high * weight)
        noise = power = np.zeros_like(weight)
        if exact is not None:
            error = np.square(weight - self._by_axis(node, exact))
            noise = error * np.square(operand.largest) + np.square(weight) * operand.noise
            power = np.square(weight) * operand.power
        return Signal(low, high, noise, power, np.abs(weight), np.zeros_like(weight))

    def takes(self, node: gs.Node, scale: FloatArray) -> bool:
        return True

    def on_grid(self, node: gs.Node, weights: Weights, scale_in: FloatArray, scale: FloatArray) -> Weights | None:
        return Weights(self._by_axis(node, weights) * scale_in / scale)

    @staticmethod
    def _by_axis(node: gs.Node, weights: Weights) -> FloatArray:
        """The weights in an array that broadcasts against a sample."""
        weight = np.asarray(weights.weight, np.float64)
        return weight.reshape((1,) * (len(sample_shape(node.outputs[0])) - weight.ndim) + weight.shape)

    def fanout(self, node: gs.Node, position: int, cost: IntArray) -> IntArray:
        return np.ones(sample_shape(node.inputs[0]), np.int64)

    def fan_in(self, node: gs.Node) -> int:
        return 1

    def current(self, node: gs.Node, operands: list[str], output: str, mode: Mode, nodes: Nodes) -> str:
        weight = self.weights(node).weight.astype(DTYPE[mode])
        return nodes.node("Mul", [*operands, nodes.constant(f"weight/{node.name}/{mode}", weight)], output)
