"""Input coding of the reference simulator, in numpy: Poisson spikes and the generator behind them, graded values.

The generator is that of Salmon et al.: Parallel random numbers: as easy as 1, 2, 3 (SC 2011).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]
Ints = NDArray[np.int64]


def poisson_spikes(
    x: Array, scale: float, seed: int, first_sample: int, first_step: int, count: int
) -> NDArray[np.int8]:
    """Signed Poisson spike trains of `x` at rate |x|/scale (section 3.1): [N, ...] → [count, N, ...].

    A function of seed, sample index, step and element alone: how samples are batched and steps are divided
    into calls makes no difference.
    """
    flat = per_sample(np.asarray(x, dtype=np.float32))
    elements = flat.shape[1]
    with np.errstate(over="ignore"):
        probability = np.abs(flat) / np.float32(scale)
    certain = ~(probability < 1)  # NaN too
    quota = np.ceil(np.where(certain, 1, probability) * np.float32(2**24)).astype(np.uint32)

    groups = np.arange(-(-elements // 4))  # four elements share a call of the generator
    steps = first_step + np.arange(count)
    sample_low, sample_high = _halves(first_sample + np.arange(len(flat)))
    counter = (groups, steps[:, None, None], sample_low[:, None], sample_high[:, None])
    words = philox4x32(counter, _halves(seed)).reshape(count, len(flat), 4 * len(groups))[..., :elements]

    sign = np.where(flat < 0, -1, 1).astype(np.int8)
    spikes: NDArray[np.int8] = sign * ((words >> np.uint32(8)) < quota)
    return spikes.reshape(count, *np.shape(x))


def philox4x32(counter: Sequence[ArrayLike], key: Sequence[ArrayLike], rounds: int = 10) -> NDArray[np.uint32]:
    """Philox4x32 of four counter words and two key words, each an integer below 2^32 or an array of them.

    The arrays broadcast together. Returns four words per counter, in a new last axis.
    """
    c0, c1, c2, c3 = (np.asarray(word, dtype=np.uint64) for word in counter)
    k0, k1 = (np.asarray(word, dtype=np.uint64) for word in key)
    for _ in range(rounds):
        low0, high0 = _halves(c0 * np.uint64(0xD2511F53))
        low1, high1 = _halves(c2 * np.uint64(0xCD9E8D57))
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, _ = _halves(k0 + np.uint64(0x9E3779B9))
        k1, _ = _halves(k1 + np.uint64(0xBB67AE85))
    return np.stack(np.broadcast_arrays(c0, c1, c2, c3), axis=-1).astype(np.uint32)


def _halves(value: ArrayLike) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Low and high 32 bits of 64-bit integers, negative ones in two's complement."""
    bits = np.asarray(value).astype(np.uint64)
    return bits & np.uint64(0xFFFFFFFF), bits >> np.uint64(32)


def per_sample(x: Array) -> Array:
    """[N, ...] → [N, elements], also for N = 0."""
    return x.reshape(len(x), math.prod(x.shape[1:]))


def graded(x: Array, unit: ArrayLike, low: int, high: int, origin: ArrayLike = 0.0) -> Ints:
    """Inputs as integers: round(clip((x - origin)/unit, low, high)) in float32; unit and origin broadcast against a
    sample."""
    present = np.where(np.isnan(x), np.float32(0), x) - np.asarray(origin, np.float32)
    units = np.clip(present / np.asarray(unit, np.float32), np.float32(low), np.float32(high))
    integers: Ints = np.rint(units).astype(np.int64)
    return integers
