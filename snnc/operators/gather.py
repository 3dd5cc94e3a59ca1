"""`Gather` along one axis of a sample, with constant indices: splits and shuffles of channels, planes that are turned
around or repeated, as nearest-neighbour upsampling does (the pass `picks`)."""

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
    """Nothing is computed: every element keeps what is known of it. Attribute axis, from 1 on; indices may repeat, and
    leave elements out."""

    name = ann_name = "Gather"
    only_moves = True

    def check(self, node: gs.Node, options: Options) -> Iterator[Finding]:
        indices = constant(node, 1)
        if indices is None:
            yield "SNN207", "its indices are computed, not constant", "export with static shapes"
        elif indices.ndim != 1 or node.attrs.get("axis", 0) < 1:
            yield "SNN207", "it picks samples of the batch, or takes an axis away", "keep the axes of every activation"

    def carry(self, node: gs.Node, operands: Sequence[FloatArray]) -> FloatArray:
        (values,) = operands
        axis = _sample_axis(node)
        return values if values.shape[axis] == 1 else np.take(values, _indices(node), axis)

    def carry_back(self, node: gs.Node, values: FloatArray) -> list[FloatArray] | None:
        axis, indices = _sample_axis(node), _indices(node)
        if values.shape[axis] == 1:
            return [values]
        by_index = np.moveaxis(values, axis, 0)
        # What nobody picks may be worth anything.
        back = np.full((sample_shape(node.inputs[0])[axis], *by_index.shape[1:]), values.max())
        back[indices] = by_index
        return [np.moveaxis(back, 0, axis)] if np.array_equal(back[indices], by_index) else None

    def signal(
        self, node: gs.Node, operands: Sequence[Signal], weights: Weights | None, exact: Weights | None = None
    ) -> Signal:
        return operands[0].moved(lambda values: self.carry(node, [values]))

    def fanout(self, node: gs.Node, position: int, cost: IntArray) -> IntArray:
        total = np.zeros(sample_shape(node.inputs[0]), np.int64)
        axis = _sample_axis(node)
        np.add.at(np.moveaxis(total, axis, 0), _indices(node), np.moveaxis(cost, axis, 0))
        return total

    def copies(self, node: gs.Node, copies: Sequence[int]) -> int:
        return copies[0]

    def move(self, node: gs.Node, words: Sequence[str], copies: int, output: str, nodes: WordNodes) -> str:
        axis, indices = _sample_axis(node) + 1, _indices(node)
        if axis > 1:
            return nodes.gathered(words[0], indices, output, axis)
        channels = sample_shape(node.inputs[0])[0]
        every_copy = (np.arange(copies)[:, None] * channels + indices).ravel()
        return nodes.gathered(words[0], every_copy, output)

    def current(self, node: gs.Node, operands: list[str], output: str, mode: Mode, nodes: Nodes) -> str:
        indices = nodes.constant(f"indices/{node.name}", _indices(node))
        return nodes.node("Gather", [*operands, indices], output, axis=_sample_axis(node) + 1)


def _sample_axis(node: gs.Node) -> int:
    return int(node.attrs["axis"]) - 1


def _indices(node: gs.Node) -> IntArray:
    found = constant(node, 1)
    assert found is not None
    return found.astype(np.int64) % sample_shape(node.inputs[0])[_sample_axis(node)]
