"""Leaky neurons: V ← V - floor(V/2^leak) at the start of every step. By hand, on every implementation of a neuron."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from native_operators import Array, bits_of, no_deadline, operator, run
from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

from snnc.simulate import reference

OPERATORS: dict[reference.Reset, str] = {"soft": "RMP", "hard": "IF"}
Trains = tuple[Array, Array]
"""Spikes `[T, neurons]`, membrane potentials after them `[neurons]`."""
Neurons = Callable[[Array, int, reference.Reset, int, Array], Trains]
"""(currents `[T, neurons]`, threshold, reset, leak, V(0) `[neurons]`) → Trains; at most 64 steps."""


def in_onnxruntime(native: bool) -> Neurons:
    def drive(currents: Array, threshold: int, reset: reference.Reset, leak: int, start: Array) -> Trains:
        session = operator(OPERATORS[reset], f"leak = {leak}", native=native)
        theta, v = np.array(threshold, np.int32), start[None].astype(np.int32)
        words, v = run(session, currents.astype(np.float32), v, theta, len(currents))
        return bits_of(words[0], len(currents)), v[0]

    return drive


def in_the_reference(currents: Array, threshold: int, reset: reference.Reset, leak: int, start: Array) -> Trains:
    """Step by step: `reference.neuron` starts at a fraction of the threshold only."""
    v = start.astype(np.int64)
    spikes = np.zeros(currents.shape, np.int64)
    for step, current in enumerate(currents):
        fired, v = reference._fire(reference._leaked(v, leak) + current, np.array(threshold), reset)
        spikes[step] = fired
    return spikes, v


IMPLEMENTATIONS: dict[str, Neurons] = {
    "reference": in_the_reference,
    "native": in_onnxruntime(True),
    "function": in_onnxruntime(False),
}


@pytest.fixture(params=list(IMPLEMENTATIONS))
def neurons(request: pytest.FixtureRequest) -> Neurons:
    return IMPLEMENTATIONS[request.param]


def column(*values: int) -> Array:
    return np.array(values, np.int64)[:, None]


@pytest.mark.parametrize(
    ("reset", "spikes", "v"),
    [
        # leak 1, θ 10. 9 | 9-4+7 = 12 fires, 2 | 2-1+4 = 5 | 5-2+7 = 10 fires, 0 | 0-3 = -3 | -3+2+1 = 0
        ("soft", [0, 1, 0, 1, 0, 0], 0),
        # 9 | 12 fires, 0 | 4 | 4-2+7 = 9 | 9-4-3 = 2 | 2-1+1 = 2
        ("hard", [0, 1, 0, 0, 0, 0], 2),
    ],
)
def test_a_train_by_hand(neurons: Neurons, reset: reference.Reset, spikes: list[int], v: int) -> None:
    found = neurons(column(9, 7, 4, 7, -3, 1), 10, reset, 1, np.zeros(1))
    assert (found[0][:, 0].tolist(), found[1].tolist()) == (spikes, [v])


def test_the_leak_rounds_down(neurons: Neurons) -> None:
    """One step without current, leak 2: 3 keeps all, 4 loses 1; -1 and -4 lose -1, -5 loses -2; the limits of int32."""
    start = np.array([0, 3, 4, 7, 8, -1, -4, -5, -8, -9, 2**31 - 2, -(2**31)])
    _, v = neurons(np.zeros((1, len(start)), np.int64), 2**31 - 1, "soft", 2, start)
    assert v.tolist() == [0, 3, 3, 6, 6, 0, -3, -3, -6, -6, 3 * 2**29 - 1, -3 * 2**29]


def test_the_leak_comes_before_the_current(neurons: Neurons) -> None:
    """A neuron that stands at its threshold does not fire; a current of θ alone makes one fire at rest."""
    spikes, v = neurons(column(0, 0), 16, "soft", 3, np.array([16]))
    assert (spikes[:, 0].tolist(), v.tolist()) == ([0, 0], [13])
    assert neurons(column(16), 16, "soft", 3, np.array([0]))[0].tolist() == [[1]]


@pytest.mark.parametrize("reset", OPERATORS)
@pytest.mark.parametrize(("current", "silent"), [(7, True), (8, False), (-7, True)])
def test_small_currents_stay_silent(neurons: Neurons, reset: reference.Reset, current: int, silent: bool) -> None:
    """A constant current I drives the potential to I·2^leak: neurons with I < θ/2^leak never fire, here θ = 64."""
    spikes, v = neurons(np.full((64, 1), current, np.int64), 64, reset, 3, np.zeros(1))
    assert spikes.any() == (not silent)
    if silent:
        assert v.tolist() == [current * 8 + (7 if current < 0 else 0)]


@no_deadline
@given(
    st.lists(st.tuples(*[st.integers(-2000, 3000)] * 3), min_size=1, max_size=64),
    st.integers(1, 1000).map(lambda half: 2 * half),
    st.integers(1, 15),
    st.tuples(*[st.integers(-(10**6), 10**6)] * 3),
)
def test_all_implementations_agree(
    currents: list[tuple[int, ...]], threshold: int, leak: int, start: tuple[int, ...]
) -> None:
    drive, v = np.array(currents, np.int64), np.array(start)
    for reset in OPERATORS:
        spikes, potentials = IMPLEMENTATIONS["reference"](drive, threshold, reset, leak, v)
        for name in ("native", "function"):
            found = IMPLEMENTATIONS[name](drive, threshold, reset, leak, v)
            assert np.array_equal(found[0], spikes), name
            assert np.array_equal(found[1], potentials), name


@pytest.mark.parametrize("name", ["RMP", "IF"])
def test_no_leak_is_the_default(name: str) -> None:
    inputs = column(9, 7, 4, 7, -3, 1).astype(np.float32), np.zeros((1, 1), np.int32), np.array(10, np.int32), 6
    for native in (True, False):
        assert run(operator(name, native=native), *inputs) == run(operator(name, "leak = 0", native=native), *inputs)


@pytest.mark.parametrize("name", ["RMP", "IF"])
@pytest.mark.parametrize("leak", ["-1", "16", "2.0"])
def test_wrong_leaks_are_errors(name: str, leak: str) -> None:
    with pytest.raises(RuntimeException, match=f"{name}: attribute leak is .*, must be"):
        operator(name, f"leak = {leak}")


@pytest.mark.parametrize("leak", [-1, 16, 0.5])
def test_the_reference_refuses_wrong_leaks(leak: int) -> None:
    with pytest.raises(ValueError, match="no integer from 0 to 15"):
        reference.neuron([1, 2], 4, leak=leak)
