"""`SumPool` of domain ai.snnc, from `AveragePool`: Σ over the window × m / divisor.

Where the number n of averaged elements differs from window to window (borders), divisor = lcm of all n and m = lcm / n,
an exact integer map. The divisor goes into the scale, so that what flows is a sum of integers.

A sum over a window of spikes is a sum over shifted copies of the plane, so words are only moved: the pool makes copies.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx_graphsurgeon as gs

from snnc.emit.nodes import Nodes, WordNodes
from snnc.ir.domain import DOMAIN
from snnc.ir.graph import constant, sample_shape
from snnc.ir.names import own
from snnc.ir.signal import FloatArray, Signal
from snnc.operators.contract import DTYPE, Finding, IntArray, LinearOperator, Mode, Weights, elements_reached
from snnc.operators.taps import Window, convolved_by_taps

if TYPE_CHECKING:
    from snnc.ir.options import Options

# Windows that tile the plane share its words out among the copies; a global pool is one such window.
LARGEST_COPIES = 4096
# Windows that overlap, or leave gaps, are gathered one slice per element, and the words multiply.
LARGEST_WINDOW = 16
LARGEST_COPIES_OF_SLICES = 256


class SumPool(LinearOperator):
    """Attributes kernel_shape, strides, pads (begin..., end...), divisor; the map m as second input, `[1, 1, ...]`."""

    name, domain, ann_name = "SumPool", DOMAIN, "AveragePool"

    def check(self, node: gs.Node, options: Options) -> Iterator[Finding]:
        if any(size != 1 for size in node.attrs["dilations"]):
            yield "SNN207", "dilated average pooling is not supported", ""

    def become_spiking(self, node: gs.Node) -> None:
        averaged, pads = _averaged_elements(node)
        divisor = math.lcm(*(int(count) for count in np.unique(averaged)))
        inputs = [node.inputs[0]]
        if np.unique(averaged).size > 1:
            multiplicity = (divisor // averaged).astype(np.float32)[None, None]
            inputs.append(gs.Constant(own(f"{node.name}/multiplicity"), multiplicity))
        kernel, strides = list(node.attrs["kernel_shape"]), list(node.attrs["strides"])
        node.op, node.domain = self.name, self.domain
        node.attrs = {"kernel_shape": kernel, "strides": strides, "pads": pads, "divisor": divisor}
        node.inputs = inputs

    def divisor(self, node: gs.Node) -> int:
        return int(node.attrs["divisor"])

    def carry(self, node: gs.Node, operands: Sequence[FloatArray]) -> FloatArray | None:
        return None if any(size > 1 for size in operands[0].shape[1:]) else operands[0]

    def carry_back(self, node: gs.Node, values: FloatArray) -> list[FloatArray] | None:
        return None if any(size > 1 for size in values.shape[1:]) else [values]

    def signal(
        self, node: gs.Node, operands: Sequence[Signal], weights: Weights | None, exact: Weights | None = None
    ) -> Signal:
        plane = sample_shape(node.inputs[0])[1:]
        worst = operands[0].moved(lambda values: _worst_of_plane(values, len(plane)))
        return worst.times(node.attrs["divisor"])

    def fanout(self, node: gs.Node, position: int, cost: IntArray) -> IntArray:
        sizes = sample_shape(node.inputs[0])[1:]
        return np.stack([elements_reached(node, plane, sizes, [1] * len(sizes)) for plane in cost])

    def copies(self, node: gs.Node, copies: Sequence[int]) -> int | None:
        if constant(node, 1) is not None:
            return None  # it multiplies its sums
        window = math.prod(node.attrs["kernel_shape"])
        made = copies[0] * window
        if _tiles_the_plane(node):
            return made if made <= LARGEST_COPIES else None
        return made if window <= LARGEST_WINDOW and made <= LARGEST_COPIES_OF_SLICES else None

    def move(self, node: gs.Node, words: Sequence[str], copies: int, output: str, nodes: WordNodes) -> str:
        (moved,) = words
        channels, *plane = sample_shape(node.inputs[0])
        sizes = sample_shape(node.outputs[0])[1:]
        kernel, strides = list(node.attrs["kernel_shape"]), list(node.attrs["strides"])
        begins, ends = np.reshape(node.attrs["pads"], (2, -1)).tolist()
        if any(begins) or any(ends):
            moved = nodes.padded(moved, begins, ends, f"{output}/padded")
            plane = [sum(parts) for parts in zip(plane, begins, ends, strict=True)]
        if not _tiles_the_plane(node):
            slices = [
                nodes.sliced(moved, offset, strides, sizes, f"{output}/{'_'.join(map(str, offset))}")
                for offset in itertools.product(*map(range, kernel))
            ]
            return nodes.once("Concat", slices, output, axis=1)
        used = [size * width for size, width in zip(sizes, kernel, strict=True)]
        if used != plane:
            moved = nodes.sliced(moved, [0] * len(used), [1] * len(used), used, f"{output}/cropped")
        # One axis after the other, which onnxruntime does faster: [N, P, ..., x, kx] → [N, kx, P, ..., x]
        planes, after = copies * channels, len(used)
        for axis in reversed(range(len(used))):
            before, width = used[:axis], kernel[axis]
            tiles = nodes.reshaped(
                moved, [0, planes, *before, sizes[axis], width, *sizes[axis + 1 :]], f"{output}/tiles_{axis}"
            )
            places = range(1, 3 + axis)
            perm = [0, 3 + axis, *places, *range(4 + axis, 3 + after)]
            moved = nodes.once("Transpose", [tiles], f"{output}/by_element_{axis}", perm=perm)
            planes *= width
        return nodes.reshaped(moved, [0, planes, *sizes], output)

    def current(self, node: gs.Node, operands: list[str], output: str, mode: Mode, nodes: Nodes) -> str:
        channels, *sizes = sample_shape(node.inputs[0])
        multiplicity = constant(node, 1)
        summed = output if multiplicity is None else f"{output}/sums"
        if _is_global(node):
            axes = nodes.constant(f"axes/{node.name}", np.arange(2, 2 + len(sizes), dtype=np.int64))
            summed = nodes.node("ReduceSum", [*operands, axes], summed, keepdims=1)
        else:
            ones = np.ones((channels, 1, *node.attrs["kernel_shape"]), np.float32)
            summed = self._windows(node, operands[0], ones, summed, mode, nodes)
        if multiplicity is None:
            return summed
        factor = nodes.constant(f"multiplicity/{node.name}/{mode}", multiplicity.astype(DTYPE[mode]))
        return nodes.node("Mul", [summed, factor], output)

    def _windows(self, node: gs.Node, x: str, ones: np.ndarray, output: str, mode: Mode, nodes: Nodes) -> str:
        """The sums over windows, as a convolution of every channel by itself."""
        channels, *sizes = sample_shape(node.inputs[0])
        kernel, strides, pads = (list(node.attrs[name]) for name in ("kernel_shape", "strides", "pads"))
        if mode == "steps":
            weight = nodes.constant(f"window/{node.name}", ones)
            return nodes.node(
                "Conv", [x, weight], output, kernel_shape=kernel, strides=strides, pads=pads, group=channels
            )
        planes = sizes, sample_shape(node.outputs[0])[1:]
        window = Window(kernel, strides, [1] * len(kernel), pads)
        return convolved_by_taps(nodes, x, ones, window, channels, planes, output)


def _averaged_elements(node: gs.Node) -> tuple[IntArray, list[int]]:
    """Of an `AveragePool`: how many elements each window averages over; pads that reach as far as its windows do."""
    kernel, strides = list(node.attrs["kernel_shape"]), list(node.attrs["strides"])
    pads, rank = list(node.attrs["pads"]), len(kernel)
    sizes_in, sizes_out = sample_shape(node.inputs[0])[1:], sample_shape(node.outputs[0])[1:]
    averaged = np.ones((), np.int64)
    for axis in range(rank):
        lowest, highest = 0, sizes_in[axis]
        if node.attrs.get("count_include_pad", 0):
            lowest, highest = -pads[axis], sizes_in[axis] + pads[rank + axis]
        # ceil_mode lets the last window reach beyond the padded input: such elements never count
        firsts = [position * strides[axis] - pads[axis] for position in range(sizes_out[axis])]
        counts = [min(first + kernel[axis], highest) - max(first, lowest) for first in firsts]
        averaged = averaged[..., None] * np.array(counts, np.int64)
    for axis in range(rank):
        reach = (sizes_out[axis] - 1) * strides[axis] + kernel[axis]
        pads[rank + axis] = max(0, reach - sizes_in[axis] - pads[axis])
    return averaged, pads


def _is_global(pool: gs.Node) -> bool:
    """Whether there is one window, of the whole plane."""
    plane = list(sample_shape(pool.inputs[0])[1:])
    return list(pool.attrs["kernel_shape"]) == plane and not any(pool.attrs["pads"])


def _tiles_the_plane(pool: gs.Node) -> bool:
    """Whether windows lie side by side along every axis, or there is one."""
    sizes = sample_shape(pool.outputs[0])[1:]
    axes = zip(pool.attrs["kernel_shape"], pool.attrs["strides"], sizes, strict=True)
    return all(kernel == stride or size == 1 for kernel, stride, size in axes)


def _worst_of_plane(values: FloatArray, axes: int) -> FloatArray:
    """The value of largest magnitude of every channel."""
    plane = tuple(range(1, 1 + axes))
    low, high = values.min(plane, keepdims=True), values.max(plane, keepdims=True)
    worst: FloatArray = np.where(-low > high, low, high)
    return worst
