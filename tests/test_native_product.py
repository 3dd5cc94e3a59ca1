"""`SpikeProduct` in both forms against products of counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native_operators import (
    Array,
    Random,
    assert_both_forms_give,
    bits_of,
    blocks,
    operator,
    random_words,
    randoms,
    run,
    zeros,
)
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument, RuntimeException

Axes = tuple[int, ...]


def counts_by_step(words: Array, before: Array, count: int, signed: bool) -> Array:
    """[count + 1, N, C, ...]"""
    sides = np.split(bits_of(words, count).astype(np.int64), 1 + signed, axis=2)
    changes = sides[0] - sides[1] if signed else sides[0]
    counts: np.ndarray = before + np.concatenate([np.zeros((1, *before.shape), np.int64), np.cumsum(changes, axis=0)])
    return counts


def product_reference(
    words: tuple[Array, Array], before: tuple[Array, Array], count: int, signed: tuple[bool, bool]
) -> list[Array]:
    first, second = (counts_by_step(*each) for each in zip(words, before, (count, count), signed, strict=True))
    current = np.diff(first * second, axis=0).astype(np.float32)
    rows = current.reshape(count * current.shape[1], *current.shape[2:])
    return [rows, first[-1].astype(np.int32), second[-1].astype(np.int32)]


def attributes(signed: tuple[bool, bool]) -> str:
    return f"first_signed = {int(signed[0])}, second_signed = {int(signed[1])}"


@st.composite
def shapes(draw: st.DrawFn) -> tuple[Axes, Axes]:
    """Of two batches: equal sizes, or 1 in either; channels alone, and up to three axes behind them."""
    batch = draw(st.integers(0, 3))
    axes = draw(
        st.lists(st.tuples(st.integers(1, 5), st.sampled_from(["", "", "first", "second"])), min_size=1, max_size=4)
    )
    first, second = (tuple(1 if one == which else size for size, one in axes) for which in ("first", "second"))
    return (batch, *first), (batch, *second)


@settings(max_examples=150, deadline=None)
@given(
    shapes=shapes(),
    counts=blocks,
    signed=st.tuples(st.booleans(), st.booleans()),
    density=st.sampled_from([0.0, 0.02, 0.3, 0.9]),
    largest=st.sampled_from([0, 3, 1000]),
    random=randoms,
)
def test_products_equal_the_reference(
    shapes: tuple[Axes, Axes],
    counts: list[int],
    signed: tuple[bool, bool],
    density: float,
    largest: int,
    random: Random,
) -> None:
    before = tuple(
        random.integers(-largest * sign, largest, shape, np.int32, endpoint=True)
        for shape, sign in zip(shapes, signed, strict=True)
    )
    for count in counts:
        words = tuple(
            random_words(random, (shape[0], (1 + sign) * shape[1], *shape[2:]), 64, density)
            for shape, sign in zip(shapes, signed, strict=True)
        )
        wanted = product_reference((words[0], words[1]), (before[0], before[1]), count, signed)
        assert_both_forms_give(wanted, "SpikeProduct", attributes(signed), *words, *before, count)
        before = (wanted[1], wanted[2])


def test_a_gate_of_a_map() -> None:
    """A spike of the map adds what the gate has, one of the gate what its channel has; together one more."""
    spikes, gate = np.array([[[[0b101, 0b001]]]], np.uint64), np.array([[[[0b110]]]], np.uint64)
    wanted = [np.array([0, 0, 1, 1, 3, 1], np.float32).reshape(3, 1, 1, 2), np.array([[[[2, 1]]]], np.int32)]
    wanted.append(np.array([[[[2]]]], np.int32))
    before = zeros((1, 1, 1, 2), "i4"), zeros((1, 1, 1, 1), "i4")
    assert_both_forms_give(wanted, "SpikeProduct", attributes((False, False)), spikes, gate, *before, 3)


@pytest.mark.parametrize("signed", [(True, True), (True, False), (False, True)])
def test_a_usual_gate_equals_the_reference(signed: tuple[bool, bool]) -> None:
    random = np.random.default_rng(0)
    words = (
        random_words(random, (2, 24 * (1 + signed[0]), 14, 14), 64, 0.02),
        random_words(random, (2, 24 * (1 + signed[1]), 1, 1), 64, 0.1),
    )
    before = random.integers(0, 9, (2, 24, 14, 14), np.int32), random.integers(0, 9, (2, 24, 1, 1), np.int32)
    wanted = product_reference(words, before, 64, signed)
    assert_both_forms_give(wanted, "SpikeProduct", attributes(signed), *words, *before, 64)


def test_counts_beyond_the_block_and_both_signs_at_once_are_nothing() -> None:
    """Spikes behind `count` are not looked at; a positive and a negative one of a step cancel."""
    first, second = np.array([[0b1011, 0b0010]], np.uint64), np.array([[0b0001]], np.uint64)
    before = np.full((1, 1), 5, np.int32), np.full((1, 1), -2, np.int32)
    current = np.array([[6 * -1 - 5 * -2], [0]], np.float32)
    wanted = [current, np.array([[6]], np.int32), np.array([[-1]], np.int32)]
    assert_both_forms_give(wanted, "SpikeProduct", attributes((True, False)), first, second, *before, 2)


@pytest.mark.parametrize(
    ("signed", "shapes", "message"),
    [
        ((True, False), [(2, 3, 4), (2, 3, 4), (2, 3, 4), (2, 3, 4)], "first has shape"),
        ((False, True), [(2, 3, 4), (2, 3, 4), (2, 3, 4), (2, 3, 4)], "second has shape"),
        ((False, False), [(2, 3, 4), (2, 3, 2), (2, 3, 4), (2, 3, 2)], "second_counts has shape"),
        ((False, False), [(2, 3, 4), (1, 3, 4), (2, 3, 4), (1, 3, 4)], "second_counts has shape"),
        ((False, False), [(2, 3, 4), (2, 3), (2, 3, 4), (2, 3)], "second_counts has shape"),
        ((False, False), [(2,), (2,), (2,), (2,)], "first_counts has shape"),
    ],
)
def test_wrong_shapes_are_named(signed: tuple[bool, bool], shapes: list[Axes], message: str) -> None:
    session = operator("SpikeProduct", attributes(signed))
    values = [zeros(shape, kind) for shape, kind in zip(shapes, ("u8", "u8", "i4", "i4"), strict=True)]
    with pytest.raises(InvalidArgument, match=f"SpikeProduct: {message}"):
        run(session, *values, 4)


def test_wrong_attributes_are_named() -> None:
    with pytest.raises(RuntimeException, match="SpikeProduct: attribute second_signed is 2"):
        operator("SpikeProduct", "first_signed = 0, second_signed = 2")
