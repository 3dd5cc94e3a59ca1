"""`Reshape` to a constant shape `[-1, dims...]`: the sample's elements in the same order.

Flatten, Squeeze and Unsqueeze become it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import onnx_graphsurgeon as gs

from snnc.emit.nodes import Nodes, WordNodes
from snnc.ir.graph import constant, sample_shape
from snnc.ir.signal import FloatArray, Signal, rearranged
from snnc.operators.contract import Finding, IntArray, LinearOperator, Mode, Weights

if TYPE_CHECKING:
    from snnc.ir.options import Options


class Reshape(LinearOperator):
    """Nothing is computed: every element keeps what is known of it."""

    name = ann_name = "Reshape"
    only_moves = True

    def check(self, node: gs.Node, options: Options) -> Iterator[Finding]:
        if constant(node, 1) is None:
            yield "SNN207", "its shape is not constant", "export with static shapes behind the batch axis"

    def carry(self, node: gs.Node, operands: Sequence[FloatArray]) -> FloatArray:
        return rearranged(operands[0], sample_shape(node.inputs[0]), sample_shape(node.outputs[0]))

    def carry_back(self, node: gs.Node, values: FloatArray) -> list[FloatArray]:
        return [rearranged(values, sample_shape(node.outputs[0]), sample_shape(node.inputs[0]))]

    def signal(
        self, node: gs.Node, operands: Sequence[Signal], weights: Weights | None, exact: Weights | None = None
    ) -> Signal:
        return operands[0].moved(lambda values: self.carry(node, [values]))

    def fanout(self, node: gs.Node, position: int, cost: IntArray) -> IntArray:
        return cost.reshape(sample_shape(node.inputs[0]))

    def copies(self, node: gs.Node, copies: Sequence[int]) -> int:
        return copies[0]

    def move(self, node: gs.Node, words: Sequence[str], copies: int, output: str, nodes: WordNodes) -> str:
        channels, *plane = sample_shape(node.outputs[0])
        return nodes.reshaped(words[0], [0, copies * channels, *plane], output)

    def current(self, node: gs.Node, operands: list[str], output: str, mode: Mode, nodes: Nodes) -> str:
        shape = constant(node, 1)
        assert shape is not None
        return nodes.node("Reshape", [*operands, nodes.constant(f"shape/{node.name}", shape)], output)
