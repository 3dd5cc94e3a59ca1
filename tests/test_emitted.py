"""The emitted file: a drop-in for the ANN, valid ONNX, counted correctly."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import golden
import networks
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto

import snnc
from snnc.runtime.session import SpikingSession, make_session
from snnc.simulate.ann import Ann
from snnc.simulate.reference import simulate

CONTROLS = ["steps", "seed", "first_sample"]
COUNTS = ["spike_totals", "synaptic_operations"]


def emitted(**choices: Any) -> onnx.ModelProto:
    model = networks.emit(networks.small().model(), **choices).emitted
    assert model is not None
    return model


@pytest.mark.parametrize("schedule", ["loop", "unrolled", "stream"])
@pytest.mark.parametrize("controls", ["optional", "required", "fixed"])
def test_the_checker_and_strict_shape_inference_accept_the_file(schedule: str, controls: str) -> None:
    model = emitted(schedule=schedule, controls=controls)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)


def test_inputs_and_outputs_are_those_of_the_ann() -> None:
    ann, model = networks.small().model(), emitted()
    assert model.graph.input[0] == ann.graph.input[0]
    assert list(model.graph.output)[: len(ann.graph.output)] == list(ann.graph.output)
    assert [value.name for value in model.graph.input[1:]] == CONTROLS
    assert [value.name for value in model.graph.output[len(ann.graph.output) :]] == COUNTS
    for value in model.graph.input[1:]:
        assert value.type.tensor_type.elem_type == TensorProto.INT64
        assert len(value.type.tensor_type.shape.dim) == 0


def test_controls_are_optional_required_or_fixed() -> None:
    images = networks.images_for(networks.small().model())
    session = make_session(emitted(steps=20, seed=5).SerializeToString())
    defaults = session.run(None, {"x": images})
    values = {"steps": 20, "seed": 5, "first_sample": 0}
    feeds = {name: np.array(value, np.int64) for name, value in values.items()}
    assert all(np.array_equal(a, b) for a, b in zip(defaults, session.run(None, {"x": images, **feeds}), strict=True))
    other = session.run(None, {"x": images, "seed": np.array(6, np.int64)})
    assert not np.array_equal(defaults[-2], other[-2])

    required = make_session(emitted(steps=20, seed=5, controls="required").SerializeToString())
    with pytest.raises(ValueError, match="seed"):
        required.run(None, {"x": images, "steps": feeds["steps"]})
    assert np.array_equal(required.run(None, {"x": images, **feeds})[-2], defaults[-2])

    content = emitted(steps=20, seed=5, controls="fixed").SerializeToString()
    fixed = make_session(content)
    assert [value.name for value in fixed.get_inputs()] == ["x"]
    assert np.array_equal(fixed.run(None, {"x": images})[-2], defaults[-2])
    with pytest.raises(ValueError, match="fixed"):
        SpikingSession(content).run(images, 21)


@pytest.mark.parametrize("schedule", ["loop", "unrolled"])
def test_samples_are_counted_from_0_where_the_host_says_nothing(schedule: str) -> None:
    session = make_session(emitted(schedule=schedule, steps=20).SerializeToString())
    images = networks.images_for(networks.small().model())
    told = session.run(None, {"x": images, "first_sample": np.array(0, np.int64)})
    assert all(map(np.array_equal, session.run(None, {"x": images}), told))


def test_metadata_says_what_the_file_is() -> None:
    conversion = networks.emit(networks.small().model(), alpha=0.75)
    assert conversion.emitted is not None
    metadata = {entry.key: entry.value for entry in conversion.emitted.metadata_props}
    assert metadata["snnc.format_version"] == "2"
    assert metadata["snnc.version"] == snnc.__version__ == conversion.emitted.producer_version
    assert conversion.emitted.producer_name == "snnc"
    assert json.loads(metadata["snnc.options"])["alpha"] == 0.75
    layers = json.loads(metadata["snnc.layers"])
    assert [layer["kind"] for layer in layers] == ["input", "neuron", "neuron", "readout", "readout"]
    assert len(json.loads(metadata["snnc.states"])) == 2 + 2 + 2
    assert "/" not in (json.loads(metadata["snnc.calibration"])["data"] or "")


def test_standard_operators_only_and_functions_for_the_rest() -> None:
    model = emitted()
    assert {entry.domain: entry.version for entry in model.opset_import} == {"": 18, "ai.snnc": 2}
    used = {node.op_type for node in _all_nodes(model.graph) if node.domain == "ai.snnc"}
    assert used >= {"PoissonEncode", "SpikingConvAdd", "SpikeReadout", "SpikeTotals", "SpikeCount"}
    assert used <= {function.name for function in model.functions}
    assert {node.domain for node in _all_nodes(model.graph)} <= {"", "ai.snnc"}


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_bad_pixel_spoils_its_own_sample_only(native: bool, bad: float) -> None:
    images = networks.images_for(networks.small().model())
    session = make_session(emitted(steps=20).SerializeToString(), native=native)
    clean = session.run(None, {"x": images})
    images[2, 1, 3, 4] = bad
    spoilt = session.run(None, {"x": images})
    for before, after in zip(clean[:2], spoilt[:2], strict=True):
        assert np.isnan(after[2]).all()
        others = [0, 1, 3, 4]
        assert np.array_equal(before[others], after[others])


def test_nothing_in_the_graph_grows_with_the_number_of_steps() -> None:
    """Files for 64 and for 4096 steps are the same but for the default of `steps`; the Loop has no scan outputs."""
    short, long = emitted(steps=64), emitted(steps=4096)
    for model in (short, long):
        del model.metadata_props[:]
        steps = next(tensor for tensor in model.graph.initializer if tensor.name == "steps")
        model.graph.initializer.remove(steps)
    assert short.SerializeToString(deterministic=True) == long.SerializeToString(deterministic=True)
    loop = next(node for node in short.graph.node if node.op_type == "Loop")
    assert len(loop.output) == len(loop.input) - 2


def test_spike_totals_are_the_recorded_spikes() -> None:
    conversion = networks.emit(networks.small().model())
    assert conversion.emitted is not None
    images = networks.images_for(networks.small().model())
    model = snnc.SpikingModel(conversion.emitted, conversion.report)
    names = [layer.name for layer in conversion.report.layers if layer.kind != "readout"]
    recorded = snnc.record(model, images, steps=70, layers=names)
    result = model.session().run(images, 70)
    for column, name in enumerate(names):
        spikes = np.abs(recorded[name].astype(np.int64))
        assert np.array_equal(result.spike_totals[:, column], spikes.reshape(70, len(images), -1).sum((0, 2)))
        assert result.spike_rates[name] == pytest.approx(spikes.mean())


def conv_fanout(size: int, kernel: int, stride: int, pad: int, channels: int) -> np.ndarray:
    """Synapses of every element of a plane, one by one."""
    out = (size + 2 * pad - kernel) // stride + 1
    fanout = np.zeros((size, size), np.int64)
    for y, x, ky, kx in itertools.product(range(out), range(out), range(kernel), range(kernel)):
        row, column = y * stride + ky - pad, x * stride + kx - pad
        if 0 <= row < size and 0 <= column < size:
            fanout[row, column] += channels
    return fanout


def test_synaptic_operations_are_the_synapses_of_every_spike() -> None:
    """A spike of the input reaches 2 of 4 channels (two groups); one of the first layer goes through the pool into the
    branch, the shortcut; one of the second into 3 outputs, and once into the output taken at the ReLU."""
    conversion = networks.emit(networks.small().model())
    assert conversion.emitted is not None
    images, steps = networks.images_for(networks.small().model()), 40
    result = SpikingSession(conversion.emitted.SerializeToString()).run(images, steps)
    simulated = simulate(conversion.graph, images, steps, record=True)
    encoder, first, second = networks.source_nodes(conversion)
    pooled = conv_fanout(3, 3, 2, 1, 4) + conv_fanout(3, 1, 2, 0, 4)
    through_pool = np.zeros((6, 6), np.int64)
    for row, column in itertools.product(range(6), range(6)):
        through_pool[row, column] = pooled[row // 2, column // 2]
    fanouts = [conv_fanout(6, 3, 1, 1, 2), through_pool, np.full((2, 2), 3 + 1)]
    for column, (node, fanout) in enumerate(zip((encoder, first, second), fanouts, strict=True)):
        spikes = np.abs(simulated.spikes[node.name].astype(np.int64)).sum(0)
        expected = (spikes * fanout).reshape(len(images), -1).sum(1)
        assert np.array_equal(result.synaptic_operations[:, column], expected), node.name


def test_the_error_against_the_ann_shrinks_with_the_steps() -> None:
    """Soft reset, thresholds that cannot saturate."""
    net = networks.Network((8,), np.random.default_rng(2))
    for features in (16, 12):
        net.dense(features, True)
        net.then("Relu")
    net.dense(4, True)
    net.output()
    ann = net.model()
    images = np.random.default_rng(0).random((60, 8)).astype(np.float32)
    model = snnc.convert(ann, bias="current", max_steps=8192, steps=8192)
    expected = next(iter(Ann(ann).run(images).values()))
    errors = []
    for steps in (64, 512, 8192):
        logits = model.session().run(images, steps).logits
        errors.append(float(np.linalg.norm(logits - expected) / np.linalg.norm(expected)))
    assert errors[2] < errors[1] / 2 < errors[0] / 4
    assert errors[2] < 0.03


@pytest.mark.parametrize("optimization", ["ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_ALL"])
@pytest.mark.parametrize("native", [True, False])
def test_graph_optimizations_change_nothing(optimization: str, native: bool) -> None:
    content, images = emitted(steps=70).SerializeToString(), networks.images_for(networks.small().model())
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, optimization)
    if native:
        options.register_custom_ops_library(str(snnc.runtime.library_path()))
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    expected = make_session(content).run(None, {"x": images})
    assert all(np.array_equal(a, b) for a, b in zip(session.run(None, {"x": images}), expected, strict=True))


def test_the_tail_works_on_the_decoded_output() -> None:
    text = """
    net (float[N,4] x) => (float[N,3] logits, float[N,3] p, int64[N] best) {{
      a = MatMul (x, V)
      h = Relu (a)
      logits = MatMul (h, U)
      p = Softmax <axis = 1> (logits)
      best = ArgMax <axis = 1, keepdims = 0> (logits)
    }}"""
    weights = "# random: V [4,3] seed 2\n# random: U [3,3] seed 3\n"
    ann = golden.model(weights + text.replace("{{", "{").replace("}}", "}"))
    conversion = networks.emit(ann)
    assert conversion.emitted is not None
    result = SpikingSession(conversion.emitted.SerializeToString()).run(networks.images_for(ann), 64)
    exponentials = np.exp(result.outputs["logits"].astype(float))
    assert np.allclose(result.outputs["p"], exponentials / exponentials.sum(1, keepdims=True), atol=1e-6)
    assert np.array_equal(result.outputs["best"], result.outputs["logits"].argmax(1))


def _all_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    nodes = list(graph.node)
    for node in graph.node:
        for attribute in node.attribute:
            nodes += _all_nodes(attribute.g)
    return nodes


def test_spikes_are_counted_behind_the_layer_that_fires_them(tmp_path: Path) -> None:
    """Words that are counted at the end only are kept until then, and no longer in the cache."""
    model = emitted()
    session = make_session(model.SerializeToString(), threads=1, profile=str(tmp_path / "profile"))
    image = model.graph.input[0]
    sample = [dim.dim_value for dim in image.type.tensor_type.shape.dim[1:]]
    session.run(None, {image.name: np.full((2, *sample), 0.5, np.float32), "steps": np.array(8)})
    events = json.loads(Path(session.end_profiling()).read_text())
    kernels = [each["args"]["op_name"] for each in events if each["name"].endswith("_kernel_time")]
    order = [op for op in kernels if op == "SpikeTotals" or op.startswith(("Poisson", "Spiking"))]
    firing = order[::2]
    assert len(firing) > 1
    assert "SpikeTotals" not in firing
    assert order[1::2] == ["SpikeTotals"] * len(firing)
