"""NeuroBench's metrics by hand on a tiny network, and by brute force, as its harness would do it, on a larger one."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import networks
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from commands import Invoke
from onnx import helper, numpy_helper

import snnc
from snnc.data import DataSet
from snnc.diagnostics import DiagnosticError
from snnc.files import ConvertedFile
from snnc.measure.neurobench import NeuroBench, measure_neurobench

# --- by hand ----------------------------------------------------------------------------------------------------------

# Two inputs, two neurons, one output; one of the four weights in front of the neurons is 0.
TINY = """<ir_version: 9, opset_import: ["" : 18]>
net (float[N, 2] x) => (float[N, 2] y)
<float[2, 2] w = {1, 0, 1, 1}, float[2, 2] u = {1, -1, -1, 1}>
{ a = Gemm(x, w)  b = Relu(a)  y = Gemm(b, u) }"""
IMAGES = np.array([[1.0, 0.0], [0.5, 1.0]], np.float32)
STEPS = 4


def tiny_model(**choices: Any) -> snnc.SpikingModel:
    model = onnx.parser.parse_model(TINY)
    calib = np.random.default_rng(0).random((20, 2), np.float32)
    options: dict[str, Any] = {"input_scale": 1.0, "steps": STEPS, "calib_steps": STEPS, "v_init": 0.0, "max_steps": 64}
    options |= {"threshold": "model", **choices}
    return snnc.convert(model, calib=calib, accept_poor=True, **options)


def tiny(**choices: Any) -> ConvertedFile:
    return ConvertedFile(tiny_model(**choices).model, "tiny")


def measured(file: Any, images: np.ndarray, steps: int, labels: np.ndarray | None = None) -> NeuroBench:
    return measure_neurobench(file, DataSet(images, labels, "test"), steps=steps, seed=0)


def test_a_tiny_network_by_hand() -> None:
    """Direct coding: in every step neuron a gets x0 + x1, neuron b gets x1."""
    file = tiny(coding="direct", threshold="vmax")
    found = measured(file, IMAGES, STEPS, np.array([0, 1]))
    threshold = np.asarray(file.layers[1].threshold, np.float64)  # in units of the input
    potentials, spikes, updates, acs = np.zeros((2, 2)), 0, 4, 0  # in the first step every potential counts
    numbers = np.round(IMAGES * 255)
    for step in range(STEPS):
        before = potentials.copy()
        potentials += numbers @ np.array([[1, 0], [1, 1]])
        fired = potentials >= threshold
        potentials -= threshold * fired
        spikes += fired.sum()
        acs += 2 * fired.sum()  # each spike reaches both outputs, by a weight that is not 0
        updates += (potentials != before).sum() if step else 0
    assert 0 < spikes < 16
    assert found.activation_sparsity == pytest.approx(1 - spikes / (2 * STEPS * 2))
    # An image with x1 = 0 uses one weight of the three that are not 0, the other all: 1 + 3 in every step.
    assert found.effective_macs == STEPS * (1 + 3) / 2
    assert found.effective_acs == acs / 2
    assert found.dense == STEPS * (4 + 4)
    assert found.membrane_updates == updates / 2
    assert found.connection_sparsity == 1 / 8
    assert (found.samples, found.steps) == (2, STEPS)


def test_memory_of_a_tiny_network() -> None:
    """Poisson coding: 8 weights and a threshold, and decoding's scale; two potentials of 32 bits, two of 64."""
    file = tiny()
    found = measured(file, IMAGES, STEPS)
    decoding = [numpy_helper.to_array(tensor) for tensor in file.block.decode_constants]
    numbers = [array for array in decoding if array.dtype.kind == "f" or array.dtype == np.int32]
    assert found.parameter_count == 8 + 1 + sum(array.size for array in numbers)
    assert found.footprint == 8 * 4 + 4 + sum(array.nbytes for array in numbers) + 2 * 4 + 2 * 8


def test_signed_input_spikes_are_accumulations() -> None:
    model = tiny_model()
    found = measured(ConvertedFile(model.model, "tiny"), -IMAGES, 64)
    image_spikes = snnc.record(model, -IMAGES, steps=64, layers=["x"])["x"]
    assert (image_spikes < 0).any()
    by_input = np.abs(image_spikes.astype(int)).sum((0, 1))
    assert found.effective_acs == (by_input @ np.array([1, 2])) / 2  # no neuron ever fires
    assert found.effective_macs == 0
    assert found.activation_sparsity == 1


# --- by brute force ---------------------------------------------------------------------------------------------------


def with_zeros(network: onnx.ModelProto) -> onnx.ModelProto:
    """A quarter of the weights pruned."""
    random = np.random.default_rng(3)
    for tensor in network.graph.initializer:
        values = numpy_helper.to_array(tensor).copy()
        if values.ndim > 1:
            values[random.random(values.shape) < 0.25] = 0
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return network


NETWORK = with_zeros(networks.small(hidden_output=False).model())
WEIGHTS = {tensor.name: numpy_helper.to_array(tensor) for tensor in NETWORK.graph.initializer}


@functools.cache
def layer_session(index: int, dims: tuple[int, ...], dense: bool) -> ort.InferenceSession:
    """A layer of NETWORK with weights of 1, without its bias."""
    node = onnx.NodeProto()
    node.CopyFrom(NETWORK.graph.node[index])
    weight = WEIGHTS[node.input[1]]
    ones = np.ones_like(weight) if dense else (weight != 0).astype(np.float32)
    del node.input[:], node.output[:]
    node.input.extend(["x", "w"])
    node.output.append("y")
    info = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("x", "y")]
    graph = helper.make_graph([node], "layer", info[:1], info[1:], [numpy_helper.from_array(ones, "w")])
    return ort.InferenceSession(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()
    )


def effective(index: int, values: np.ndarray) -> float:
    """NeuroBench: the sum of a layer's output for 1 wherever the input is not 0."""
    ones = (values != 0).astype(np.float32)
    return float(layer_session(index, values.shape[1:], False).run(None, {"x": ones})[0].sum())


def dense(index: int, shape: Sequence[int]) -> float:
    return float(layer_session(index, tuple(shape), True).run(None, {"x": np.ones((1, *shape), np.float32)})[0].sum())


def in_units(images: np.ndarray, scale: float | list[float]) -> np.ndarray:
    """What a graded input gives to the first layer."""
    found: np.ndarray = np.round(np.clip(images / np.asarray(scale, np.float32), -255, 255))
    return found


def pooled(spikes: np.ndarray) -> np.ndarray:
    steps, samples, channels, height, width = spikes.shape
    windows = spikes.reshape(steps, samples, channels, height // 2, 2, width // 2, 2)
    total: np.ndarray = windows.sum((4, 6))
    return total


@pytest.mark.parametrize("method", ["rmp", "exact"])
def test_a_network_with_everything(method: str) -> None:
    """A grouped convolution of numbers, a junction behind a pool (whose sums are numbers), a dense layer."""
    ops = [node.op_type for node in NETWORK.graph.node]
    first, main, shortcut = (index for index, op in enumerate(ops) if op == "Conv")
    last = ops.index("Gemm")
    by_method: dict[str, dict[str, Any]] = {
        "rmp": {"coding": "direct", "bias": "current", "steps": 20, "calib_steps": 20},
        "exact": {"levels": 20},
    }
    calib, images = networks.images_for(NETWORK, 24, seed=1), networks.images_for(NETWORK, 5)
    model = snnc.convert(NETWORK, calib=calib, accept_poor=True, method=method, **by_method[method])
    file = ConvertedFile(model.model, "net")
    steps = file.options.steps
    found = measured(file, images, steps)
    names = [layer.name for layer in file.layers if layer.kind == "neuron"]
    hidden, behind = (
        train.astype(np.int64) for train in snnc.record(model, images, steps=found.steps, layers=names).values()
    )
    numbers = in_units(images, file.layers[0].scale)
    times = 1 if method == "exact" else steps
    sums = pooled(hidden)
    assert np.abs(sums).max() > 1
    macs = times * effective(first, numbers) + sum(effective(main, x) + effective(shortcut, x) for x in sums)
    acs = sum(effective(last, x.reshape(5, -1)) for x in behind)
    each = dense(first, (2, 6, 6)) + dense(main, (4, 3, 3)) + dense(shortcut, (4, 3, 3)) + dense(last, (16,))
    assert found.effective_macs == pytest.approx(macs / 5)
    assert found.effective_acs == pytest.approx(acs / 5)
    assert found.dense == found.steps * each
    fired = sum(np.abs(train).sum() for train in (hidden, behind))
    assert found.activation_sparsity == pytest.approx(1 - fired / (5 * found.steps * (4 * 36 + 16)))
    weights = [WEIGHTS[NETWORK.graph.node[index].input[1]] for index in (first, main, shortcut, last)]
    zeros, size = sum((weight == 0).sum() for weight in weights), sum(weight.size for weight in weights)
    assert found.connection_sparsity == round(zeros / size, 4)
    if method == "exact":
        assert found.steps < steps  # until its last spike


def test_spikes_that_are_taken_back_are_accumulations() -> None:
    network = networks.perceptron([12, 10, 8], inputs=6, seed=4).model()
    calib, images = networks.images_for(network, 24, seed=1), networks.images_for(network, 8)
    model = snnc.convert(network, calib=calib, accept_poor=True, method="exact", levels=20)
    found = measured(ConvertedFile(model.model, "net"), images, ConvertedFile(model.model, "net").options.steps)
    trains = list(snnc.record(model, images, steps=found.steps).values())
    assert any((train.astype(int) < 0).any() for train in trains)
    fired = [np.abs(train.astype(int)).sum() for train in trains]
    assert found.effective_acs == np.dot(fired, [10, 8, 2]) / 8
    numbers = in_units(images, model.report.layers[0].scale)
    assert found.effective_macs == 12 * (numbers != 0).sum() / 8
    assert found.dense == found.steps * (6 * 12 + 12 * 10 + 10 * 8 + 8 * 2)


@pytest.mark.parametrize("neurons", [None, "staircase"])
@pytest.mark.parametrize("coding", ["poisson", "direct"])
def test_plain_layers_count_what_whole_ones_do(neurons: str | None, coding: str) -> None:
    conversion = networks.emit(NETWORK, neurons, coding=coding)
    reports = []
    for plain in (False, True):
        block = networks.block_of(conversion, plain=plain)
        file: Any = SimpleNamespace(
            block=block, layers=conversion.report.layers, format_version=2, name="net", options=conversion.options
        )
        reports.append(measured(file, networks.images_for(NETWORK), 20))
    whole, plain_ones = (report.to_json() for report in reports)
    for name in ("Footprint", "ParameterCount"):  # the operators of plain layers have other constants
        del whole[name], plain_ones[name]
    assert whole == plain_ones
    assert whole["SynapticOperations"]["Effective_ACs"] > 0


# --- the command ------------------------------------------------------------------------------------------------------


def test_command(invoke: Invoke, converted: Path) -> None:
    result = invoke(
        "eval", converted, "--data", "digits:test", "--samples", "6", "--steps", "4,12", "--neurobench", "nb.json",
        "--json", "eval.json", "--seed", "3",
    )  # fmt: skip
    assert "wrote nb.json" in result.stdout
    report, point = (json.loads(Path(name).read_text()) for name in ("nb.json", "eval.json"))
    point = point["curves"][0]["points"][-1]
    assert list(report) == [
        "Footprint", "ParameterCount", "ConnectionSparsity", "ClassificationAccuracy", "ActivationSparsity",
        "SynapticOperations", "MembraneUpdates", "snnc",
    ]  # fmt: skip
    assert list(report["SynapticOperations"]) == ["Effective_MACs", "Effective_ACs", "Dense"]
    assert report["snnc"]["steps"] == 12
    assert (report["snnc"]["samples"], report["snnc"]["seed"]) == (6, 3)
    assert report["ClassificationAccuracy"] == point["accuracy"]
    assert report["ActivationSparsity"] == pytest.approx(1 - point["spike_rate"] / 100)
    operations = report["SynapticOperations"]
    # No weight is 0, but spikes that a pool adds up are one number.
    assert operations["Effective_ACs"] + operations["Effective_MACs"] <= point["operations"]
    assert operations["Effective_ACs"] > 0


def test_without_labels_there_is_no_accuracy(invoke: Invoke, converted: Path) -> None:
    np.save("x.npy", np.random.default_rng(0).random((2, 1, 8, 8), np.float32))
    invoke("eval", converted, "--data", "x.npy", "--steps", "3", "--neurobench", "nb.json")
    assert "ClassificationAccuracy" not in json.loads(Path("nb.json").read_text())


def test_one_run_one_report(invoke: Invoke, converted: Path) -> None:
    arguments = ("eval", converted, "--data", "digits:test", "--neurobench", "nb.json", "--seeds", "1,2")
    assert "one seed" in invoke(*arguments, exit_code=2).stderr


def test_an_old_file_is_refused() -> None:
    file = tiny()
    file.format_version = 1
    with pytest.raises(DiagnosticError, match="format 1"):
        measured(file, IMAGES, STEPS)
