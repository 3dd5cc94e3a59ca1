"""`Concat` of activations along an axis of the sample: branches side by side, as in GoogLeNet or DenseNet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx_graphsurgeon as gs

from snnc.emit.nodes import Nodes, WordNodes
from snnc.ir.graph import activation_inputs, sample_shape
from snnc.ir.signal import FloatArray, Signal, collapsed
from snnc.operators.contract import Finding, IntArray, LinearOperator, Mode, Weights

if TYPE_CHECKING:
    from snnc.ir.options import Options


class Concat(LinearOperator):
    """Nothing is computed: every element keeps what is known of it. Attribute axis, from 1 on."""

    name = ann_name = "Concat"
    only_moves = True

    def check(self, node: gs.Node, options: Options) -> Iterator[Finding]:
        if len(activation_inputs(node)) < len(node.inputs):
            yield "SNN207", "it puts a constant beside activations", ""
        elif node.attrs["axis"] % len(node.outputs[0].shape) == 0:
            yield "SNN207", "it joins samples of different activations", "keep the batch of every activation the same"

    def become_spiking(self, node: gs.Node) -> None:
        node.attrs = {"axis": node.attrs["axis"] % len(node.outputs[0].shape)}

    def carry(self, node: gs.Node, operands: Sequence[FloatArray]) -> FloatArray:
        shapes = [sample_shape(tensor) for tensor in activation_inputs(node)]
        axis = _sample_axis(node)
        whole = [np.broadcast_to(values, shape) for values, shape in zip(operands, shapes, strict=True)]
        return collapsed(np.concatenate(whole, axis))

    def carry_back(self, node: gs.Node, values: FloatArray) -> list[FloatArray]:
        axis = _sample_axis(node)
        if values.shape[axis] == 1:
            return [values] * len(node.inputs)
        return [collapsed(part) for part in np.split(values, _starts(node)[1:], axis)]

    def signal(
        self, node: gs.Node, operands: Sequence[Signal], weights: Weights | None, exact: Weights | None = None
    ) -> Signal:
        fields = ("low", "high", "noise", "power", "peak", "rows")
        joined = {name: self.carry(node, [getattr(each, name) for each in operands]) for name in fields}
        known = [each.copies for each in operands if each.copies is not None]
        return Signal(**joined, copies=self.copies(node, known) if len(known) == len(operands) else None)

    def fanout(self, node: gs.Node, position: int, cost: IntArray) -> IntArray:
        part: IntArray = np.split(cost, _starts(node)[1:], _sample_axis(node))[position]
        return part

    def copies(self, node: gs.Node, copies: Sequence[int]) -> int | None:
        return copies[0] if len(set(copies)) == 1 else None

    def move(self, node: gs.Node, words: Sequence[str], copies: int, output: str, nodes: WordNodes) -> str:
        axis = int(node.attrs["axis"])
        if copies == 1 or axis > 1:
            return nodes.once("Concat", list(words), output, axis=axis)
        shapes = [sample_shape(tensor) for tensor in activation_inputs(node)]
        by_copy = [
            nodes.reshaped(name, [0, copies, *shape], f"{output}/by_copy_{index}")
            for index, (name, shape) in enumerate(zip(words, shapes, strict=True))
        ]
        joined = nodes.once("Concat", by_copy, f"{output}/joined", axis=2)
        channels, *plane = sample_shape(node.outputs[0])
        return nodes.reshaped(joined, [0, copies * channels, *plane], output)

    def current(self, node: gs.Node, operands: list[str], output: str, mode: Mode, nodes: Nodes) -> str:
        return nodes.node("Concat", operands, output, axis=int(node.attrs["axis"]))


def _sample_axis(node: gs.Node) -> int:
    return int(node.attrs["axis"]) - 1


def _starts(node: gs.Node) -> list[int]:
    """Where along the axis each operand begins."""
    sizes = [sample_shape(tensor)[_sample_axis(node)] for tensor in activation_inputs(node)]
    return [sum(sizes[:index]) for index in range(len(sizes))]
