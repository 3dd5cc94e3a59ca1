"""`Gather` of channels: axis 1, constant indices. Splits and shuffles of channels are this too (the pass `picks`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx_graphsurgeon as gs

from snnc.emit.nodes import Nodes, WordNodes
from snnc.ir.graph import constant, sample_shape
from snnc.ir.signal import FloatArray, Signal
from snnc.operators.contract import Finding, IntArray, LinearOperator, Mode, Weights

if TYPE_CHECKING:
    from snnc.ir.options import Options


class Gather(LinearOperator):
    """Nothing is computed: every element keeps what is known of it. Indices may repeat, and leave channels out."""

    name = ann_name = "Gather"
    only_moves = True

    def check(self, node: gs.Node, options: Options) -> Iterator[Finding]:
        indices = constant(node, 1)
        if indices is None or indices.ndim != 1 or node.attrs.get("axis", 0) != 1:
            yield "SNN207", "it does not pick channels with constant indices", ""

    def carry(self, node: gs.Node, operands: Sequence[FloatArray]) -> FloatArray:
        (values,) = operands
        return values if values.shape[0] == 1 else values[_indices(node)]

    def carry_back(self, node: gs.Node, values: FloatArray) -> list[FloatArray] | None:
        channels, indices = sample_shape(node.inputs[0])[0], _indices(node)
        if values.shape[0] == 1:
            return [values]
        # What nobody picks may be worth anything.
        back = np.full((channels, *values.shape[1:]), values.max())
        back[indices] = values
        return [back] if np.array_equal(back[indices], values) else None

    def signal(
        self, node: gs.Node, operands: Sequence[Signal], weights: Weights | None, exact: Weights | None = None
    ) -> Signal:
        return operands[0].moved(lambda values: self.carry(node, [values]))

    def fanout(self, node: gs.Node, position: int, cost: IntArray) -> IntArray:
        total = np.zeros(sample_shape(node.inputs[0]), np.int64)
        np.add.at(total, _indices(node), cost)
        return total

    def copies(self, node: gs.Node, copies: Sequence[int]) -> int:
        return copies[0]

    def move(self, node: gs.Node, words: Sequence[str], copies: int, output: str, nodes: WordNodes) -> str:
        channels, indices = sample_shape(node.inputs[0])[0], _indices(node)
        every_copy = (np.arange(copies)[:, None] * channels + indices).ravel()
        return nodes.gathered(words[0], every_copy, output)

    def current(self, node: gs.Node, operands: list[str], output: str, mode: Mode, nodes: Nodes) -> str:
        return nodes.node("Gather", [*operands, nodes.constant(f"indices/{node.name}", _indices(node))], output, axis=1)


def _indices(node: gs.Node) -> IntArray:
    found = constant(node, 1)
    assert found is not None
    return found.astype(np.int64) % sample_shape(node.inputs[0])[0]
