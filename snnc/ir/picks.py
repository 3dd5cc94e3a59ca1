"""What operators that only pick values, or put zeros between them, take from where.

Along one axis that is an array of indices into the input, with -1 where a zero stands: `[0, 2, 4]` for every second of
six values, `[-1, 0, 1]` for a pad in front. One after the other they are applied to the same array.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.graph import constant, sample_shape

ZERO = -1
# The batch axis has no size that is known here: only a slice that says "to the end" leaves it alone.
_TO_THE_END = np.iinfo(np.int32).max
_PICKING = ("Slice", "Pad", "Gather")

Picks = list[np.ndarray]


@dataclass(frozen=True)
class Window:
    """The same along one axis as a convolution with one tap: output i is input `i * stride + tap - begin`, where that
    exists, else 0."""

    kernel: int
    tap: int
    stride: int
    begin: int
    end: int


def pick(node: gs.Node, picks: Picks | None = None) -> Picks | None:
    """What `node` picks along each axis of a sample, of `picks` (None: of its own input).

    None for any other operator, and where it is not known here: parameters that are computed, pads with another value
    than 0, what mixes samples or takes an axis away.
    """
    if node.op not in _PICKING or not isinstance(node.inputs[0], gs.Variable) or not _sized(node.inputs[0]):
        return None
    if picks is None:
        picks = [np.arange(size) for size in sample_shape(node.inputs[0])]
    if node.op == "Slice":
        return _slice(node, picks)
    return _pad(node, picks) if node.op == "Pad" else _gather(node, picks)


def window_of(picked: np.ndarray, size: int) -> Window | None:
    """`picked` from an axis of `size` as a convolution with one tap; None if it is none."""
    inside = np.flatnonzero(picked != ZERO)
    if not len(inside):
        return None
    first, last = int(inside[0]), int(inside[-1])
    stride = int(picked[first + 1] - picked[first]) if last > first else max(1, size)
    start = int(picked[first]) - first * stride
    places = start + stride * np.arange(len(picked))
    expected = np.where((places >= 0) & (places < size), places, ZERO)
    if stride < 1 or not np.array_equal(expected, picked):
        return None
    begin, tap = max(0, -start), max(0, start)
    last_place = int(places[-1])
    end, spare = max(0, last_place - size + 1), max(0, size - 1 - last_place)
    # What is left over behind the last place is not to make one more output: the kernel reaches over it.
    return Window(tap + 1 + spare // stride * stride, tap, stride, begin, end)


def _sized(tensor: gs.Variable) -> bool:
    return tensor.shape is not None and all(isinstance(size, int) for size in tensor.shape[1:])


def _slice(node: gs.Node, picks: Picks) -> Picks | None:
    attrs = node.attrs
    if "starts" in attrs:  # before opset 10
        starts, ends = attrs["starts"], attrs["ends"]
        axes, steps = attrs.get("axes"), None
    else:
        values = [constant(node, index) for index in range(1, 5)]
        given = [index < len(node.inputs) and not node.inputs[index].is_empty() for index in range(1, 5)]
        if any(is_given and value is None for is_given, value in zip(given, values, strict=True)):
            return None
        starts, ends, axes, steps = (None if value is None else value.tolist() for value in values)
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    result = list(picks)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis %= len(picks) + 1
        if axis == 0:
            if start != 0 or step != 1 or end < _TO_THE_END:
                return None
            continue
        result[axis - 1] = result[axis - 1][start:end:step]
    return result


def _pad(node: gs.Node, picks: Picks) -> Picks | None:
    attrs, rank = node.attrs, len(picks) + 1
    value, axes = attrs.get("value", 0.0), list(range(rank))
    pads: list[int]
    if "pads" in attrs:  # before opset 11
        pads = list(attrs["pads"])
    else:
        given, fill, chosen = constant(node, 1), constant(node, 2), constant(node, 3)
        if given is None or any(len(node.inputs) > at and not _known(node.inputs[at]) for at in (2, 3)):
            return None
        pads = given.tolist()
        value = 0.0 if fill is None else float(fill.reshape(()))
        axes = axes if chosen is None else [int(axis) % rank for axis in chosen]
    mode = attrs.get("mode", "constant")
    if (mode.decode() if isinstance(mode, bytes) else mode) != "constant" or value != 0.0:
        return None
    result = list(picks)
    for axis, begin, end in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        if axis == 0 and (begin or end):
            return None
        if axis > 0:
            picked = result[axis - 1]
            picked = picked[max(0, -begin) : len(picked) - max(0, -end)]
            result[axis - 1] = np.pad(picked, (max(0, begin), max(0, end)), constant_values=ZERO)
    return result


def _gather(node: gs.Node, picks: Picks) -> Picks | None:
    indices, axis = constant(node, 1), node.attrs.get("axis", 0) % (len(picks) + 1)
    if indices is None or indices.ndim != 1 or axis == 0:
        return None
    result = list(picks)
    result[axis - 1] = result[axis - 1][indices]
    return result


def _known(tensor: gs.Tensor) -> bool:
    return bool(tensor.is_empty() or isinstance(tensor, gs.Constant))
