"""Products of two spike counts in the method exact: gates, gated linear units, attention, whatever multiplies."""

from __future__ import annotations

from typing import Any

import networks
import numpy as np
import onnx
import pytest
from exact_networks import BODIES, compared, converted, converted_or_none, model_of
from golden import model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streams import Fresh, frames_for

from snnc.api import SpikingModel, convert, open_converted
from snnc.diagnostics import DiagnosticError
from snnc.runtime import StreamSession
from snnc.runtime.session import SpikingSession
from snnc.simulate.ann import Ann
from snnc.simulate.block_runner import StreamRunner

GATES = ("squeeze and excitation", "gated linear unit")
#: Bodies like those of `exact_networks`.
PRODUCTS = {
    "gate of HardSigmoid, residual behind it": """
        # random: w [4, 2, 1, 1] seed 26
        # random: k [4, 1, 3, 3] seed 27
        # random: b [4] seed 28
        # random: d [4, 2] seed 29
        # random: e [2] seed 30
        # random: u [2, 4] seed 31
        # random: v [144, 3] seed 32
        wide = Conv (x, w)
        swish = HardSwish (wide)
        sums = Conv <group = 4, pads = [1, 1, 1, 1]> (swish, k, b)
        map = HardSwish (sums)
        squeezed = GlobalAveragePool (map)
        flat_squeezed = Flatten (squeezed)
        few = Gemm (flat_squeezed, d, e)
        few_relu = Relu (few)
        many = Gemm (few_relu, u)
        gate_flat = HardSigmoid <alpha = 0.16666667, beta = 0.5> (many)
        dims = Constant <value_ints = [0, 4, 1, 1]> ()
        gate = Reshape (gate_flat, dims)
        gated = Mul (gate, map)
        sum = Add (gated, swish)
        swish_again = HardSwish (sum)
        flat = Flatten (swish_again)
        y = Gemm (flat, v)""",
    "products of products": """
        # random: w [3, 2, 3, 3] seed 36
        # random: u [3, 2, 1, 1] seed 37
        # random: k [1, 2, 1, 1] seed 38
        # random: v [27, 3] seed 39
        one = Conv <pads = [1, 1, 1, 1]> (x, w)
        other = Conv (x, u)
        first = Tanh (one)
        second = LeakyRelu <alpha = 0.3> (other)
        product = Mul (first, second)
        places = Conv (x, k)
        attention = Sigmoid (places)
        attended = Mul (product, attention)
        pooled = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (attended)
        flat = Flatten (pooled)
        y = Gemm (flat, v)""",
    "products of the input and of currents": """
        # random: w [2, 2, 3, 3] seed 40
        # random: v [72, 3] seed 41
        sums = Conv <pads = [1, 1, 1, 1]> (x, w)
        product = Mul (x, sums)
        rectified = Relu (product)
        both = Add (rectified, sums)
        flat = Flatten (both)
        y = Gemm (flat, v)""",
}
ALL = {**{name: BODIES[name] for name in GATES}, **PRODUCTS}


def products_of(model: SpikingModel) -> list[str]:
    return [layer.name for layer in model.report.layers if layer.op == "SpikeProduct"]


@pytest.mark.parametrize("name", PRODUCTS)
def test_counts_equal_those_of_the_quantised_network(name: str) -> None:
    network = model_of(PRODUCTS[name])
    found = converted(network, levels=5)
    assert found.certificate is not None
    assert products_of(found)
    images = networks.images_for(network, 30, seed=7)
    equality = compared(found, images)
    assert equality.differences == []
    assert 0 < equality.steps.max() < found.certificate.most_steps


@pytest.mark.parametrize("name", PRODUCTS)
def test_every_form_gives_the_same(name: str) -> None:
    """The loop natively and as functions, unrolled, and block by block."""
    network = model_of(PRODUCTS[name])
    images = networks.images_for(network, 5, seed=2)
    found = converted(network, levels=3)
    wanted = found.session().run(images)
    unrolled = converted(network, levels=3, schedule="unrolled").model.SerializeToString()
    functions = SpikingSession(found.model.SerializeToString(), native=False)
    for session in (functions, SpikingSession(unrolled), SpikingSession(unrolled, native=False)):
        result = session.run(images)
        assert np.array_equal(result.logits, wanted.logits)
        assert np.array_equal(result.spike_totals, wanted.spike_totals)
        assert np.array_equal(result.synaptic_operations, wanted.synaptic_operations)
    stream = open_converted(found)
    last = StreamRunner(stream.block).run_until_quiet(images, stream.options.steps)
    assert np.array_equal(next(iter(last.outputs.values())), wanted.logits)


@pytest.mark.parametrize("name", ["squeeze and excitation", "gated linear unit", "products of products"])
def test_more_levels_come_closer_to_the_ann(name: str) -> None:
    errors = []
    for levels in (8, 64):
        verification = converted(model_of(ALL[name]), levels=levels).report.verification
        assert verification is not None
        assert verification.error is not None
        errors.append(verification.error)
    assert errors[1] < errors[0] / 2
    assert errors[1] < 0.1


@pytest.mark.parametrize("name", ALL)
def test_frames_of_a_stream_equal_fresh_runs(name: str) -> None:
    network = model_of(ALL[name])
    file = open_converted(converted(network, levels=4, schedule="stream"))
    session, fresh = StreamSession(file.model.SerializeToString(), streams=2), Fresh(file)
    for frames in frames_for(file, 50, streams=2):
        fresh.compare(session, frames, session.feed(frames))


@st.composite
def gated(draw: st.DrawFn) -> onnx.ModelProto:
    """Random networks of products, with gates of one number for an element, a channel, a place or a sample."""
    rank = draw(st.sampled_from([1, 2]))
    net = networks.Network(
        (2, *[draw(st.integers(3, 5))] * rank), np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    )
    functions = st.sampled_from(["Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSwish", ""])
    for _ in range(draw(st.integers(1, 3))):
        net.convolve(draw(st.sampled_from([2, 3])), 3, 1, 1, 1, 1, draw(st.booleans()))
        if function := draw(functions):
            net.then(function)
        start, shape = net.current, net.shape
        kind = draw(st.sampled_from(["channel", "place", "sample", "element", "pooled"]))
        if kind in ("channel", "sample"):
            net.then("GlobalAveragePool", shape=(shape[0], *[1] * rank))
        if kind == "pooled":
            net.largest(3, 1, 1, 1)
        else:
            net.convolve(1 if kind in ("place", "sample") else shape[0], 1, 1, 0, 1, 1, draw(st.booleans()))
        if function := draw(functions):
            net.then(function)
        net.then("Mul", start, shape=shape)
        kind = draw(st.sampled_from(["", "Relu", "LeakyRelu", "residual", "average", "largest"]))
        if kind == "residual":
            net.then("Add", start)
        elif kind == "average":
            net.average(2, 1, 0, False)
        elif kind == "largest":
            net.largest(2, 1, 0, 1)
        elif kind:
            net.then(kind)
    net.dense(3, draw(st.booleans()))
    net.output()
    return net.model()


@settings(max_examples=4, suppress_health_check=list(HealthCheck), deadline=None)
@given(network=gated(), levels=st.sampled_from([1, 3, 16]), per_channel=st.booleans())
def test_random_networks(network: onnx.ModelProto, levels: int, per_channel: bool) -> None:
    """The conversion itself holds the file against the reference simulator, spike by spike."""
    found = converted_or_none(network, levels=levels, per_channel=per_channel)
    if found is not None:
        images = networks.images_for(network, 5, seed=3)
        assert compared(found, images).differences == []
        native, functions = (
            SpikingSession(found.model.SerializeToString(), native=native).run(images) for native in (True, False)
        )
        assert np.array_equal(native.logits, functions.logits)
        assert np.array_equal(native.spike_totals, functions.spike_totals)


def network_of(shapes: str, nodes: str, weights: str = "") -> onnx.ModelProto:
    """A network in ONNX text from x `[N, 2, 4, 4]`; `shapes` is that of y behind the batch."""
    header = f"network (float[N, 2, 4, 4] x) => (float[N, {shapes}] y)"
    return model(f"# random: w [2, 2, 1, 1] seed 1\n# random: v [2, 2, 1, 1] seed 2\n{weights}\n{header} {{ {nodes} }}")


def test_what_is_expanded_first_is_the_same_product() -> None:
    nodes = """a = Conv (x, w)  r = Relu (a)  p = GlobalAveragePool (r)  c = Conv (p, v)  g = Sigmoid (c)
        {} m = Mul (r, {})  q = Conv (m, v)  y = Relu (q)"""
    expand = "shape = Shape (r)  e = Expand (g, shape)"
    one, other = (converted(network_of("2, 4, 4", nodes.format(*parts))) for parts in (("", "g"), (expand, "e")))
    images = networks.images_for(network_of("2, 4, 4", nodes.format("", "g")), 5)
    assert len(products_of(one)) == len(products_of(other)) == 1
    assert np.array_equal(one.session().run(images).logits, other.session().run(images).logits)


@pytest.mark.parametrize(
    "function", ["r = Mul (a, a)", "s = Sigmoid (a)  r = Mul (a, s)", "s = Relu (a) r = Mul (s, a)"]
)
def test_products_of_functions_of_one_tensor_are_functions(function: str) -> None:
    found = converted(network_of("2, 4, 4", f"a = Conv (x, w)  {function}  y = Conv (r, v)"))
    assert [layer.op for layer in found.report.layers if layer.kind != "readout"][1:] == ["StaircaseTable"]


def test_a_product_may_be_an_output() -> None:
    """Behind the last layer it multiplies decoded values."""
    text = """a = Conv (x, w)  r = Relu (a)  b = Conv (x, v)  g = Sigmoid (b)  y = Mul (r, g)"""
    network = network_of("2, 4, 4", text)
    found = converted(network, levels=32)
    images = networks.images_for(network, 6)
    assert compared(found, images).differences == []
    assert not products_of(found)
    wanted = Ann(network).run(images)["y"]
    assert np.linalg.norm(found.session().run(images).logits - wanted) < 0.1 * np.linalg.norm(wanted)


def test_synaptic_operations_are_the_products_that_change() -> None:
    """A spike of the gate changes all products of its channel, one of the map its own; a neuron reads each."""
    nodes = "r = Relu (x)  p = GlobalAveragePool (x)  g = Relu (p)  m = Mul (r, g)  y = Relu (m)"
    network = network_of("2, 4, 4", nodes)
    found = converted(network, levels=2)
    images = networks.images_for(network, 3)
    result = found.session().run(images)
    columns = {layer.name: index for index, layer in enumerate(found.report.layers) if layer.kind != "readout"}
    map_, gate = columns["Relu_0"], columns["Relu_2"]
    assert np.array_equal(result.synaptic_operations[:, map_], result.spike_totals[:, map_])
    assert np.array_equal(result.synaptic_operations[:, gate], 16 * result.spike_totals[:, gate])
    (product,) = (columns[layer.name] for layer in found.report.layers if layer.kind == "product")
    assert not result.spike_totals[:, product].any()
    assert not result.synaptic_operations[:, product].any()


def refused(network: onnx.ModelProto, **options: Any) -> list[tuple[str, str, str]]:
    with pytest.raises(DiagnosticError) as found:
        convert(network, accept_poor=True, **options)
    return [(problem.rule.code, problem.message, problem.hint) for problem in found.value.diagnostics]


def test_other_methods_name_the_one_that_multiplies() -> None:
    network = network_of("2, 4, 4", "a = Conv (x, w)  r = Relu (a)  s = Relu (x)  m = Mul (r, s)  y = Conv (m, v)")
    for method in ("rmp", "low-latency"):
        (problem,) = refused(network, method=method)
        assert problem[:2] == ("SNN204", "it multiplies two activations")
        assert "`--method exact`" in problem[2]
    assert converted(network).certificate is not None


def test_shapes_that_broadcast_otherwise_are_refused() -> None:
    nodes = """a = Conv (x, w)  r = Relu (a)  k = Constant <value_ints = [0, 32]> ()  f = Reshape (r, k)
        g = Gemm (f, u)  s = Relu (g)  m = Mul (r, s)  y = Conv (m, v)"""
    network = network_of("2, 4, 4", nodes, "# random: u [32, 4] seed 3")
    (problem, *_) = refused(network, method="exact")
    assert problem[0] == "SNN207"
    assert "onnxruntime cannot run it on 2 samples" in problem[1]


def test_charges_and_currents_have_room_beside_each_other() -> None:
    """Biases and many levels: a potential that starts far from 0 stays within int32."""
    assert converted(model_of(PRODUCTS["gate of HardSigmoid, residual behind it"]), levels=256).certificate is not None


def test_factors_of_operands_need_no_neuron() -> None:
    """A swish that an exporter divides by 6 in the end, and a gate of two times a sigmoid: both are counts."""
    nodes = """a = Conv (x, w)  three = Constant <value = float {3.0}> ()  six = Constant <value = float {6.0}> ()
        zero = Constant <value = float {0.0}> ()  two = Constant <value = float {2.0}> ()  more = Add (a, three)
        clipped = Clip (more, zero, six)  times = Mul (a, clipped)  swish = Div (times, six)
        p = GlobalAveragePool (swish)  c = Conv (p, v)  g = Sigmoid (c)  h = Mul (g, two)
        m = Mul (swish, h)  q = Conv (m, v)  y = Relu (q)"""
    network = network_of("2, 4, 4", nodes)
    found = converted(network, levels=32)
    assert [layer.name for layer in found.report.layers if "relay" in layer.name] == ["snnc/m/relay"]
    assert compared(found, networks.images_for(network, 8)).differences == []
    verification = found.report.verification
    assert verification is not None
    assert verification.error is not None
    assert verification.error < 0.1


def test_layers_may_read_the_same_moved_spikes() -> None:
    """Each has a tree of its own: two max-pools, and a product of what one source gives at other places."""
    nodes = """a = Conv (x, w)  r = Relu (a)  t = Transpose <perm = [0, 1, 3, 2]> (r)
        p = MaxPool <kernel_shape = [2, 2]> (t)  q = MaxPool <kernel_shape = [2, 2], strides = [1, 1]> (t)
        m = Mul (r, t)  n = MaxPool <kernel_shape = [2, 2]> (m)  s = Mul (p, q)
        both = Add (s, n)  y = Conv (both, v)"""
    network = network_of("2, 3, 3", nodes)
    found = converted(network, levels=4)
    assert compared(found, networks.images_for(network, 8)).differences == []


def test_channels_that_differ_reach_no_pool_that_compares_them() -> None:
    """A pool passes on what its input is worth, to a convolution that reads its places as channels."""
    nodes = """a = Conv (x, w)  r = Relu (a)  p = MaxPool <kernel_shape = [1, 1]> (r)
        t = Transpose <perm = [0, 2, 1, 3]> (p)  y = Conv (t, u)"""
    network = network_of("2, 2, 4", nodes, "# random: u [2, 4, 1, 1] seed 3")
    found = converted(network, levels=4)
    assert compared(found, networks.images_for(network, 8)).differences == []


def test_a_product_in_front_of_weights_that_are_dense_only_later() -> None:
    """`MatMul` and `ConvTranspose` become layers in later passes."""
    nodes = """f = Flatten (x)  a = MatMul (f, k)  r = Relu (a)  b = MatMul (f, l)  s = Relu (b)
        m = Mul (r, s)  y = MatMul (m, u)"""
    weights = "# random: k [32, 4] seed 3\n# random: l [32, 4] seed 4\n# random: u [4, 3] seed 5"
    network = network_of("3", nodes, weights)
    found = converted(network, levels=8)
    assert len(products_of(found)) == 1
    assert compared(found, networks.images_for(network, 6)).differences == []
