"""Spike words moved by standard operators: reshaped, transposed, pooled, read with a stride.

A sum over a window of spikes is a sum over shifted copies of the plane, so a `SumPool` only moves words too: it makes
copies. Words of a tensor of sample shape `[C, ...]` in m copies are `[N, m·C, ...]`: channel j is channel j mod C of
copy j div C.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from snnc.graph import SHAPE_OPS, activation_inputs, constant, is_source, producer, sample_shape
from snnc.nodes import Nodes

# Windows that tile the plane share its words out among the copies; a global pool is one such window.
LARGEST_COPIES = 4096
# Windows that overlap, or leave gaps, are gathered one slice per element, and the words multiply.
LARGEST_WINDOW = 16
LARGEST_COPIES_OF_SLICES = 256


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
    if node is None or node.op not in (*SHAPE_OPS, "SumPool") or _multiplies(node):
        return None
    copies = copies_of(activation_inputs(node)[0])
    if copies is None or node.op in SHAPE_OPS:
        return copies
    window = math.prod(node.attrs["kernel_shape"])
    copies *= window
    if _tiles_the_plane(node):
        return copies if copies <= LARGEST_COPIES else None
    return copies if window <= LARGEST_WINDOW and copies <= LARGEST_COPIES_OF_SLICES else None


def _multiplies(node: gs.Node) -> bool:
    """Whether this is a `SumPool` that multiplies its sums."""
    return node.op == "SumPool" and constant(node, 1) is not None


def _tiles_the_plane(pool: gs.Node) -> bool:
    """Whether windows lie side by side along every axis, or there is one."""
    sizes = sample_shape(pool.outputs[0])[1:]
    axes = zip(pool.attrs["kernel_shape"], pool.attrs["strides"], sizes, strict=True)
    return all(kernel == stride or size == 1 for kernel, stride, size in axes)


class WordMover:
    """Writes the nodes that move words. What has been written already is not written twice."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._known: dict[str, Words] = {}
        self._written: dict[tuple[str, tuple[str, ...], str], str] = {}

    def declare(self, source: gs.Tensor, plus: str, minus: str | None = None) -> None:
        """Tell where the words of a spike source are."""
        self._known[source.name] = Words(plus, minus)

    def of(self, tensor: gs.Tensor) -> Words:
        """The words of a tensor for which `copies_of` is not None."""
        if tensor.name not in self._known:
            node, copies = producer(tensor), copies_of(tensor)
            assert node is not None
            assert copies is not None
            before = self.of(activation_inputs(node)[0])
            move = {"Reshape": self._reshape, "Transpose": self._transpose, "SumPool": self._pool}[node.op]
            plus = move(node, before.plus, before.copies, f"{tensor.name}/plus")
            minus = None if before.minus is None else move(node, before.minus, before.copies, f"{tensor.name}/minus")
            self._known[tensor.name] = Words(plus, minus, copies)
        return self._known[tensor.name]

    def signs_as_channels(self, tensor: gs.Tensor) -> str:
        """The words of a tensor in one: plus alone; for signed spikes plus and minus of each copy, `[N, m·2C, ...]`."""
        words, (channels, *plane) = self.of(tensor), sample_shape(tensor)
        if words.minus is None:
            return words.plus
        output, parts = f"{tensor.name}/signs", [words.plus, words.minus]
        if words.copies == 1:
            return self._write("Concat", parts, output, axis=1)
        split = [0, words.copies, channels, *plane]
        by_copy = [self._reshaped(part, split, f"{part}/by_copy") for part in parts]
        both = self._write("Concat", by_copy, f"{output}/by_copy", axis=2)
        return self._reshaped(both, [0, words.copies * 2 * channels, *plane], output)

    def every(self, strides: Sequence[int], sizes: Sequence[int], words: str) -> str:
        """Every `strides`-th word along the spatial axes, `sizes` of them from the first one on."""
        if all(stride == 1 for stride in strides):
            return words
        output = f"{words}/every_{'_'.join(map(str, strides))}"
        return self._sliced(words, [0] * len(sizes), strides, sizes, output)

    def _reshape(self, node: gs.Node, words: str, copies: int, output: str) -> str:
        channels, *plane = sample_shape(node.outputs[0])
        return self._reshaped(words, [0, copies * channels, *plane], output)

    def _transpose(self, node: gs.Node, words: str, copies: int, output: str) -> str:
        perm = [int(axis) for axis in node.attrs["perm"]]
        if copies == 1 or perm[1] == 1:
            return self._write("Transpose", [words], output, perm=perm)
        by_copy = self._reshaped(words, [0, copies, *sample_shape(node.inputs[0])], f"{output}/by_copy")
        behind_copies = [0, 1, *(axis + 1 for axis in perm[1:])]
        moved = self._write("Transpose", [by_copy], f"{output}/moved", perm=behind_copies)
        channels, *plane = sample_shape(node.outputs[0])
        return self._reshaped(moved, [0, copies * channels, *plane], output)

    def _pool(self, node: gs.Node, words: str, copies: int, output: str) -> str:
        channels, *plane = sample_shape(node.inputs[0])
        sizes = sample_shape(node.outputs[0])[1:]
        kernel, strides = list(node.attrs["kernel_shape"]), list(node.attrs["strides"])
        begins, ends = np.reshape(node.attrs["pads"], (2, -1)).tolist()
        if any(begins) or any(ends):
            no_spikes = self._nodes.constant("words/no_spikes", np.array(0, np.uint64))
            pads = self._nodes.integers([0, 0, *begins, 0, 0, *ends])
            words = self._write("Pad", [words, pads, no_spikes], f"{output}/padded")
            plane = [sum(parts) for parts in zip(plane, begins, ends, strict=True)]
        if not _tiles_the_plane(node):
            offsets = itertools.product(*map(range, kernel))
            slices = [
                self._sliced(words, offset, strides, sizes, f"{output}/{'_'.join(map(str, offset))}")
                for offset in offsets
            ]
            return self._write("Concat", slices, output, axis=1)
        used = [size * width for size, width in zip(sizes, kernel, strict=True)]
        if used != plane:
            words = self._sliced(words, [0] * len(used), [1] * len(used), used, f"{output}/cropped")
        # [N, m·C, y, ky, x, kx] → [N, ky, kx, m·C, y, x]
        pairs = itertools.chain.from_iterable(zip(sizes, kernel, strict=True))
        tiles = self._reshaped(words, [0, copies * channels, *pairs], f"{output}/tiles")
        rank = len(kernel)
        perm = [0, *range(3, 3 + 2 * rank, 2), 1, *range(2, 2 + 2 * rank, 2)]
        by_element = self._write("Transpose", [tiles], f"{output}/by_element", perm=perm)
        return self._reshaped(by_element, [0, math.prod(kernel) * copies * channels, *sizes], output)

    def _reshaped(self, words: str, shape: Sequence[int], output: str) -> str:
        return self._write("Reshape", [words, self._nodes.integers(shape)], output)

    def _sliced(
        self, words: str, starts: Sequence[int], steps: Sequence[int], sizes: Sequence[int], output: str
    ) -> str:
        """`sizes` words along each spatial axis."""
        ends = [start + (size - 1) * step + 1 for start, step, size in zip(starts, steps, sizes, strict=True)]
        lists = [self._nodes.integers(values) for values in (starts, ends, range(2, 2 + len(sizes)), steps)]
        return self._write("Slice", [words, *lists], output)

    def _write(self, op: str, inputs: list[str], output: str, **attrs: Any) -> str:
        key = (op, tuple(inputs), repr(attrs))
        if key not in self._written:
            self._written[key] = self._nodes.node(op, inputs, output, **attrs)
        return self._written[key]
