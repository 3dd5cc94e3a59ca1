"""What a count on some samples says of all samples: intervals with 95 % confidence."""

from __future__ import annotations

import math

import numpy as np

_Z = 1.96

Interval = tuple[float, float]


def interval(share: float, samples: float) -> Interval:
    """Wilson's interval of a share that was counted on `samples` samples."""
    centre = (share + _Z * _Z / (2 * samples)) / (1 + _Z * _Z / samples)
    half = _Z / (1 + _Z * _Z / samples) * math.sqrt(share * (1 - share) / samples + _Z * _Z / (4 * samples * samples))
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))  # share itself, rounding or not


def interval_of_means(shares: np.ndarray, places: int) -> Interval:
    """The interval of the mean of `shares`, one for each sample, each counted on `places` places of the sample.

    Places of one sample are alike, so they do not count as so many samples: Wilson's interval for as many samples as
    would let the mean vary as it does, p·(1 - p)/var. Where there is one place in a sample that is their number.
    """
    samples, mean = len(shares), float(shares.mean())
    variance = float(shares.var()) / samples
    alike = mean * (1 - mean) / variance if variance > 0 else samples
    return interval(mean, min(max(alike, samples), samples * places))


def paired_difference(lost: int, gained: int, samples: int) -> Interval:
    """The interval of the difference of two shares that were counted on the same samples, (lost - gained)/samples:
    `lost` are right for the first alone, `gained` for the second alone (Agresti and Min, Statistics in Medicine 24,
    2005)."""
    n, lost_more, gained_more = samples + 2, lost + 0.5, gained + 0.5
    difference = (lost_more - gained_more) / n
    half = _Z * math.sqrt(lost_more + gained_more - (lost_more - gained_more) ** 2 / n) / n
    return max(-1.0, difference - half), min(1.0, difference + half)
