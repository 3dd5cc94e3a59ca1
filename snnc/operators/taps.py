"""Convolutions in float64, which onnxruntime has in float32 only: one product of matrices for each tap of the kernel.

    y = Σ_k W_k · x[positions that tap k sees]

Sums of integers are exact below 2^53. A kernel that covers the whole (padded) plane once is a single product.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from snnc.emit.nodes import Nodes


@dataclass(frozen=True)
class Window:
    """How a kernel moves over a plane: `pads` are all begins, then all ends."""

    kernel: Sequence[int]
    strides: Sequence[int]
    dilations: Sequence[int]
    pads: Sequence[int]

    def starts(self) -> list[tuple[int, ...]]:
        """Where in the padded plane each tap first reads, in the order of the kernel's elements."""
        offsets = [[tap * step for tap in range(size)] for size, step in zip(self.kernel, self.dilations, strict=True)]
        return list(itertools.product(*offsets))


def convolved_by_taps(
    nodes: Nodes,
    x: str,
    weight: np.ndarray,
    window: Window,
    groups: int,
    planes: tuple[Sequence[int], Sequence[int]],
    output: str,
) -> str:
    """Write y `[N, M, out...]` in float64 from `x` `[N, C, in...]`, float64.

    `weight` is float32 `[M, C/groups, kernel...]`; `planes` are the sizes of the input's and the output's plane.
    """
    sizes_in, sizes_out = planes
    outputs, per_group = weight.shape[:2]
    x, sizes = _padded(nodes, x, window, sizes_in, output)
    taps = _taps(nodes, weight, groups, output)
    positions = math.prod(sizes_out)
    covered = [(size - 1) * step + 1 for size, step in zip(window.kernel, window.dilations, strict=True)]
    if positions == 1 and groups == 1 and covered == list(sizes) == list(window.kernel):
        flat = nodes.node("Reshape", [x, nodes.integers([0, per_group * math.prod(sizes)])], f"{output}/flat")
        matrix = weight.reshape(outputs, -1).T.astype(np.float64)
        product = nodes.node("MatMul", [flat, nodes.constant(f"matrix/{output}", matrix)], f"{output}/product")
        return nodes.node("Reshape", [product, nodes.integers([0, outputs, *sizes_out])], output)
    products = []
    for index, starts in enumerate(window.starts()):
        label = f"{output}/tap_{index}"
        ends = [
            start + (size - 1) * stride + 1
            for start, size, stride in zip(starts, sizes_out, window.strides, strict=True)
        ]
        axes = range(2, 2 + len(sizes_out))
        lists = [nodes.integers(values) for values in (starts, ends, axes, window.strides)]
        seen = nodes.node("Slice", [x, *lists], f"{label}/seen")
        columns = nodes.node("Reshape", [seen, nodes.integers([0, groups, per_group, positions])], f"{label}/columns")
        which = nodes.constant(f"tap/{index}", np.array(index, np.int64))
        matrix_of_tap = nodes.node("Gather", [taps, which], f"{label}/matrix", axis=0)
        products.append(nodes.node("MatMul", [matrix_of_tap, columns], f"{label}/product"))
    total = products[0] if len(products) == 1 else nodes.node("Sum", products, f"{output}/total")
    return nodes.node("Reshape", [total, nodes.integers([0, outputs, *sizes_out])], output)


def _padded(nodes: Nodes, x: str, window: Window, sizes: Sequence[int], output: str) -> tuple[str, list[int]]:
    """`x` with zeros around the plane, and the sizes of the plane then."""
    rank = len(sizes)
    begins, ends = list(window.pads[:rank]), list(window.pads[rank:])
    if not any(window.pads):
        return x, list(sizes)
    pads = nodes.integers([0, 0, *begins, 0, 0, *ends])
    nothing = nodes.constant("pad/nothing", np.array(0, np.float64))
    padded = nodes.node("Pad", [x, pads, nothing], f"{output}/padded")
    return padded, [begin + size + end for begin, size, end in zip(begins, sizes, ends, strict=True)]


def _taps(nodes: Nodes, weight: np.ndarray, groups: int, output: str) -> str:
    """The weights in float64 as `[taps, groups, M/groups, C/groups]`, from the float32 initializer of the layer."""
    outputs, per_group, *kernel = weight.shape
    stored = nodes.constant(f"weight/{output}", weight.astype(np.float32))
    shape = nodes.integers([groups, outputs // groups, per_group, math.prod(kernel)])
    grouped = nodes.node("Reshape", [stored, shape], f"{output}/grouped")
    by_tap = nodes.node("Transpose", [grouped], f"{output}/by_tap", perm=[3, 0, 1, 2])
    return nodes.node("Cast", [by_tap], f"{output}/taps", to=TensorProto.DOUBLE)
