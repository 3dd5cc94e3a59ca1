"""Spike words moved by standard operators: reshaped, transposed, pooled, read with a stride.

A sum over a window of spikes is a sum over shifted copies of the plane, so a `SumPool` only moves words too: it makes
copies. Words of a tensor of sample shape `[C, ...]` in m copies are `[N, m·C, ...]`: channel j is channel j mod C of
copy j div C. Signed spikes have two words each: every copy is the C channels of the positive spikes, then the C of the
negative ones, `[N, m·2·C, ...]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from snnc.emit.nodes import Nodes, WordNodes
from snnc.ir.graph import activation_inputs, producer, sample_shape
from snnc.ir.trees import copies_of, is_source, source_signal
from snnc.operators import operator_of


@dataclass(frozen=True)
class Words:
    """The spike words of a tensor: the name of `[N, copies·(1 + signed)·C, ...]`."""

    name: str
    copies: int
    signed: bool

    @property
    def planes(self) -> int:
        """How many times the channels are there."""
        return self.copies * (1 + self.signed)


class WordMover:
    """Finds or writes the words of the tensors of a tree."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = WordNodes(nodes)
        self._known: dict[str, Words] = {}

    def declare(self, source: gs.Tensor, name: str) -> None:
        """Tell where the words of a spike source are."""
        self._known[source.name] = Words(name, 1, source_signal(source).signed)

    def of(self, tensor: gs.Tensor) -> Words:
        """The words of a tensor for which `copies_of` is not None."""
        if tensor.name not in self._known:
            node, copies = producer(tensor), copies_of(tensor)
            assert node is not None
            assert copies is not None
            operands = activation_inputs(node)
            before = [self.of(operand) for operand in operands]
            signed = any(words.signed for words in before)
            names = [self._with_sign(*pair) if signed else pair[1].name for pair in zip(operands, before, strict=True)]
            planes = Words("", before[0].copies, signed).planes
            moved = operator_of(node).move(node, names, planes, f"{tensor.name}/words", self._nodes)
            self._known[tensor.name] = Words(moved, copies, signed)
        return self._known[tensor.name]

    def _with_sign(self, tensor: gs.Tensor, words: Words) -> str:
        """The words of `tensor` as those of spikes with signs: without negative ones, where they have none."""
        if words.signed:
            return words.name
        channels, *plane = sample_shape(tensor)
        by_copy = self._nodes.reshaped(words.name, [0, words.copies, channels, *plane], f"{words.name}/by_copy")
        zeros = [0] * (1 + len(plane))
        both = self._nodes.padded(by_copy, zeros, [channels, *zeros[1:]], f"{words.name}/both_signs")
        return self._nodes.reshaped(both, [0, words.copies * 2 * channels, *plane], f"{words.name}/with_sign")

    def late(self, nodes: Nodes, skipped: str) -> LateWords:
        """The same sources, without their first `skipped` steps (an int64 tensor)."""
        return LateWords(nodes, self, skipped)

    def every(self, strides: Sequence[int], sizes: Sequence[int], words: str) -> str:
        """Every `strides`-th word along the spatial axes, `sizes` of them from the first one on."""
        if all(stride == 1 for stride in strides):
            return words
        output = f"{words}/every_{'_'.join(map(str, strides))}"
        return self._nodes.sliced(words, [0] * len(sizes), strides, sizes, output)


class LateWords(WordMover):
    """Words without the first steps of the block: bit 0 is the first step that is left."""

    def __init__(self, nodes: Nodes, whole: WordMover, skipped: str) -> None:
        super().__init__(nodes)
        self._whole = whole
        # A shift by 64, of a block that is skipped altogether, is not defined: two shifts.
        half = nodes.node("Div", [skipped, nodes.constant("late/two", np.int64(2))], "late/half")
        rest = nodes.node("Sub", [skipped, half], "late/rest")
        self._shifts = [
            nodes.node("Cast", [part], f"{part}/unsigned", to=onnx.TensorProto.UINT64) for part in (half, rest)
        ]

    def of(self, tensor: gs.Tensor) -> Words:
        if tensor.name not in self._known and is_source(tensor):
            words = self._whole.of(tensor)
            name = words.name
            for shift in self._shifts:
                name = self._nodes.once("BitShift", [name, shift], f"{words.name}/late", direction="RIGHT")
            self._known[tensor.name] = Words(name, words.copies, words.signed)
        return super().of(tensor)
