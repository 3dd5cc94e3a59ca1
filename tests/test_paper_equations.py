"""The equations of RMP-SNN (Han, Srinivasan, Roy, CVPR 2020), exactly, on every implementation of a neuron.

All numbers are integers: with η = p/q the threshold is a multiple of q, so that the amplitude ηθ is one too.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from snnc import runtime
from snnc.operators import functions as ops
from snnc.simulate import reference

OPERATORS: dict[reference.Reset, str] = {"soft": "RMP", "hard": "IF"}
BLOCK = 64

Trains = tuple[np.ndarray, np.ndarray]
"""Spikes, shape [T, neurons], and the membrane potentials after them, shape [neurons]."""
Neuron = Callable[..., Trains]
"""(currents [T, neurons], threshold, reset, v_init) → Trains; V(0) = v_init·θ."""


# The implementations


@functools.cache
def one_neuron_session(operator: str, native: bool) -> ort.InferenceSession:
    """A model that is nothing but one RMP or IF node for a row of neurons, for one sample."""
    node = helper.make_node(operator, ["current", "v", "threshold", "count"], ["spikes", "v_out"], domain="ai.snnc")
    graph = helper.make_graph(
        [node],
        "one_neuron",
        inputs=[
            helper.make_tensor_value_info("current", TensorProto.FLOAT, ["rows", "neurons"]),
            helper.make_tensor_value_info("v", TensorProto.INT32, [1, "neurons"]),
            helper.make_tensor_value_info("threshold", TensorProto.INT32, []),
            helper.make_tensor_value_info("count", TensorProto.INT64, []),
        ],
        outputs=[
            helper.make_tensor_value_info("spikes", TensorProto.UINT64, [1, "neurons"]),
            helper.make_tensor_value_info("v_out", TensorProto.INT32, [1, "neurons"]),
        ],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.snnc", 1)]
    # Without function bodies, only the library can run the native model.
    functions = [] if native else ops.functions()
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9, functions=functions)
    onnx.checker.check_model(model)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    if native:
        options.register_custom_ops_library(str(runtime.library_path()))
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def in_onnxruntime(
    native: bool, currents: np.ndarray, threshold: int, reset: reference.Reset = "soft", v_init: float = 0
) -> Trains:
    """Drive the ai.snnc operator block by block, and unpack its words of spikes."""
    session = one_neuron_session(OPERATORS[reset], native)
    v = np.full((1, currents.shape[1]), int(v_init * threshold), np.int32)
    spikes = np.zeros(currents.shape, np.int8)
    for start in range(0, len(currents), BLOCK):
        rows = currents[start : start + BLOCK].astype(np.float32)
        feeds = {
            "current": rows,
            "v": v,
            "threshold": np.array(threshold, np.int32),
            "count": np.array(len(rows)),
        }
        words, v = session.run(["spikes", "v_out"], feeds)
        bits = words >> np.arange(BLOCK, dtype=np.uint64)[:, None] & np.uint64(1)
        assert not bits[len(rows) :].any(), "bits beyond the steps of the block are set"
        spikes[start : start + BLOCK] = bits[: len(rows)]
    return spikes, v[0]


IMPLEMENTATIONS: dict[str, Neuron] = {
    "reference": reference.neuron,
    "native": functools.partial(in_onnxruntime, True),
    "function": functools.partial(in_onnxruntime, False),
}


@pytest.fixture(params=list(IMPLEMENTATIONS))
def neuron(request: pytest.FixtureRequest) -> Neuron:
    return IMPLEMENTATIONS[request.param]


# Drives


def regular(amplitude: int, period: int, inputs: int, start: int = 0) -> np.ndarray:
    """`inputs` currents of one amplitude, one in every `period` steps: f_in = 1/period, T = inputs·period."""
    currents = np.zeros((inputs * period, 1), np.int64)
    currents[start::period] = amplitude
    return currents


def spike_count(neuron: Neuron, currents: np.ndarray, threshold: int, reset: str) -> int:
    return int(neuron(currents, threshold, reset)[0].sum())


ETAS_BELOW_ONE = [Fraction(*eta) for eta in [(1, 4), (3, 10), (1, 3), (2, 5), (1, 2), (3, 4), (1, 10), (59, 60)]]
ETAS_FROM_ONE = [Fraction(*eta) for eta in [(1, 1), (6, 5), (3, 2), (2, 1), (37, 10)]]
THRESHOLD = 1200
DRIVES = [(1, 1), (1, 7), (1, 120), (2, 50), (3, 41), (7, 30)]  # period, inputs


# Equations 2 to 4


@pytest.mark.parametrize(("reset", "expected"), [("soft", [1, 1, 1]), ("hard", [1, 1, 0])])
def test_the_toy_of_figures_3b_and_4b(neuron: Neuron, reset: str, expected: list[int]) -> None:
    """Currents of 1.5θ, 1.2θ and .3θ: three spikes with soft reset, two with hard reset."""
    spikes, v = neuron(np.array([[15], [12], [3]]), 10, reset)
    assert spikes[:, 0].tolist() == expected
    assert v.tolist() == ([0] if reset == "soft" else [3])


@pytest.mark.parametrize(("period", "inputs"), DRIVES)
@pytest.mark.parametrize("eta", ETAS_BELOW_ONE, ids=str)
def test_equation_3_hard_reset_below_threshold(neuron: Neuron, eta: Fraction, period: int, inputs: int) -> None:
    """n = floor(K / ceil(1/η)) for K inputs."""
    currents = regular(int(eta * THRESHOLD), period, inputs)
    assert spike_count(neuron, currents, THRESHOLD, "hard") == inputs // math.ceil(1 / eta)


@pytest.mark.parametrize(("period", "inputs"), DRIVES)
@pytest.mark.parametrize("eta", ETAS_FROM_ONE, ids=str)
def test_equation_3_hard_reset_from_threshold_on(neuron: Neuron, eta: Fraction, period: int, inputs: int) -> None:
    """n = K: one spike per input, whatever it exceeds the threshold by."""
    currents = regular(int(eta * THRESHOLD), period, inputs)
    assert spike_count(neuron, currents, THRESHOLD, "hard") == inputs


@pytest.mark.parametrize(("period", "inputs"), DRIVES)
@pytest.mark.parametrize("eta", ETAS_BELOW_ONE, ids=str)
def test_equation_4_soft_reset_below_threshold(neuron: Neuron, eta: Fraction, period: int, inputs: int) -> None:
    """n = floor(η·K)."""
    currents = regular(int(eta * THRESHOLD), period, inputs)
    assert spike_count(neuron, currents, THRESHOLD, "soft") == math.floor(eta * inputs)


@pytest.mark.parametrize("silence", [0, 1, 5, 40, 300])
@pytest.mark.parametrize("inputs", [1, 6, 50])
@pytest.mark.parametrize("eta", ETAS_FROM_ONE, ids=str)
def test_equation_4_soft_reset_from_threshold_on(neuron: Neuron, eta: Fraction, inputs: int, silence: int) -> None:
    """n = floor(η·K), but no more than one per step: inputs from the first step on, then silence.

    The neuron fires at every step until the backlog is gone.
    """
    currents = np.zeros((inputs + silence, 1), np.int64)
    currents[:inputs] = int(eta * THRESHOLD)
    expected = min(inputs + silence, math.floor(eta * inputs))
    assert spike_count(neuron, currents, THRESHOLD, "soft") == expected


@pytest.mark.parametrize("period", [1, 2, 5])
@pytest.mark.parametrize("eta", ETAS_FROM_ONE, ids=str)
def test_equation_4_with_a_backlog_at_the_end(neuron: Neuron, eta: Fraction, period: int) -> None:
    """Where inputs end each period the last one may leave a backlog: only the charge balance holds.

    θ·n + V(T) = ηθ·K, where V(T) may exceed θ.
    """
    inputs = 30
    currents = regular(int(eta * THRESHOLD), period, inputs, start=period - 1)
    spikes, v = neuron(currents, THRESHOLD, "soft")
    assert THRESHOLD * int(spikes.sum()) + int(v[0]) == eta * THRESHOLD * inputs
    assert int(spikes.sum()) <= math.floor(eta * inputs)


FIGURES = [  # η, rate with soft reset (figure 4(c)), with hard reset (figure 3(d)); f_in = 1
    ((1, 4), (1, 4), (1, 4)),
    ((3, 10), (3, 10), (1, 4)),
    ((1, 3), (1, 3), (1, 3)),
    ((2, 5), (2, 5), (1, 3)),
    ((1, 2), (1, 2), (1, 2)),
    ((3, 4), (3, 4), (1, 2)),
    ((1, 1), (1, 1), (1, 1)),
]


@pytest.mark.parametrize(("eta", "soft", "hard"), FIGURES)
@pytest.mark.parametrize("steps", [60, 600])
def test_the_rates_of_figures_3d_and_4c(
    neuron: Neuron, eta: tuple[int, int], soft: tuple[int, int], hard: tuple[int, int], steps: int
) -> None:
    """Soft reset is linear in η, hard reset a staircase."""
    currents = regular(int(Fraction(*eta) * THRESHOLD), 1, steps)
    assert Fraction(spike_count(neuron, currents, THRESHOLD, "soft"), steps) == Fraction(*soft)
    assert Fraction(spike_count(neuron, currents, THRESHOLD, "hard"), steps) == Fraction(*hard)


def test_a_tenth_of_the_threshold_gives_a_tenth_of_the_steps(neuron: Neuron) -> None:
    """1000 steps of .1θ: 100 spikes. (Binary floating point gives 99.)"""
    assert spike_count(neuron, regular(2, 1, 1000), 20, "soft") == 100
    assert spike_count(neuron, regular(2, 1, 1000), 20, "hard") == 100


# The balance of charge


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(-2000, 3000)] * 3), min_size=1, max_size=150),
    st.integers(1, 1000).map(lambda half: 2 * half),
    st.sampled_from([0, 0.5]),
)
def test_soft_reset_conserves_charge(
    name: str, currents: Sequence[tuple[int, ...]], threshold: int, v_init: float
) -> None:
    """θ·n + V(T) - V(0) = Σ I, exactly; and whatever the reset, the spikes and membranes of the reference."""
    drive = np.array(currents, np.int64)
    spikes, v = IMPLEMENTATIONS[name](drive, threshold, "soft", v_init)
    balance = threshold * spikes.sum(axis=0, dtype=np.int64) + v - int(v_init * threshold)
    assert np.array_equal(balance, drive.sum(axis=0))
    for reset in OPERATORS:
        spikes, v = IMPLEMENTATIONS[name](drive, threshold, reset, v_init)
        expected_spikes, expected_v = reference.neuron(drive, threshold, reset, v_init)
        assert np.array_equal(spikes, expected_spikes)
        assert np.array_equal(v, expected_v)


# Equation 8


def spike_rate(spikes: np.ndarray) -> Fraction:
    """R = total spikes / (total neurons · inference steps) · 100 %, spikes of shape [T, neurons]."""
    return Fraction(100 * int(spikes.sum()), spikes.shape[1] * spikes.shape[0])


def test_equation_8_spike_rate(neuron: Neuron) -> None:
    """Neurons driven at η = .25, .5 and 1 for 64 steps spike at those rates: R is their mean, 58.33 %."""
    currents = np.tile(np.array([300, 600, 1200]), (64, 1))
    spikes, _ = neuron(currents, THRESHOLD, "soft")
    assert spike_rate(spikes) == Fraction(100 * 7, 12)


def test_equation_8_counts_neither_inputs_nor_outputs() -> None:
    """From the totals of a simulation: three neurons at η = .25, .5, 1, and behind each one of η = .5."""
    tensors = {name: gs.Variable(name, np.float32) for name in ("x", "input", "I_1", "s_1", "I_2", "s_2", "I_3", "y")}
    x, spikes_in, current_1, spikes_1, current_2, spikes_2, current_3, y = tensors.values()

    def constant(name: str, values: object, dtype: type = np.float32) -> gs.Constant:
        return gs.Constant(name, np.asarray(values, dtype))

    def layer(number: int, current: gs.Variable, spikes: gs.Variable) -> gs.Node:
        threshold = constant(f"threshold_{number}", THRESHOLD, np.int32)
        return gs.Node("RMP", f"layer_{number}", {"v_init": 0.0}, [current, threshold], [spikes], "ai.snnc")

    graph = gs.Graph(
        nodes=[
            gs.Node("PoissonEncode", "input", {"scale": 1.0}, [x], [spikes_in], "ai.snnc"),
            gs.Node("MatMul", "fc_1", {}, [spikes_in, constant("W_1", np.diag([300, 600, 1200]))], [current_1]),
            layer(1, current_1, spikes_1),
            gs.Node("Scale", "half", {}, [spikes_1, constant("w_2", 600)], [current_2], "ai.snnc"),
            layer(2, current_2, spikes_2),
            gs.Node("Scale", "one", {}, [spikes_2, constant("w_3", 1)], [current_3], "ai.snnc"),
            gs.Node("SpikeReadout", "output", {"scale": 1.0}, [current_3], [y], "ai.snnc"),
        ],
        inputs=[x],
        outputs=[y],
    )
    samples, steps = 2, 64
    result = reference.simulate(graph, np.ones((samples, 3), np.float32), steps)
    assert set(result.totals) == {"input", "layer_1", "layer_2"}
    spikes = result.totals["layer_1"] + result.totals["layer_2"]
    rates = [Fraction(100 * int(total), 6 * steps) for total in spikes]
    assert rates == [Fraction(100 * 7, 12) * Fraction(3, 4)] * samples
