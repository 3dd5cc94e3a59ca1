"""Spike trains as words: bit t of a word of 64 bits tells whether a neuron fired in step t of its block."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from snnc.ir.domain import BLOCK_STEPS

# Bits that are set in every number of 16 bits.
_BITS_OF = np.array([number.bit_count() for number in range(2**16)], np.uint8)


def unpack_words(words: np.ndarray, count: int) -> np.ndarray:
    """Spike words `[N, ...]` as booleans `[count, N, ...]`."""
    steps = np.arange(count, dtype=np.uint64).reshape(-1, *[1] * words.ndim)
    bits: np.ndarray = ((words[None] >> steps) & np.uint64(1)).astype(bool)
    return bits


def count_spikes(words: np.ndarray, count: int) -> np.ndarray:
    """How often each neuron fired in the first `count` steps of spike words, uint8, of their shape."""
    return _count_bits(words & _first(count))


def join_blocks(blocks: Sequence[np.ndarray], counts: Sequence[int]) -> np.ndarray:
    """Words `[N, ...]` of blocks of `counts` steps (at most 64 each) as those of full blocks, uint64 `[steps/64, N,
    ...]`."""
    joined = np.zeros((-(-sum(counts) // BLOCK_STEPS), *blocks[0].shape), np.uint64)
    step = 0
    for words, count in zip(blocks, counts, strict=True):
        place, shift = divmod(step, BLOCK_STEPS)
        fired = words & _first(count)
        joined[place] |= fired << np.uint64(shift)
        if shift + count > BLOCK_STEPS:
            joined[place + 1] |= fired >> np.uint64(BLOCK_STEPS - shift)
        step += count
    return joined


def pack_train(train: np.ndarray, *, signed: bool) -> np.ndarray:
    """A train of spikes (-1, 0, 1) `[steps, N, C, ...]` as words of full blocks, uint64 `[steps/64, N, C, ...]`;
    `signed`: the negative spikes behind the positive ones, `[steps/64, N, 2·C, ...]`."""
    if signed:
        train = np.concatenate([train > 0, train < 0], axis=2)
    words = np.zeros((-(-len(train) // BLOCK_STEPS), *train.shape[1:]), np.uint64)
    for step, fired in enumerate(train):
        words[step // BLOCK_STEPS] |= (fired != 0).astype(np.uint64) << np.uint64(step % BLOCK_STEPS)
    return words


def first_difference(left: np.ndarray, right: np.ndarray) -> tuple[int, int] | None:
    """The first step in which words of full blocks `[blocks, N, ...]` differ, and its first sample."""
    for block, (one, other) in enumerate(zip(left, right, strict=True)):
        if np.array_equal(one, other):
            continue
        wrong = np.bitwise_or.reduce((one ^ other).reshape(len(one), -1), axis=1)
        steps = _count_bits((wrong & (~wrong + np.uint64(1))) - np.uint64(1))  # 64 where nothing differs
        return block * BLOCK_STEPS + int(steps.min()), int(steps.argmin())
    return None


def _count_bits(words: np.ndarray) -> np.ndarray:
    """How many bits are set in each word, uint8. (`np.bitwise_count` came with numpy 2.)"""
    parts = np.ascontiguousarray(words).reshape(*words.shape, 1).view(np.uint16)
    counts: np.ndarray = _BITS_OF[parts].sum(-1, dtype=np.uint8)
    return counts


def _first(count: int) -> np.uint64:
    """The mask of the first `count` steps of a block."""
    mask: np.uint64 = np.uint64((1 << count) - 1)
    return mask
