"""Weights of few bits: what they may be, what `auto` takes, and that nothing else depends on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import golden
import networks
import numpy as np
import onnx
import onnx.parser
import onnx_graphsurgeon as gs
import pytest

import snnc
from snnc.diagnostics import DiagnosticError
from snnc.integers.calibration import Calibrator
from snnc.integers.grid import Rounded
from snnc.integers.weight_bits import FASTEST_BITS, LOW_RATE, MOST_ERROR, error_share, round_within, rounding_error
from snnc.ir.conversion import Conversion
from snnc.ir.signal import Signal
from snnc.ir.trees import depth, tree
from snnc.operators import SOURCES, weighted
from snnc.operators.contract import Weights

FEW = [4, 6, 8, 12]


def emitted(**options: Any) -> Conversion:
    return networks.emit(networks.small().model(), **options)


def neuron_weights(conversion: Conversion) -> dict[str, np.ndarray]:
    """The integer weights of every neuron's layer, of both branches of a junction, `[outputs, any]`."""
    found: dict[str, list[np.ndarray]] = {}
    for node in conversion.graph.nodes:
        if node.op not in SOURCES or "v_init" not in node.attrs:
            continue
        for linear in tree(node.inputs[0]):
            room = weighted(linear)
            if room is not None:
                values = room.weights(linear).weight
                by_output = values.T if linear.op == "Gemm" else values.reshape(len(values), -1)
                found.setdefault(node.name, []).append(by_output)
    return {name: np.concatenate(parts, axis=1) for name, parts in found.items() if len({*map(len, parts)}) == 1}


@pytest.mark.parametrize("bits", FEW)
def test_no_weight_has_more_bits_and_all_are_used(bits: int) -> None:
    limit = 2 ** (bits - 1) - 1
    layers = neuron_weights(emitted(weight_bits=bits))
    assert layers
    for name, values in layers.items():
        largest = np.abs(values).max(1)
        assert limit - 1 <= largest.max() <= limit, name
        assert largest.min() >= limit // 2, name  # thresholds are even numbers of units: some grids are coarser for it


def test_sixteen_bits_are_the_default() -> None:
    plain, asked = neuron_weights(emitted()), neuron_weights(emitted(weight_bits=16))
    assert all(np.array_equal(plain[name], asked[name]) for name in plain)


def rounded(bits: int, error_of_one_bit: float) -> Rounded:
    """A layer whose rounding error halves with every bit."""
    noise = np.full((1, 1, 1), (error_of_one_bit * 2.0**-bits) ** 2)
    ones = np.ones((1, 1, 1))
    return Rounded(ones, 1.0, Signal(low=-ones, high=ones, noise=noise, power=ones, peak=ones, rows=ones))


@pytest.mark.parametrize("error_of_one_bit", [0.01, 0.5, 2.5, 2.57, 300.0, 1e4])
def test_auto_takes_the_fewest_that_change_little(error_of_one_bit: float) -> None:
    errors = {bits: rounding_error(rounded(bits, error_of_one_bit)) for bits in range(FASTEST_BITS, 17)}
    wanted = next((bits for bits, error in errors.items() if error <= MOST_ERROR), 16)
    found = round_within("auto", lambda bits: rounded(bits, error_of_one_bit), MOST_ERROR)
    assert found is not None
    assert rounding_error(found) == errors[wanted]


@pytest.mark.parametrize("layers", [1, 4, 9])
def test_the_errors_of_layers_in_a_row_share_what_is_allowed(layers: int) -> None:
    assert np.isclose(np.sqrt(layers * error_share(layers) ** 2), MOST_ERROR)


BRANCHES = """# random: A [4, 4, 1, 1] seed 1
# random: B [4, 4, 1, 1] seed 2
# random: C [4, 4, 1, 1] seed 3
net (float[N, 4, 5, 5] x) => (float[N, 4, 5, 5] y) {
    a = Conv (x, A)
    r = Relu (a)
    b = Conv (r, B)
    s = Relu (b)
    c = Conv (s, C)
    d = Add (c, r)
    t = Relu (d)
    y = MaxPool <kernel_shape = [2, 2], pads = [0, 0, 1, 1]> (t)
}"""


def test_depth_is_that_of_the_longest_way() -> None:
    assert depth(networks.emit(golden.model(BRANCHES), max_pool="exact").graph) == 4  # three neurons, a readout


@pytest.mark.parametrize("method", ["rmp", "exact"])
def test_auto_keeps_every_layer_within_its_share(method: str) -> None:
    """Which eight bits do not here: so deep is the network."""
    model = networks.perceptron([8] * 12).model()
    common: dict[str, Any] = {"method": method, "relaxed": True, "accept_poor": True}

    def largest_error(bits: int | str) -> float:
        layers = snnc.convert(model, weight_bits=bits, **common).report.layers  # type: ignore[arg-type]
        return max(layer.rounding for layer in layers if layer.rounding is not None)

    assert largest_error("auto") <= error_share(13) < largest_error(8) < MOST_ERROR


MIXED_CHANNELS = """# random: W [8, 1, 3, 3] seed 1
# random: V [32, 3] seed 2
net (float[N, 1, 8, 8] x) => (float[N, 16, 3] y) <int64[3] s = {-1, 16, 32}> {
    a = Conv <pads = [1, 1, 1, 1]> (x, W)
    r = Relu (a)
    p = Reshape (r, s)
    y = MatMul (p, V)
}"""


@pytest.mark.parametrize("method", ["rmp", "exact"])
@pytest.mark.parametrize("bits", [4, 5, 8])
def test_thresholds_of_channels_that_are_read_alike_are_worth_the_same(
    method: str, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle, worth = Calibrator.settle_threshold, []

    def settle_threshold(
        self: Calibrator, node: gs.Node, scale: np.ndarray, rounded: Rounded, threshold: np.ndarray
    ) -> None:
        worth.append(threshold * rounded.scale / scale)
        settle(self, node, scale, rounded, threshold)

    monkeypatch.setattr(Calibrator, "settle_threshold", settle_threshold)
    options: dict[str, Any] = {"calib_steps": 64, "steps": 64} if method == "rmp" else {}
    images = np.random.default_rng(1).random((100, 1, 8, 8), np.float32)
    model = golden.model(MIXED_CHANNELS)
    snnc.convert(model, method=method, calib=images, accept_poor=True, weight_bits=bits, **options)
    assert worth
    assert all(np.allclose(values, 1, rtol=1e-3) for values in worth)


@pytest.mark.parametrize("room", [9, 11, 13])
def test_auto_takes_the_fewest_where_sums_leave_no_room_for_more(room: int) -> None:
    found = round_within("auto", lambda bits: rounded(min(bits, room), 2.5), MOST_ERROR)
    assert found is not None
    assert rounding_error(found) == rounding_error(rounded(8, 2.5))


def test_auto_is_no_finer_than_need_be_in_networks_of_many_steps() -> None:
    for name, values in neuron_weights(emitted(weight_bits="auto", max_steps=2**16)).items():
        assert np.abs(values).max() < 2**11, name


def test_a_bias_that_is_rounded_counts_as_in_a_layer_that_seldom_fires() -> None:
    plain = rounded(12, 2.5)
    biased = replace(plain, weights={"c": Weights(np.ones((1, 1)), np.ones(1))})
    assert np.isclose(rounding_error(biased) ** 2, rounding_error(plain) ** 2 + LOW_RATE**-2 / 12)
    assert rounding_error(replace(biased, own=True)) == rounding_error(plain)


def test_few_bits_are_named_where_they_lose_much() -> None:
    lost = [found for found in emitted(weight_bits=4).diagnostics.found if found.rule.code == "SNN509"]
    assert lost
    assert all("--weight-bits" in found.hint for found in lost)


def test_auto_goes_on_where_a_grid_cannot_be_had() -> None:
    found = round_within("auto", lambda bits: None if bits == 8 else rounded(bits, 2.5), MOST_ERROR)
    assert found is not None
    assert rounding_error(found) == rounding_error(rounded(9, 2.5))
    assert round_within("auto", lambda bits: None, MOST_ERROR) is None


def test_auto_is_eight_to_eleven_bits_here() -> None:
    for name, values in neuron_weights(emitted(weight_bits="auto")).items():
        assert 2**5 <= np.abs(values).max() < 2**10, name


@pytest.mark.parametrize("bits", [8, "auto"])
def test_a_network_of_few_bits_has_its_certificate(bits: Any) -> None:
    converted = snnc.convert(networks.small().model(), method="exact", relaxed=True, accept_poor=True, weight_bits=bits)
    assert converted.certificate is not None


@pytest.mark.parametrize(("value", "message"), [(3, "from 4 to 16"), (17, "from 4 to 16"), ("many", "wrong type")])
def test_other_numbers_of_bits_are_refused(value: Any, message: str) -> None:
    with pytest.raises(DiagnosticError, match=message):
        snnc.convert(networks.small().model(), weight_bits=value)


def with_large_bias(weight: float) -> onnx.ModelProto:
    """Two channels without anything in common; the bias of the second one is far larger than its weight."""
    return onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["": 13]>
        net (float[N,1,1,1] x) => (float[N,2] y)
        <float[2,1,1,1] w = {{1.0, {weight}}}, float[2] b = {{0.1, 1.0}}, float[2,2] last = {{1, 1, 1, 1}}>
        {{
            [conv] c = Conv(x, w, b)
            [relu] r = Relu(c)
            [flat] f = Flatten(r)
            [fc] y = Gemm(f, last)
        }}"""
    )


@pytest.mark.parametrize("weight", [2.4e-5, 3.1e-5, 4.1e-5, 6e-5])
def test_weights_of_few_bits_leave_room_for_the_bias(weight: float) -> None:
    images = np.random.default_rng(0).random((64, 1, 1, 1), np.float32)
    converted = snnc.convert(with_large_bias(weight), method="exact", accept_poor=True, weight_bits=8, calib=images)
    assert converted.certificate is not None
