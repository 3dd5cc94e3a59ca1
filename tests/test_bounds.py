"""No sum leaves the exact integers of float32 and no membrane potential leaves int32, up to max_steps."""

from __future__ import annotations

from typing import Any

import golden
import networks
import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snnc.integers.limits import reach, sum_limit
from snnc.ir.conversion import Conversion, Level
from snnc.ir.graph import constant
from snnc.ir.trees import signal_of, targets
from snnc.operators import LAYERS
from snnc.runtime.session import SpikingSession
from snnc.simulate.block_runner import StreamRunner, blocks
from snnc.simulate.reference import simulate

FEATURES, HIDDEN = 64, 3


def mlp(seed: int = 0, scale: float = 1.0, bias: bool = True) -> networks.Network:
    net = networks.Network((FEATURES,), np.random.default_rng(seed))
    net.dense(HIDDEN, bias)
    net.then("Relu")
    net.dense(2, bias)
    net.output()
    for tensor in net.weights:
        values = np.frombuffer(tensor.raw_data, np.float32) * np.float32(scale)
        tensor.raw_data = values.tobytes()
    return net


def worst_inputs(conversion: Conversion) -> np.ndarray:
    """For every hidden neuron, the two inputs whose spikes (one at every step) add up or subtract the most."""
    layer = next(node for node in conversion.graph.nodes if node.op == "Gemm")
    weight = constant(layer, 1)
    assert weight is not None
    signs = np.sign(weight.T).astype(np.float32)
    encoder = networks.source_nodes(conversion)[0]
    inputs: np.ndarray = np.concatenate([signs, -signs]) * np.float32(2 * encoder.attrs["scale"])
    return inputs


def final_states(conversion: Conversion, images: np.ndarray, steps: int) -> dict[str, np.ndarray]:
    """The states of the stream form after `steps` steps."""
    runner = StreamRunner(networks.block_of(conversion))
    names = [value.name for value in runner.session.get_outputs()]
    states = {state.name: state.start(len(images)) for state in runner.block.states}
    for first_step, count in blocks([steps]):
        controls = {"seed": 0, "first_sample": 0, "first_step": first_step, "count": count}
        feeds = {name: np.array(value, np.int64) for name, value in controls.items()}
        values = dict(zip(names, runner.session.run(None, {"x": images, **feeds, **states}), strict=True))
        states = {state.name: values[state.output or state.next_name] for state in runner.block.states}
    return states


@pytest.mark.parametrize("max_steps", [1, 5, 64, 200, 4096])
@pytest.mark.parametrize("choices", [{}, {"reset": "hard"}, {"v_init": 0.5}, {"alpha": 0.01}, {"leak": 15}], ids=str)
def test_the_worst_input_for_max_steps(max_steps: int, choices: dict[str, Any]) -> None:
    """Membranes equal those of the reference on int64, which raises OverflowError beyond the limits."""
    options: dict[str, Any] = {"threshold": "model", "weight_bits": 16, **choices}
    conversion = networks.emit(mlp().model(), max_steps=max_steps, steps=1, calib_steps=1, **options)
    images = worst_inputs(conversion)
    simulated = simulate(conversion.graph, images, max_steps)
    states = final_states(conversion, images, max_steps)
    lowest = 0
    for name, expected in simulated.membranes.items():
        assert np.array_equal(states[f"snnc/v/{name.removeprefix('snnc/')}"], expected), name
        lowest = min(lowest, int(expected.min()))
    assert lowest < 0
    hidden = targets(conversion.graph)[0]
    bound = signal_of(hidden.inputs[0]).magnitude
    if max_steps >= 4096:  # otherwise 16-bit weights are the tighter limit
        assert -int(simulated.membranes[hidden.name].min()) > 2**31 / 8
    assert abs(int(simulated.membranes[hidden.name].min())) <= max_steps * bound


@pytest.mark.parametrize("max_steps", [1, 5, 64, 4096, 100_000])
def test_the_limit_of_a_current_leaves_room_for_the_start_and_the_next_step(max_steps: int) -> None:
    """int32 holds a potential that starts one current away from 0 and gets one more before it is compared, no more."""
    current = int(sum_limit(max_steps))
    potentials = np.cumsum([current] * (max_steps + 2), dtype=np.int64)  # start, max_steps, the next one
    assert potentials[-1] < 2**31 <= potentials[-1] + max_steps + 2


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(model=networks.models(), choices=networks.options())
def test_the_bounds_hold_for_random_networks(model: Any, choices: dict[str, Any]) -> None:
    conversion = networks.emit(model, **choices)
    for target in targets(conversion.graph):
        bound = signal_of(target.inputs[0]).magnitude
        if target.op == "SpikeReadout":
            assert 64 * bound < 2**53
            assert choices["max_steps"] * bound < 2**63
            continue
        assert bound < 2**24
        start = max(float(np.abs(state.initial).max()) for state in LAYERS[target.op].states(target))
        assert start + reach(target.inputs[0], choices["max_steps"]) * bound < 2**31


@settings(max_examples=25)
@given(
    seed=st.integers(0, 1000),
    exponent=st.integers(-12, 12),
    max_steps=st.sampled_from([1, 100, 4096, 100_000]),
)
def test_the_grid_is_the_finest(seed: int, exponent: int, max_steps: int) -> None:
    """The weights of a channel are multiples of 2^-k, and k + 1 would break a bound."""
    net = mlp(seed, 2.0**exponent, bias=False)
    options: dict[str, Any] = {"threshold": "model", "weight_bits": 16}
    conversion = networks.emit(net.model(), max_steps=max_steps, steps=1, calib_steps=1, **options)
    source, signed = networks.source_nodes(conversion)[0], True
    layers = [node for node in conversion.graph.nodes if node.op == "Gemm"]
    for layer, tensor, target in zip(layers, net.weights, targets(conversion.graph), strict=True):
        original = np.frombuffer(tensor.raw_data, np.float32).reshape(tensor.dims).astype(np.float64)
        written, threshold = constant(layer, 1), constant(target, 1)
        assert written is not None
        step = target.attrs["scale"] / (1.0 if threshold is None else threshold)
        k = np.log2(source.attrs["scale"] / step)
        assert k == pytest.approx(np.rint(k), abs=1e-6)
        assert np.array_equal(written, np.rint(original * 2.0 ** np.rint(k)))
        finer = np.rint(original * 2.0 ** (np.rint(k) + 1))
        high = np.abs(finer).sum(0) if signed else np.maximum(np.maximum(finer, 0).sum(0), -np.minimum(finer, 0).sum(0))
        readout = target.op == "SpikeReadout"
        limit = 2**53 / 64 if readout else min((2**31 - 1) / (max_steps + 2), 2**24)
        assert ((high >= limit) | (np.abs(finer).max(0) > (2**20 if readout else 2**15 - 1))).all()
        source, signed = target, False


def test_readouts_are_bounded_by_the_most_steps() -> None:
    """Weights behind weights, so that sums come near what 64-bit potentials hold in so many steps."""
    model = golden.model(
        "# random: A [6,6] seed 1\n# random: B [6,6] seed 2\n# random: C [6,6] seed 3\n"
        "net (float[N,6] x) => (float[N,6] y, float[N,6] z) "
        "{ a = MatMul (x, A) h = Relu (a) b = MatMul (h, B) i = Relu (b) z = Add (h, i) y = MatMul (z, C) }"
    )
    graph = golden.run_to(model, Level.CALIBRATED, max_steps=2**25, steps=4, calib_samples=4, calib_steps=4).graph
    largest = [signal_of(node.inputs[0]).magnitude for node in graph.nodes if node.op == "SpikeReadout"]
    assert 2**36 < max(largest) < 2**63 / 2**25


@pytest.mark.parametrize("native", [True, False])
def test_steps_out_of_range_are_errors(native: bool) -> None:
    conversion = networks.emit(mlp().model(), steps=10, calib_steps=10, max_steps=100)
    assert conversion.emitted is not None
    session = SpikingSession(conversion.emitted.SerializeToString(), native=native)
    images = np.zeros((2, FEATURES), np.float32)
    for steps in (0, -1, 101, 2**40):
        with pytest.raises(ValueError, match="steps"):
            session.run(images, steps)
        with pytest.raises(Exception, match="steps must be from 1 to max_steps"):
            session.session.run(None, {"x": images, "steps": np.array(steps, np.int64)})
    assert session.run(images, 100).steps_used == 100


def test_no_samples() -> None:
    conversion = networks.emit(mlp().model())
    assert conversion.emitted is not None
    for native in (True, False):
        result = SpikingSession(conversion.emitted.SerializeToString(), native=native).run(
            np.zeros((0, FEATURES), np.float32), 5
        )
        assert result.logits.shape == (0, 2)
        assert result.spike_totals.shape == (0, 2)


def test_the_session_reports_errors_as_onnxruntime_does() -> None:
    conversion = networks.emit(mlp().model())
    assert conversion.emitted is not None
    session = SpikingSession(conversion.emitted.SerializeToString()).session
    assert isinstance(session, ort.InferenceSession)
    with pytest.raises(Exception, match=r"(?i)invalid|dimension|rank"):
        session.run(None, {"x": np.zeros((1, FEATURES + 1), np.float32)})
