"""A delayed readout: what comes in the first steps is not read, in every form of a network."""

from __future__ import annotations

from typing import Any

import golden
import networks
import numpy as np
import onnx
import pytest
from commands import DIGITS, Invoke, refuse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import Network
from test_equality import assert_equals_reference
from test_options import refused

import snnc
from snnc import api
from snnc.diagnostics import DiagnosticError
from snnc.ir.conversion import Conversion, Level
from snnc.runtime.session import SpikingSession
from snnc.simulate.block_runner import StreamRunner, default_cuts
from snnc.simulate.reference import simulate

METHOD = "low-latency"


def emit(model: onnx.ModelProto, delay: int, **options: Any) -> Conversion:
    given = {"method": METHOD, "steps": 200, "calib_steps": None, **options}
    return networks.emit(model, delay=delay, **given)


def readouts() -> dict[str, onnx.ModelProto]:
    """Every way in which a readout gets its current."""
    rng = np.random.default_rng(3)
    fused = networks.perceptron([6, 5], outputs=3)
    plain = Network((2, 6, 6), rng)
    plain.convolve(3, 3, 1, 1, 1, 1, bias=True)
    plain.then("Relu")
    plain.convolve(4, 3, 1, 0, 1, 1, bias=True)
    direct = Network((2, 6, 6), rng)  # a sum of spikes and of the input itself, with a bias inside
    direct.convolve(2, 3, 1, 1, 1, 1, bias=True)
    direct.then("Relu")
    direct.convolve(2, 3, 1, 1, 1, 1, bias=True)
    direct.then("Add", "x")
    pooled = Network((2, 6, 6), rng)
    pooled.convolve(3, 3, 1, 1, 1, 1, bias=False)
    pooled.then("Relu")
    pooled.average(2, 2, 0, True)
    for net in (plain, direct, pooled):
        net.output()
    return {"fused": fused.model(), "plain": plain.model(), "direct": direct.model(), "pooled": pooled.model()}


READOUTS = readouts()


@pytest.mark.parametrize("name", READOUTS)
@pytest.mark.parametrize("delay", [1, 5, 64, 100])
def test_what_is_read_is_what_comes_behind_the_delay(name: str, delay: int) -> None:
    """V with the delay is V(T) - V(delay) without."""
    model = READOUTS[name]
    images = networks.images_for(model, 3)
    late, whole = emit(model, delay), emit(model, 0)
    steps = delay + 37
    read = simulate(late.graph, images, steps).membranes
    before, after = (simulate(whole.graph, images, count).membranes for count in (delay, steps))
    for node in late.graph.nodes:
        if node.op == "SpikeReadout":
            assert np.array_equal(read[node.name], after[node.name] - before[node.name])
        elif node.name in read:
            assert np.array_equal(read[node.name], after[node.name])


@pytest.mark.parametrize("name", READOUTS)
@pytest.mark.parametrize("delay", [1, 5, 64, 100])
@pytest.mark.parametrize("native", [True, False])
def test_blocks_of_any_length_are_the_reference(name: str, delay: int, native: bool) -> None:
    model = READOUTS[name]
    conversion = emit(model, delay)
    images = networks.images_for(model, 3)
    for cuts in ([130], [1, 3, delay, delay + 1, 130], [delay + 2, 128, 130]):
        runner = StreamRunner(networks.block_of(conversion), expose=networks.spike_words(conversion), native=native)
        snapshots = list(runner.run(images, cuts))
        simulated = simulate(conversion.graph, images, 130, record=True, at=cuts)
        assert_equals_reference(conversion, simulated, snapshots)
        for snapshot in snapshots:
            if snapshot.step in cuts:
                for output, values in simulated.outputs_at[snapshot.step].items():
                    assert np.array_equal(snapshot.outputs[output], values.astype(np.float32), equal_nan=True)
                    assert np.isnan(values).all() == (snapshot.step <= delay)


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(model=networks.models(), delay=st.sampled_from([1, 30, 64, 90]), schedule=st.sampled_from(["loop", "unrolled"]))
def test_files_are_the_reference(model: onnx.ModelProto, delay: int, schedule: str) -> None:
    """Compared in the pass that verifies too."""
    conversion = emit(model, delay, steps=100, schedule=schedule)
    images = networks.images_for(model, 3)
    assert conversion.emitted is not None
    outputs = simulate(conversion.graph, images, 100).outputs
    for native in (True, False):
        session = SpikingSession(conversion.emitted.SerializeToString(), native=native)
        result = session.run(images, 100)
        for name, values in outputs.items():
            assert np.array_equal(result.outputs[name], values.astype(np.float32))


def test_a_converted_network_is_verified_with_it() -> None:
    converted = snnc.convert(str(DIGITS), calib="digits:train", method=METHOD, steps=16, delay=4)
    verification = converted.report.verification
    assert verification is not None
    assert [row[0] for row in verification.curve] == [8, 16]
    curve = api.evaluate(converted, "digits:test", ann=str(DIGITS))
    assert [point.steps for point in curve.points] == [8, 16]
    assert curve.points[-1].accuracy is not None
    assert curve.points[-1].accuracy > 0.95
    with pytest.raises(DiagnosticError, match="4 steps; the model allows 5 to 256"):
        api.evaluate(converted, "digits:test", steps=[4])
    with pytest.raises(Exception, match="steps must be from 5 to max_steps"):
        converted.session().run(np.zeros((1, 1, 8, 8), np.float32), 4)


def test_steps_are_chosen_above_it() -> None:
    converted = snnc.convert(str(DIGITS), calib="digits:train", method=METHOD, target_drop=0.1, delay=3)
    assert converted.report.calibration is not None
    target = converted.report.calibration.target
    assert target is not None
    assert target.tried[0].steps == 4


def test_the_option() -> None:
    assert refused(method=METHOD, delay=32) == "delay is 32, must be less than the 32 steps: none is left to read"
    assert refused(delay=1) == "delay belongs to the method low-latency, the method here is rmp"
    with pytest.raises(DiagnosticError, match="no number of steps is left above the delay of 256"):
        snnc.convert(str(DIGITS), calib="digits:train", method=METHOD, target_drop=0.1, delay=256, max_steps=300)


def test_default_cuts() -> None:
    assert default_cuts(16, 3) == [4, 8, 16]
    assert default_cuts(16, 15) == [16]
    assert default_cuts(16) == [1, 2, 4, 8, 16]


def test_the_command_line(invoke: Invoke) -> None:
    data = ("--calib", "digits:train")
    invoke("convert", DIGITS, "-o", "net.snn.onnx", "--method", METHOD, "--steps", "16", "--delay", "4", *data)
    assert "delay=4" in " ".join(invoke("inspect", "net.snn.onnx").stdout.split())
    refuse(invoke, "SNN404", "run", "net.snn.onnx", "--input", "digits:test", "--steps", "4")
    assert invoke("eval", "net.snn.onnx", "--data", "digits:test", "--samples", "20").exit_code == 0


def test_old_files_have_none() -> None:
    graph = golden.run_to(READOUTS["fused"], Level.FUSED, method=METHOD).graph
    assert all("delay" not in node.attrs for node in graph.nodes)
