"""`Negate` of the domain com.example.snnc, from ONNX's `Neg`: y = -x, on the currents of a layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx_graphsurgeon as gs

from snnc.emit.nodes import Nodes
from snnc.ir.signal import Signal
from snnc.operators.contract import IntArray, LinearOperator, Mode, Weights


class Negate(LinearOperator):
    """Spikes have no sign, so words cannot be negated: the layer stays plain, and its currents change their sign."""

    name, domain, ann_name = "Negate", "com.example.snnc", "Neg"
    functions = ("Negate (x) => (y) { y = Neg (x) }",)

    def become_spiking(self, node: gs.Node) -> None:
        node.op, node.domain = self.name, self.domain

    def signal(
        self, node: gs.Node, operands: Sequence[Signal], weights: Weights | None, exact: Weights | None = None
    ) -> Signal:
        (operand,) = operands
        return replace(operand, low=-operand.high, high=-operand.low, copies=None)

    def fanout(self, node: gs.Node, position: int, cost: IntArray) -> IntArray:
        return cost

    def current(self, node: gs.Node, operands: list[str], output: str, mode: Mode, nodes: Nodes) -> str:
        return nodes.node(self.name, operands, output, domain=self.domain)
