"""Spike words moved by standard operators: reshaped, transposed, pooled, read with a stride.

A sum over a window of spikes is a sum over shifted copies of the plane, so a `SumPool` only moves words too: it makes
copies. Words of a tensor of sample shape `[C, ...]` in m copies are `[N, m·C, ...]`: channel j is channel j mod C of
copy j div C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_graphsurgeon as gs

from snnc.emit.nodes import Nodes, WordNodes
from snnc.ir.graph import activation_inputs, producer, sample_shape
from snnc.ir.trees import is_source
from snnc.operators import is_linear, operator_of


@dataclass(frozen=True)
class Words:
    """Names of the spike words of a tensor; `minus` for signed spikes only. Each is `[N, copies·C, ...]`."""

    plus: str
    minus: str | None = None
    copies: int = 1


def copies_of(tensor: gs.Tensor) -> int | None:
    """In how many copies the spikes of one source reach `tensor` when they are only moved; None if they do not."""
    if is_source(tensor):
        return 1
    node = producer(tensor)
    if node is None or not is_linear(node):
        return None
    operands = [copies_of(operand) for operand in activation_inputs(node)]
    return operator_of(node).copies(node, operands[0]) if len(operands) == 1 and operands[0] is not None else None


class WordMover:
    """Finds or writes the words of the tensors of a tree."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = WordNodes(nodes)
        self._known: dict[str, Words] = {}

    def declare(self, source: gs.Tensor, plus: str, minus: str | None = None) -> None:
        """Tell where the words of a spike source are."""
        self._known[source.name] = Words(plus, minus)

    def of(self, tensor: gs.Tensor) -> Words:
        """The words of a tensor for which `copies_of` is not None."""
        if tensor.name not in self._known:
            node, copies = producer(tensor), copies_of(tensor)
            assert node is not None
            assert copies is not None
            before, room = self.of(activation_inputs(node)[0]), operator_of(node)
            plus = room.move(node, before.plus, before.copies, f"{tensor.name}/plus", self._nodes)
            minus = None
            if before.minus is not None:
                minus = room.move(node, before.minus, before.copies, f"{tensor.name}/minus", self._nodes)
            self._known[tensor.name] = Words(plus, minus, copies)
        return self._known[tensor.name]

    def signs_as_channels(self, tensor: gs.Tensor) -> str:
        """The words of a tensor in one: plus alone; for signed spikes plus and minus of each copy, `[N, m·2C, ...]`."""
        words, (channels, *plane) = self.of(tensor), sample_shape(tensor)
        if words.minus is None:
            return words.plus
        output, parts = f"{tensor.name}/signs", [words.plus, words.minus]
        if words.copies == 1:
            return self._nodes.once("Concat", parts, output, axis=1)
        split = [0, words.copies, channels, *plane]
        by_copy = [self._nodes.reshaped(part, split, f"{part}/by_copy") for part in parts]
        both = self._nodes.once("Concat", by_copy, f"{output}/by_copy", axis=2)
        return self._nodes.reshaped(both, [0, words.copies * 2 * channels, *plane], output)

    def every(self, strides: Sequence[int], sizes: Sequence[int], words: str) -> str:
        """Every `strides`-th word along the spatial axes, `sizes` of them from the first one on."""
        if all(stride == 1 for stride in strides):
            return words
        output = f"{words}/every_{'_'.join(map(str, strides))}"
        return self._nodes.sliced(words, [0] * len(sizes), strides, sizes, output)
