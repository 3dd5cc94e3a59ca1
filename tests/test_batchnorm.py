"""Batch normalization converts wherever it stands, by every method that is allowed to fold it."""

from __future__ import annotations

import networks
import numpy as np
import onnx
import pytest
from exact_networks import LOOSE
from forms import check_canonical, check_exact, findings, network

from snnc.api import convert

NUMBERS = {"g": [1.0, 0.5, -2.0], "s": [0.3, -0.2, 0.1], "m": [0.2, 0.4, 0.3], "v": [0.5, 1.0, 2.0]}
NORMALIZED = "BatchNormalization ({}, g, s, m, v)"
#: Name → body from a [N, 3, 6, 4] to b.
PLACES = {
    "behind a ReLU": "b = " + NORMALIZED.format("a"),
    "behind pooling": "p = AveragePool <kernel_shape = [2, 2]> (a) b = " + NORMALIZED.format("p"),
    "behind max-pooling": "p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (a) n = "
    + NORMALIZED.format("p")
    + " b = Relu (n)",
    "behind Add": "c = Conv (a, W) d = Add (a, c) n = " + NORMALIZED.format("d") + " b = Relu (n)",
    "between Transposes": "t = Transpose <perm = [0, 3, 1, 2]> (a) u = Transpose <perm = [0, 2, 3, 1]> (t) n = "
    + NORMALIZED.format("u")
    + " b = Relu (n)",
    "behind Concat": "c = Conv (a, U) d = Concat <axis = 1> (a, c) e = Conv (d, V) n = "
    + NORMALIZED.format("e")
    + " b = Relu (n)",
    "of joined branches": "c = Conv (a, W) d = Concat <axis = 2> (a, c) n = "
    + NORMALIZED.format("d")
    + " b = Relu (n)",
    "twice": "n = " + NORMALIZED.format("a") + " o = " + NORMALIZED.format("n") + " b = Relu (o)",
    "in front of a padded convolution": "n = "
    + NORMALIZED.format("a")
    + " c = Conv <pads = [1, 1, 1, 1]> (n, K) b = Relu (c)",
    "of a layer that others read": "c = Conv (a, W) n = " + NORMALIZED.format("c") + " d = Add (n, c) b = Relu (d)",
}
EACH = pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)


def model(body: str) -> onnx.ModelProto:
    random = np.random.default_rng(8)
    shapes = {"W": (3, 3, 1, 1), "U": (2, 3, 1, 1), "V": (3, 5, 1, 1), "K": (3, 3, 3, 3)}
    weights = {name: random.normal(size=shape) / 2 for name, shape in shapes.items() if f", {name})" in body}
    return network(body, {**NUMBERS, **weights})


@EACH
@pytest.mark.parametrize("method", ["rmp", "low-latency", "exact"])
def test_values_stay(place: str, method: str) -> None:
    assert "BatchNormalization" not in check_canonical(model(place), method=method, relaxed=True)


@EACH
def test_it_converts_exactly(place: str) -> None:
    check_exact(model(place))


@EACH
def test_it_converts_to_rates(place: str) -> None:
    calib = networks.images_for(model(place), 24, seed=1)
    report = convert(model(place), **{**LOOSE, "method": "rmp"}, relaxed=True, calib=calib, steps=512).report
    assert report.verification is not None
    assert all(output.error is not None and output.error < 0.25 for output in report.verification.outputs.values())


def test_it_is_refused_where_it_is_not_to_be_folded() -> None:
    found = findings(model(PLACES["behind a ReLU"]), method="rmp", bias="current")
    assert [(code, op) for code, op, _ in found] == [("SNN202", "BatchNormalization")]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", ["rmp", "low-latency", "exact"])
@pytest.mark.parametrize("place", ["behind a ReLU", "behind a convolution"])
def test_a_negative_variance_is_named(method: str, place: str) -> None:
    body = {**PLACES, "behind a convolution": "c = Conv (a, W) b = " + NORMALIZED.format("c")}[place]
    broken = model(body)
    for tensor in broken.graph.initializer:
        if tensor.name == "v":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.array([1.0, -0.5, 2.0], np.float32), "v"))
    ((code, op, message),) = findings(broken, method=method, relaxed=True)
    assert (code, op) == ("SNN208", "BatchNormalization")
    assert "variance of channel 1 is -0.5" in message


@pytest.mark.parametrize("method", ["rmp", "low-latency", "exact"])
def test_training_mode_is_named(method: str) -> None:
    trained = network("b, mean, variance = BatchNormalization <training_mode = 1> (a, g, s, m, v)", NUMBERS)
    found = findings(trained, method=method, relaxed=True)
    assert [(code, op) for code, op, _ in found] == [("SNN202", "BatchNormalization")]
    assert "training mode" in found[0][2]
