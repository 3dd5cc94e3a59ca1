"""The steps of a staircase against brute force: the count of every charge, one by one."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from region_models import region_of

from snnc.integers import steps as module
from snnc.integers.steps import PADDING, Steps, steps_of, uniform_steps

Curve = Callable[[np.ndarray], np.ndarray]

# One line of ONNX text from x to y, and constants; three channels where constants vary.
FUNCTIONS = {
    "relu": "y = Relu (x)",
    "leaky": "y = LeakyRelu <alpha = 0.2> (x)",
    "sigmoid": "y = Sigmoid (x)",
    "tanh": "y = Tanh (x)",
    "gelu": "y = Gelu (x)",
    "hardswish": "y = HardSwish (x)",
    "quantiser": "a = Mul (x, four) b = Round (a) y = Div (b, four)",
    "prelu": "y = PRelu (x, slopes)",
    "shifted": "a = Add (x, shifts) y = Relu (a)",
    "half up": "a = Mul (x, four) b = Add (a, half) c = Floor (b) y = Div (c, four)",
    "logarithm": "y = Log (x)",
}
# An extreme may last for one charge only, and is found where every charge is evaluated.
FALLING = ("gelu", "hardswish", "prelu")


@functools.cache
def curve(name: str) -> Curve:
    return region_of(FUNCTIONS[name], opset=20).curve


def brute_force(
    function: Curve, sigma: np.ndarray, value: np.ndarray, low: int, high: int, charges: np.ndarray
) -> np.ndarray:
    """g of charges `[C, N]`, from its definition."""
    with np.errstate(all="ignore"):
        y = function((charges * sigma[:, None]).astype(np.float32).T).astype(np.float64).T
        ratio = y / value[:, None]
        rounded = np.floor(np.where(ratio > 0, ratio * (1 + 2.0**-22), ratio * (1 - 2.0**-22)) + 0.5)
    counts: np.ndarray = np.clip(np.where(np.isnan(rounded), 0, rounded), low, high).astype(np.int64)
    return counts


def assert_table(steps: Steps) -> None:
    """Ascending breaks, no useless step, padding at the end only."""
    assert steps.first.dtype == steps.breaks.dtype == steps.rises.dtype == np.int32
    assert steps.breaks.shape == steps.rises.shape
    assert steps.breaks.shape[1] >= 1
    padded = steps.breaks == PADDING
    assert (steps.rises[padded] == 0).all()
    assert (steps.rises[~padded] != 0).all()
    assert ((np.diff(steps.breaks.astype(np.int64), axis=1) > 0) | padded[:, 1:]).all()
    assert (np.diff(padded.astype(int), axis=1) >= 0).all()


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(sorted(FUNCTIONS)),
    sigma=st.lists(st.floats(1e-4, 0.5), min_size=3, max_size=3),
    levels=st.integers(1, 300),
    limits=st.sampled_from([(0, 8), (-8, 8), (-3, 40), (0, 1000)]),
    ends=st.tuples(st.integers(-3000, 0), st.integers(0, 3000)),
    every=st.booleans(),
)
def test_steps_are_those_of_brute_force(
    name: str, sigma: list[float], levels: int, limits: tuple[int, int], ends: tuple[int, int], every: bool
) -> None:
    scale, value = np.array(sigma), np.array([3.0, 1.0, 0.5]) / levels
    lowest, highest = np.full(3, ends[0]) - [0, 1, 2], np.full(3, ends[1])
    with pytest.MonkeyPatch.context() as patch:
        if not every and name not in FALLING:
            patch.setattr(module, "_EVERY", 0)
            patch.setattr(module, "_CANDIDATES", 2**12)
        steps = steps_of(curve(name), scale, value, *limits, lowest, highest)
    assert_table(steps)
    charges = np.stack([np.clip(np.arange(ends[0] - 2, ends[1] + 1), low, None) for low in lowest])
    assert np.array_equal(steps.counts(charges), brute_force(curve(name), scale, value, *limits, charges))


@st.composite
def piecewise(draw: st.DrawFn) -> tuple[Curve, int]:
    """A function that jumps at random places, to anywhere."""
    edges = np.sort(np.array(draw(st.lists(st.integers(-500, 500), min_size=1, max_size=30, unique=True))))
    heights = draw(st.lists(st.integers(-40, 40), min_size=len(edges) + 1, max_size=len(edges) + 1))
    table = np.array(heights, np.float32)

    def function(x: np.ndarray) -> np.ndarray:
        found: np.ndarray = table[np.searchsorted(edges, x, side="right")]
        return found

    return function, len(edges)


@settings(max_examples=60)
@given(drawn=piecewise(), limits=st.sampled_from([(-50, 50), (0, 20), (-5, 3)]))
def test_random_piecewise_functions(drawn: tuple[Curve, int], limits: tuple[int, int]) -> None:
    function, most = drawn
    one = np.ones(1)
    charges = np.arange(-700, 701)[None]
    steps = steps_of(function, one, one, *limits, charges[:, 0], charges[:, -1])
    assert_table(steps)
    assert steps.breaks.shape[1] <= max(1, most)
    assert np.array_equal(steps.counts(charges), brute_force(function, one, one, *limits, charges))


def test_wide_ranges_are_searched() -> None:
    """Every step of a monotone function, and those that calibration charges betray."""
    sigma, value = np.array([1e-8, 3e-7]), np.array([0.01, 0.02])
    lowest, highest = np.array([-(2**31) + 1, -(10**9)]), np.array([2**31 - 1, 10**9])
    steps = steps_of(curve("sigmoid"), sigma, value, 0, 200, lowest, highest)
    assert_table(steps)
    for channel in range(2):
        breaks = steps.breaks[channel][steps.breaks[channel] != PADDING].astype(np.int64)
        around = np.stack([breaks - 1, breaks])
        found = brute_force(curve("sigmoid"), sigma[[channel]], value[[channel]], 0, 200, around.reshape(1, -1))
        before, after = found.reshape(2, -1)
        assert np.array_equal(after - before, steps.rises[channel][: len(breaks)])
        assert steps.first[channel] + (after - before).sum() == after[-1]

    def bump(x: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs(x - 123456789) < 20, np.float32)

    one = np.ones(1)
    span = np.array([-(2**31) + 1]), np.array([2**31 - 1])
    assert (steps_of(bump, one, one, 0, 1, *span).rises == 0).all()
    assert steps_of(bump, one, one, 0, 1, *span, charges=np.array([123456789])).rises.tolist() == [[1, -1]]


def test_channels_have_ranges_of_their_own() -> None:
    steps = steps_of(curve("relu"), np.ones(2), np.ones(2), 0, 100, np.array([-3, 5]), np.array([2, 9]))
    assert steps.first.tolist() == [0, 5]
    assert steps.breaks.tolist() == [[1, 2, PADDING, PADDING], [6, 7, 8, 9]]


def test_not_a_number_counts_as_0() -> None:
    steps = steps_of(curve("logarithm"), np.ones(1), np.ones(1), -5, 5, np.array([-4]), np.array([4]))
    assert steps.counts(np.arange(-4, 5)[None]).tolist() == [[0, 0, 0, 0, -5, 0, 1, 1, 1]]


@given(
    threshold=st.integers(1, 2**15).map(lambda half: 2 * half),
    sigma=st.floats(1e-6, 10),
    high=st.integers(1, 64),
    reach=st.integers(0, 2**17),
)
def test_a_relu_is_uniform(threshold: int, sigma: float, high: int, reach: int) -> None:
    lowest, highest = np.array([-reach]), np.array([reach])
    steps = steps_of(curve("relu"), np.array([sigma]), np.array([sigma * threshold]), 0, high, lowest, highest)
    found = uniform_steps(steps, 0, high, lowest, highest)
    assert found is not None
    if reach >= 2 * threshold and high > 1:
        assert found.tolist() == [threshold]
    charges = np.unique(np.linspace(-reach, reach, 5001).astype(np.int64))
    uniform = np.clip((charges + found // 2) // found, 0, high)
    assert np.array_equal(uniform, steps.counts(charges[None])[0])


def test_what_is_not_uniform() -> None:
    def found(name: str, low: int, value: float, sigma: float = 0.01) -> np.ndarray | None:
        span = np.array([-900]), np.array([900])
        return uniform_steps(steps_of(curve(name), np.array([sigma]), np.array([value]), low, 9, *span), low, 9, *span)

    assert found("sigmoid", 0, 0.1) is None
    assert found("leaky", -3, 1.0) is None
    assert found("relu", 0, 0.0301) is None  # θ would be no even integer
    assert found("relu", 0, 0.03) is None
    assert found("relu", 0, 0.04) == 4
    assert found("relu", -2, 0.04) is None
    assert found("half up", -2, 0.25, 1 / 64) == 16
    assert found("quantiser", -2, 0.25, 1 / 64) is None  # it rounds halves to even


def test_uniform_with_negative_counts() -> None:
    span = np.array([-50]), np.array([50])
    steps = steps_of(lambda x: x, np.ones(1), np.array([8.0]), -3, 4, *span)
    assert uniform_steps(steps, -3, 4, *span) == 8
    one_step = steps_of(lambda x: x, np.ones(1), np.array([8.0]), -1, 0, *span)
    assert uniform_steps(one_step, -1, 0, *span) == 8
