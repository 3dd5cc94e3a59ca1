"""What flows along an edge of a spiking graph: integers, and what one of them is worth.

Every array of a `Signal` broadcasts against one sample of its tensor, `[C, ...]`: axes along which nothing varies have
size 1. Most vary along the channels only, `[C, 1, ...]`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
_NOTHING = np.zeros(())


@dataclass(frozen=True)
class Signal:
    """Integers n of one step, each worth σ·n in ANN units.

    `low` and `high` are the smallest and the largest n, partial sums included; 0 lies between them. `noise` is the
    variance of n that comes from rounded weights, `power` the mean square of n itself, both for independent inputs as
    large as they can be; they are known while weights are rounded only. `peak` is the largest weight that made n,
    `rows` that among weights which the kernels pack into rows (not those that are one for each neuron). Where the
    spikes of one source are only moved, `copies` says in how many copies the words hold the channels (pooling moves
    words by copying them); else None.
    """

    low: FloatArray
    high: FloatArray
    noise: FloatArray = field(default_factory=lambda: _NOTHING)
    power: FloatArray = field(default_factory=lambda: _NOTHING)
    peak: FloatArray = field(default_factory=lambda: _NOTHING)
    rows: FloatArray = field(default_factory=lambda: _NOTHING)
    copies: int | None = None

    @staticmethod
    def of_spikes(rank: int, *, signed: bool) -> Signal:
        """The spikes of a source with samples of `rank` axes, one at most in every step."""
        one, zero = np.ones((1,) * rank), np.zeros((1,) * rank)
        return Signal(-one if signed else zero, one, noise=zero, power=one, peak=zero, rows=zero, copies=1)

    @property
    def signed(self) -> bool:
        """Whether n can be negative: spikes then take two words."""
        return bool((self.low < 0).any())

    @property
    def largest(self) -> FloatArray:
        """The largest magnitude of n."""
        return np.maximum(self.high, -self.low)

    @property
    def magnitude(self) -> float:
        """The largest magnitude of all."""
        return float(self.largest.max(initial=0.0))

    def plus(self, other: Signal) -> Signal:
        """The sum of two independent signals."""
        return Signal(
            self.low + other.low,
            self.high + other.high,
            self.noise + other.noise,
            self.power + other.power,
            np.maximum(self.peak, other.peak),
            np.maximum(self.rows, other.rows),
        )

    def times(self, factor: float) -> Signal:
        """Sums that `factor` > 0 equal values give."""
        square = factor**2
        return replace(
            self,
            low=self.low * factor,
            high=self.high * factor,
            noise=self.noise * square,
            power=self.power * square,
            copies=None,
        )

    def moved(self, move: Callable[[FloatArray], FloatArray]) -> Signal:
        """The same values at other places."""
        low, high, noise, power, peak, rows = map(
            move, (self.low, self.high, self.noise, self.power, self.peak, self.rows)
        )
        return Signal(low, high, noise, power, peak, rows, self.copies)

    def of_channels(self, channels: int) -> Channels:
        """The worst of every channel."""

        def reduced(values: FloatArray, reduce: np.ufunc) -> FloatArray:
            found = reduce.reduce(values, axis=tuple(range(1, values.ndim)))
            return np.broadcast_to(found, (channels,))

        return Channels(
            reduced(self.low, np.minimum),
            reduced(self.high, np.maximum),
            reduced(self.noise, np.maximum),
            reduced(self.power, np.maximum),
        )


@dataclass(frozen=True)
class Channels:
    """Low, high, noise and power of a signal by channel, in a shape that broadcasts against rows of weights."""

    low: FloatArray
    high: FloatArray
    noise: FloatArray
    power: FloatArray

    def arranged(self, arrange: Callable[[FloatArray], FloatArray]) -> Channels:
        """All of them in another shape."""
        return Channels(arrange(self.low), arrange(self.high), arrange(self.noise), arrange(self.power))


def collapsed(values: FloatArray) -> FloatArray:
    """`values` with the axes along which they do not vary reduced to size 1."""
    for axis in range(values.ndim):
        if values.shape[axis] > 1:
            first = values.take([0], axis=axis)
            if (values == first).all():
                values = first
    return values


def per_channel(values: FloatArray, channels: int) -> FloatArray | None:
    """`values` as `[channels]`, or None where they vary within a channel."""
    if any(size > 1 for size in values.shape[1:]):
        return None
    flat: FloatArray = np.broadcast_to(values.reshape(values.shape[0]), (channels,))
    return flat


def rearranged(values: FloatArray, before: Sequence[int], after: Sequence[int]) -> FloatArray:
    """`values` of a sample of shape `before` seen with shape `after`, its elements in the same order."""
    if values.size == 1:
        return values.reshape((1,) * len(after))
    return collapsed(np.broadcast_to(values, tuple(before)).reshape(tuple(after)))
