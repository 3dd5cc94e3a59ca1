"""Histograms of activations, one for each channel, and the scales that follow from them.

A scale is asked for each channel or for all of them together. Within a bin values count as spread evenly, so errors of
quantisation are right also where its steps are finer than the bins. Zeros, which a ReLU gives for most of its inputs,
are counted apart: they are exact at any scale.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from snnc.ir.signal import FloatArray

# Scales that are tried: the one that clips nothing times 2^-7 to 1, sixteen for each power of two.
_FRACTIONS = np.exp2(-np.arange(7 * 16 + 1) / 16)
_BISECTIONS = 40
# Bins that are worked on at once.
_CHUNK = 2**18


class Histogram:
    """Values of C channels, counted in `counts` `[C, bins]` between their smallest and largest (and 0)."""

    def __init__(self, smallest: np.ndarray, largest: np.ndarray, bins: int) -> None:
        """`smallest` and `largest` `[C]` of all values that will be added."""
        self.low = np.minimum(smallest, 0).astype(np.float64)
        self.high = np.maximum(largest, 0).astype(np.float64)
        self.counts = np.zeros((len(smallest), bins), np.int64)
        self.zeros = np.zeros(len(smallest), np.int64)
        spread = self.high - self.low
        self._width = np.where(spread > 0, spread, 1.0) / bins

    def add(self, values: np.ndarray) -> None:
        """Count `values` `[C, any]`."""
        channels, bins = self.counts.shape
        present = values != 0
        bin_of = (values - self.low[:, None]) / self._width[:, None]
        places = np.clip(bin_of.astype(np.int64), 0, bins - 1) + np.arange(channels)[:, None] * bins
        self.counts += np.bincount(places[present], minlength=channels * bins).reshape(channels, bins)
        self.zeros += values.shape[1] - present.sum(1)

    def largest(self, *, per_channel: bool) -> FloatArray:
        """The largest magnitude, `[C]` or `[1]`."""
        largest: FloatArray = np.maximum(self.high, -self.low)
        return largest if per_channel else largest.max(keepdims=True)

    def percentile(self, share: float, *, per_channel: bool) -> FloatArray:
        """The magnitude that the `share` of the values does not exceed, to within a bin, `[C]` or `[1]`; where no more
        than the rest differs from 0, the largest one."""
        top = self.largest(per_channel=per_channel)
        wanted = share * _reduced(self.counts.sum(1) + self.zeros, per_channel)
        below, above = np.zeros_like(top), top.copy()
        for _ in range(_BISECTIONS):
            middle = (below + above) / 2
            enough = self._within(middle, per_channel) >= wanted
            below, above = np.where(enough, below, middle), np.where(enough, middle, above)
        return np.where(_reduced(self.zeros, per_channel) >= wanted, top, above)

    def mmse(
        self, levels: int, low: int, high: int, offset: float, *, per_channel: bool, relative: bool = False
    ) -> FloatArray:
        """The λ for which λ/L·clip(floor(x·L/λ + offset), low, high) has the least mean squared error against x, `[C]`
        or `[1]` (Li et al., ICML 2021); `relative`: the error as a share of x.

        L are the `levels`; the offset lies between 0 and 1, the limits on both sides of 0. Tried are 2^0 to 2^-7 of the
        λ that clips nothing; 0 where nothing reaches beyond 0 towards a limit. Bins without values cost nothing.
        """
        upper = self.high / high if high > 0 else np.zeros_like(self.high)
        lower = self.low / low if low < 0 else np.zeros_like(self.low)
        top = levels * np.maximum(upper, lower)
        if not per_channel:
            top = np.broadcast_to(top.max(keepdims=True), top.shape)
        steps = np.where(top > 0, top, 1.0)[:, None] * (_FRACTIONS / levels)
        errors = np.zeros(steps.shape)
        for channel, (steps_of, counts) in enumerate(zip(steps, self.counts, strict=True)):
            present = np.flatnonzero(counts)
            places = np.union1d(present, present + 1)
            begin, width = np.searchsorted(places, present), self._width[channel]
            edges = self.low[channel] + width * places
            weights = counts[present].astype(np.float64)
            if relative:
                weights /= np.maximum(np.square(edges[begin] + width / 2), np.finfo(np.float64).tiny)
            for some in np.array_split(np.arange(len(_FRACTIONS)), -(-len(_FRACTIONS) * len(places) // _CHUNK) or 1):
                step = steps_of[some, None]
                integral = _squared_error(edges / step, low, high, offset)
                grown = integral[:, begin + 1] - integral[:, begin]
                errors[channel, some] = (grown @ weights) * step[:, 0] ** 3 / width
        best = _reduced(errors, per_channel).argmin(1)
        found: FloatArray = (top if per_channel else top[:1]) * _FRACTIONS[best]
        return found

    def _within(self, magnitude: FloatArray, per_channel: bool) -> FloatArray:
        """How many values have at most this magnitude, `[C]` or `[1]`."""
        found = self.zeros.astype(np.float64)
        limits = np.broadcast_to(magnitude, found.shape)
        for channels, edges in self._chunks():
            limit, width = limits[channels, None], self._width[channels, None]
            above, below = (np.clip((end - edges[:, :-1]) / width, 0, 1) for end in (limit, -limit))
            found[channels] += (self.counts[channels] * (above - below)).sum(1)
        return _reduced(found, per_channel)

    def _chunks(self) -> Iterator[tuple[slice, FloatArray]]:
        """Channels, and the edges of their bins `[channels, bins + 1]`."""
        channels, bins = self.counts.shape
        at_once = max(1, _CHUNK // bins)
        for start in range(0, channels, at_once):
            chosen = slice(start, start + at_once)
            yield chosen, self.low[chosen, None] + self._width[chosen, None] * np.arange(bins + 1)


def _reduced(values: np.ndarray, per_channel: bool) -> np.ndarray:
    """`[C, ...]`, or the sum over the channels `[1, ...]`."""
    return values if per_channel else values.sum(0, keepdims=True)


def _squared_error(u: FloatArray, low: int, high: int, offset: float) -> FloatArray:
    """An antiderivative of (q(u) - u)² with q(u) = clip(floor(u + offset), low, high): over one step of q it grows by
    ((1 - offset)³ + offset³)/3."""
    count = np.clip(np.floor(u + offset), low, high)
    rest = u - count
    integral: FloatArray = count * (((1 - offset) ** 3 + offset**3) / 3) + rest * rest * (rest / 3)  # pow is slow
    return integral
