"""A quantile of any number of values in bounded memory.

Positive values are counted in bins by the leading bits of their float32 form: the exponent and `_MANTISSA_BITS` bits of
the mantissa. A quantile is the upper end of its bin, so it is at most 2^-11 (0.05 %) above the exact one, never below,
whatever the order in which the values came. Counts of two sketches may be added.
"""

from __future__ import annotations

import math

import numpy as np

_MANTISSA_BITS = 11
_DROPPED_BITS = 23 - _MANTISSA_BITS
_BINS = 1 << (31 - _DROPPED_BITS)


class StreamedQuantile:
    """Counts values by magnitude; 4 MiB however many they are."""

    def __init__(self) -> None:
        self._bins = np.zeros(_BINS, np.int64)
        self._values = 0

    def add(self, values: np.ndarray) -> None:
        """Count `values` (finite, any shape). Zero and negative ones only count as being there."""
        positive = values[values > 0].astype(np.float32)
        bins = positive.view(np.uint32) >> _DROPPED_BITS
        self._bins += np.bincount(bins, minlength=_BINS)
        self._values += values.size

    def at(self, share: float) -> float:
        """The smallest value that at least `share` (0 < share <= 1) of all values do not exceed; 0 if not positive."""
        above = self._values - math.ceil(share * self._values)
        counted = np.cumsum(self._bins[::-1])
        reached = int(np.searchsorted(counted, above, side="right"))
        if reached == _BINS:
            return 0.0
        return float(np.uint32((_BINS - reached) << _DROPPED_BITS).view(np.float32))

    @property
    def largest(self) -> float:
        """The largest value; 0 if none is positive."""
        return self.at(1.0)
