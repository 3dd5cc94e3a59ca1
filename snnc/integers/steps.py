"""From a function of the ANN to the integers of a staircase: the count that every charge asks for.

    g(U) = clip(round(f(float32(σ·U)) / q), low, high)

U is the charge of a neuron, σ·U its pre-activation and q the value of a spike in ANN units. Halves are rounded up, and
so is what float32 cannot tell from a half: charges that lie exactly between two counts, as they do for a ReLU with an
even threshold, then get the count that exact arithmetic gives them. Where f is not a number (a logarithm of negative
values), the count is the one nearest to 0.

g is tabulated as its steps, which need be neither upwards nor regular.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnc.ir.signal import FloatArray

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

PADDING = 2**31 - 1
# Ranges of charges with as many values in all are evaluated completely, others at as many points before steps between
# them are looked for.
_EVERY, _CANDIDATES = 2**24, 2**22
_AT_ONCE = 2**20
# The errors of float32 in σ·U and in f, as a share of the count.
_TIE = 2.0**-22


@dataclass(frozen=True)
class Steps:
    """The tables of the operator `StaircaseTable`.

    A count is `first` `[C]` plus those of `rises` `[C, K]` whose `breaks` `[C, K]`, ascending, the charge has reached.
    Shorter rows end in breaks of 2^31 - 1 and rises of 0; K ≥ 1.
    """

    first: Int32
    breaks: Int32
    rises: Int32

    def counts(self, charges: Int64) -> Int64:
        """g of charges `[C, N]`."""
        found = np.empty(charges.shape, np.int64)
        for channel, row in enumerate(charges):
            totals = np.concatenate([[0], np.cumsum(self.rises[channel], dtype=np.int64)])
            found[channel] = self.first[channel] + totals[np.searchsorted(self.breaks[channel], row, side="right")]
        return found


def steps_of(
    function: Callable[[Float32], npt.NDArray[np.floating]],
    sigma: FloatArray,
    value: FloatArray,
    low: int,
    high: int,
    charge_low: Int64,
    charge_high: Int64,
    charges: Int64 | None = None,
) -> Steps:
    """The steps of g between `charge_low` and `charge_high` `[C]`, ends included, |U| < 2^31.

    `function` maps `[K, C]` to `[K, C]`, element by element; `sigma` and `value` (q) are `[C]`. Up to 2^24 charges of
    all channels are evaluated one by one. Where there are more, some are looked at first (evenly spaced ones, those of
    every magnitude around 0, and `charges` `[K]`, such as those of calibration), and between any two with different
    counts every step is found: all steps of a monotone function.
    """
    count = _Count(function, np.asarray(sigma), np.asarray(value), low, high)
    lowest, highest = np.asarray(charge_low, np.int64), np.asarray(charge_high, np.int64)
    assert (lowest <= highest).all()
    assert (np.maximum(np.abs(lowest), np.abs(highest)) < 2**31).all()
    widest = int((highest - lowest).max()) + 1
    if widest * len(lowest) <= _EVERY:
        points, depth = _every(lowest, highest, widest), 0
    else:
        points, depth = _candidates(lowest, highest, charges), widest.bit_length()
    first, edges = _edges(count, points)
    for _ in range(depth):
        edges = edges.halved(count)
    return _tabulated(first, edges)


def uniform_steps(steps: Steps, low: int, high: int, charge_low: Int64, charge_high: Int64) -> Int32 | None:
    """θ `[C]` where every count is clip(floor((U + θ/2) / θ), low, high) with an even θ, for all charges in the range.

    None where some channel has other steps: then `Staircase` cannot stand for `StaircaseTable`.
    """
    thresholds = []
    for channel, (lowest, highest) in enumerate(zip(charge_low, charge_high, strict=True)):
        known = steps.breaks[channel] != PADDING
        breaks, rises = steps.breaks[channel][known].astype(np.int64), steps.rises[channel][known]
        threshold = _threshold(breaks, int(steps.first[channel]), int(lowest), int(highest))
        if threshold is None or (rises != 1).any():
            return None
        levels = np.arange(low + 1, high + 1, dtype=np.int64)
        wanted = levels * threshold - threshold // 2
        wanted = wanted[(wanted > lowest) & (wanted <= highest)]
        start = min(max((int(lowest) + threshold // 2) // threshold, low), high)
        if start != steps.first[channel] or not np.array_equal(wanted, breaks):
            return None
        thresholds.append(threshold)
    return np.array(thresholds, np.int32)


def _threshold(breaks: Int64, first: int, lowest: int, highest: int) -> int | None:
    """The only θ that a channel can have, from its first steps; any that its charges never reach if it has none."""
    if len(breaks) > 1:
        threshold = int(breaks[1] - breaks[0])
    elif len(breaks) == 1:
        threshold = int(2 * breaks[0]) // (2 * first + 1)  # the break of level k = first + 1 is θ·(k - 1/2)
    else:
        threshold = 2 * (max(abs(lowest), abs(highest)) + 1)
    return threshold if 0 < threshold <= PADDING and threshold % 2 == 0 else None


@dataclass(frozen=True)
class _Count:
    """g, of charges `[K, C]`."""

    function: Callable[[Float32], npt.NDArray[np.floating]]
    sigma: FloatArray
    value: FloatArray
    low: int
    high: int

    def __call__(self, charges: Int64) -> Int64:
        with np.errstate(all="ignore"):  # functions may leave their domain
            values = self.function((charges * self.sigma).astype(np.float32)).astype(np.float64)
            assert values.shape == charges.shape, "a function that differs by channel wants charges of every channel"
            counts = values / self.value
            counts = np.floor(np.maximum(counts * (1 + _TIE), counts * (1 - _TIE)) + 0.5)
        found: Int64 = np.clip(np.nan_to_num(counts, nan=0.0), self.low, self.high).astype(np.int64)
        return found


@dataclass(frozen=True)
class _Edges:
    """Pairs of charges of a channel, `left` < `right`, between which the count changes; all `[E]`."""

    channel: Int64
    left: Int64
    right: Int64
    before: Int64
    after: Int64

    def halved(self, count: _Count) -> _Edges:
        """The same changes, each between charges that are half as far apart, down to neighbours."""
        open_ = self.right - self.left > 1
        if not open_.any():
            return self
        middle = (self.left + self.right) // 2
        found = self.before.copy()
        found[open_] = _scattered(count, self.channel[open_], middle[open_])
        middle = np.where(open_, middle, self.left)
        halves = _Edges(
            np.concatenate([self.channel, self.channel]),
            np.concatenate([self.left, middle]),
            np.concatenate([middle, self.right]),
            np.concatenate([self.before, found]),
            np.concatenate([found, self.after]),
        )
        return halves.taken(halves.before != halves.after)

    def taken(self, index: npt.NDArray[np.generic]) -> _Edges:
        """Some of them."""
        return _Edges(self.channel[index], self.left[index], self.right[index], self.before[index], self.after[index])


def _scattered(count: _Count, channels: Int64, charges: Int64) -> Int64:
    """The counts of charges `[E]` of channels `[E]`: packed into columns, as many rows as the fullest channel needs."""
    order = np.argsort(channels, kind="stable")
    sizes = np.bincount(channels, minlength=len(count.sigma))
    starts = np.cumsum(sizes) - sizes
    rows = np.empty_like(order)
    rows[order] = np.arange(len(order)) - starts[channels[order]]
    packed = np.zeros((int(sizes.max()), len(count.sigma)), np.int64)
    packed[rows, channels] = charges
    return np.concatenate([count(part) for part in _parts(packed)])[rows, channels]


def _parts(points: Int64) -> Iterator[Int64]:
    rows = max(1, _AT_ONCE // points.shape[1])
    for start in range(0, len(points), rows):
        yield points[start : start + rows]


def _every(lowest: Int64, highest: Int64, widest: int) -> Iterator[Int64]:
    """All charges, in parts `[K, C]`; narrower channels repeat their last one."""
    rows = max(1, _AT_ONCE // len(lowest))
    for start in range(0, widest, rows):
        offsets = np.arange(start, min(start + rows, widest))[:, None]
        yield np.minimum(lowest + offsets, highest)


def _candidates(lowest: Int64, highest: Int64, charges: Int64 | None) -> Iterator[Int64]:
    """Charges to look at first, ascending, in parts `[K, C]`."""
    number = max(2**12, _CANDIDATES // len(lowest))
    even = np.linspace(0.0, 1.0, number)[:, None] * (highest - lowest) + lowest
    magnitudes = np.unique(np.rint(np.exp2(np.linspace(0, 31, 2**10))))
    around = np.concatenate([-magnitudes, [0.0], magnitudes, [] if charges is None else charges])
    columns = np.concatenate([np.rint(even), np.broadcast_to(around[:, None], (around.size, len(lowest)))])
    yield from _parts(np.sort(np.clip(columns, lowest, highest).astype(np.int64), axis=0))


def _edges(count: _Count, parts: Iterator[Int64]) -> tuple[Int64, _Edges]:
    """The count at the lowest charge of each channel, and where it changes from one point to the next."""
    first: Int64 | None = None
    last: tuple[Int64, Int64] | None = None
    found = []
    for points in parts:
        counts = count(points)
        if last is None:
            first = counts[0]
        else:
            points, counts = np.vstack([last[0], points]), np.vstack([last[1], counts])
        row, channel = np.nonzero(counts[1:] != counts[:-1])
        found.append(
            _Edges(
                channel,
                points[row, channel],
                points[row + 1, channel],
                counts[row, channel],
                counts[row + 1, channel],
            )
        )
        last = points[-1:], counts[-1:]
    assert first is not None
    names = ("channel", "left", "right", "before", "after")
    return first, _Edges(*(np.concatenate([getattr(part, name) for part in found]) for name in names))


def _tabulated(first: Int64, edges: _Edges) -> Steps:
    order = np.lexsort((edges.right, edges.channel))
    edges = edges.taken(order)
    sizes = np.bincount(edges.channel, minlength=len(first))
    column = np.arange(len(order)) - (np.cumsum(sizes) - sizes)[edges.channel]
    shape = (len(first), max(1, int(sizes.max())))
    breaks, rises = np.full(shape, PADDING, np.int32), np.zeros(shape, np.int32)
    breaks[edges.channel, column] = edges.right
    rises[edges.channel, column] = edges.after - edges.before
    return Steps(first.astype(np.int32), breaks, rises)
