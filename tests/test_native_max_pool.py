"""`SpikeMaxPool` in both forms against loops over windows."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

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
    joined_words_of,
    operator,
    random_words,
    randoms,
    run,
    words_of,
    zeros,
)
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument, RuntimeException

Axes = tuple[int, ...]


@dataclass(frozen=True)
class Window:
    """Attributes of the operator, and the plane it is used on."""

    size: Axes
    kernel: Axes
    strides: Axes
    dilations: Axes
    pads: Axes

    def attributes(self, signed: bool) -> str:
        values = {
            "kernel_shape": self.kernel,
            "strides": self.strides,
            "pads": self.pads,
            "dilations": self.dilations,
        }
        return ", ".join(f"{name} = {list(axes)}" for name, axes in values.items()) + f", signed = {int(signed)}"

    def elements(self, axis: int, at: int) -> list[int]:
        """Places inside the plane that window `at` sees along an axis."""
        start = at * self.strides[axis] - self.pads[axis]
        places = [start + tap * self.dilations[axis] for tap in range(self.kernel[axis])]
        return [place for place in places if 0 <= place < self.size[axis]]

    def outputs(self, axis: int) -> int:
        reach = (self.kernel[axis] - 1) * self.dilations[axis] + 1
        padded = self.size[axis] + self.pads[axis] + self.pads[len(self.size) + axis]
        return (padded - reach) // self.strides[axis] + 1

    def is_valid(self) -> bool:
        """At least one window, and an element in each."""
        sees = [[self.elements(axis, at) for at in range(self.outputs(axis))] for axis in range(len(self.size))]
        return all(windows and all(windows) for windows in sees)


def pool_reference(window: Window, spikes: Array, counts: Array, count: int, signed: bool) -> list[Array]:
    sides = np.split(bits_of(spikes, count).astype(np.int64), 1 + signed, axis=2)
    changes = sides[0] - sides[1] if signed else sides[0]
    by_step = counts + np.concatenate([np.zeros((1, *counts.shape), np.int64), np.cumsum(changes, axis=0)])
    size = [window.outputs(axis) for axis in range(len(window.size))]
    maxima = np.zeros((*by_step.shape[:3], *size), np.int64)
    for place in itertools.product(*map(range, size)):
        seen = itertools.product(*(window.elements(axis, at) for axis, at in enumerate(place)))
        around: Any = [(..., *element) for element in seen]
        here: Any = (..., *place)
        maxima[here] = np.max([by_step[element] for element in around], axis=0)
    fired = np.diff(maxima, axis=0)
    assert set(np.unique(fired)) <= ({-1, 0, 1} if signed else {0, 1})
    return [joined_words_of(fired) if signed else words_of(fired > 0), by_step[-1].astype(np.int32)]


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """1 to 3 spatial axes, any padding that leaves an element in each window."""
    axes = []
    for _ in range(draw(st.integers(1, 3))):
        kernel, dilation = draw(st.integers(1, 3)), draw(st.sampled_from([1, 1, 2]))
        reach = (kernel - 1) * dilation + 1
        pads = draw(st.integers(0, reach - 1)), draw(st.integers(0, reach - 1))
        axes.append((draw(st.integers(1, 6)), kernel, draw(st.integers(1, 3)), dilation, *pads))
    size, kernels, strides, dilations, begins, ends = zip(*axes, strict=True)
    return Window(size, kernels, strides, dilations, (*begins, *ends))


# --- both forms are the reference -------------------------------------------------------------------------------------


@settings(max_examples=150)
@given(
    window=windows().filter(Window.is_valid),
    batch=st.integers(0, 2),
    channels=st.integers(1, 3),
    counts=blocks,
    signed=st.booleans(),
    density=st.sampled_from([0.0, 0.01, 0.1, 0.6]),
    largest=st.sampled_from([0, 2, 40, 2**24 - 1 - 3 * 64]),
    random=randoms,
)
def test_max_pool_equals_the_reference(
    window: Window,
    batch: int,
    channels: int,
    counts: list[int],
    signed: bool,
    density: float,
    largest: int,
    random: Random,
) -> None:
    shape = (batch, channels, *window.size)
    before = random.integers(-largest * signed, largest, shape, np.int32, endpoint=True)
    for count in counts:
        words = random_words(random, (batch, (1 + signed) * channels, *window.size), count, density)
        wanted = pool_reference(window, words, before, count, signed)
        assert_both_forms_give(wanted, "SpikeMaxPool", window.attributes(signed), words, before, count)
        before = wanted[1]


@pytest.mark.parametrize("signed", [False, True])
def test_usual_pools_equal_the_reference(signed: bool) -> None:
    random = np.random.default_rng(0)
    for kernel, stride, pad, size in [(2, 2, 0, 32), (3, 2, 1, 33), (3, 1, 1, 17), (3, 2, 0, 28)]:
        window = Window((size, size), (kernel, kernel), (stride, stride), (1, 1), (pad, pad, pad + 1, pad + 1))
        shape = (2, 3, size, size)
        before = random.integers(0, 9, shape, np.int32)
        words = random_words(random, (2, 3 * (1 + signed), size, size), 64, 0.05)
        words[0, 0] = 0  # a plane without positive spikes
        wanted = pool_reference(window, words, before, 64, signed)
        assert_both_forms_give(wanted, "SpikeMaxPool", window.attributes(signed), words, before, 64)


# --- meaning ----------------------------------------------------------------------------------------------------------


def test_the_rate_of_the_maximum_is_the_maximum_of_the_rates() -> None:
    """Spikes that only take turns are one spike train; a neuron must overtake the others to be heard."""
    turns = np.array([[[0b0101, 0b1010]]], np.uint64)
    pool = operator("SpikeMaxPool", "kernel_shape = [2], strides = [2], pads = [0, 0], dilations = [1], signed = 0")
    fired, counts = run(pool, turns, zeros((1, 1, 2), "i4"), 4)
    assert fired.tolist() == [[[0b0101]]]
    assert counts.tolist() == [[[2, 2]]]
    fired, _ = run(pool, turns, np.array([[[0, 1]]], np.int32), 4)
    assert fired.tolist() == [[[0b1010]]]


def test_opposite_spikes_of_one_step_cancel() -> None:
    window = Window((1,), (1,), (1,), (1,), (0, 0))
    words = np.array([[[0b11], [0b10]]], np.uint64)
    before = zeros((1, 1, 1), "i4")
    wanted: list[Array] = [np.array([[[0b01], [0]]], np.uint64), np.array([[[1]]], np.int32)]
    assert_both_forms_give(wanted, "SpikeMaxPool", window.attributes(True), words, before, 2)


def test_bits_behind_the_block_are_no_spikes() -> None:
    window = Window((2,), (2,), (1,), (1,), (0, 0))
    words = np.array([[[0b1100, 0b0101]]], np.uint64)
    wanted: list[Array] = [np.array([[[0b01]]], np.uint64), np.array([[[0, 1]]], np.int32)]
    assert_both_forms_give(wanted, "SpikeMaxPool", window.attributes(False), words, zeros((1, 1, 2), "i4"), 2)


# --- errors -----------------------------------------------------------------------------------------------------------

SQUARE = Window((5, 5), (2, 2), (2, 2), (1, 1), (0, 0, 0, 0))


@pytest.mark.parametrize(
    ("signed", "inputs", "message"),
    [
        (False, (zeros((1, 3, 5, 4), "u8"), zeros((1, 3, 5, 5), "i4"), 1),
         r"spikes has shape \[1, 3, 5, 4\], must be \[1, 3, 5, 5\] for counts \[1, 3, 5, 5\]"),
        (True, (zeros((1, 3, 5, 5), "u8"), zeros((1, 3, 5, 5), "i4"), 1),
         r"spikes has shape \[1, 3, 5, 5\], must be \[1, 6, 5, 5\] for counts \[1, 3, 5, 5\] and signed spikes"),
        (False, (zeros((1, 3, 5), "u8"), zeros((1, 3, 5), "i4"), 1),
         r"counts has shape \[1, 3, 5\], must be \[N, C, x...\] with 2 spatial axes for kernel_shape \[2, 2\]"),
        (False, (zeros((1, 3, 5, 1), "u8"), zeros((1, 3, 5, 1), "i4"), 1),
         r"counts has shape \[1, 3, 5, 1\], too small for kernel_shape \[2, 2\]"),
        (False, (zeros((1, 3, 5, 5), "u8"), zeros((1, 3, 5, 5), "i4"), 65), r"count is 65, must be 0 to 64"),
    ],
)  # fmt: skip
def test_wrong_inputs_are_errors_that_name_the_operator(
    signed: bool, inputs: tuple[npt.ArrayLike, ...], message: str
) -> None:
    session = operator("SpikeMaxPool", SQUARE.attributes(signed))
    with pytest.raises(InvalidArgument, match=f"SpikeMaxPool: {message}"):
        run(session, *inputs)


def test_a_window_outside_of_the_plane_is_an_error() -> None:
    """Dilated windows may step over a small plane."""
    pool = operator("SpikeMaxPool", Window((2,), (2,), (1,), (3,), (1, 1)).attributes(False))
    with pytest.raises(InvalidArgument, match=r"window 0 on axis 0 has no element of counts \[1, 1, 2\] inside"):
        run(pool, zeros((1, 1, 2), "u8"), zeros((1, 1, 2), "i4"), 1)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("kernel_shape", "[1, 1, 1, 1]", r"attribute kernel_shape is \[1, 1, 1, 1\], must have 1 to 3 spatial axes"),
        ("kernel_shape", "[0, 2]", r"attribute kernel_shape is \[0, 2\], must be 2 integers of at least 1"),
        ("strides", "[1]", r"attribute strides is \[1\], must be 2 integers of at least 1"),
        ("dilations", "[1, 0]", r"attribute dilations is \[1, 0\], must be 2 integers of at least 1"),
        ("pads", "[0, -1, 0, 0]", r"attribute pads is \[0, -1, 0, 0\], must be 4 integers of at least 0"),
        ("pads", "[0, 0, 0, 2]", r"attribute pads is \[0, 0, 0, 2\], must be below the reach of the window, 2"),
        ("signed", "2", r"attribute signed is 2, must be 0 or 1"),
    ],
)  # fmt: skip
def test_wrong_attributes_are_errors(name: str, value: str, message: str) -> None:
    attributes = {
        "kernel_shape": "[2, 2]", "strides": "[2, 2]", "pads": "[0, 0, 0, 0]", "dilations": "[1, 1]", "signed": "0",
        name: value,
    }  # fmt: skip
    with pytest.raises(RuntimeException, match=f"SpikeMaxPool: {message}"):
        operator("SpikeMaxPool", ", ".join(f"{key} = {text}" for key, text in attributes.items()))
