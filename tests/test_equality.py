"""Whatever runs a converted network gives the same spikes and the same outputs: equality, never a tolerance.

The independent reference simulator, the native kernels, the functions inside the file, both schedules, every batch
size, number of threads and division into blocks, and another version of onnxruntime.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snnc import runtime
from snnc.ir.conversion import Conversion
from snnc.runtime.session import Result, SpikingSession, make_session
from snnc.simulate.block_runner import Snapshot, StreamRunner
from snnc.simulate.reference import Simulation, simulate

STEPS = [1, 2, 63, 64, 65, 130]
random_networks = given(model=networks.models(), choices=networks.options())


def few(examples: int) -> settings:
    """Settings of a test that converts a network per example."""
    return settings(max_examples=examples, suppress_health_check=[HealthCheck.too_slow])


def file_of(conversion: Conversion) -> bytes:
    assert conversion.emitted is not None
    content: bytes = conversion.emitted.SerializeToString()
    return content


def assert_same(a: Result, b: Result) -> None:
    assert np.array_equal(a.spike_totals, b.spike_totals)
    assert np.array_equal(a.synaptic_operations, b.synaptic_operations)
    for name, values in a.outputs.items():
        assert np.array_equal(values, b.outputs[name]), name


def assert_equals_reference(conversion: Conversion, simulated: Simulation, snapshots: list[Snapshot]) -> None:
    """Spikes of every layer at every step, membranes through the outputs."""
    last = snapshots[-1]
    for column, node in enumerate(networks.source_nodes(conversion)):
        assert np.array_equal(last.spike_totals[:, column], simulated.totals[node.name]), node.name
    for name, spikes in networks.trains(conversion, snapshots).items():
        assert np.array_equal(spikes, simulated.spikes[name]), name
    assert set(simulated.outputs) == set(last.outputs)
    for name, values in simulated.outputs.items():
        assert np.array_equal(last.outputs[name], values.astype(np.float32)), name


@few(25)
@given(model=networks.models(), choices=networks.options(), steps=st.sampled_from([1, 37, 64, 70]))
def test_the_runtime_is_the_reference(model: onnx.ModelProto, choices: dict[str, Any], steps: int) -> None:
    conversion = networks.emit(model, **choices)
    images, seed = networks.images_for(model, 3), choices["seed"]
    runner = StreamRunner(networks.block_of(conversion), expose=networks.spike_words(conversion))
    snapshots = list(runner.run(images, [steps], seed=seed, first_sample=11))
    simulated = simulate(conversion.graph, images, steps, seed, 11, record=True)
    assert_equals_reference(conversion, simulated, snapshots)


@few(14)
@random_networks
def test_native_kernels_are_the_functions(model: onnx.ModelProto, choices: dict[str, Any]) -> None:
    content, images = file_of(networks.emit(model, **choices)), networks.images_for(model)
    native, functions = SpikingSession(content), SpikingSession(content, native=False)
    for steps in (1, 65):
        assert_same(native.run(images, steps), functions.run(images, steps))


@few(14)
@random_networks
def test_batches_threads_and_step_counts(model: onnx.ModelProto, choices: dict[str, Any]) -> None:
    content, images = file_of(networks.emit(model, **choices)), networks.images_for(model)
    one, two = SpikingSession(content, threads=1), SpikingSession(content, threads=2)
    for steps in STEPS:
        whole = one.run(images, steps, first_sample=3)
        assert_same(whole, two.run(images, steps, first_sample=3))
        assert_same(whole, one.run(images, steps, first_sample=3, batch_size=1))
        assert_same(whole, two.run(images, steps, first_sample=3, batch_size=3))


@few(14)
@given(
    model=networks.models(),
    choices=networks.options(),
    cuts=st.lists(st.integers(1, 129), max_size=4, unique=True),
)
def test_where_blocks_end_makes_no_difference(model: onnx.ModelProto, choices: dict[str, Any], cuts: list[int]) -> None:
    conversion = networks.emit(model, **choices)
    images = networks.images_for(model)
    session = SpikingSession(file_of(conversion))
    seen = set()
    for snapshot in StreamRunner(networks.block_of(conversion)).run(images, [*cuts, 130], seed=choices["seed"]):
        seen.add(snapshot.step)
        result = session.run(images, snapshot.step)
        assert np.array_equal(snapshot.spike_totals, result.spike_totals)
        assert np.array_equal(snapshot.synaptic_operations, result.synaptic_operations)
        for name, values in snapshot.outputs.items():
            assert np.array_equal(values, result.outputs[name])
    assert {*cuts, 130} <= seen


@few(10)
@random_networks
def test_the_stream_file_holds_the_same_block(model: onnx.ModelProto, choices: dict[str, Any]) -> None:
    """A file of the stream schedule, driven by hand with nothing but its own metadata."""
    loop = SpikingSession(file_of(networks.emit(model, **choices)))
    stream = networks.emit(model, schedule="stream", **choices).emitted
    assert stream is not None
    images = networks.images_for(model)
    metadata = {entry.key: entry.value for entry in stream.metadata_props}
    described = json.loads(metadata["snnc.states"])
    states = {
        state["name"]: np.ascontiguousarray(
            np.broadcast_to(np.array(state["initial"], state["dtype"]), (len(images), *state["dims"]))
        )
        for state in described
    }
    session = make_session(stream.SerializeToString())
    names = [value.name for value in session.get_outputs()]
    for first_step, count in [(0, 64), (64, 6)]:
        controls = {"seed": choices["seed"], "first_sample": 0, "first_step": first_step, "count": count}
        feeds = {name: np.array(value, np.int64) for name, value in controls.items()}
        values = dict(zip(names, session.run(None, {"x": images, **feeds, **states}), strict=True))
        states = {state["name"]: values[state["next"]] for state in described}
    expected = loop.run(images, 70)
    assert np.array_equal(values["spike_totals"], expected.spike_totals)
    assert all(np.array_equal(values[name], output) for name, output in expected.outputs.items())


# The file in a host that knows nothing of snnc


def plain_session(content: bytes, library: Path | None, profile: Path | None = None) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if library is not None:
        options.register_custom_ops_library(str(library))
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


@few(10)
@random_networks
def test_plain_onnxruntime_with_and_without_the_library(model: onnx.ModelProto, choices: dict[str, Any]) -> None:
    content, images = file_of(networks.emit(model, **choices)), networks.images_for(model)
    expected = SpikingSession(content).run(images, 64)
    for library in (runtime.library_path(), None):
        session = plain_session(content, library)
        results = dict(
            zip([value.name for value in session.get_outputs()], session.run(None, {"x": images}), strict=True)
        )
        assert np.array_equal(results.pop("spike_totals"), expected.spike_totals)
        assert np.array_equal(results.pop("synaptic_operations"), expected.synaptic_operations)
        for name, values in results.items():
            assert np.array_equal(values, expected.outputs[name])


SMALL = networks.small(group=1, hidden_output=False)

# Everything that can be done to words, and a layer that stays plain: behind a pool that counts no pads.
WORDS = networks.Network((2, 9, 9), np.random.default_rng(5))
WORDS.average(2, 2, 0, False)
WORDS.convolve(4, 3, 1, 1, 1, 1, True)
WORDS.then("Relu")
WORDS.average(3, 1, 1, True)
WORDS.residual(True, 4, True, 3, 2)
WORDS.then("Relu")
WORDS.average(2, 1, 1, False)
WORDS.convolve(4, 2, 1, 1, 1, 2, True)
WORDS.then("Relu")
WORDS.average(2, 2, 0, False)
WORDS.transpose()
WORDS.dense(5, True)
WORDS.then("Relu")
WORDS.dense(3, False)
WORDS.output()


@pytest.mark.parametrize("native", [True, False])
def test_the_profile_shows_which_kernels_run(native: bool, tmp_path: Path) -> None:
    """With the library the kernels run; without it the functions are inlined and no such operator is left."""
    content, images = file_of(networks.emit(SMALL.model())), networks.images_for(SMALL.model())
    session = make_session(content, native=native, profile=str(tmp_path / "run"))
    session.run(None, {"x": images})
    events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    executed = {event["args"]["op_name"] for event in events if "op_name" in event.get("args", {})}
    ours = {"PoissonEncode", "SpikingConv", "SpikingConvAdd", "SpikeReadout", "SpikeTotals"}
    assert executed & ours == (ours if native else set())


OTHER_HOST = """
import sys
import numpy as np
import onnxruntime as ort

model, library, images, result = sys.argv[1:]
values = {}
for tag in ("native", "functions"):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if tag == "native":
        options.register_custom_ops_library(library)
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    for steps in (1, 64, 130):
        feeds = {"x": np.load(images), "steps": np.array(steps, np.int64)}
        for output, value in zip(session.get_outputs(), session.run(None, feeds)):
            values[f"{tag}/{steps}/{output.name}"] = value
np.savez(result, version=ort.__version__, **values)
"""


@pytest.mark.skipif("SNNC_OLD_PYTHON" not in os.environ, reason="SNNC_OLD_PYTHON names no interpreter")
@pytest.mark.parametrize("choices", [{"reset": "soft"}, {"reset": "hard"}, {"leak": 3}], ids=str)
@pytest.mark.parametrize("net", [SMALL, WORDS], ids=["small", "words"])
def test_another_onnxruntime_gives_the_same_spikes(
    net: networks.Network, choices: dict[str, Any], tmp_path: Path
) -> None:
    """The oldest supported onnxruntime, in the interpreter that SNNC_OLD_PYTHON names."""
    content, images = file_of(networks.emit(net.model(), **choices)), networks.images_for(net.model())
    paths = [tmp_path / name for name in ("net.snn.onnx", "images.npy", "result.npz")]
    paths[0].write_bytes(content)
    np.save(paths[1], images)
    command = [os.environ["SNNC_OLD_PYTHON"], "-c", OTHER_HOST, paths[0], runtime.library_path(), paths[1], paths[2]]
    subprocess.run([str(word) for word in command], check=True, timeout=120)
    session = SpikingSession(content)
    with np.load(paths[2]) as found:
        assert str(found["version"]) != ort.__version__
        for steps in (1, 64, 130):
            expected = session.run(images, steps)
            for tag in ("native", "functions"):
                place = f"{tag}/{steps}"
                assert np.array_equal(found[f"{place}/spike_totals"], expected.spike_totals), place
                assert np.array_equal(found[f"{place}/synaptic_operations"], expected.synaptic_operations), place
                for name, values in expected.outputs.items():
                    assert np.array_equal(found[f"{place}/{name}"], values), (place, name)
