"""An exact quantile near the upper end of many values, in memory for the values above it only."""

from __future__ import annotations

import math

import numpy as np


def needed(share: float, values: int) -> int:
    """How many of the largest of so many values tell the quantile of that share."""
    return values - math.ceil(share * values) + 1


def largest(values: np.ndarray, count: int) -> np.ndarray:
    """The `count` largest of each row, `[rows, at most count]`, in any order."""
    if values.shape[1] <= count:
        return values
    found: np.ndarray = np.partition(values, values.shape[1] - count, axis=1)[:, -count:].copy()
    return found


class LargestValues:
    """The largest values of several rows of numbers, as many as a quantile needs.

    `values` are how many each row will be given in all. A row holds (1 - share)·values + 1 numbers.
    """

    def __init__(self, share: float, rows: int, values: int) -> None:
        self._kept = np.full((rows, needed(share, values)), -np.inf)

    def add(self, values: np.ndarray) -> None:
        """Take finite `values` `[rows, any]` into account, in any order."""
        kept = self._kept.shape[1]
        both = np.concatenate([self._kept, largest(values, kept)], axis=1)
        self._kept = largest(both, kept)

    def at_share(self) -> np.ndarray:
        """The smallest value of each row that at least `share` of its values do not exceed."""
        smallest: np.ndarray = self._kept.min(1)
        return smallest

    @property
    def largest(self) -> np.ndarray:
        """The largest value of each row."""
        largest: np.ndarray = self._kept.max(1)
        return largest
