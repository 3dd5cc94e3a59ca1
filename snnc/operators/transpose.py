"""`Transpose` of a sample's axes; the batch stays first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx_graphsurgeon as gs

from snnc.emit.nodes import Nodes, WordNodes
from snnc.ir.graph import sample_shape
from snnc.ir.signal import FloatArray, Signal
from snnc.operators.contract import Finding, IntArray, LinearOperator, Mode, Weights

if TYPE_CHECKING:
    from snnc.ir.options import Options


class Transpose(LinearOperator):
    """Nothing is computed: every element keeps what is known of it."""

    name = ann_name = "Transpose"
    only_moves = True

    def check(self, node: gs.Node, options: Options) -> Iterator[Finding]:
        if node.attrs.get("perm", [1])[0] != 0:
            yield "SNN207", "it moves the batch axis", "keep the batch as the first axis of every activation"

    def carry(self, node: gs.Node, operands: Sequence[FloatArray]) -> FloatArray:
        return np.transpose(operands[0], [axis - 1 for axis in self._perm(node)[1:]])

    def carry_back(self, node: gs.Node, values: FloatArray) -> list[FloatArray]:
        return [np.transpose(values, list(self._back(node)))]

    def signal(
        self, node: gs.Node, operands: Sequence[Signal], weights: Weights | None, exact: Weights | None = None
    ) -> Signal:
        return operands[0].moved(lambda values: self.carry(node, [values]))

    def fanout(self, node: gs.Node, position: int, cost: IntArray) -> IntArray:
        return np.transpose(cost, list(self._back(node)))

    def copies(self, node: gs.Node, copies: Sequence[int]) -> int:
        return copies[0]

    def move(self, node: gs.Node, words: Sequence[str], copies: int, output: str, nodes: WordNodes) -> str:
        perm = self._perm(node)
        if copies == 1 or perm[1] == 1:
            return nodes.once("Transpose", list(words), output, perm=perm)
        by_copy = nodes.reshaped(words[0], [0, copies, *sample_shape(node.inputs[0])], f"{output}/by_copy")
        behind_copies = [0, 1, *(axis + 1 for axis in perm[1:])]
        moved = nodes.once("Transpose", [by_copy], f"{output}/moved", perm=behind_copies)
        channels, *plane = sample_shape(node.outputs[0])
        return nodes.reshaped(moved, [0, copies * channels, *plane], output)

    def current(self, node: gs.Node, operands: list[str], output: str, mode: Mode, nodes: Nodes) -> str:
        return nodes.node("Transpose", operands, output, perm=self._perm(node))

    def _back(self, node: gs.Node) -> IntArray:
        """The permutation of a sample's axes that undoes this one."""
        return np.argsort([axis - 1 for axis in self._perm(node)[1:]])

    def _perm(self, node: gs.Node) -> list[int]:
        return [int(axis) for axis in node.attrs["perm"]]
