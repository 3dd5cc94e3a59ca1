"""Kernels in the one form that NIR and its readers share: as wide as high, the same pad on both sides, no groups.

The package nir takes the first size of a kernel for all (`calculate_conv_output`), and the channels of a group for all
that come in; so graphs with other kernels cannot be read back. Zeros make up for both, and no sum changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snnc.ir.signal import FloatArray


@dataclass(frozen=True)
class Kernel:
    """Weights `[outputs, inputs, taps...]`, and by axis of the plane stride, pad of either side and dilation."""

    weight: FloatArray
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]


def stretched(weight: FloatArray, dilations: Sequence[int]) -> FloatArray:
    """The same taps with zeros between them, for a dilation of 1."""
    sizes = [(size - 1) * dilation + 1 for size, dilation in zip(weight.shape[2:], dilations, strict=True)]
    found = np.zeros((*weight.shape[:2], *sizes))
    places = tuple(slice(None, None, step) for step in (1, 1, *dilations))
    found[places] = weight
    return found


def without_groups(weight: FloatArray, group: int) -> FloatArray:
    """The same convolution over all channels, with zeros between groups."""
    outputs, inputs = weight.shape[0] // group, weight.shape[1]
    full = np.zeros((weight.shape[0], inputs * group, *weight.shape[2:]))
    for index in range(group):
        rows, columns = (slice(index * count, (index + 1) * count) for count in (outputs, inputs))
        full[rows, columns] = weight[rows]
    return full


def windows(sizes: Sequence[int], kernel: Kernel) -> tuple[int, ...]:
    """How many windows a plane of `sizes` has along each axis."""
    axes = zip(sizes, kernel.pads, kernel.weight.shape[2:], kernel.dilations, kernel.strides, strict=True)
    return tuple((size + 2 * pad - (taps - 1) * dilation - 1) // step + 1 for size, pad, taps, dilation, step in axes)


def fitted(
    weight: FloatArray,
    strides: Sequence[int],
    begins: Sequence[int],
    ends: Sequence[int],
    sizes: Sequence[int],
) -> Kernel | None:
    """The same windows of a plane of `sizes`, without dilations, from a kernel of one size along all axes, where there
    is one."""
    taps = weight.shape[2:]
    padded = [sum(axis) for axis in zip(sizes, begins, ends, strict=True)]
    sizes_out = [(size - extent) // stride + 1 for size, extent, stride in zip(padded, taps, strides, strict=True)]
    largest = max(taps)
    for size in range(largest, largest + max(abs(b - e) for b, e in zip(begins, ends, strict=True)) + 2):
        axes = [_along(size, *axis) for axis in zip(taps, strides, begins, sizes, sizes_out, strict=True)]
        found = [axis for axis in axes if axis is not None]
        if len(found) == len(taps):
            added = [(0, 0), (0, 0), *((front, back) for front, back, _, _ in found)]
            pads, steps = (tuple(axis[which] for axis in found) for which in (2, 3))
            return Kernel(np.pad(weight, added), steps, pads, (1,) * len(taps))
    return None


def _along(size: int, taps: int, stride: int, begin: int, extent: int, out: int) -> tuple[int, int, int, int] | None:
    """Zeros in front of the taps and behind them, pad and stride for a kernel of this size: the first window still
    begins `begin` before the plane, and there are `out` of them. For one window any stride will do."""
    for front in range(size - taps + 1):
        pad = begin + front
        room = extent + 2 * pad - size
        if room < 0:
            continue
        step = max(stride, room + 1) if out == 1 else stride
        if room // step + 1 == out:
            return front, size - taps - front, pad, step
    return None
