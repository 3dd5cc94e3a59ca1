"""The neurons with signed spikes, `Staircase` and `StaircaseTable`, in both forms against a few lines of numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native_operators import (
    Array,
    Random,
    assert_both_forms_give,
    bits_of,
    blocks,
    channel_shapes,
    joined_words_of,
    operator,
    randoms,
    run,
    wrapped,
    zeros,
)
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument, RuntimeException

INT32 = np.iinfo(np.int32)
LARGEST_CURRENT = 2**24 - 1
limits = st.tuples(st.integers(-4, 0), st.integers(0, 6))


# --- references -------------------------------------------------------------------------------------------------------


def staircase_reference(
    current: Array, v: Array, counts: Array, threshold: Array, count: int, low: int, high: int
) -> list[Array]:
    v, counts, theta = (values.astype(np.int64) for values in (v, counts, threshold))
    spikes = np.zeros((count, *v.shape), np.int64)
    for step, charge in enumerate(current.reshape(spikes.shape).astype(np.int64)):
        v = wrapped(v + charge)
        up = (v >= theta) & (counts < high)
        down = ~up & (v < 0) & (counts > low)
        spikes[step] = np.where(up, 1, np.where(down, -1, 0))
        v = wrapped(v - spikes[step] * theta)
        counts = counts + spikes[step]
    return [joined_words_of(spikes), v.astype(np.int32), counts.astype(np.int32)]


def targets_reference(charge: Array, first: Array, breaks: Array, rises: Array) -> Array:
    """The counts that charges [N, C, ...] ask for."""
    targets = np.zeros(charge.shape, np.int64)
    for channel in range(charge.shape[1]):
        row = channel if len(first) > 1 else 0
        targets[:, channel] = first[row]
        for at, rise in zip(breaks[row], rises[row], strict=True):
            targets[:, channel] += np.where(charge[:, channel] >= at, np.int64(rise), 0)
    return targets


def table_reference(
    current: Array, v: Array, counts: Array, first: Array, breaks: Array, rises: Array, count: int
) -> list[Array]:
    v, counts = v.astype(np.int64), counts.astype(np.int64)
    spikes = np.zeros((count, *v.shape), np.int64)
    for step, charge in enumerate(current.reshape(spikes.shape).astype(np.int64)):
        v = wrapped(v + charge)
        spikes[step] = np.sign(targets_reference(v, first, breaks, rises) - counts)
        counts = counts + spikes[step]
    return [joined_words_of(spikes), v.astype(np.int32), counts.astype(np.int32)]


# --- random inputs ----------------------------------------------------------------------------------------------------


def random_currents(random: Random, shape: tuple[int, ...], count: int, largest: int) -> Array:
    """Some steps without any current, as in a network that has settled."""
    current = random.integers(-largest, largest, (count, *shape), endpoint=True)
    current *= random.integers(0, 2, (count, *[1] * len(shape)))
    return current.reshape(count * shape[0], *shape[1:]).astype(np.float32)


def random_int32s(random: Random, shape: tuple[int, ...], extreme: bool, largest: int = 20) -> Array:
    """Small numbers, or any at all with the outermost among them."""
    if not extreme:
        return np.asarray(random.integers(-largest, largest, shape, endpoint=True), np.int32)
    values = random.integers(INT32.min, INT32.max, shape, endpoint=True)
    edges = random.choice([INT32.min, INT32.min + 1, -1, 0, 1, INT32.max - 1, INT32.max], shape)
    return np.asarray(np.where(random.random(shape) < 0.3, edges, values), np.int32)


def random_table(random: Random, channels: int, steps: int, extreme: bool) -> tuple[Array, Array, Array]:
    """`first`, `breaks`, `rises`: not monotone, some rows padded, some breaks equal."""
    first = random.integers(-3, 4, channels).astype(np.int32)
    breaks = np.sort(random_int32s(random, (channels, steps), extreme, 30), axis=1)
    rises = random.integers(-2, 3, (channels, steps)).astype(np.int32)
    padding = np.arange(steps) >= random.integers(0, steps + 1, (channels, 1))
    return first, np.where(padding, INT32.max, breaks).astype(np.int32), np.where(padding, 0, rises).astype(np.int32)


def random_neurons(
    random: Random, shape: tuple[int, ...], within: tuple[int, int], per_channel: bool, extreme: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thresholds, potentials, and counts within the limits."""
    theta_shape = (shape[1], *[1] * (len(shape) - 2)) if per_channel else ()
    threshold = np.asarray(random.integers(1, INT32.max if extreme else 9, theta_shape, endpoint=True), np.int32)
    return threshold, random_int32s(random, shape, extreme), random.integers(*within, shape, np.int32, endpoint=True)


# --- both forms are the reference -------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(
    shape=channel_shapes(), counts=blocks, within=limits, per_channel=st.booleans(), extreme=st.booleans(),
    random=randoms,
)  # fmt: skip
def test_staircase_equals_the_reference(
    shape: tuple[int, ...],
    counts: list[int],
    within: tuple[int, int],
    per_channel: bool,
    extreme: bool,
    random: Random,
) -> None:
    low, high = within
    threshold, v, counted = random_neurons(random, shape, within, per_channel, extreme)
    for count in counts:
        current = random_currents(random, shape, count, LARGEST_CURRENT if extreme else 9)
        wanted = staircase_reference(current, v, counted, threshold, count, low, high)
        states = (current, v, counted, threshold, count)
        assert_both_forms_give(wanted, "Staircase", f"low = {low}, high = {high}", *states)
        _, v, counted = wanted


@settings(max_examples=60)
@given(
    shape=channel_shapes(), counts=blocks, within=limits, per_channel=st.booleans(), extreme=st.booleans(),
    random=randoms,
)  # fmt: skip
def test_charge_is_current_of_the_first_step(
    shape: tuple[int, ...],
    counts: list[int],
    within: tuple[int, int],
    per_channel: bool,
    extreme: bool,
    random: Random,
) -> None:
    """Long enough blocks go on after the last spike; a block without steps keeps the charge."""
    low, high = within
    threshold, v, counted = random_neurons(random, shape, within, per_channel, extreme)
    for count in counts:
        charge = random_currents(random, shape, 1, LARGEST_CURRENT if extreme else 30)
        charge *= random.random(charge.shape) < random.choice([0, 0.1, 1])
        current = np.concatenate([charge, np.zeros((63 * shape[0], *shape[1:]), np.float32)])[: count * shape[0]]
        wanted = staircase_reference(current, v, counted, threshold, count, low, high)
        if count == 0:
            no_spikes, _, _ = wanted
            wanted = [no_spikes, v + charge.astype(np.int32).reshape(v.shape), counted]
        states = (charge, v, counted, threshold, count)
        assert_both_forms_give(wanted, "StaircaseCharge", f"low = {low}, high = {high}", *states)
        _, v, counted = wanted


@settings(max_examples=100)
@given(
    shape=channel_shapes(), counts=blocks, steps=st.integers(1, 9), per_channel=st.booleans(), extreme=st.booleans(),
    random=randoms,
)  # fmt: skip
def test_table_equals_the_reference(
    shape: tuple[int, ...], counts: list[int], steps: int, per_channel: bool, extreme: bool, random: Random
) -> None:
    table = random_table(random, shape[1] if per_channel else 1, steps, extreme)
    v, counted = random_int32s(random, shape, extreme), random.integers(-5, 5, shape, np.int32, endpoint=True)
    for count in counts:
        current = random_currents(random, shape, count, LARGEST_CURRENT if extreme else 9)
        wanted = table_reference(current, v, counted, *table, count)
        assert_both_forms_give(wanted, "StaircaseTable", "", current, v, counted, *table, count)
        _, v, counted = wanted


@pytest.mark.parametrize("channels", [1, 7])
def test_large_layers_equal_the_reference(channels: int) -> None:
    """Samples and channels that end within tiles, and tables of many steps."""
    random = np.random.default_rng(0)
    shape, count = (3, 7, 15, 17), 40
    current, v = random_currents(random, shape, count, 9), random_int32s(random, shape, False)
    counted = random.integers(-2, 3, shape, np.int32)
    table = random_table(random, channels, 128, False)
    wanted = table_reference(current, v, counted, *table, count)
    assert_both_forms_give(wanted, "StaircaseTable", "", current, v, counted, *table, count)
    threshold = random.integers(1, 9, (7, 1, 1), np.int32)
    wanted = staircase_reference(current, v, counted, threshold, count, -3, 9)
    assert_both_forms_give(wanted, "Staircase", "low = -3, high = 9", current, v, counted, threshold, count)


def test_int32_edges_of_counts_and_targets() -> None:
    """Counts and targets up to the ends of int32, and sums of rises that float32 cannot hold."""
    counted = np.array([[INT32.min, INT32.max - 1, 0, 2**24 + 1]], np.int32)
    first = np.array([INT32.min, INT32.max - 2, 2**24, -(2**24)], np.int32)
    breaks = np.tile(np.array([-5, 0, INT32.max], np.int32), (4, 1))
    rises = np.array([[2**24 + 1, -1, 7], [1, 1, 0], [1, -(2**25), 0], [2**25 + 1, 0, 1]], np.int32)
    for charge in (INT32.min, -6, -5, -1, 0, INT32.max):
        v = np.full((1, 4), charge, np.int32)
        current = np.array([[0] * 4, [1] * 4, [-1] * 4, [0] * 4], np.float32)
        wanted = table_reference(current, v, counted, first, breaks, rises, 4)
        assert_both_forms_give(wanted, "StaircaseTable", "", current, v, counted, first, breaks, rises, 4)


# --- meaning ----------------------------------------------------------------------------------------------------------


def test_a_staircase_settles_at_the_floor_of_its_charge() -> None:
    """Once the charge is complete the count is floor(charge / threshold), within the limits."""
    charges = np.arange(-45, 75)[None]
    current = np.zeros((64, charges.size), np.float32)
    current[0] = 90  # fires up first, then takes it back
    current[9] = charges - 90
    none = zeros(charges.shape, "i4")
    _, v, counts = run(operator("Staircase", "low = -3, high = 5"), current, none, none, np.int32(10), 64)
    np.testing.assert_array_equal(counts, np.clip(charges // 10, -3, 5))
    np.testing.assert_array_equal(v, charges - 10 * counts)


def test_a_uniform_table_is_a_staircase_once_settled() -> None:
    charges = np.arange(-45, 75)[None]
    current = np.concatenate([charges, np.zeros((63, charges.size), np.int64)]).astype(np.float32)
    none = zeros(charges.shape, "i4")
    breaks = np.arange(-20, 60, 10, dtype=np.int32)[None]
    table = (np.array([-3], np.int32), breaks, np.ones_like(breaks))
    fired, v, counts = run(operator("StaircaseTable"), current, none, none, *table, 64)
    np.testing.assert_array_equal(counts, np.clip(charges // 10, -3, 5))
    np.testing.assert_array_equal(v, charges)
    plus, minus = np.split(bits_of(fired, 64).astype(int).sum(axis=0), 2, axis=1)
    np.testing.assert_array_equal(plus - minus, counts)


# --- errors -----------------------------------------------------------------------------------------------------------

V, ONE, TABLE = zeros((2, 3), "i4"), np.int32(1), zeros((3, 4), "i4")
CURRENT, FIRST = zeros((4, 3), "f4"), zeros((3,), "i4")
DOWN = np.array([[3, 2]], np.int32)
FAR = np.array([[2**31 - 1, 1]], np.int32)


@pytest.mark.parametrize(
    ("name", "inputs", "message"),
    [
        ("Staircase", (zeros((5, 3), "f4"), V, V, ONE, 2),
         r"Staircase: current has shape \[5, 3\], must be \[4, 3\] for v \[2, 3\] and count 2"),
        ("Staircase", (CURRENT, V, zeros((2, 4), "i4"), ONE, 2),
         r"Staircase: counts has shape \[2, 4\], must be that of v, \[2, 3\]"),
        ("Staircase", (CURRENT, V, V, zeros((2,), "i4"), 2),
         r"Staircase: threshold has shape \[2\], must be \[\] or \[3\] for v \[2, 3\]"),
        ("Staircase", (zeros((4,), "f4"), zeros((2,), "i4"), zeros((2,), "i4"), ONE, 2),
         r"Staircase: v has shape \[2\], must have a batch and a channel axis: \[N, C, ...\]"),
        ("StaircaseCharge", (CURRENT, V, V, ONE, 2), r"StaircaseCharge: charge has shape \[4, 3\], must be that of v"),
        ("Staircase", (CURRENT, V, V, ONE, 65), r"Staircase: count is 65, must be 0 to 64"),
        ("StaircaseTable", (CURRENT, V, V, FIRST[:2], TABLE, TABLE, 2),
         r"StaircaseTable: first has shape \[2\], must be \[1\] or \[3\] for v \[2, 3\]"),
        ("StaircaseTable", (CURRENT, V, V, np.int32(0), TABLE, TABLE, 2),
         r"StaircaseTable: first has shape \[\], must be \[1\] or \[3\]"),
        ("StaircaseTable", (CURRENT, V, V, FIRST, TABLE[:1], TABLE, 2),
         r"StaircaseTable: breaks has shape \[1, 4\], must be \[3, K\] with K at least 1, for first \[3\]"),
        ("StaircaseTable", (CURRENT, V, V, FIRST, TABLE[:, :0], TABLE[:, :0], 2),
         r"StaircaseTable: breaks has shape \[3, 0\], must be \[3, K\] with K at least 1"),
        ("StaircaseTable", (CURRENT, V, V, FIRST, TABLE, TABLE[:, :2], 2),
         r"StaircaseTable: rises has shape \[3, 2\], must be that of breaks, \[3, 4\]"),
        ("StaircaseTable", (CURRENT, V, V, FIRST[:1], DOWN, DOWN, 2),
         r"StaircaseTable: breaks of channel 0 are not in ascending order"),
        ("StaircaseTable", (CURRENT, V, V, FIRST[:1], FAR[:, ::-1], FAR, 2),
         r"StaircaseTable: a target of channel 0 is beyond int32"),
        ("StaircaseTable", (CURRENT[:3], V, V, FIRST, TABLE, TABLE, 2), r"StaircaseTable: current has shape \[3, 3\]"),
    ],
)  # fmt: skip
def test_wrong_inputs_are_errors_that_name_the_operator(
    name: str, inputs: tuple[npt.ArrayLike, ...], message: str
) -> None:
    session = operator(name, "low = 0, high = 8" if name.endswith(("Staircase", "Charge")) else "")
    with pytest.raises(InvalidArgument, match=message):
        run(session, *inputs)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ("low = 0", r"attribute high \(int\) is missing"),
        ("low = 1, high = 0", "attribute low is 1, must not be above high, 0"),
        ("low = 0, high = 2147483648", "attribute high is 2147483648, must be an int32"),
    ],
)
def test_wrong_limits_are_errors(attributes: str, message: str) -> None:
    with pytest.raises(RuntimeException, match=f"Staircase: {message}"):
        operator("Staircase", attributes)
