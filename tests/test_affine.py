"""Affine functions of the ANN: in the weights beside them or in the encoder, never neurons of their own."""

from __future__ import annotations

from typing import Any

import golden
import networks
import numpy as np
import onnx
import pytest
from exact_networks import LOOSE, compared, converted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from snnc.api import convert, open_converted
from snnc.emit.analog import analog_network
from snnc.ir.conversion import Conversion, Level
from snnc.ir.trees import neurons
from snnc.levels import run_pass
from snnc.pipeline import EXACT
from snnc.runtime import StreamSession
from snnc.runtime.session import beyond_limit
from snnc.simulate.ann import Ann
from snnc.simulate.block_runner import StreamRunner

CHANNELS = {"a": [2.0, -0.5, 1.5], "b": [0.5, 1.0, -2.0], "a4": [1.0, 3.0, -2.0, 0.5], "b4": [1.0, -1.0, 0.5, 2.0]}
FLAT = {"af": np.linspace(-1, 2, 9), "bf": np.linspace(-1, 1, 9)}


def model(body: str) -> onnx.ModelProto:
    """x: [N, 3, 6, 6] → y, with affine constants by channel (`a`, `b` of three, `a4`, `b4` of four, `af`, `bf` of nine
    features) and weights."""
    numbers = "float half = {0.5}, float two = {2.0}, float third = {0.3333333}"
    found = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": 18]> net (float[N,3,6,6] x) => (float[N,?] y) <{numbers}> {{ {body} }}'
    )
    random = np.random.default_rng(7)
    values: dict[str, Any] = {name: np.reshape(value, (-1, 1, 1)) for name, value in CHANNELS.items()} | FLAT
    values |= {"gamma": [1.0, 2.0, -0.5, 1.5], "beta": [0.5, -1.0, 0.0, 1.0], "mean": [0.1, 0.0, -0.3, 0.2]}
    values |= {"variance": [1.0, 0.25, 4.0, 2.0]}
    shapes = {
        "K": (4, 3, 3, 3),
        "c": (4,),
        "L": (3, 4, 3, 3),
        "M": (3, 3, 1, 1),
        "N": (3, 3, 3, 3),
        "V": (3, 5),
        "F": (9, 5),
    }
    values |= {name: random.normal(size=shape) / np.sqrt(np.prod(shape[1:])) for name, shape in shapes.items()}
    used = {name for node in found.graph.node for name in node.input}
    for name in used & set(values):
        found.graph.initializer.append(numpy_helper.from_array(np.asarray(values[name], np.float32), name))
    return found


PAD = "pads = [1, 1, 1, 1]"
PADDED = f"kernel_shape = [3, 3], count_include_pad = 1, {PAD}"
HEAD = "g = GlobalAveragePool (last) f = Flatten (g) y = Gemm (f, V)"

#: Name → network, and how many neurons it needs.
BODIES: dict[str, tuple[str, int]] = {
    "behind a convolution": (f"s = Conv <{PAD}> (x, K, c) t = Mul (s, a4) u = Add (t, b4) r = Relu (u) "
                             f"last = Conv (r, L) {HEAD}", 2),
    "behind an average of currents": (f"s = Conv <{PAD}> (x, K, c) p = AveragePool <kernel_shape = [2, 2]> (s) "
                                      "u = BatchNormalization (p, gamma, beta, mean, variance) r = Relu (u) "
                                      f"last = Conv <{PAD}> (r, L) {HEAD}", 2),
    "behind a padded average": (f"s = Conv <{PAD}> (x, K, c) "
                                "p = AveragePool <kernel_shape = [2, 2], pads = [1, 1, 0, 0], count_include_pad = 1> "
                                "(s) u = Add (p, b4) r = Relu (u) "
                                f"last = Conv <{PAD}> (r, L) {HEAD}", 2),
    "behind a sum": (f"s = Conv <{PAD}> (x, K, c) r = Relu (s) t = Conv <{PAD}> (r, L) u = Add (t, x) "
                     f"v = Mul (u, a) w = Sub (v, b) last = Relu (w) {HEAD}", 2),
    "behind a ReLU, in front of zeros": (
        f"s = Conv <{PAD}> (x, K) r = Relu (s) t = BatchNormalization (r, gamma, beta, mean, variance) "
        f"u = Conv <{PAD}> (t, L) last = Relu (u) {HEAD}", 2),
    "behind a ReLU, without padding": (
        f"s = Conv <{PAD}> (x, K) r = Relu (s) t = BatchNormalization (r, gamma, beta, mean, variance) "
        f"u = Conv (t, L) last = Relu (u) {HEAD}", 2),
    "between a ReLU and a max-pool": (
        f"s = Conv <{PAD}> (x, M) r = Relu (s) t = Mul (r, two) v = Sub (t, half) "
        f"last = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (v) {HEAD}", 1),
    "negative, in front of a max-pool": (
        f"s = Conv (x, M) r = Relu (s) t = Mul (r, a) last = MaxPool <kernel_shape = [2, 2]> (t) {HEAD}", 2),
    "on a shortcut": (f"s = Conv (x, M) r = Relu (s) t = Conv (r, M) u = Mul (r, third) v = Mul (t, a) "
                      f"w = Add (v, u) last = Relu (w) {HEAD}", 2),
    "in front of an activation": (f"s = Conv (x, M) r = Relu (s) p = AveragePool <kernel_shape = [2, 2]> (r) "
                                  f"t = Mul (p, a) v = Add (t, b) last = Relu (v) {HEAD}", 2),
    "on features": ("g = AveragePool <kernel_shape = [4, 4], strides = [2, 2]> (x) m = Conv (g, M) r = Relu (m) "
                    "q = AveragePool <kernel_shape = [2, 1]> (r) i = GlobalAveragePool (q) f = Flatten (i) "
                    "d = Gemm (f, W) h = Relu (d) k = Mul (h, af) l = Add (k, bf) y = Gemm (l, F)", 2),
    "behind the last layer": ("s = Conv (x, M) r = Relu (s) g = GlobalAveragePool (r) f = Flatten (g) "
                              "z = Gemm (f, V) t = Div (z, third) u = Add (t, half) y = Softmax <axis = 1> (u)", 1),
    "of spikes as an output": ("s = Conv (x, M) r = Relu (s) g = GlobalAveragePool (r) f = Flatten (g) "
                               "t = Mul (f, half) y = Sub (t, two)", 1),
    "on the input": (f"t = Sub (x, b) u = Div (t, a) s = Conv <{PAD}> (u, K, c) r = Relu (s) last = Conv (r, L) {HEAD}",
                     2),
    "on an input that is read twice": (
        f"t = Sub (x, b) u = Div (t, a) s = Conv <{PAD}> (u, N) r = Relu (s) w = Add (r, u) last = Relu (w) {HEAD}", 2),
    "on one branch of the input": (
        f"u = Mul (x, a) v = Add (u, b) s = Conv <{PAD}> (v, N) r = Relu (s) w = Add (r, x) last = Relu (w) {HEAD}", 2),
    "rectified input": (f"t = Sub (x, half) r = Relu (t) s = Conv (r, M) last = Relu (s) {HEAD}", 2),
}  # fmt: skip


def network(name: str) -> onnx.ModelProto:
    found = model(BODIES[name][0])
    if name == "on features":
        weight = np.random.default_rng(3).normal(size=(3, 9)).astype(np.float32)
        found.graph.initializer.append(numpy_helper.from_array(weight, "W"))
    return found


def spiking(ann: onnx.ModelProto, method: str = "exact") -> Conversion:
    """After the pass `scales`."""
    conversion = golden.run_to(ann, Level.SPIKING, method=method)
    if method == "exact":
        names = [step.name for step in EXACT]
        for step in EXACT[names.index("spike") + 1 : names.index("scales") + 1]:
            run_pass(step, conversion)
    return conversion


def assert_computes_the_same(conversion: Conversion, ann: onnx.ModelProto) -> None:
    """The spiking graph stands for the ANN, to within rounding of float32."""
    images = np.random.default_rng(1).normal(size=(4, 3, 6, 6)).astype(np.float32)
    analog = analog_network(conversion.graph)
    found = Ann(analog.model).run(images)
    readout = next(node for node in conversion.graph.nodes if node.op == "SpikeReadout")
    wanted = Ann(ann).run(images)["y"]
    value = found[analog.outputs[readout.name]]
    if any(node.op == "Softmax" for node in conversion.graph.nodes):
        value = np.exp(value) / np.exp(value).sum(1, keepdims=True)
    assert np.allclose(value, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("name", BODIES)
def test_where_affine_functions_go(name: str) -> None:
    ann = network(name)
    conversion = spiking(ann)
    assert len(neurons(conversion.graph)) == BODIES[name][1]
    assert all(node.op != "StaircaseTable" for node in neurons(conversion.graph))
    assert_computes_the_same(conversion, ann)


@pytest.mark.parametrize("name", ["behind a convolution", "behind a ReLU, without padding", "on the input"])
def test_currents_of_low_latency_networks(name: str) -> None:
    """Biases stay currents; zeros around a shifted plane keep the shift where it is."""
    conversion = spiking(network(name), "low-latency")
    assert_computes_the_same(conversion, network(name))


def test_a_shift_in_front_of_zeros_stays_a_current() -> None:
    name = "behind a ReLU, in front of zeros"
    conversion = spiking(network(name), "low-latency")
    assert [node.op for node in conversion.graph.nodes].count("Scale") == 1
    assert_computes_the_same(conversion, network(name))


@pytest.mark.parametrize("name", BODIES)
def test_counts_are_those_of_the_quantised_network(name: str) -> None:
    """And of the reference simulator, in every step of the way."""
    ann = network(name)
    found = converted(ann, levels=9)
    images = networks.images_for(ann, 5, seed=4)
    assert compared(found, images).differences == []
    assert found.report.verification is not None
    assert "reference" in {form for pair in found.report.verification.compared for form in pair.forms}


@pytest.mark.parametrize("name", ["on the input", "behind a ReLU, in front of zeros", "on a shortcut"])
def test_every_form_gives_the_same(name: str) -> None:
    ann = network(name)
    images = networks.images_for(ann, 6, seed=2)
    wanted = converted(ann, levels=6).session().run(images, warn=False)
    functions = converted(ann, levels=6).session(native=False).run(images, warn=False)
    unrolled = converted(ann, levels=6, schedule="unrolled").session().run(images, warn=False)
    for found in (functions, unrolled):
        assert np.array_equal(found.logits, wanted.logits)
    stream = open_converted(converted(ann, levels=6, schedule="stream"))
    last = StreamRunner(stream.block).run_until_quiet(images, stream.options.steps)
    assert np.array_equal(last.outputs["y"], wanted.logits)


# The input


def test_frames_of_a_prepared_input_equal_fresh_runs() -> None:
    ann = network("on the input")
    stream = StreamSession(converted(ann, levels=6, schedule="stream").model.SerializeToString(), streams=2)
    fresh = converted(ann, levels=6).session()
    for frame in networks.images_for(ann, 6, seed=2).reshape(3, 2, 3, 6, 6):
        assert np.array_equal(stream.feed(frame, warn=False).logits, fresh.run(frame, warn=False).logits)


def test_the_encoder_prepares_the_input() -> None:
    """n = round((x - m)/(σ/a)) by channel, up to the largest |a·(x - m)| of the samples."""
    ann = network("on the input")
    found = converted(ann, levels=6)
    (layer, *_) = open_converted(found).layers
    factor, origin = (np.asarray(value, np.float64).reshape(-1, 1, 1) for value in (layer.factor, layer.origin))
    assert np.allclose(factor.ravel(), 1 / np.array(CHANNELS["a"]))
    assert np.allclose(origin.ravel(), CHANNELS["b"])
    images = networks.images_for(ann, 20, seed=1)
    assert np.isclose(layer.scale * 255, np.abs((images - origin) * factor).max())
    exact = (images - origin) * factor / layer.scale
    away = np.abs(exact - np.floor(exact) - 0.5) > 1e-3
    assert np.array_equal(counts_of_the_input(found, images)[away], np.rint(exact)[away])


def test_clipped_elements_are_those_of_the_prepared_input() -> None:
    found = converted(network("on the input"), levels=6)
    layers = open_converted(found).layers
    limit = np.asarray(layers[0].scale) * 255
    factor, origin = (np.asarray(value).reshape(-1, 1, 1) for value in (layers[0].factor, layers[0].origin))
    inside, outside = (np.broadcast_to(origin + share * limit / factor, (1, 3, 6, 6)) for share in (0.99, -1.01))
    assert not beyond_limit(layers, inside.astype(np.float32)).any()
    assert beyond_limit(layers, outside.astype(np.float32)).all()
    result = found.session().run(outside.astype(np.float32), warn=False)
    assert result.clipped == 1.0


def test_features_of_very_different_scale() -> None:
    """What one input scale for all of them would lose."""
    random = np.random.default_rng(5)
    scale, centre = 10.0 ** np.arange(-3, 4), random.normal(size=7) * 10.0 ** np.arange(7)
    ann = golden.model("""
# random: W [7, 6] seed 1
# random: V [6, 3] seed 2
net (float[N, 7] x) => (float[N, 3] y) { c = Sub (x, m) z = Div (c, s) h = Gemm (z, W) r = Relu (h) y = Gemm (r, V)
}""")
    for name, value in {"m": centre, "s": scale}.items():
        ann.graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
    images = (random.normal(size=(40, 7)) * scale + centre).astype(np.float32)
    found = convert(ann, calib=images, levels=256, **LOOSE).session().run(images, warn=False).logits
    wanted = Ann(ann).run(images)["y"]
    assert np.linalg.norm(found - wanted) < 0.1 * np.linalg.norm(wanted)


def test_a_quantiser_behind_the_preparation_is_the_encoder() -> None:
    """Its numbers are the user's own."""
    ann = model("t = Sub (x, half) u = Mul (t, a) q = QuantizeLinear (u, s, z) d = DequantizeLinear (q, s, z) "
                f"m = Conv (d, M) last = Relu (m) {HEAD}")  # fmt: skip
    ann.graph.initializer.extend([numpy_helper.from_array(np.float32(0.03), "s")])
    ann.graph.initializer.extend([numpy_helper.from_array(np.uint8(100), "z")])
    conversion = spiking(ann)
    assert len(neurons(conversion.graph)) == 1
    found = converted(ann, levels=6)
    images = np.random.default_rng(8).normal(size=(9, 3, 6, 6)).astype(np.float32)
    counts = counts_of_the_input(found, images)
    factor = np.reshape(CHANNELS["a"], (-1, 1, 1)).astype(np.float32)
    exact = (images.astype(np.float64) - 0.5) * factor / np.float32(0.03)
    away = np.abs(exact - np.floor(exact) - 0.5) > 1e-4
    assert np.array_equal(counts[away], np.clip(np.rint(exact), -100, 155)[away])
    assert away.mean() > 0.99


def counts_of_the_input(found: Any, images: np.ndarray) -> np.ndarray:
    """The numbers that the quantised ANN gives for its input."""
    outputs = Ann(found.quantised).run(images)
    return next(value for name, value in outputs.items() if "count" in name and "encode" in name)


# Any of them anywhere


@st.composite
def chains(draw: st.DrawFn) -> onnx.ModelProto:
    """Convolutions and ReLUs with affine functions, pools and sums anywhere between."""
    lines, tensor, channels = [], "x", 3
    on_input = draw(st.lists(st.sampled_from(["mul", "add"]), max_size=2))
    anywhere = st.sampled_from(["conv", "relu", "mul", "add", "average", "padded average", "max"])
    for index, choice in enumerate([*on_input, "conv", *draw(st.lists(anywhere, min_size=1, max_size=6))]):
        before, tensor = tensor, f"t{index}"
        constant = draw(
            st.sampled_from(["half", "two", "a" if channels == 3 else "a4", "b" if channels == 3 else "b4"])
        )
        lines.append({
            "conv": f"{tensor} = Conv <{PAD}> ({before}, {'K' if channels == 3 else 'L'})",
            "relu": f"{tensor} = Relu ({before})",
            "mul": f"{tensor} = Mul ({before}, {constant})",
            "add": f"{tensor} = Add ({before}, {constant})",
            "average": f"{tensor} = AveragePool <kernel_shape = [3, 3], {PAD}> ({before})",
            "padded average": f"{tensor} = AveragePool <{PADDED}> ({before})",
            "max": f"{tensor} = MaxPool <kernel_shape = [3, 3], {PAD}> ({before})",
        }[choice])  # fmt: skip
        channels = 7 - channels if choice == "conv" else channels
    if channels == 4:
        lines.append(f"u = Relu ({tensor}) tail = Conv (u, L)")
        tensor = "tail"
    lines.append(f"last = Relu ({tensor}) {HEAD}")
    return model(" ".join(lines))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ann=chains())
def test_any_chain(ann: onnx.ModelProto) -> None:
    assert_computes_the_same(spiking(ann), ann)
