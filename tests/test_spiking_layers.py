"""The operators of layers, through onnxruntime, against the reference of `spiking_layers`."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from named_layers import NAMED, expected, named, small_names
from onnx import helper, numpy_helper
from spiking_layer_examples import RANDOM, VALUES, Sizes, Values, conv, convolutions, dense, random_layer
from spiking_layers import (
    POTENTIAL_LIMIT,
    Array,
    Layer,
    Random,
    assert_same,
    describe,
    model_of,
    reference,
    residual_kernel_of,
    run,
    session_of,
    step_currents,
    unpack,
)

from snnc.ir.domain import DOMAIN

# --- equality ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMED)
def test_named_layers(name: str) -> None:
    assert_same(run(named(name)), expected(name))


@pytest.mark.parametrize("name", ["vgg 64 on 32x32", "resnet 16, identity", "gemm 512 to 512"])
def test_examples_fire(name: str) -> None:
    """Neither silent nor saturated: otherwise the tests here would show little."""
    fired = unpack(expected(name)[0], 64)
    assert 0.005 < fired.mean() < 0.9


@given(sizes=convolutions(), values=VALUES, random=RANDOM)
def test_convolutions(sizes: Sizes, values: Values, random: Random) -> None:
    layer = random_layer(sizes, values, random)
    assert_same(run(layer), reference(layer), describe(layer))


@given(sizes=convolutions(residual=True), values=VALUES, random=RANDOM)
def test_residual_convolutions(sizes: Sizes, values: Values, random: Random) -> None:
    layer = random_layer(sizes, values, random)
    assert_same(run(layer), reference(layer), describe(layer))


@given(sizes=dense(), values=VALUES, readout=st.booleans(), random=RANDOM)
def test_fully_connected_layers(sizes: Sizes, values: Values, readout: bool, random: Random) -> None:
    layer = random_layer(sizes, values, random, readout=readout)
    assert_same(run(layer), reference(layer), describe(layer))


@pytest.mark.parametrize("name", small_names())
def test_functions_give_the_same(name: str) -> None:
    layer = named(name)
    session = session_of(model_of(layer, functions=True), native=False)
    assert_same(session.run(None, layer.feeds), expected(name))


def plain_model(layer: Layer) -> onnx.ModelProto:
    """SpikingConv as the operators it replaces: SpikeUnpack, sum of copies, Conv, neuron."""
    model = model_of(layer)
    spikes, weight = layer.inputs["spikes"], layer.inputs["weight"]
    attributes = dict(layer.attributes)
    channels, copies, signed = weight.shape[1] * attributes["group"], attributes.pop("copies"), attributes.pop("signed")
    shape = [-1, copies * (1 + signed), channels, *spikes.shape[2:]]
    factors = np.resize([1, -1] if signed else [1], (copies * (1 + signed), *[1] * (spikes.ndim - 1)))
    neuron = "RMP" if attributes.pop("soft_reset") else "IF"
    leak = {"leak": attributes.pop("leak")} if "leak" in attributes else {}
    bias = ["bias"] if "bias" in layer.inputs else []
    del model.graph.node[:]
    model.graph.initializer.append(numpy_helper.from_array(factors.astype(np.float32), "factors"))
    model.graph.node.extend(
        [
            helper.make_node("SpikeUnpack", ["spikes", "count"], ["steps"], domain=DOMAIN),
            helper.make_node("Constant", [], ["shape"], value_ints=shape),
            helper.make_node("Constant", [], ["axis"], value_ints=[1]),
            helper.make_node("Reshape", ["steps", "shape"], ["copies"]),
            helper.make_node("Mul", ["copies", "factors"], ["values"]),
            helper.make_node("ReduceSum", ["values", "axis"], ["sum"], keepdims=0),
            helper.make_node("Conv", ["sum", "weight", *bias], ["current"], **attributes),
            helper.make_node(neuron, ["current", "v", "threshold", "count"], layer.outputs, domain=DOMAIN, **leak),
        ]
    )
    return model


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, (sizes, _) in NAMED.items()
        if name in small_names() and named(name).op == "SpikingConv" and sizes.batch and sizes.count
    ],
)
def test_the_reference_equals_plain_operators(name: str) -> None:
    layer = named(name)
    assert_same(session_of(plain_model(layer)).run(None, layer.feeds), expected(name))


# --- the bounds of the arithmetic -------------------------------------------------------------------------------------


def at_the_bound(sizes: Sizes, sign: int, random: Random) -> Layer:
    """All inputs fire and all weights have one sign: every neuron reaches ±(2^31 - 1) at the last step."""
    layer = random_layer(sizes, Values(density=1.0, bias=False), random)
    weight = sign * abs(layer.inputs["weight"])
    layer = layer.having(weight=weight, residual_weight=sign * abs(layer.inputs.get("residual_weight", np.zeros(1))))
    if not sizes.residual:
        del layer.inputs["residual_weight"]
    bound = abs(step_currents(*_main_of(layer), 1)[0])
    if sizes.residual:
        bound += abs(step_currents(layer.inputs["residual"], *residual_kernel_of(layer), 1)[0])
    v = sign * (POTENTIAL_LIMIT - sizes.count * bound)
    return layer.having(v=v.astype(np.int32), threshold=np.int32(POTENTIAL_LIMIT))


def _main_of(layer: Layer) -> tuple[Array, Array, dict[str, Any]]:
    weight = layer.inputs["weight"]
    return layer.inputs["spikes"], weight if layer.convolution else weight.T, layer.attributes


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    "sizes",
    [
        conv(16, 16, (6, 7), 3, pad=1),
        conv(3, 65, (5, 5), 3, stride=2, pad=1),
        conv(130, 128, (3, 3), 3, pad=1, copies=2),
        conv(33, 33, (6, 6), 3, pad=1, group=33),
        conv(16, 16, (6, 6), 3, pad=1, residual=(16, 16, 1)),
        Sizes(64, 33),
    ],
    ids=["conv", "stride 2", "copies", "depthwise", "residual", "gemm"],
)
def test_potentials_reach_the_limits_of_int32(sizes: Sizes, sign: int) -> None:
    layer = at_the_bound(sizes, sign, np.random.default_rng(5))
    fired, v_out = reference(layer)
    if sign > 0:
        charged = v_out != layer.inputs["v"]
        assert charged.any()
        assert (fired[charged] == np.uint64(1) << np.uint64(sizes.count - 1)).all()
        assert (v_out[charged] == 0).all()
    else:
        assert (v_out == -POTENTIAL_LIMIT).all()
    assert_same(run(layer), [fired, v_out])


def test_charged_neurons_fire_without_spikes() -> None:
    """Soft reset takes one threshold per step from a potential of several; hard reset all at once."""
    for soft, words in [(True, 0b111), (False, 0b1)]:
        values = Values(0.0, bias=False, soft=soft)
        layer = random_layer(conv(16, 32, (5, 5), 3, pad=1), values, np.random.default_rng(0))
        layer = layer.having(v=np.full_like(layer.inputs["v"], 35), threshold=np.int32(10))
        fired, v_out = run(layer)
        assert (fired == words).all()
        assert (v_out == (5 if soft else 0)).all()
