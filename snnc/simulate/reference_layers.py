"""What the reference simulator knows of layers other than integrate-and-fire neurons: one step each, in numpy on int64.

It shares no code with the compiler and favours plain arithmetic over speed, as `snnc.simulate.reference` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[Any]
Ints = NDArray[np.int64]


def staircase(v: Ints, counts: Ints, threshold: Ints, low: int, high: int) -> tuple[Ints, Ints, Ints]:
    """Spikes of charged neurons, V and S afterwards: +1 if V ≥ θ and S < high, -1 if V < 0 and S > low."""
    up = (v >= threshold) & (counts < high)
    down = ~up & (v < 0) & (counts > low)
    spikes = up.astype(np.int64) - down.astype(np.int64)
    return spikes, v - spikes * threshold, counts + spikes


def staircase_by_table(charge: Ints, counts: Ints, first: Ints, breaks: Ints, rises: Ints) -> tuple[Ints, Ints]:
    """Spikes and S afterwards: one step from S towards first + Σ rises of the breaks that the charge has reached.

    Tables have one row for every channel (axis 1 of the charge), or one for all.
    """
    by_channel = (1, -1, *[1] * (charge.ndim - 2))
    target = np.zeros_like(charge) + first.reshape(by_channel)
    for charges, rise in zip(breaks.T, rises.T, strict=True):
        target += (charge >= charges.reshape(by_channel)) * rise.reshape(by_channel)
    spikes: Ints = np.sign(target - counts)
    return spikes, counts + spikes


def window_maxima(counts: Ints, attrs: dict[str, Any]) -> Ints:
    """The largest count under each window, [N, C, ...] → [N, C, output...]; nothing outside the plane is one."""
    kernel: Sequence[int] = attrs["kernel_shape"]
    rank = len(kernel)
    lowest = np.iinfo(np.int64).min
    begins, ends = attrs["pads"][:rank], attrs["pads"][rank:]
    padded = np.pad(counts, [(0, 0), (0, 0), *zip(begins, ends, strict=True)], constant_values=lowest)
    extents = [(size - 1) * step + 1 for size, step in zip(kernel, attrs["dilations"], strict=True)]
    windows = sliding_window_view(padded, extents, axis=tuple(range(2, 2 + rank)))
    every = (1, 1, *attrs["strides"], *attrs["dilations"])
    maxima: Ints = windows[tuple(slice(None, None, step) for step in every)].max(tuple(range(2 + rank, 2 + 2 * rank)))
    return maxima
