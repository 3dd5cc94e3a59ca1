"""Spike words against the trains that they stand for."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
from hypothesis import given

from snnc.simulate.word_trains import count_spikes, first_difference, join_blocks, pack_train, unpack_words


@st.composite
def trains(draw: st.DrawFn) -> tuple[np.ndarray, list[int]]:
    """A train bool `[steps, N, C]`, and how its steps are cut into blocks."""
    counts = draw(st.lists(st.integers(1, 64), min_size=1, max_size=5))
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    return random.random((sum(counts), 2, 3)) < 0.3, counts


def words_of(train: np.ndarray) -> np.ndarray:
    """Of one block of at most 64 steps, with spikes behind its end that do not count."""
    bits = [int("".join("01"[int(fired)] for fired in neuron[::-1]), 2) for neuron in train.reshape(len(train), -1).T]
    beyond = 0 if len(train) == 64 else 1 << len(train)
    return np.array([word | beyond for word in bits], np.uint64).reshape(train.shape[1:])


@given(trains())
def test_blocks_of_any_length_are_the_same_train(case: tuple[np.ndarray, list[int]]) -> None:
    train, counts = case
    blocks = [words_of(part) for part in np.split(train, np.cumsum(counts)[:-1])]
    assert np.array_equal(join_blocks(blocks, counts), pack_train(train.astype(np.int8), signed=False))
    total = sum(count_spikes(words, count).astype(int) for words, count in zip(blocks, counts, strict=True))
    assert np.array_equal(total, train.sum(0))
    assert np.array_equal(unpack_words(blocks[0], counts[0]), train[: counts[0]])


@given(trains())
def test_signs_are_apart(case: tuple[np.ndarray, list[int]]) -> None:
    train = case[0].astype(np.int8)
    train[1::2] *= -1
    plus, minus = np.split(pack_train(train, signed=True), 2, axis=2)
    assert np.array_equal(plus, pack_train((train > 0).astype(np.int8), signed=False))
    assert np.array_equal(minus, pack_train((train < 0).astype(np.int8), signed=False))


@given(trains(), st.data())
def test_the_first_difference(case: tuple[np.ndarray, list[int]], data: st.DataObject) -> None:
    train = case[0].astype(np.int8)
    other = train.copy()
    for _ in range(data.draw(st.integers(0, 3))):
        place = tuple(data.draw(st.integers(0, size - 1)) for size in train.shape)
        other[place] ^= 1
    wrong = np.argwhere((train != other).any(2))
    found = first_difference(pack_train(train, signed=False), pack_train(other, signed=False))
    assert found == (tuple(map(int, wrong[0])) if len(wrong) else None)
