"""The encoders `PoissonEncode` and `SpikeEncode` against a few lines of numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from native_operators import (
    GRAPHS,
    Array,
    Random,
    assert_both_forms_give,
    batched_shapes,
    bits_of,
    channel_shapes,
    counts,
    no_deadline,
    operator,
    randoms,
    run,
    session_of,
    words_of,
    zeros,
)
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument, RuntimeException

steps = st.integers(0, 2**32)
int64s = st.integers(-(2**63), 2**63 - 1)


def philox4x32_10(counter: list[Array], key: tuple[int, int]) -> list[Array]:
    """Salmon et al., SC 2011, on arrays of counters: four uint64 arrays that hold 32-bit values."""
    low = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    c0, c1, c2, c3 = counter
    for i in range(10):
        k0 = np.uint64((key[0] + i * 0x9E3779B9) % 2**32)
        k1 = np.uint64((key[1] + i * 0xBB67AE85) % 2**32)
        p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (p1 >> half) ^ c1 ^ k0, p1 & low, (p0 >> half) ^ c3 ^ k1, p0 & low
    return [c0, c1, c2, c3]


def encode_reference(
    x: Array, scale: float, seed: int, first_sample: int, first_step: int, count: int
) -> tuple[Array, Array]:
    samples, elements = x.shape[0], int(np.prod(x.shape[1:]))
    with np.errstate(invalid="ignore", over="ignore"):
        p = np.abs(x) / np.float32(scale)
        odds = np.where(p < 1, np.ceil(np.where(p < 1, p, 0).astype(np.float64) * 2**24), 2**24)
    e = np.arange(elements, dtype=np.uint64)
    i = np.uint64(first_sample % 2**64) + np.arange(samples, dtype=np.uint64)[:, None]
    spikes = np.zeros((count, samples, elements), bool)
    for k in range(count):
        step = np.uint64((first_step + k) % 2**32)
        counter = np.broadcast_arrays(e // np.uint64(4), step, i & np.uint64(0xFFFFFFFF), i >> np.uint64(32))
        words = philox4x32_10(list(counter), (seed % 2**32, seed // 2**32 % 2**32))
        drawn = np.choose((e % np.uint64(4)).astype(int), words)
        spikes[k] = (drawn >> np.uint64(8)) < odds.reshape(samples, elements)
    trains = words_of(spikes.reshape(count, *x.shape))
    zero = np.uint64(0)
    return np.where(x < 0, zero, trains), np.where(x < 0, trains, zero)


def test_reference_generator_gives_the_published_numbers() -> None:
    """Known answers of Random123 (kat_vectors, philox4x32 10)."""
    ones = 0xFFFFFFFF
    pi = ([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], (0xA4093822, 0x299F31D0))
    for (counter, key), expected in [
        (([0] * 4, (0, 0)), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        (([ones] * 4, (ones, ones)), [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (pi, [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]),
    ]:
        words = philox4x32_10([np.array(c, np.uint64) for c in counter], key)
        assert [int(word) for word in words] == expected


@pytest.mark.parametrize(("above", "spike"), [(0, 0), (1, 1)])
def test_encoder_draws_the_published_numbers(above: int, spike: int) -> None:
    """Known answer for counter 0 and key 0: an element spikes from odds of (w >> 8) + 1 on, and not below."""
    words = np.array([0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8])
    x = (((words >> 8) + above) / 2**24).astype(np.float32)[None]
    plus, minus = run(operator("SpikeEncode", "scale = 1.0"), x, 0, 0, 0, 1)
    np.testing.assert_array_equal(plus, np.full((1, 4), spike, np.uint64))
    assert not minus.any()


@no_deadline
@given(shape=batched_shapes, count=counts, seed=int64s, first_sample=int64s, first_step=steps, random=randoms)
def test_encoder_equals_the_reference(
    shape: tuple[int, ...], count: int, seed: int, first_sample: int, first_step: int, random: Random
) -> None:
    x = np.asarray(random.uniform(-3, 3, shape) * random.integers(0, 2, shape), np.float32)
    got = run(operator("SpikeEncode", "scale = 2.5"), x, seed, first_sample, first_step, count)
    expected = encode_reference(x, 2.5, seed, first_sample, first_step, count)
    for actual, wanted in zip(got, expected, strict=True):
        np.testing.assert_array_equal(actual, wanted)


@no_deadline
@given(shape=channel_shapes(), count=counts, seed=int64s, first_sample=int64s, first_step=steps, random=randoms)
def test_both_forms_of_both_encoders_equal_the_reference(
    shape: tuple[int, ...], count: int, seed: int, first_sample: int, first_step: int, random: Random
) -> None:
    x = np.asarray(random.uniform(-3, 3, shape) * random.integers(0, 2, shape), np.float32)
    plus, minus = encode_reference(x, 2.5, seed, first_sample, first_step, count)
    inputs = (x, seed, first_sample, first_step, count)
    assert_both_forms_give([plus, minus], "SpikeEncode", "scale = 2.5", *inputs)
    assert_both_forms_give([np.concatenate([plus, minus], axis=1)], "PoissonEncode", "scale = 2.5", *inputs)


def test_encoder_equals_the_reference_on_large_samples() -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (2, 3, 37, 41)).astype(np.float32)
    got = run(operator("SpikeEncode", "scale = 1.0"), x, 7, 2**32 - 1, 64, 64)
    for actual, wanted in zip(got, encode_reference(x, 1.0, 7, 2**32 - 1, 64, 64), strict=True):
        np.testing.assert_array_equal(actual, wanted)


def test_encoder_of_special_values() -> None:
    always, never = 2**64 - 1, 0
    x = np.array([[0.0, -0.0, 2.0, -2.0, 1e30, np.inf, -np.inf, np.nan]], np.float32)
    plus, minus = run(operator("SpikeEncode", "scale = 2.0"), x, 1, 0, 0, 64)
    assert plus.tolist() == [[never, never, always, never, always, always, never, always]]
    assert minus.tolist() == [[never, never, never, always, never, never, always, never]]


def test_encoder_does_not_depend_on_batch_or_block() -> None:
    x = np.random.default_rng(1).uniform(-1, 1, (5, 9)).astype(np.float32)
    whole = run(operator("SpikeEncode", "scale = 1.0"), x, 3, 100, 1000, 60)
    for sample in range(5):
        for start, stop in [(0, 13), (13, 60)]:
            one = slice(sample, sample + 1)
            part = run(operator("SpikeEncode", "scale = 1.0"), x[one], 3, 100 + sample, 1000 + start, stop - start)
            for of_whole, of_part in zip(whole, part, strict=True):
                expected = bits_of(of_whole[one], 60)[start:stop].astype(bool)
                np.testing.assert_array_equal(of_part, words_of(expected))


@pytest.mark.parametrize(
    ("name", "inputs", "message"),
    [
        ("SpikeEncode", (zeros((2, 3), "f4"), 0, 0, 0, 65), r"SpikeEncode: count is 65"),
        ("PoissonEncode", (zeros((2, 3), "f4"), 0, 0, 0, -1), r"PoissonEncode: count is -1"),
        ("PoissonEncode", (zeros((2,), "f4"), 0, 0, 0, 1), r"PoissonEncode: x has shape \[2\], must have a batch and"),
        ("SpikeEncode", (zeros((), "f4"), 0, 0, 0, 1), r"SpikeEncode: x has shape \[\]"),
    ],
)  # fmt: skip
def test_wrong_inputs_are_errors_that_name_the_operator(
    name: str, inputs: tuple[npt.ArrayLike, ...], message: str
) -> None:
    session = operator(name, "scale = 1.0")
    with pytest.raises(InvalidArgument, match=message):
        run(session, *inputs)


@pytest.mark.parametrize("name", ["PoissonEncode", "SpikeEncode"])
@pytest.mark.parametrize("scale", ["0.0", "-1.0"])
def test_scale_must_be_positive(name: str, scale: str) -> None:
    with pytest.raises(RuntimeException, match=rf"{name}: attribute scale is .*must be greater than 0"):
        operator(name, f"scale = {scale}")


@pytest.mark.parametrize("name", ["PoissonEncode", "SpikeEncode"])
def test_scale_must_be_there(name: str) -> None:
    with pytest.raises(RuntimeException, match=rf"{name}: attribute scale \(float\) is missing"):
        session_of(GRAPHS[name].replace("<ATTRIBUTES>", ""))
