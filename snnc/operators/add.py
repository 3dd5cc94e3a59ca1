"""`Add` of two activations of one shape: a junction, where the currents of two branches meet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import onnx_graphsurgeon as gs

from snnc.emit.nodes import Nodes
from snnc.ir.graph import activation_inputs, describe
from snnc.ir.signal import Signal
from snnc.operators.contract import Finding, IntArray, LinearOperator, Mode, Weights

if TYPE_CHECKING:
    from snnc.ir.options import Options


class Add(LinearOperator):
    """Both operands are on the scale of the sum."""

    name = ann_name = "Add"

    def check(self, node: gs.Node, options: Options) -> Iterator[Finding]:
        operands = activation_inputs(node)
        if len(operands) != 2:
            yield (
                "SNN207",
                "it adds a constant that is not the same for every sample, or makes the activation larger",
                "add constants in the shape of a sample, or smaller ones",
            )
        elif list(operands[0].shape or []) != list(operands[1].shape or []):
            shapes = " and ".join(describe(tensor) for tensor in operands)
            yield "SNN207", f"it adds activations of different shapes, {shapes}", "make the shapes equal"

    def signal(
        self, node: gs.Node, operands: Sequence[Signal], weights: Weights | None, exact: Weights | None = None
    ) -> Signal:
        return operands[0].plus(operands[1])

    def fanout(self, node: gs.Node, position: int, cost: IntArray) -> IntArray:
        return cost

    def current(self, node: gs.Node, operands: list[str], output: str, mode: Mode, nodes: Nodes) -> str:
        return nodes.node("Add", operands, output)
