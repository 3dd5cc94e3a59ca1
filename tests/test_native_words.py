"""The operators that take spike words apart, against a few lines of numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from native_operators import (
    Random,
    batched_shapes,
    bits_of,
    counts,
    no_deadline,
    operator,
    random_words,
    randoms,
    run,
    zeros,
)
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument


@no_deadline
@given(shape=batched_shapes, count=counts, random=randoms)
def test_unpack_equals_the_reference(shape: tuple[int, ...], count: int, random: Random) -> None:
    words = random_words(random, shape)
    (out,) = run(operator("SpikeUnpack"), words, count)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, bits_of(words, count).reshape(count * shape[0], *shape[1:]))


@no_deadline
@given(shape=batched_shapes, random=randoms)
def test_count_equals_the_reference(shape: tuple[int, ...], random: Random) -> None:
    words = random_words(random, shape)
    (got,) = run(operator("SpikeCount"), words)
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, bits_of(words, 64).sum(axis=0))


@no_deadline
@given(shape=batched_shapes, ones=st.integers(0, 3), random=randoms)
def test_totals_equal_the_reference(shape: tuple[int, ...], ones: int, random: Random) -> None:
    sample = shape[1:]
    ones = min(ones, len(sample))
    fanout = np.asarray(random.integers(0, 10**6, (*[1] * ones, *sample[ones:])), np.int64)
    words = random_words(random, shape)
    total, operations = run(operator("SpikeTotals"), words, fanout)
    spikes = bits_of(words, 64).sum(axis=0).astype(np.int64)
    axes = tuple(range(1, len(shape)))
    np.testing.assert_array_equal(total, spikes.sum(axis=axes))
    np.testing.assert_array_equal(operations, (spikes * fanout).sum(axis=axes))


@no_deadline
@given(shape=batched_shapes, steps=counts, random=randoms)
def test_last_spike_equals_the_reference(shape: tuple[int, ...], steps: int, random: Random) -> None:
    mask = np.uint64(2**steps - 1)
    words = random_words(random, shape) & mask & random_words(random, (shape[0], *[1] * (len(shape) - 1)))
    fired = bits_of(words, 64).any(axis=tuple(range(2, 1 + len(shape))))
    expected = [max((step + 1 for step in range(64) if of_sample[step]), default=0) for of_sample in fired.T]
    for session in (operator("LastSpike"), operator("LastSpike", native=False)):
        np.testing.assert_array_equal(run(session, words)[0], expected)


@pytest.mark.parametrize(
    ("name", "inputs", "message"),
    [
        ("SpikeUnpack", (zeros((2, 3), "u8"), -1), r"SpikeUnpack: count is -1, must be 0 to 64"),
        ("SpikeUnpack", (zeros((2, 3), "u8"), zeros((1,), "i8")),
         r"SpikeUnpack: count has shape \[1\], must be a scalar \[\]"),
        ("SpikeUnpack", (zeros((), "u8"), 1), r"SpikeUnpack: spikes has shape \[\], must have a batch axis"),
        ("SpikeCount", (zeros((), "u8"),), r"SpikeCount: spikes has shape \[\]"),
        ("SpikeTotals", (zeros((2, 3, 4), "u8"), zeros((4,), "i8")),
         r"SpikeTotals: fanout has shape \[4\], must be \[3, 4\] or that with leading axes of 1, "
         r"for spikes \[2, 3, 4\]"),
        ("SpikeTotals", (zeros((2, 3, 4), "u8"), zeros((3, 1), "i8")),
         r"SpikeTotals: fanout has shape \[3, 1\]"),
        ("SpikeTotals", (zeros((), "u8"), zeros((), "i8")), r"SpikeTotals: spikes has shape \[\]"),
        ("LastSpike", (zeros((), "u8"),), r"LastSpike: spikes has shape \[\]"),
    ],
)  # fmt: skip
def test_wrong_inputs_are_errors_that_name_the_operator(
    name: str, inputs: tuple[npt.ArrayLike, ...], message: str
) -> None:
    session = operator(name)
    with pytest.raises(InvalidArgument, match=message):
        run(session, *inputs)
