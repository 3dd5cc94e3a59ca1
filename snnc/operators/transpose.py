"""`Transpose` of a sample's axes; the batch stays first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx_graphsurgeon as gs

from snnc.emit.nodes import Nodes, WordNodes
from snnc.ir.graph import sample_shape
from snnc.operators.contract import Bounds, Finding, IntArray, LinearOperator, Mode, Weights

if TYPE_CHECKING:
    from snnc.ir.options import Options


class Transpose(LinearOperator):
    """Where the channel axis moves, the widest bounds hold for all channels."""

    name = ann_name = "Transpose"

    def check(self, node: gs.Node, options: Options) -> Iterator[Finding]:
        if node.attrs.get("perm", [1])[0] != 0:
            yield "SNN207", "it moves the batch axis", "keep the batch as the first axis of every activation"

    def bounds(self, node: gs.Node, operands: Sequence[Bounds], weights: Weights | None) -> Bounds:
        return operands[0] if self._perm(node)[1] == 1 else operands[0].mixed(sample_shape(node.outputs[0])[0])

    def fanout(self, node: gs.Node, operand: gs.Tensor, cost: IntArray) -> IntArray:
        back = np.argsort([axis - 1 for axis in self._perm(node)[1:]])
        return np.transpose(cost, list(back))

    def copies(self, node: gs.Node, copies: int) -> int:
        return copies

    def move(self, node: gs.Node, words: str, copies: int, output: str, nodes: WordNodes) -> str:
        perm = self._perm(node)
        if copies == 1 or perm[1] == 1:
            return nodes.once("Transpose", [words], output, perm=perm)
        by_copy = nodes.reshaped(words, [0, copies, *sample_shape(node.inputs[0])], f"{output}/by_copy")
        behind_copies = [0, 1, *(axis + 1 for axis in perm[1:])]
        moved = nodes.once("Transpose", [by_copy], f"{output}/moved", perm=behind_copies)
        channels, *plane = sample_shape(node.outputs[0])
        return nodes.reshaped(moved, [0, copies * channels, *plane], output)

    def current(self, node: gs.Node, operands: list[str], output: str, mode: Mode, nodes: Nodes) -> str:
        return nodes.node("Transpose", operands, output, perm=self._perm(node))

    def _perm(self, node: gs.Node) -> list[int]:
        return [int(axis) for axis in node.attrs["perm"]]
