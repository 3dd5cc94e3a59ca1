"""`DepthToSpace`: blocksize² channels of a pixel become a square of pixels of one channel.

Channel d of the operand goes to row i, column j of the squares of channel c, where d = (i·blocksize + j)·C + c in the
mode DCR, with C channels in the output, and d = c·blocksize² + i·blocksize + j in the mode CRD.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_graphsurgeon as gs

from snnc.emit.nodes import Nodes, WordNodes
from snnc.ir.graph import sample_shape
from snnc.ir.signal import FloatArray, Signal, rearranged
from snnc.operators.contract import IntArray, LinearOperator, Mode, Weights


class DepthToSpace(LinearOperator):
    """Nothing is computed: every element keeps what is known of it. Attributes blocksize and mode (DCR, or CRD)."""

    name = ann_name = "DepthToSpace"
    only_moves = True

    def carry(self, node: gs.Node, operands: Sequence[FloatArray]) -> FloatArray:
        split, perm = _squares(node)
        parts = rearranged(operands[0], sample_shape(node.inputs[0]), split).transpose(perm)
        return rearranged(parts, _permuted(split, perm), sample_shape(node.outputs[0]))

    def carry_back(self, node: gs.Node, values: FloatArray) -> list[FloatArray]:
        split, perm = _squares(node)
        parts = rearranged(values, sample_shape(node.outputs[0]), _permuted(split, perm)).transpose(np.argsort(perm))
        return [rearranged(parts, split, sample_shape(node.inputs[0]))]

    def signal(
        self, node: gs.Node, operands: Sequence[Signal], weights: Weights | None, exact: Weights | None = None
    ) -> Signal:
        return operands[0].moved(lambda values: self.carry(node, [values]))

    def fanout(self, node: gs.Node, position: int, cost: IntArray) -> IntArray:
        split, perm = _squares(node)
        parts: IntArray = cost.reshape(_permuted(split, perm)).transpose(np.argsort(perm))
        return parts.reshape(sample_shape(node.inputs[0]))

    def copies(self, node: gs.Node, copies: Sequence[int]) -> int:
        return copies[0]

    def move(self, node: gs.Node, words: Sequence[str], copies: int, output: str, nodes: WordNodes) -> str:
        split, perm = _squares(node)
        channels, *plane = sample_shape(node.outputs[0])
        by_copy = nodes.reshaped(words[0], [0, copies, *split], f"{output}/by_copy")
        moved = nodes.once("Transpose", [by_copy], f"{output}/moved", perm=[0, 1, *(axis + 2 for axis in perm)])
        return nodes.reshaped(moved, [0, copies * channels, *plane], output)

    def current(self, node: gs.Node, operands: list[str], output: str, mode: Mode, nodes: Nodes) -> str:
        return nodes.node("DepthToSpace", operands, output, **node.attrs)


def _squares(node: gs.Node) -> tuple[list[int], list[int]]:
    """A sample's shape with the place in the square (i, j) on axes of its own; what moves them behind rows, columns."""
    size = int(node.attrs["blocksize"])
    _, height, width = sample_shape(node.inputs[0])
    channels = sample_shape(node.outputs[0])[0]
    if node.attrs.get("mode", "DCR") == "DCR":
        return [size, size, channels, height, width], [2, 3, 0, 4, 1]
    return [channels, size, size, height, width], [0, 3, 1, 4, 2]


def _permuted(shape: list[int], perm: list[int]) -> list[int]:
    return [shape[axis] for axis in perm]
