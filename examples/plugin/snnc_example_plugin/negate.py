"""`Negate` of the domain com.example.snnc, from ONNX's `Neg`: y = -x, on the currents of a layer."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_graphsurgeon as gs

from snnc.emit.nodes import Nodes
from snnc.operators.contract import Bounds, IntArray, LinearOperator, Mode, Weights


class Negate(LinearOperator):
    """Spikes have no sign, so words cannot be negated: the layer stays plain, and its currents change their sign."""

    name, domain, ann_name = "Negate", "com.example.snnc", "Neg"
    functions = ("Negate (x) => (y) { y = Neg (x) }",)

    def become_spiking(self, node: gs.Node) -> None:
        node.op, node.domain = self.name, self.domain

    def bounds(self, node: gs.Node, operands: Sequence[Bounds], weights: Weights | None) -> Bounds:
        (operand,) = operands
        return Bounds(-operand.high, -operand.low)

    def fanout(self, node: gs.Node, operand: gs.Tensor, cost: IntArray) -> IntArray:
        return cost

    def current(self, node: gs.Node, operands: list[str], output: str, mode: Mode, nodes: Nodes) -> str:
        return nodes.node(self.name, operands, output, domain=self.domain)
