"""The layers of the event-driven runtime, through onnxruntime, against the reference of `spiking_layers`."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import spiking_layers
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from spiking_layers import (
    COUNTS,
    POTENTIAL_LIMIT,
    RANDOM,
    VALUES,
    Array,
    Layer,
    Random,
    Sizes,
    Values,
    assert_same,
    conv,
    convolutions,
    dense,
    loop_of,
    model_of,
    random_layer,
    reference,
    run,
    session_of,
)

from snnc.ir.domain import DOMAIN

DENSE = Values(density=1.0)
HALF = Values(density=0.5, weights="small")
RARE = Values(density=0.005)
WIDE = Values(density=0.3, weights="wide", potentials="extreme")
SCALAR = Values(density=0.1, per_channel=False, bias=False, potentials="zero")
HARD = Values(density=0.1, soft=False)
FULL = Values(density=1.0, potentials="extreme")

NAMED: dict[str, tuple[Sizes, Values]] = {
    # Layers of VGG and ResNet.
    "vgg first, signed pixels": (conv(6, 16, (32, 32), 3, pad=1, batch=1), HALF),
    "vgg 64 on 32x32": (conv(64, 64, (32, 32), 3, pad=1, batch=1), Values()),
    "vgg 128 on 16x16 behind a pool": (conv(64, 128, (16, 16), 3, pad=1, copies=4, batch=1, count=33), Values()),
    "vgg 512 on 2x2": (conv(512, 512, (2, 2), 3, pad=1, batch=3), Values()),
    "vgg 512 on 2x2, all fire": (conv(512, 512, (2, 2), 3, pad=1, batch=1, count=5), Values(1.0, soft=False)),
    "resnet 16, stride 2": (conv(16, 32, (32, 32), 3, stride=2, pad=1, batch=1), Values()),
    "resnet 16, identity": (conv(16, 16, (32, 32), 3, pad=1, residual=(16, 16, 1), batch=1), Values()),
    "resnet 64, identity": (conv(64, 64, (8, 8), 3, pad=1, residual=(64, 64, 1), batch=3), SCALAR),
    "resnet projection": (conv(32, 64, (8, 8), 3, pad=1, residual=(32, 1, 1)), Values()),
    "resnet stem 7x7": (conv(6, 64, (40, 40), 7, stride=2, pad=3, batch=1, count=32), HALF),
    "depthwise": (conv(48, 48, (14, 14), 3, pad=1, group=48), Values(0.1)),
    "depthwise, stride 2": (conv(65, 65, (9, 9), 3, stride=2, pad=1, group=65), DENSE),
    "depthwise, multiplier 3": (conv(17, 51, (6, 7), 3, pad=1, group=17), HARD),
    "pointwise": (conv(96, 24, (7, 7), 1), Values(0.3)),
    "pointwise, stride 3": (conv(33, 65, (10, 11), 1, stride=3), SCALAR),
    # Shapes at the edges.
    "one of everything": (conv(1, 1, (1, 1), 1, batch=1, count=1), FULL),
    "one pixel under a 3x3 kernel": (conv(15, 17, (1, 1), 3, pad=1), DENSE),
    "kernel larger than the image": (conv(5, 9, (3, 2), 7, pad=(3, 2, 3, 3)), DENSE),
    "kernel wholly in the padding": (conv(3, 4, (2, 2), 2, stride=3, pad=3), DENSE),
    "asymmetric pads": (conv(7, 31, (6, 5), (3, 2), pad=(2, 0, 0, 3)), Values(0.3)),
    "strides and dilations differ": (
        Sizes(8, 16, (13, 17), (3, 2), strides=(3, 1), dilations=(2, 3), pads=(1, 2, 0, 1)),
        Values(0.3),
    ),
    "stride larger than kernel": (conv(9, 33, (11, 10), 2, stride=3, pad=1), HARD),
    "pixels left over by the stride": (conv(4, 64, (12, 40), 3, stride=3), Values(0.3)),
    "dilated": (conv(16, 15, (12, 9), 3, pad=2, dilation=3), Values(0.3)),
    "one long line": (conv(2, 3, (1, 40), (1, 5), pad=(0, 2, 0, 2)), DENSE),
    "one long column": (conv(2, 3, (40, 1), (5, 1), pad=(2, 0, 2, 0)), DENSE),
    "wide image": (conv(3, 16, (3, 200), 3, pad=1, batch=1), Values(0.1)),
    "many small images": (conv(20, 48, (3, 3), 3, pad=1, batch=23, count=40), Values(0.1)),
    "groups of odd sizes": (conv(3 * 5, 3 * 11, (6, 6), 3, pad=1, group=3), Values(0.3)),
    "groups and copies": (conv(4 * 3, 4 * 16, (5, 5), 3, pad=1, group=4, copies=3), HALF),
    "depthwise and copies": (conv(31, 31, (5, 5), 2, group=31, copies=4), Values(0.3)),
    "127 to 129 channels": (conv(127, 129, (4, 5), 3, pad=1), Values(0.1)),
    "130 to 63 channels": (conv(130, 63, (3, 4), 3, pad=1, copies=2), RARE),
    "audio": (conv(16, 32, (1000,), 9, stride=2, pad=4, batch=1), Values()),
    "audio, dilated, depthwise": (conv(33, 33, (100,), 3, pad=(6, 0), dilation=3, group=33), Values(0.3)),
    "audio, very long": (conv(3, 65, (5000,), 9, pad=4, batch=1, count=8), Values(0.1)),
    "video": (conv(4, 18, (5, 6, 7), 3, pad=1), Values(0.1)),
    "video, stride and group": (conv(6, 4, (4, 5, 6), (1, 3, 2), stride=2, pad=(0, 1, 0, 1, 0, 1), group=2), HARD),
    "video, residual": (conv(4, 4, (3, 4, 5), 3, pad=1, residual=(4, 4, 1)), Values(0.1)),
    "residual, dense 1x1 of copies": (conv(16, 33, (6, 5), 3, pad=1, residual=(17, 1, 4)), HALF),
    "residual, grouped": (conv(8, 12, (6, 5), 3, pad=1, residual=(8, 4, 1), group=2), HARD),
    "residual of a depthwise layer": (conv(64, 64, (5, 5), 3, pad=1, group=64, residual=(64, 64, 2)), Values(0.3)),
    "residual, weights beyond int16": (conv(16, 16, (8, 8), 3, pad=1, residual=(16, 16, 1)), WIDE),
    # Values at the edges.
    "no spikes": (conv(16, 16, (8, 8), 3, pad=1), Values(0.0)),
    "no samples": (conv(16, 16, (8, 8), 3, pad=1, batch=0), Values()),
    "no steps": (conv(16, 16, (8, 8), 3, pad=1, count=0), Values()),
    "one step": (conv(16, 16, (8, 8), 3, pad=1, count=1), DENSE),
    "all fire, extreme potentials": (conv(32, 64, (9, 9), 3, pad=1), FULL),
    "weights beyond int16": (conv(24, 33, (9, 9), 3, pad=1), WIDE),
    "weights beyond int16, depthwise": (conv(33, 33, (9, 9), 3, pad=1, group=33), WIDE),
    "weights beyond int16, 512 outputs": (conv(16, 512, (2, 3), 3, pad=1), WIDE),
    # Fully connected layers.
    "gemm 512 to 512": (Sizes(512, 512, batch=3), Values()),
    "gemm behind a pool": (Sizes(65, 31, copies=4, batch=9), Values(0.3)),
    "gemm, all fire": (Sizes(130, 17, batch=1), FULL),
    "gemm beyond int16, hard reset": (Sizes(33, 129, count=33), Values(0.3, "wide", "extreme", soft=False)),
    "gemm of one neuron": (Sizes(1, 1, batch=1, count=63), SCALAR),
    "readout of 10 classes": (Sizes(512, 10, batch=3), Values(0.1)),
    "readout of copies": (Sizes(33, 65, copies=3), FULL),
    "readout beyond int16": (Sizes(31, 16, count=7), WIDE),
    "readout of one step, no bias": (Sizes(200, 1000, count=1), SCALAR),
    "readout of nothing": (Sizes(16, 16, batch=0, count=0), Values()),
}  # fmt: skip


# Bits of several columns are moved at once: lines of all lengths about these numbers, for all widths of a column.
NAMED |= {
    f"{channels} channels, lines of {columns}": (conv(channels, channels, (3, columns), 3, pad=1, batch=1), Values(0.2))
    for channels, columns in itertools.product((16, 17, 32, 33, 64), (7, 8, 9, 31, 32, 33, 64, 65))
}


@functools.cache
def named(name: str) -> Layer:
    sizes, values = NAMED[name]
    return random_layer(sizes, values, np.random.default_rng(list(NAMED).index(name)), readout="readout" in name)


@functools.cache
def expected(name: str) -> list[Array]:
    return reference(named(name))


def small_names() -> list[str]:
    """Layers that take little time whatever computes them."""
    return [name for name in NAMED if not name.startswith(("vgg", "resnet stem", "audio", "gemm 512"))]


def describe(layer: Layer) -> str:
    shapes = {name: value.shape for name, value in layer.inputs.items()}
    return f"{layer.op} {layer.attributes} {shapes}"


# --- equality ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMED)
def test_named_layers(name: str) -> None:
    assert_same(run(named(name)), expected(name))


@pytest.mark.parametrize("name", ["vgg 64 on 32x32", "resnet 16, identity", "gemm 512 to 512"])
def test_examples_fire(name: str) -> None:
    """Neither silent nor saturated: otherwise the tests here would show little."""
    fired = spiking_layers.unpack(expected(name)[0], 64)
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
    channels = weight.shape[1] * layer.attributes["group"]
    shape = [-1, spikes.shape[1] // channels, channels, *spikes.shape[2:]]
    attributes = dict(layer.attributes)
    neuron = "RMP" if attributes.pop("soft_reset") else "IF"
    bias = ["bias"] if "bias" in layer.inputs else []
    del model.graph.node[:]
    model.graph.node.extend(
        [
            helper.make_node("SpikeUnpack", ["spikes", "count"], ["steps"], domain=DOMAIN),
            helper.make_node("Constant", [], ["shape"], value_ints=shape),
            helper.make_node("Constant", [], ["axis"], value_ints=[1]),
            helper.make_node("Reshape", ["steps", "shape"], ["copies"]),
            helper.make_node("ReduceSum", ["copies", "axis"], ["sum"], keepdims=0),
            helper.make_node("Conv", ["sum", "weight", *bias], ["current"], **attributes),
            helper.make_node(neuron, ["current", "v", "threshold", "count"], layer.outputs, domain=DOMAIN),
        ]
    )
    return model


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, (sizes, _) in NAMED.items()
        if name in small_names() and sizes.size and sizes.batch and sizes.count and not sizes.residual
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
    bound = abs(spiking_layers.step_currents(*_main_of(layer), 1)[0])
    if sizes.residual:
        bound += abs(spiking_layers.step_currents(*_residual_of(layer), 1)[0])
    v = sign * (POTENTIAL_LIMIT - sizes.count * bound)
    return layer.having(v=v.astype(np.int32), threshold=np.int32(POTENTIAL_LIMIT))


def _main_of(layer: Layer) -> tuple[Array, Array, dict[str, Any]]:
    weight = layer.inputs["weight"]
    if layer.op == "SpikingGemm":
        return layer.inputs["spikes"], weight.T, {}
    return layer.inputs["spikes"], weight, layer.attributes


def _residual_of(layer: Layer) -> tuple[Array, Array, dict[str, Any]]:
    group = {"group": layer.attributes["residual_group"]}
    return layer.inputs["residual"], layer.inputs["residual_weight"], group


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


# --- blocks, threads, kernels -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "resnet 16, stride 2",
        "resnet 64, identity",
        "depthwise, multiplier 3",
        "gemm behind a pool",
        "readout of copies",
    ],
)
def test_a_loop_over_blocks_carries_the_potential(name: str) -> None:
    layer = named(name)
    layer = layer.having(v=layer.inputs["v"] // 4)  # what was chosen for 64 steps may leave int32 in more
    random, steps = np.random.default_rng(0), np.array([64, 64, 17], np.int64)
    blocks: dict[str, Array] = {"count": steps}
    for key in [key for key in ("spikes", "residual") if key in layer.inputs]:
        words = random.permuted(np.stack([layer.inputs[key]] * len(steps)), axis=-1)
        words[-1] &= np.uint64(2**17 - 1)
        blocks[key] = words
    feeds = {f"all/{key}": value for key, value in blocks.items()}
    start = {"v/start": layer.inputs["v"], "blocks": np.array(len(steps), np.int64)}
    *fired, v_end = session_of(loop_of(layer)).run(None, {**feeds, **start})

    trains, v = [], layer.inputs["v"]
    for block in range(len(steps)):
        block_layer = layer.having(v=v, **{key: value[block] for key, value in blocks.items()})
        *train, v = reference(block_layer)
        trains += train
    assert_same([v_end, *fired], [v, *([np.stack(trains)] if trains else [])])


@given(split=COUNTS, random=RANDOM)
@settings(max_examples=20)
def test_a_block_equals_its_parts(split: int, random: Random) -> None:
    layer = random_layer(conv(17, 33, (5, 6), 3, pad=1), Values(0.1), random)
    words, mask = layer.inputs["spikes"], np.uint64(2**split - 1)
    whole, v_whole = run(layer)
    first, v_first = run(layer.having(spikes=words & mask, count=np.int64(split)))
    rest = words >> np.uint64(split) if split < 64 else np.zeros_like(words)
    second, v_second = run(layer.having(spikes=rest, count=np.int64(64 - split), v=v_first))
    shifted = second << np.uint64(split) if split < 64 else np.zeros_like(second)
    assert_same([first | shifted, v_second], [whole, v_whole])


@pytest.mark.parametrize("threads", [2, 4])
@pytest.mark.parametrize("name", NAMED)
def test_results_do_not_depend_on_threads(name: str, threads: int) -> None:
    assert_same(run(named(name), threads=threads), expected(name))


def vector_units() -> list[str]:
    """Values of SNNC_SIMD that this machine can run."""
    cpu = Path("/proc/cpuinfo")
    features = set(cpu.read_text().split()) if cpu.is_file() else set()
    needed: dict[str, set[str]] = {
        "portable": set(),
        "avx2": {"avx2"},
        "avx512": {"avx512bw", "avx512_vnni", "avx512vbmi", "avx512_vbmi2"},
    }
    return [unit for unit, flags in needed.items() if flags <= features]


CHOICES = [*itertools.product(vector_units(), ["", "gather", "scatter", "table"])]


@pytest.fixture(scope="module", params=CHOICES, ids="-".join)
def run_chosen(request: pytest.FixtureRequest) -> Iterator[Callable[[Layer], list[Array]]]:
    """`run` with a chosen vector unit and kernel, in another process: the library chooses when it is loaded."""
    unit, kernel = request.param
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("SNNC_SIMD", unit)
            if kernel:
                environment.setenv("SNNC_KERNEL", kernel)
            pool.submit(run, named("one of everything")).result(60)
        yield lambda layer: pool.submit(run, layer, threads=2).result(60)


def test_every_kernel_on_named_layers(run_chosen: Callable[[Layer], list[Array]]) -> None:
    for name in small_names():
        assert_same(run_chosen(named(name)), expected(name), name)


@given(
    sizes=st.one_of(convolutions(), convolutions(), convolutions(residual=True), dense()), values=VALUES, random=RANDOM
)
@settings(max_examples=40)
def test_every_kernel_on_random_layers(
    run_chosen: Callable[[Layer], list[Array]], sizes: Sizes, values: Values, random: Random
) -> None:
    layer = random_layer(sizes, values, random)
    assert_same(run_chosen(layer), reference(layer), describe(layer))


def test_fields_far_outside_the_plane_cost_nothing() -> None:
    """Only the middle output meets the image; the table kernel once made strings of all columns between."""
    random = np.random.default_rng(0)
    inputs = {
        "spikes": random.integers(0, 2**63, (2, 3, 5, 5)).astype(np.uint64),
        "weight": random.integers(-9, 9, (4, 3, 3, 3)).astype(np.float32),
        "v": np.zeros((2, 4, 3, 3), np.int32),
        "threshold": np.array(20, np.int32),
        "count": np.array(64),
    }
    results = [
        run(Layer("SpikingConv", inputs, {"strides": [far] * 2, "pads": [far] * 4, "dilations": [1, 1], "group": 1,
                                          "soft_reset": 1}))
        for far in (8, 2**30)
    ]  # fmt: skip
    assert_same(*results)
