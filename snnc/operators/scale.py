"""`Scale` of domain ai.snnc, y = w·x with one constant w: the 1x1 synapse of an identity path (RMP-SNN, section 5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_graphsurgeon as gs

from snnc.emit.nodes import Nodes
from snnc.ir.domain import DOMAIN
from snnc.ir.graph import sample_shape
from snnc.operators.contract import Bounds, IntArray, Mode, WeightedOperator, Weights


class Scale(WeightedOperator):
    """One synapse per neuron, the same weight for all."""

    name, domain = "Scale", DOMAIN

    def bounds(self, node: gs.Node, operands: Sequence[Bounds], weights: Weights | None) -> Bounds:
        assert weights is not None
        (operand,) = operands
        pairs = np.stack([operand.low * weights.weight, operand.high * weights.weight])
        return Bounds(pairs.min(0), pairs.max(0))

    def fanout(self, node: gs.Node, operand: gs.Tensor, cost: IntArray) -> IntArray:
        return np.ones(sample_shape(operand), np.int64)

    def fan_in(self, node: gs.Node) -> int:
        return 1

    def current(self, node: gs.Node, operands: list[str], output: str, mode: Mode, nodes: Nodes) -> str:
        weight = nodes.constant(f"weight/{node.name}", self.weights(node).weight)
        return nodes.node("Mul", [*operands, weight], output)
