"""The neurons `RMP` and `IF` against a few lines of numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from native_operators import (
    Array,
    Random,
    batched_shapes,
    counts,
    no_deadline,
    operator,
    randoms,
    run,
    words_of,
    zeros,
)
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument


def neurons_reference(
    current: Array, v: Array, threshold: Array, count: int, *, soft: bool, leak: int
) -> tuple[Array, Array]:
    v = v.copy()
    spikes = np.zeros((count, *v.shape), bool)
    for step, charge in enumerate(current.reshape(count, *v.shape)):
        v = v - (v >> leak if leak else np.int32(0)) + charge.astype(np.int32)
        spikes[step] = v >= threshold
        v = np.where(spikes[step], v - threshold if soft else np.int32(0), v)
    return words_of(spikes), v.astype(np.int32)


@pytest.mark.parametrize("name", ["RMP", "IF"])
@no_deadline
@given(
    shape=batched_shapes,
    count=counts,
    per_channel=st.booleans(),
    extreme=st.booleans(),
    leak=st.sampled_from([0, 0, 1, 2, 7, 15]),
    random=randoms,
)
def test_neurons_equal_the_reference(
    name: str, shape: tuple[int, ...], count: int, per_channel: bool, extreme: bool, leak: int, random: Random
) -> None:
    theta_shape = (shape[1], *[1] * (len(shape) - 2)) if per_channel and len(shape) > 1 else ()
    largest = 2**24 - 1 if extreme else 9
    current = random.integers(-largest, largest, (count * shape[0], *shape[1:]), endpoint=True)
    v_range = (-(2**31), 2**31 - 1) if extreme else (-20, 20)
    v = np.asarray(random.integers(*v_range, shape, endpoint=True), np.int32)
    threshold = np.asarray(random.integers(1, v_range[1], theta_shape, endpoint=True), np.int32)
    attributes = f"leak = {leak}" if leak else ""
    got = run(operator(name, attributes), current.astype(np.float32), v, threshold, count)
    expected = neurons_reference(current, v, threshold, count, soft=name == "RMP", leak=leak)
    for actual, wanted in zip(got, expected, strict=True):
        assert actual.dtype == wanted.dtype
        np.testing.assert_array_equal(actual, wanted)


@pytest.mark.parametrize(("name", "spikes"), [("RMP", 0b111), ("IF", 0b011)])
def test_toy_of_the_paper(name: str, spikes: int) -> None:
    """Currents of 1.5, 1.2 and 0.3 thresholds: soft reset fires three times, hard reset twice."""
    current = np.array([[15], [12], [3]], np.float32)
    words, _ = run(operator(name), current, np.zeros((1, 1), np.int32), np.int32(10), 3)
    assert words.item() == spikes


@pytest.mark.parametrize("name", ["RMP", "IF"])
@no_deadline
@given(split=counts, random=randoms)
def test_a_block_equals_its_parts(name: str, split: int, random: Random) -> None:
    current = random.integers(-5, 9, (64, 7)).astype(np.float32)  # one sample, 64 steps
    v = np.zeros((1, 7), np.int32)
    threshold = np.int32(6)
    whole, v_whole = run(operator(name), current, v, threshold, 64)
    first, v_first = run(operator(name), current[:split], v, threshold, split)
    second, v_second = run(operator(name), current[split:], v_first, threshold, 64 - split)
    shifted = second << np.uint64(split) if split < 64 else np.zeros_like(second)
    np.testing.assert_array_equal(first | shifted, whole)
    np.testing.assert_array_equal(v_second, v_whole)


@pytest.mark.parametrize(
    ("name", "inputs", "message"),
    [
        ("RMP", (zeros((5, 3), "f4"), zeros((2, 3), "i4"), np.int32(1), 2),
         r"RMP: current has shape \[5, 3\], must be \[4, 3\] for v \[2, 3\] and count 2"),
        ("IF", (zeros((4, 3, 1), "f4"), zeros((2, 3), "i4"), np.int32(1), 2),
         r"IF: current has shape \[4, 3, 1\], must be \[4, 3\]"),
        ("RMP", (zeros((2, 3), "f4"), zeros((2, 3), "i4"), zeros((2,), "i4"), 1),
         r"RMP: threshold has shape \[2\], must be \[\] or \[3\] for v \[2, 3\]"),
        ("RMP", (zeros((2, 3, 4), "f4"), zeros((2, 3, 4), "i4"), zeros((3, 4), "i4"), 1),
         r"RMP: threshold has shape \[3, 4\], must be \[\] or \[3, 1\]"),
        ("IF", (zeros((2,), "f4"), zeros((2,), "i4"), zeros((1,), "i4"), 1),
         r"IF: threshold has shape \[1\], must be \[\] for v \[2\]"),
        ("RMP", (zeros((), "f4"), zeros((), "i4"), np.int32(1), 1), r"RMP: v has shape \[\]"),
        ("RMP", (zeros((2, 3), "f4"), zeros((2, 3), "i4"), np.int32(1), 65),
         r"RMP: count is 65, must be 0 to 64"),
    ],
)  # fmt: skip
def test_wrong_inputs_are_errors_that_name_the_operator(
    name: str, inputs: tuple[npt.ArrayLike, ...], message: str
) -> None:
    session = operator(name)
    with pytest.raises(InvalidArgument, match=message):
        run(session, *inputs)
