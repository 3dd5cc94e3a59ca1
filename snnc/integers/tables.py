"""The steps of a neuron that stands for any function of the ANN, on its grid.

g(U) = clip(round(f(σU)/q), low, high) for every charge U that the neuron can have (`snnc.integers.steps`): one table
for every channel, or one for all where all have the same f, σ and q.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from snnc.integers.grid import Rounded
from snnc.integers.limits import INT32, reach
from snnc.integers.steps import Steps, steps_of, uniform_steps
from snnc.ir.function_kind import Curve
from snnc.ir.graph import sample_shape
from snnc.ir.signal import FloatArray
from snnc.operators.layer import initial_charge

_LARGEST = INT32 - 2


def tabulate(
    node: gs.Node, rounded: Rounded, value: FloatArray, limits: tuple[int, int], max_steps: int
) -> tuple[Steps, np.ndarray | None]:
    """The steps of a neuron with a `region`, whose spikes are worth `value`; and the even thresholds `[C']` of its
    uniform steps, or None where they are not uniform.

    The charge at the start is on the grid already. Counts are clipped to `limits`.
    """
    region: Curve = node.attrs["region"]
    channels = sample_shape(node.outputs[0])[0]
    sigma, q = (_by_channel(array, channels) for array in (rounded.scale, value))
    lowest, highest = _charges(node, rounded, channels, max_steps)
    low, high = limits
    alike = region.channels == 1 and len(np.unique(sigma)) == 1 and len(np.unique(q)) == 1
    if alike:
        sigma, q, lowest, highest = sigma[:1], q[:1], lowest.min(keepdims=True), highest.max(keepdims=True)
    steps = steps_of(region.curve, sigma, q, low, high, lowest, highest)
    return steps, uniform_steps(steps, low, high, lowest, highest)


def _by_channel(values: FloatArray, channels: int) -> FloatArray:
    flat: FloatArray = np.broadcast_to(np.asarray(values, np.float64).reshape(-1), (channels,))
    return flat


def _charges(node: gs.Node, rounded: Rounded, channels: int, max_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and the largest charge of every channel, int64."""
    worst = rounded.signal.of_channels(channels)
    currents, start = reach(node.inputs[0], max_steps), initial_charge(node).astype(np.int64)
    start_low, start_high = (
        np.broadcast_to(reduce(start.reshape(len(start), -1), axis=1) if start.ndim else start, (channels,))
        for reduce in (np.min, np.max)
    )
    lowest = np.clip(start_low + currents * np.floor(worst.low), -_LARGEST, _LARGEST)
    highest = np.clip(start_high + currents * np.ceil(worst.high), -_LARGEST, _LARGEST)
    return lowest.astype(np.int64), highest.astype(np.int64)
