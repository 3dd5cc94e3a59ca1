"""The operators of whole layers: which layers they stand for, and that they compute what the plain operators compute.

Spikes of the reference simulator, of the plain operators and of the fused ones are equal, the latter with and without
the native library. The operators alone are tested in test_spiking_layers.py.
"""

from __future__ import annotations

from typing import Any

import golden
import networks
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from snnc.emit.layer_operators import LAYER_OPERATORS, PLAIN, select
from snnc.emit.schedules import as_loop, as_stream
from snnc.ir.conversion import Conversion, Level
from snnc.ir.trees import targets
from snnc.measure.report import layer_table
from snnc.operators import LAYERS
from snnc.operators.staircase import Staircase
from snnc.runtime.session import make_session
from snnc.simulate.block_runner import Snapshot, StreamRunner
from snnc.simulate.reference import simulate


def few(examples: int) -> settings:
    """Settings of a test that converts a network per example."""
    return settings(max_examples=examples, suppress_health_check=[HealthCheck.too_slow])


def chosen(model: onnx.ModelProto, **options: Any) -> dict[str, str]:
    """What `fuse` notes on each neuron and readout."""
    conversion = golden.run_to(model, Level.FUSED, bias="current", **options)
    return {target.name: target.attrs["fused"] for target in targets(conversion.graph)}


def test_a_bias_that_operators_do_not_hold_stays_plain() -> None:
    """That of an output which a neuron reads too is a current, on a grid of 47 bits."""
    text = "# random: V [4,3] seed 2\nnet (float[N,4] x) => (float[N,3] a, float[N,3] y) <float[3] c = {%s,2,3}> "
    body = "{ h = Relu (x) a = Gemm (h, V, c) y = Relu (a) }"
    assert "SpikeReadout" in chosen(golden.model(text % "1" + body), threshold="vmax").values()
    ann = golden.model(text % "1e10" + body)
    assert "SpikeReadout" not in chosen(ann, threshold="vmax").values()
    conversion = golden.run_to(ann, Level.FUSED, bias="current", threshold="vmax")
    assert_equal_runs(conversion, networks.images_for(ann, 3, seed=1), [5, 70])


# Equal results


def run_all_forms(conversion: Conversion, images: np.ndarray, cuts: list[int]) -> list[list[Snapshot]]:
    """Plain operators as functions; fused operators as functions, and in the library as far as it has them."""
    names = networks.spike_words(conversion)
    blocks = [networks.block_of(conversion, plain=True), networks.block_of(conversion)]
    runners = [StreamRunner(block, expose=names, native=False) for block in blocks]
    runners.append(StreamRunner(blocks[1], expose=names))
    return [list(runner.run(images, cuts, seed=5, first_sample=2)) for runner in runners]


def assert_equal_runs(conversion: Conversion, images: np.ndarray, cuts: list[int]) -> None:
    """Every spike and every output after each block, in every form and in the reference."""
    runs = run_all_forms(conversion, images, cuts)
    for plain, *others in zip(*runs, strict=True):
        for other in others:
            assert np.array_equal(plain.spike_totals, other.spike_totals)
            assert np.array_equal(plain.synaptic_operations, other.synaptic_operations)
            for name, words in plain.words.items():
                assert np.array_equal(words, other.words[name]), name
            for name, values in plain.outputs.items():
                assert np.array_equal(values, other.outputs[name]), name
    simulated = simulate(conversion.graph, images, max(cuts), 5, 2, record=True)
    for name, spikes in networks.trains(conversion, runs[1]).items():
        assert np.array_equal(spikes, simulated.spikes[name]), name
    for name, values in simulated.outputs.items():
        assert np.array_equal(runs[1][-1].outputs[name], values.astype(np.float32)), name


@few(12)
@given(
    model=networks.fusable(),
    choices=networks.options(),
    cuts=st.sampled_from([[1], [63], [64], [1, 64], [63, 70]]),
)
def test_fused_plain_and_reference_are_equal(model: onnx.ModelProto, choices: dict[str, Any], cuts: list[int]) -> None:
    conversion = networks.emit(model, **choices)
    assume(any(target.attrs["fused"] != PLAIN for target in targets(conversion.graph)))
    assert_equal_runs(conversion, networks.images_for(model, 3), cuts)


@few(8)
@given(model=networks.models(), choices=networks.options())
def test_networks_that_are_fused_in_part(model: onnx.ModelProto, choices: dict[str, Any]) -> None:
    assert_equal_runs(networks.emit(model, **choices), networks.images_for(model, 2), [65])


@few(8)
@given(model=networks.fusable(), choices=networks.options(), count=st.sampled_from([0, 1, 63, 64]))
def test_empty_batches_and_empty_blocks(model: onnx.ModelProto, choices: dict[str, Any], count: int) -> None:
    """Without samples, shapes are kept; without steps, the states."""
    block = networks.block_of(networks.emit(model, **choices))
    for native in (True, False):
        session = make_session(as_stream(block).SerializeToString(), native=native)
        for samples, steps in ((0, count), (2, 0)):
            controls = dict.fromkeys(("seed", "first_sample", "first_step"), np.array(0, np.int64))
            states = {state.name: state.start(samples) for state in block.states}
            feeds = {"x": networks.images_for(model, samples), **controls, "count": np.array(steps, np.int64), **states}
            after = session.run([state.output or state.next_name for state in block.states], feeds)
            for state, value in zip(block.states, after, strict=True):
                assert np.array_equal(value, states[state.name]), state.name


@few(8)
@given(model=networks.fusable(), choices=networks.options())
def test_the_checker_and_strict_shape_inference_accept_both_schedules(
    model: onnx.ModelProto, choices: dict[str, Any]
) -> None:
    block = networks.block_of(networks.emit(model, **choices))
    for written in (as_stream(block), as_loop(block, steps=64, seed=0, max_steps=256, controls="optional")):
        onnx.checker.check_model(written, full_check=True)
        onnx.shape_inference.infer_shapes(written, check_type=True, strict_mode=True, data_prop=True)


# Which layers


def pooled(size: int, *pools: tuple[int, int, int], channels: int = 1) -> onnx.ModelProto:
    """A dense layer behind pools (kernel, stride, pads that count) on the spikes of a 1x1 convolution."""
    net = networks.Network((1, size), np.random.default_rng(0))
    net.weights.append(onnx.numpy_helper.from_array(np.ones((channels, 1, 1), np.float32), "ones"))
    net.then("Conv", "ones", shape=(channels, size))
    net.then("Relu")
    for kernel, stride, pad in pools:
        net.average(kernel, stride, pad, True)
    net.dense(2, False)
    net.output()
    return net.model()


@pytest.mark.parametrize(
    ("pools", "fused"),
    [
        ([(4096, 1, 0)], True),  # one window
        ([(4097, 1, 0)], False),
        ([(64, 64, 0), (64, 64, 0)], True),  # windows side by side
        ([(64, 64, 0), (65, 65, 0)], False),
        ([(16, 5, 0)], True),  # windows that overlap
        ([(17, 5, 0)], False),
        ([(5, 16, 0)], True),  # gaps between windows
        ([(16, 5, 0), (16, 5, 0)], True),
        ([(16, 5, 0), (2, 2, 0), (16, 5, 0)], False),
        ([(16, 16, 3)], True),  # pads
    ],
)
def test_pools_are_copies_up_to_a_limit(pools: list[tuple[int, int, int]], fused: bool) -> None:
    size = max(4200, pools[0][0]) if pools[0][1] > 1 else pools[0][0]
    operator = chosen(pooled(size, *pools), calib_samples=2, calib_steps=8)
    assert list(operator.values())[-1] == ("SpikeReadout" if fused else PLAIN)


@pytest.mark.parametrize("pools", [[(4, 4, 0), (3, 2, 1)], [(3, 2, 1), (2, 2, 0)], [(5, 7, 0)], [(33, 1, 0)]])
def test_pools_behind_each_other_lose_no_spike(pools: list[tuple[int, int, int]]) -> None:
    model = pooled(33, *pools, channels=3)
    assert_equal_runs(networks.emit(model), networks.images_for(model, 2), [64])


@pytest.mark.parametrize("window", ["kernel_shape = [3,3], strides = [2,1]", "kernel_shape = [2,3], strides = [2,3]"])
@pytest.mark.parametrize("first", ["Identity (x)", "Relu (x)"])
def test_pads_differ_from_side_to_side(window: str, first: str) -> None:
    """In front of the words of neurons and of the signed input."""
    text = f"""
    # random: K [3,2,2,2] seed 1
    # random: W [3,2] seed 2
    net (float[N,2,5,6] x) => (float[N,2] y) {{
      h = {first}
      p = AveragePool <{window}, pads = [1,0,0,2], count_include_pad = 1> (h)
      c = Conv (p, K)
      r = Relu (c)
      g = GlobalAveragePool (r)
      f = Flatten (g)
      y = MatMul (f, W)
    }}"""
    conversion = networks.emit(golden.model("\n".join(line.strip() for line in text.splitlines())))
    assert [target.attrs["fused"] for target in targets(conversion.graph)][-2:] == ["SpikingConv", "SpikeReadout"]
    assert_equal_runs(conversion, np.random.default_rng(0).normal(0, 1, (2, 2, 5, 6)).astype(np.float32), [64])


def junction(first: str, second: str) -> onnx.ModelProto:
    """A sum of two branches, each in ONNX text on `h` [N, 2, 4, 4]."""
    text = f"""
    # random: K1 [2,1,1,1] seed 1
    # random: K3 [2,2,3,3] seed 2
    # random: P [2,2,1,1] seed 3
    # random: Q [2,2,1,1] seed 4
    # random: T [2,2,3,3] seed 5
    # random: W [32,3] seed 6
    net (float[N,1,4,4] x) => (float[N,3] y) {{
      c = Conv (x, K1)
      h = Relu (c)
      a = {first}
      b = {second}
      s = Add (a, b)
      j = Relu (s)
      f = Flatten (j)
      y = MatMul (f, W)
    }}"""
    return golden.model("\n".join(line.strip() for line in text.splitlines()))


THREE = "Conv <pads = [1,1,1,1]> (h, K3)"
OTHER_THREE = "Conv <pads = [1,1,1,1]> (h, T)"
ONE, OTHER_ONE, SAME = "Conv (h, P)", "Conv (h, Q)", "Identity (h)"


@pytest.mark.parametrize(
    ("first", "second", "main"),
    [
        (THREE, SAME, "K3"),
        (SAME, THREE, "K3"),
        (THREE, ONE, "K3"),
        (ONE, THREE, "K3"),
        (ONE, OTHER_ONE, "P"),
        (OTHER_ONE, ONE, "Q"),
        (SAME, ONE, "P"),
        (THREE, OTHER_THREE, None),
        (SAME, SAME, None),
    ],
)
def test_one_branch_of_a_junction_reads_a_single_position(first: str, second: str, main: str | None) -> None:
    model = junction(first, second)
    conversion = networks.emit(model)
    target = targets(conversion.graph)[1]
    assert target.attrs["fused"] == (PLAIN if main is None else "SpikingConvAdd")
    if main is not None:
        node = next(node for node in networks.block_of(conversion).body if node.name == target.name)
        layer = next(node for node in model.graph.node if main in node.input)
        index = next(i for i, other in enumerate(model.graph.node) if other is layer)
        assert node.input[1] == f"snnc/weight/Conv_{index}"
    assert_equal_runs(conversion, networks.images_for(model, 2), [64])


def test_every_operator_is_chosen_and_reported() -> None:
    conversion = networks.emit(junction(THREE, SAME))
    assert conversion.emitted is not None
    written = {node.op_type for node in networks.block_of(conversion).body}
    reported = {layer.fused for layer in conversion.report.layers}
    assert reported == {None, "SpikingConv", "SpikingConvAdd", "SpikeReadout"} <= {None, *LAYER_OPERATORS}
    moved = {"Concat", "Reshape", "Shape", "Transpose"}
    assert written == {"PoissonEncode", "SpikeTotals", "Add"} | moved | (reported - {None})
    shown = [line.split() for line in layer_table(conversion.report.layers, fused=True).splitlines()]
    operators = [row[1] for row in shown[2:]]
    assert operators == ["PoissonEncode", "SpikingConv", "SpikingConvAdd", "SpikeReadout"]


def test_signed_channels_may_be_grouped() -> None:
    net = networks.Network((2, 5, 5), np.random.default_rng(0))
    net.convolve(2, 3, 1, 1, 1, 2, False)
    net.then("Relu")
    net.convolve(2, 3, 1, 1, 1, 2, False)
    net.then("Relu")
    net.dense(2, False)
    net.output()
    assert list(chosen(net.model()).values()) == ["SpikingConv", "SpikingConv", "SpikeReadout"]


def test_staircases_have_operators_of_their_own() -> None:
    """One neuron at a time is made one: its operator has what bounds the counts, and how its input comes."""
    net = networks.Network((2, 6, 6), np.random.default_rng(0))
    net.convolve(4, 3, 1, 1, 1, 1, False)
    net.then("Relu")
    net.then("AveragePool", shape=(4, 3, 3), kernel_shape=[2, 2], strides=[2, 2])
    net.convolve(3, 3, 1, 1, 1, 1, False)
    net.then("Relu")
    net.dense(3, False)
    net.then("Relu")
    net.dense(2, False)
    net.output()
    found = {}
    for neuron in targets(golden.run_to(net.model(), Level.FUSED, bias="current").graph)[:-1]:
        before, neuron.op = neuron.op, "Staircase"
        neuron.attrs |= {"low": 0, "high": 8}
        fused, room = select(neuron), LAYERS[neuron.op]
        assert fused is not None
        assert isinstance(room, Staircase)
        found[neuron.name] = (fused.op, fused.attributes() | room.attributes(neuron, whole_layer=True))
        neuron.op = before
    convolution = {"strides": [1, 1], "dilations": [1, 1], "pads": [1] * 4, "group": 1}
    bounds = {"low": 0, "high": 8}
    assert list(found.values()) == [
        ("StaircaseConv", {"copies": 1, "signed": 1, **convolution, **bounds}),
        ("StaircaseConv", {"copies": 4, "signed": 0, **convolution, **bounds}),
        ("StaircaseGemm", {"copies": 1, "signed": 0, **bounds}),
    ]
