"""Networks that their users have quantised: the integers are the users' own, and so are the counts."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import golden
import networks
import numpy as np
import onnx
import onnxruntime
import pytest
from exact_networks import LOOSE, compared, converted
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from snnc.api import SpikingModel, convert, open_converted
from snnc.integers.own_grid import steps_of_rows
from snnc.ir.conversion import Level
from snnc.ir.trees import neurons
from snnc.reading.structure import node_names
from snnc.simulate.ann import Ann

# Steps of rows


@given(
    st.lists(st.integers(-127, 127), min_size=2, max_size=40).filter(any),
    st.floats(2.0**-20, 1024, width=32),
)
def test_the_step_of_quantised_weights(integers: list[int], scale: float) -> None:
    """The largest number of which all are multiples, exactly the user's where the integers have no common factor."""
    row = (np.array(integers, np.float32) * np.float32(scale))[None]
    found = steps_of_rows(row)
    assert found is not None
    assert found[0] == pytest.approx(np.gcd.reduce(integers) * np.float32(scale), rel=1e-6)


def test_rows_have_steps_of_their_own_and_zeros_that_of_the_others() -> None:
    integers, scales = np.array([[3, -7, 100], [0, 0, 0], [1, 2, -127]]), np.array([0.013, 0.5, 0.2], np.float32)
    found = steps_of_rows(integers.astype(np.float32) * scales[:, None])
    assert found is not None
    assert found == pytest.approx([0.013, 0.013, 0.2])
    assert (found[0], found[2]) == (scales[0], scales[2])


def test_other_weights_have_none() -> None:
    assert steps_of_rows(np.random.default_rng(1).normal(size=(4, 9)).astype(np.float32)) is None
    assert steps_of_rows(np.zeros((2, 3), np.float32)) is None


# Networks that onnxruntime has quantised

NETWORKS = {
    "dense": """
# random: w [48, 12] seed 1
# random: b [12] seed 2
# random: v [12, 5] seed 3
# random: c [5] seed 4
net (float[N, 3, 4, 4] x) => (float[N, 5] y) { f = Flatten (x) s = Gemm (f, w, b) r = Relu (s) y = Gemm (r, v, c) }""",
    "residual": """
# random: w [6, 3, 3, 3] seed 5
# random: b [6] seed 6
# random: u [6, 6, 3, 3] seed 7
# random: c [6] seed 8
# random: v [24, 5] seed 9
net (float[N, 3, 8, 8] x) => (float[N, 5] y) {
  s = Conv <pads = [1, 1, 1, 1]> (x, w, b)
  r = Relu (s)
  p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r)
  t = Conv <pads = [1, 1, 1, 1]> (p, u, c)
  j = Add (t, p)
  q = Relu (j)
  a = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (q)
  f = Flatten (a)
  y = Gemm (f, v)
}""",
    "softmax": """
# random: w [4, 3, 3, 3] seed 10
# random: d [4, 1, 3, 3] seed 11
# random: e [4] seed 12
# random: v [64, 5] seed 13
net (float[N, 3, 4, 4] x) => (float[N, 5] y) {
  s = Conv <pads = [1, 1, 1, 1]> (x, w)
  l = Sigmoid (s)
  t = Conv <pads = [1, 1, 1, 1], group = 4> (l, d, e)
  r = Relu (t)
  f = Flatten (r)
  z = Gemm (f, v)
  y = Softmax (z)
}""",
    "gate": """
# random: w [4, 3, 3, 3] seed 14
# random: b [4] seed 15
# random: u [4, 3, 1, 1] seed 16
# random: v [64, 5] seed 17
net (float[N, 3, 4, 4] x) => (float[N, 5] y) {
  s = Conv <pads = [1, 1, 1, 1]> (x, w, b)
  r = Relu (s)
  c = Conv (x, u)
  g = Sigmoid (c)
  m = Mul (r, g)
  f = Flatten (m)
  y = Gemm (f, v)
}""",
}


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """Random images."""

    def __init__(self, ann: onnx.ModelProto) -> None:
        self._images = iter([{"x": networks.images_for(ann, 32, seed=9)}])

    def get_next(self) -> Any:
        return next(self._images, None)


def quantised(name: str, folder: Path, *, per_channel: bool, activations: QuantType) -> onnx.ModelProto:
    """One of `NETWORKS`, as onnxruntime quantises it."""
    ann = golden.model(NETWORKS[name])
    onnx.save(ann, folder / "float.onnx")
    options = {"quant_format": QuantFormat.QDQ, "weight_type": QuantType.QInt8, "per_channel": per_channel}
    quantize_static(
        folder / "float.onnx", folder / "quantised.onnx", Reader(ann), activation_type=activations, **options
    )
    return onnx.load(folder / "quantised.onnx")


def values_of(ann: onnx.ModelProto, tensors: list[str], images: np.ndarray) -> dict[str, np.ndarray]:
    """What tensors of the ANN are, node by node in float32: fused, int8 products saturate on some machines."""
    probe = onnx.ModelProto()
    probe.CopyFrom(ann)
    present = {output.name for output in probe.graph.output}
    for tensor in set(tensors) - present:
        probe.graph.output.add().name = tensor
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip(tensors, session.run(tensors, {"x": images}), strict=True))


def users_counts(ann: onnx.ModelProto, model: SpikingModel, images: np.ndarray) -> dict[str, np.ndarray]:
    """The integers of the user's network by the name of the neuron that has its node's name."""
    outputs = {name: node.output[0] for name, node in zip(node_names(ann), ann.graph.node, strict=True)}
    layers = [layer for layer in open_converted(model).layers if layer.name in outputs and layer.kind == "neuron"]
    values = values_of(ann, [outputs[layer.name] for layer in layers], images)
    return {layer.name: np.rint(values[outputs[layer.name]] / np.asarray(layer.scale, np.float64)) for layer in layers}


def counts(model: SpikingModel, images: np.ndarray) -> dict[str, np.ndarray]:
    """Those of the quantised ANN by layer."""
    import json

    assert model.quantised is not None
    metadata = {entry.key: entry.value for entry in model.quantised.metadata_props}
    session = onnxruntime.InferenceSession(model.quantised.SerializeToString(), providers=["CPUExecutionProvider"])
    found = dict(zip([value.name for value in session.get_outputs()], session.run(None, {"x": images}), strict=True))
    return {name: found[output] for name, output in json.loads(metadata["snnc.counts"]).items()}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("per_channel", "activations"), [(True, QuantType.QUInt8), (False, QuantType.QInt8)], ids=["channels", "tensors"]
)
def test_counts_are_those_of_the_users_network(
    name: str, per_channel: bool, activations: QuantType, tmp_path: Path
) -> None:
    """All but those for which float32, in which onnxruntime computes, and exact sums lie on two sides of a half; an
    average of values that have its steps already (`a`) often lies on it."""
    ann = quantised(name, tmp_path, per_channel=per_channel, activations=activations)
    model = converted(ann)
    images = networks.images_for(ann, 40, seed=6)
    found, wanted = counts(model, images), users_counts(ann, model, images)
    assert model.certificate is not None
    assert model.certificate.own
    assert len(wanted) == {"dense": 2, "residual": 5, "softmax": 3, "gate": 4}[name]
    upset = set()
    for layer in wanted:
        wrong = found[layer] != wanted[layer]
        if layer.startswith("a_"):
            q = next(values for other, values in found.items() if other.startswith("q_"))
            sums = q.reshape(*q.shape[:2], 2, 2, 2, 2).sum((3, 5))
            assert (sums[wrong] % 4 == 2).all()
            upset = set(np.nonzero(wrong)[0])
        else:
            kept = [sample for sample in range(len(images)) if sample not in upset]
            assert wrong[kept].mean() <= 1e-4, layer
    assert compared(model, images[:5]).differences == []


def test_the_integers_of_a_dense_layer_by_hand(tmp_path: Path) -> None:
    """S = clip(round((Σ w·n + b)·s_x·s_w/s_y)) with the integers of the user's file, in fractions."""
    ann = quantised("dense", tmp_path, per_channel=True, activations=QuantType.QUInt8)
    numbers = {tensor.name: numpy_helper.to_array(tensor) for tensor in ann.graph.initializer}
    nodes = {node.op_type: node for node in ann.graph.node}
    assert nodes["Gemm"]
    gemm = next(node for node in ann.graph.node if node.op_type == "Gemm")
    by_output = {node.output[0]: node for node in ann.graph.node}
    weight, bias, entering = (by_output[name] for name in (gemm.input[1], gemm.input[2], gemm.input[0]))
    leaving = next(node for node in ann.graph.node if node.op_type == "QuantizeLinear" and node.input[0] in
                   (gemm.output[0], "r"))  # fmt: skip
    w, s_w = numbers[weight.input[0]].astype(np.int64), numbers[weight.input[1]]
    b, s_x, s_y = numbers[bias.input[0]].astype(np.int64), numbers[entering.input[1]], numbers[leaving.input[1]]
    model = converted(ann)
    images = networks.images_for(ann, 25, seed=6)
    found = counts(model, images)
    n = next(values for name, values in found.items() if "encode" in name).reshape(25, -1)
    (hidden, *_) = (layer for layer in open_converted(model).layers if layer.kind == "neuron")
    sums = n @ (w.T if len(w) == 12 else w) + b
    ratios = [Fraction(float(s_x)) * Fraction(float(scale)) / Fraction(float(s_y)) for scale in s_w]
    wanted = [[min(max(round(int(u) * ratio), 0), 255) for u, ratio in zip(row, ratios, strict=True)] for row in sums]
    assert np.array_equal(found[hidden.name], wanted)


def test_weights_of_other_networks_are_rounded_as_ever() -> None:
    model = convert(golden.model(NETWORKS["dense"]), **LOOSE)
    assert model.certificate is not None
    assert not model.certificate.own
    assert not any(layer.own_grid for layer in open_converted(model).layers)


def test_a_quantiser_of_values_that_have_its_steps_is_none(tmp_path: Path) -> None:
    """onnxruntime puts one behind everything that moves or pools."""
    ann = quantised("residual", tmp_path, per_channel=True, activations=QuantType.QUInt8)
    quantisers = [node for node in ann.graph.node if node.op_type == "QuantizeLinear"]
    spiking = golden.run_to(ann, Level.SPIKING, method="exact")
    assert len(neurons(spiking.graph)) < len(quantisers) - 1


def test_the_users_network_is_run_without_saturating_sums() -> None:
    """Two products of 255 and 127 pass 16 bits, in which onnxruntime adds pairs on CPUs without VNNI."""
    ann = golden.model("""
        net (float[N, 64] x) => (float[N, 16] y) <float s = {1}, uint8 z = {0}, int8 zw = {0}, float t = {16000}> {
            q = QuantizeLinear (x, s, z)
            v = DequantizeLinear (q, s, z)
            w = DequantizeLinear (weight, s, zw)
            m = MatMul (v, w)
            r = QuantizeLinear (m, t, z)
            y = DequantizeLinear (r, t, z)
        }
    """)
    ann.graph.initializer.append(numpy_helper.from_array(np.full((64, 16), 127, np.int8), "weight"))
    assert np.array_equal(Ann(ann).run(np.full((3, 64), 255.0, np.float32))["y"], np.full((3, 16), 130 * 16000.0))
