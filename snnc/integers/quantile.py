"""An exact quantile near the upper end of many values, in memory for the values above it only."""

from __future__ import annotations

import math

import numpy as np


class LargestValues:
    """The largest values of several rows of numbers, as many as a quantile needs.

    `values` are how many each row will be given in all. A row holds (1 - share)·values + 1 numbers.
    """

    def __init__(self, share: float, rows: int, values: int) -> None:
        above = values - math.ceil(share * values)
        self._kept = np.full((rows, above + 1), -np.inf)

    def add(self, values: np.ndarray) -> None:
        """Take finite `values` `[rows, any]` into account, in any order."""
        kept = self._kept.shape[1]
        if values.shape[1] > kept:
            values = np.partition(values, values.shape[1] - kept, axis=1)[:, -kept:]
        both = np.concatenate([self._kept, values], axis=1)
        self._kept = np.partition(both, both.shape[1] - kept, axis=1)[:, -kept:]

    def at_share(self) -> np.ndarray:
        """The smallest value of each row that at least `share` of its values do not exceed."""
        smallest: np.ndarray = self._kept.min(1)
        return smallest

    @property
    def largest(self) -> np.ndarray:
        """The largest value of each row."""
        largest: np.ndarray = self._kept.max(1)
        return largest
