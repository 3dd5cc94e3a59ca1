"""The smallest integer types of C that hold what the grid of a network bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from snnc.integers.limits import INT32, reach
from snnc.ir.graph import activation_inputs, constant, sample_shape
from snnc.ir.options import LARGEST_MAX_STEPS
from snnc.ir.trees import largest_total, signal_of
from snnc.operators.layer import initial_potential

Ints = NDArray[np.int64]
#: Types by their size in bytes.
TYPES = {1: "int8_t", 2: "int16_t", 4: "int32_t", 8: "int64_t"}
BYTES = {ctype: size for size, ctype in TYPES.items()} | {"uint8_t": 1, "uint16_t": 2, "uint32_t": 4}


def holding(low: int, high: int) -> str:
    """The smallest signed type that holds low to high."""
    return next(ctype for size, ctype in TYPES.items() if -(2 ** (8 * size - 1)) <= low <= high < 2 ** (8 * size - 1))


def holding_places(count: int) -> str:
    """The smallest unsigned type that holds 0 to `count` - 1."""
    return "uint8_t" if count <= 2**8 else "uint16_t" if count <= 2**16 else "uint32_t"


def sum_type(tensor: gs.Tensor) -> str:
    """Of the integers of one step, partial sums included."""
    signal = signal_of(tensor)
    return holding(math.floor(signal.low.min()), math.ceil(signal.high.max()))


def potential_type(layer: gs.Node, most_steps: int | None) -> str:
    """Of a membrane potential after up to `most_steps` steps (None: any number), and while a current is added to it.

    It starts at V(0), moves by a current in each step (by no more than what ever comes, where that is bounded:
    `reach`), and what a spike gives back leaves it below the threshold. No neuron of the grid needs more than 32 bits.
    """
    root = activation_inputs(layer)[0]
    largest = math.ceil(signal_of(root).magnitude) * (reach(root, most_steps or LARGEST_MAX_STEPS) + 1)
    if layer.op == "SpikeReadout":
        return holding(-largest, largest)
    threshold = thresholds_of(layer)
    start = int(np.abs(start_of(layer)).max(initial=0))
    largest = min(start + int(np.abs(threshold).max(initial=0)) + largest, INT32 - 1)
    return holding(-largest, largest)


def thresholds_of(layer: gs.Node) -> Ints:
    """θ of neurons that have one threshold or one for each channel; 0 of tables."""
    threshold = None if layer.op == "StaircaseTable" else constant(layer, 1)
    return np.asarray(0 if threshold is None else threshold, np.int64)


def start_of(layer: gs.Node) -> Ints:
    """V(0), which broadcasts against a sample."""
    if layer.op == "StaircaseTable":
        return np.asarray(layer.attrs.get("charge", 0), np.int64)
    return np.asarray(initial_potential(layer, thresholds_of(layer)), np.int64)


def count_type(tensor: gs.Tensor, most_steps: int | None) -> str:
    """Of the spikes of `tensor` after up to `most_steps` steps (None: any number), negative ones subtracted."""
    total, most = largest_total(tensor), most_steps or LARGEST_MAX_STEPS
    largest = most if total is None else min(total, most)
    return holding(-largest, largest)


def runs(values: NDArray[np.generic], shape: Sequence[int]) -> tuple[NDArray[np.generic], int]:
    """Values that broadcast against a sample of this shape as runs of equal neighbours: one of each, and how long."""
    flat = np.broadcast_to(values, tuple(shape)).reshape(-1)
    for axis in range(len(shape) + 1):
        size = math.prod(shape[axis:])
        rows = flat.reshape(-1, size)
        if (rows == rows[:, :1]).all():
            return rows[:, 0], size
    raise AssertionError("runs of one element are always equal")


def elements(tensor: gs.Tensor) -> int:
    """Of one sample."""
    return math.prod(sample_shape(tensor))
