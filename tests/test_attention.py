"""Attention and normalisation inside a network: the passes `softmaxes`, `norms`, `matrix_products`, `broadcasts`."""

from __future__ import annotations

from typing import Any

import networks
import numpy as np
import onnx
import pytest
from exact_networks import compared, converted, converted_or_none
from forms import Constants, check_canonical, check_exact, findings, network
from golden import model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streams import Fresh, frames_for

from snnc.api import open_converted
from snnc.runtime import StreamSession
from snnc.runtime.session import SpikingSession

NORMAL = {"g": np.linspace(0.5, 1.5, 4), "b_": np.linspace(-0.3, 0.2, 4)}
TURNED = "t = Transpose <perm = [0, 1, 3, 2]> (a)"
#: Name → body from a [N, 3, 3, 4], which is not negative, to b, constants, opset.
FORMS: dict[str, tuple[str, Constants, int]] = {
    "softmax": ("b = Softmax (a)", {}, 18),
    "softmax of channels": ("b = Softmax <axis = 1> (a)", {}, 18),
    "softmax of several axes": ("b = Softmax <axis = 2> (a)", {}, 12),
    "softmax of an old opset": ("b = Softmax (a)", {}, 9),
    "logarithm of a softmax": ("b = LogSoftmax <axis = -2> (a)", {}, 18),
    "softmax spelled out": (
        "e = Exp (a) s = ReduceSum (e, axes) b = Div (e, s)",
        {"axes": [-1]},
        18,
    ),
    "softmax spelled out, shifted": (
        "m = ReduceMax <axes = [3]> (a) d = Sub (a, m) e = Exp (d) s = ReduceSum (e, axes) b = Div (e, s)",
        {"axes": [-1]},
        13,
    ),
    "softmax of what a mask adds to": (
        "c = Add (a, mask) b = Softmax (c)",
        {"mask": np.where(np.tri(3, 4, 1), np.arange(12).reshape(3, 4) / 12, -np.inf)},
        18,
    ),
    "softmax behind a mask": (
        "s = Cast <to = 9> (mask) c = Where (s, a, never) b = Softmax <axis = 2> (c)",
        {"mask": np.tri(3, 4, 1), "never": -1e9},
        18,
    ),
    "softmax of what a mask leaves": (
        "s = Cast <to = 9> (mask) c = Where (s, never, a) b = Softmax (c)",
        {"mask": 1 - np.tri(3, 4), "never": -np.inf},
        18,
    ),
    "layer": ("b = LayerNormalization (a, g, b_)", NORMAL, 18),
    "layer of several axes": (
        "b = LayerNormalization <axis = 2, epsilon = 0.01> (a, g, b_)",
        {"g": np.linspace(0.5, 1.5, 12).reshape(3, 4), "b_": np.linspace(-0.3, 0.2, 12).reshape(3, 4)},
        18,
    ),
    "layer without a shift": ("b = LayerNormalization (a, g)", NORMAL, 17),
    "layer spelled out": (
        """m = ReduceMean <axes = [-1]> (a) d = Sub (a, m) p = Pow (d, two) v = ReduceMean <axes = [-1]> (p)
        w = Add (v, e) s = Sqrt (w) n = Div (d, s) o = Mul (n, g) b = Add (o, b_)""",
        {"two": 2.0, "e": 1e-3, **NORMAL},
        13,
    ),
    "layer as tf spells it": (
        """m = ReduceMean <axes = [-1]> (a) d = Sub (a, m) p = Mul (d, d) v = ReduceMean <axes = [-1]> (p)
        w = Add (v, e) s = Sqrt (w) r = Reciprocal (s) f = Mul (r, g) n = Mul (a, f) o = Mul (m, f)
        q = Sub (b_, o) b = Add (n, q)""",
        {"e": 1e-3, **NORMAL},
        13,
    ),
    "instance": ("b = InstanceNormalization (a, g, b_)", {"g": [0.5, 1.0, 2.0], "b_": [0.1, 0.0, -0.1]}, 18),
    "group": (
        "b = GroupNormalization <num_groups = 3> (a, g, b_)",
        {"g": [0.5, 1.0, 2.0], "b_": [0.1, 0.0, -0.1]},
        21,
    ),
    "root of the mean square": (
        "p = Mul (a, a) v = ReduceMean (p, axes) w = Add (v, e) s = Sqrt (w) b = Div (a, s)",
        {"e": 1e-3, "axes": [3]},
        18,
    ),
    "euclidean length": ("c = Add (a, one) b = LpNormalization <axis = 1> (c)", {"one": 1.0}, 18),
    "sum of magnitudes": ("c = Add (a, one) b = LpNormalization <axis = -1, p = 1> (c)", {"one": 1.0}, 18),
    "equation of two": ('b = Einsum <equation = "nhij,nhkj->nkhi"> (a, a)', {}, 18),
    "equation of two without places": ('b = Einsum <equation = "ncij,nkij -> nck"> (a, a)', {}, 18),
    "equation with weights": (
        'b = Einsum <equation = "ncij,jcmk->nmik"> (a, w)',
        {"w": np.linspace(-1, 1, 4 * 3 * 2 * 3).reshape(4, 3, 2, 3)},
        18,
    ),
    "equation with weights first": (
        'b = Einsum <equation = "dj,ncij->nicd"> (w, a)',
        {"w": np.linspace(-1, 1, 20).reshape(5, 4)},
        18,
    ),
    "product with its transpose": (f"{TURNED} b = MatMul (a, t)", {}, 18),
    "product with a row": (f"{TURNED} r = ReduceMean (t, axes) b = MatMul (a, r)", {"axes": [3]}, 18),
    "product with one channel": (f"{TURNED} r = ReduceMean (t, axes) b = MatMul (a, r)", {"axes": [1]}, 18),
    "quotient": ("s = Sigmoid (a) r = ReduceMean (s, axes) b = Div (a, r)", {"axes": [2]}, 18),
    "sum that broadcasts": ("m = ReduceMean (a, axes) b = Add (a, m)", {"axes": [1]}, 18),
}
PLANES = (3, 4)
EACH = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


def network_of(form: tuple[str, Constants, int]) -> onnx.ModelProto:
    return network(*form, planes=PLANES)


@EACH
def test_values_stay(form: tuple[str, Constants, int]) -> None:
    check_canonical(network_of(form))


@EACH
def test_it_converts_exactly(form: tuple[str, Constants, int]) -> None:
    check_exact(network_of(form))


ATTENTION = """
# random: q [4, 4] seed 1
# random: k [4, 4] seed 2
# random: v [4, 4] seed 3
# random: o [4, 4] seed 4
# random: h [4, 3] seed 5
net (float[N, 5, 4] x) => (float[N, 5, 3] y)
  <float half = {0.5}, float[4] g = {1, 0.5, 2, 1}, float[4] s = {0, 0, 1, 0}> {
  n = LayerNormalization (x, g, s)
  query = MatMul (n, q)
  key = MatMul (n, k)
  value = MatMul (n, v)
  turned = Transpose <perm = [0, 2, 1]> (key)
  scores = MatMul (query, turned)
  scaled = Mul (scores, half)
  weights = Softmax (scaled)
  mixed = MatMul (weights, value)
  out = MatMul (mixed, o)
  sum = Add (out, x)
  relu = Relu (sum)
  y = MatMul (relu, h)
}"""


def test_attention_settles_at_the_counts_of_the_quantised_network() -> None:
    network = model(ATTENTION)
    found = converted(network, samples=60, levels=32)
    assert found.certificate is not None
    images = networks.images_for(network, 20, seed=7)
    equality = compared(found, images)
    assert equality.differences == []
    assert 0 < equality.steps.max() < found.certificate.most_steps


def test_every_form_of_attention_gives_the_same() -> None:
    """The loop natively and as functions, and the reference, which verifies the conversion."""
    network = model(ATTENTION)
    images = networks.images_for(network, 4, seed=2)
    found = converted(network, levels=4)
    native, functions = (
        SpikingSession(found.model.SerializeToString(), native=native).run(images) for native in (True, False)
    )
    assert np.array_equal(native.logits, functions.logits)
    assert np.array_equal(native.spike_totals, functions.spike_totals)
    assert np.array_equal(native.synaptic_operations, functions.synaptic_operations)


def test_frames_of_a_stream_with_attention_equal_fresh_runs() -> None:
    file = open_converted(converted(model(ATTENTION), levels=4, schedule="stream"))
    session, fresh = StreamSession(file.model.SerializeToString(), streams=2), Fresh(file)
    for frames in frames_for(file, 30, streams=2):
        fresh.compare(session, frames, session.feed(frames))


def test_more_levels_come_closer_to_the_ann() -> None:
    errors = []
    for levels in (8, 128):
        verification = converted(model(ATTENTION), samples=200, levels=levels).report.verification
        assert verification is not None
        assert verification.error is not None
        errors.append(verification.error)
    assert errors[1] < errors[0] / 3
    assert errors[1] < 0.1


def test_a_variance_is_of_the_counts_that_are_normalised() -> None:
    """One identity neuron for both, and no function in between: only the inverse root is one."""
    found = converted(network_of(FORMS["layer"]))
    assert [layer.op for layer in found.report.layers if layer.kind == "product"] == ["SpikeProduct"] * 2
    assert sum(layer.op == "StaircaseTable" for layer in found.report.layers) == 1


@st.composite
def attending(draw: st.DrawFn) -> onnx.ModelProto:
    """Random networks of heads that attend, and of normalisations, x `[N, places, features]`."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    places, features, heads = draw(st.integers(2, 4)), draw(st.sampled_from([2, 4])), draw(st.sampled_from([1, 2]))
    nodes: list[str] = []
    weights: dict[str, Any] = {}
    current = "x"
    for index in range(draw(st.integers(1, 2))):
        kind = draw(st.sampled_from(["attention", "attention", "layer", "softmax", "instance"]))
        before, current = current, f"t{index}"
        if kind == "attention":
            nodes.append(_heads(before, current, index, (places, features, heads), random, weights))
        elif kind == "layer":
            weights |= {f"g{index}": random.normal(size=features), f"b{index}": random.normal(size=features)}
            nodes.append(f"{current} = LayerNormalization <epsilon = 0.01> ({before}, g{index}, b{index})")
        elif kind == "softmax":
            nodes.append(f"{current} = Softmax <axis = {draw(st.sampled_from([1, 2, -1]))}> ({before})")
        else:
            weights |= {f"g{index}": np.ones(places), f"b{index}": random.normal(size=places)}
            nodes.append(f"{current} = InstanceNormalization <epsilon = 0.1> ({before}, g{index}, b{index})")
        if draw(st.booleans()):
            nodes.append(f"r{index} = Add ({before}, {current})")
            current = f"r{index}"
        if function := draw(st.sampled_from(["", "Relu", "Tanh"])):
            nodes.append(f"f{index} = {function} ({current})")
            current = f"f{index}"
    weights["head"] = random.normal(size=(features, 3))
    nodes.append(f"y = MatMul ({current}, head)")
    text = f"net (float[N, {places}, {features}] x) => (float[N, {places}, 3] y) {{ {' '.join(nodes)} }}"
    network = model(text)
    for name, value in weights.items():
        number = np.int64 if np.asarray(value).dtype.kind == "i" else np.float32
        network.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value, number), name))
    return network


def _heads(
    before: str, current: str, index: int, sizes: tuple[int, int, int], random: np.random.Generator, weights: Any
) -> str:
    places, features, heads = sizes
    rows = []
    for part, order in (("q", "0, 2, 1, 3"), ("k", "0, 2, 3, 1"), ("v", "0, 2, 1, 3")):
        name = f"{part}{index}"
        weights[f"w{name}"] = random.normal(size=(features, features)) / np.sqrt(features)
        rows.append(f"m{name} = MatMul ({before}, w{name}) h{name} = Reshape (m{name}, split)")
        rows.append(f"{name} = Transpose <perm = [{order}]> (h{name})")
    weights |= {"split": np.array([0, places, heads, features // heads]), "join": np.array([0, places, features])}
    rows.append(f"a{index} = MatMul (q{index}, k{index}) s{index} = Softmax (a{index})")
    rows.append(f"o{index} = MatMul (s{index}, v{index}) u{index} = Transpose <perm = [0, 2, 1, 3]> (o{index})")
    return " ".join([*rows, f"{current} = Reshape (u{index}, join)"])


@settings(max_examples=3, suppress_health_check=list(HealthCheck), deadline=None)
@given(network=attending(), levels=st.sampled_from([1, 3, 16]), per_channel=st.booleans())
def test_random_networks(network: onnx.ModelProto, levels: int, per_channel: bool) -> None:
    """The conversion itself holds the file against the reference simulator, spike by spike."""
    found = converted_or_none(network, levels=levels, per_channel=per_channel)
    if found is not None:
        images = networks.images_for(network, 4, seed=3)
        assert compared(found, images).differences == []
        native, functions = (
            SpikingSession(found.model.SerializeToString(), native=native).run(images) for native in (True, False)
        )
        assert np.array_equal(native.logits, functions.logits)
        assert np.array_equal(native.spike_totals, functions.spike_totals)


def test_products_of_matrices_that_are_too_large_are_reported() -> None:
    text = "net (float[N, 512, 64] x) => (float[N, 512, 2] y) { r = Relu (x) t = Transpose <perm = [0, 2, 1]> (r) "
    network = model("# random: v [512, 2] seed 1\n" + text + "m = MatMul (r, t) y = MatMul (m, v) }")
    ((rule, op, message),) = findings(network)
    assert (rule, op) == ("SNN206", "MatMul")
    assert message.startswith(f"it would be {512 * 512 * 64} products")


def test_a_mask_that_leaves_nothing_is_reported() -> None:
    mask = np.where(np.tri(3, 4, -1), 0, -np.inf)
    problems = findings(network("c = Add (a, mask) b = Softmax (c)", {"mask": mask}, 18, PLANES))
    assert ("SNN204", "Softmax", "a mask hides all that it compares in some places") in problems


def test_softmax_over_the_samples_is_reported() -> None:
    problems = findings(network("b = Softmax <axis = 0> (a)", {}, 18, PLANES))
    assert [(rule, op) for rule, op, _ in problems] == [("SNN204", "Softmax")]
