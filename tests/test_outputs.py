"""Every output is judged for what it is: classes, classes of the places of a map, values; channels and inputs too."""

from __future__ import annotations

import math
from typing import Any

import networks
import numpy as np
import onnx
import pytest
from commands import Invoke
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from reports import verified

import snnc
from snnc.data import load
from snnc.diagnostics import DiagnosticError
from snnc.ir.conversion import LayerReport
from snnc.measure.activity import channels_of, hidden_inputs
from snnc.measure.evaluation import Curve
from snnc.measure.intervals import interval, interval_of_means, paired_difference
from snnc.measure.output_lines import UNPREPARED, accuracy_line, channel_lines
from snnc.measure.outputs import OutputKind, OutputPoint, OutputSums, Truth, kind_of, predictions
from snnc.measure.quality import GOOD, USABLE, Yardstick
from snnc.simulate.ann import Ann

WIDTH = 80


def value(*dims: int, dtype: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info("y", dtype, ["N", *dims])


def meaning(info: onnx.ValueInfoProto, op: str = "Add", input_dims: tuple[int, ...] = (3, 8, 8), **attrs: Any) -> Any:
    found = kind_of(info, {"y": helper.make_node(op, ["a"], ["y"], **attrs)}, input_dims)
    return found.meaning, found.axis, found.places


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (meaning(value(10)), ("classes", 1, 1)),
        (meaning(value(10, 1, 1)), ("classes", 1, 1)),
        (meaning(value(1)), ("values", 1, 1)),
        (meaning(value(5, 8, 8)), ("classes", 1, 64)),  # segmentation
        (meaning(value(3, 16, 16)), ("values", 1, 768)),  # an image, as the input is
        (meaning(value(1, 8, 8)), ("values", 1, 64)),
        (meaning(value(5, 8, 8), "Sigmoid"), ("values", 1, 320)),
        (meaning(value(3, 8, 8), "Softmax", axis=1), ("classes", 1, 64)),
        (meaning(value(8, 8, 5), "Softmax"), ("classes", 3, 64)),
        (meaning(value(6, 2), "LogSoftmax", axis=-1), ("classes", 2, 6)),
        (meaning(value(dtype=TensorProto.INT64), "ArgMax"), ("class numbers", 0, 1)),
        (meaning(value(8, 8, dtype=TensorProto.INT64), "ArgMax"), ("class numbers", 0, 64)),
        (meaning(value(4), input_dims=(4,)), ("classes", 1, 1)),
        (meaning(value(640), input_dims=(640,)), ("values", 1, 640)),  # an autoencoder
        (meaning(value(4420, 4)), ("values", 1, 17680)),  # boxes
        (meaning(value(5, 90), input_dims=(3, 100)), ("classes", 1, 90)),  # segmentation of a signal
        (meaning(value(640), "Softmax", input_dims=(640,)), ("classes", 1, 1)),
    ],
)
def test_what_an_output_stands_for(found: Any, expected: Any) -> None:
    assert found == expected


def test_a_class_map_has_no_class_of_the_sample() -> None:
    """It was judged by its top-left pixel."""
    assert predictions(np.zeros((3, 8, 8), np.int64)) is None
    np.testing.assert_array_equal(predictions(np.array([[2], [1]])), [2, 1])


def point_of(kind: OutputKind, truth: np.ndarray, *batches: np.ndarray) -> OutputPoint:
    sums, start = OutputSums(Truth(kind, truth)), 0
    for batch in batches:
        sums.add(Truth(kind, truth[start : start + len(batch)]).compared(batch))
        start += len(batch)
    return sums.point()


def test_maps_agree_place_by_place() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=(6, 4, 5, 5)).astype(np.float32)
    found = truth + random.normal(0, 0.5, truth.shape).astype(np.float32)
    point = point_of(OutputKind("y", "classes", 1, 25), truth, found[:4], found[4:])
    assert point.agreement == pytest.approx((found.argmax(1) == truth.argmax(1)).mean())
    assert point.error == pytest.approx(np.linalg.norm(found - truth) / np.linalg.norm(truth))
    numbers = point_of(OutputKind("y", "class numbers", 0, 25), truth.argmax(1), found.argmax(1))
    assert (numbers.agreement, numbers.error, numbers.spread_error) == (point.agreement, None, None)


def test_an_error_is_held_against_the_spread() -> None:
    """Beside a large mean the relative error of values that are lost is small."""
    truth = (1000 + np.random.default_rng(0).normal(size=(50, 1))).astype(np.float32)
    point = point_of(OutputKind("y", "values", 1, 1), truth, np.full_like(truth, truth.mean()))
    assert point.agreement is None
    assert point.error == pytest.approx(1e-3, rel=0.3)
    assert point.spread_error == pytest.approx(1, rel=1e-3)
    yardstick = Yardstick(50, classes=False, values=True)
    assert yardstick.missed(point, GOOD) == "an error of 0.25 times the spread of the values"
    assert yardstick.missed(OutputPoint(None, None, 1e-3, 0.9), USABLE) is None
    worse = OutputPoint(None, None, 1e-3, 1.1)
    assert yardstick.missed(worse, USABLE) == "an error of 1 times the spread of the values"
    assert Yardstick(7, classes=False, values=True).missed(worse, GOOD) is None  # too few to know the spread


def test_intervals_of_maps_are_those_of_samples() -> None:
    classes = np.array([1.0] * 9 + [0.0])
    assert interval_of_means(classes, 1) == pytest.approx(interval(0.9, 10))
    assert interval_of_means(np.ones(10), 10_000) == pytest.approx(interval(1.0, 10))
    alike = interval_of_means(np.array([0.0, 1.0] * 20), 10_000)  # whole maps right or wrong: no more than samples
    assert alike == pytest.approx(interval(0.5, 40))
    low, high = interval_of_means(np.array([0.89, 0.91] * 20), 10_000)
    assert 0.89 < low < 0.9 < high < 0.91


@given(lost=st.integers(0, 50), gained=st.integers(0, 50), more=st.integers(1, 500))
def test_paired_differences(lost: int, gained: int, more: int) -> None:
    samples = lost + gained + more
    low, high = paired_difference(lost, gained, samples)
    assert -1 <= low <= (lost - gained) / (samples + 2) <= high <= 1
    assert paired_difference(gained, lost, samples) == pytest.approx((-high, -low))


def test_a_paired_interval_holds_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    lost, gained, samples = 0.04, 0.01, 200
    counts = random.multinomial(samples, [lost, gained, 1 - lost - gained], 4000)
    held = [low <= lost - gained <= high for low, high in (paired_difference(b, c, samples) for b, c, _ in counts)]
    assert 0.94 <= np.mean(held) <= 0.99


def test_accuracy_in_a_line() -> None:
    line = accuracy_line(0.961, (0.912, 0.983), 0.977, (-0.008, 0.039))
    assert line == "accuracy 96.1 % (91.2 to 98.3 %), ANN 97.7 %: 1.6 points lost (-0.8 to 3.9)"
    assert accuracy_line(0.98, None, 0.97, (-0.03, 0.01)) == (
        "accuracy 98.0 %, ANN 97.0 %: 1.0 points gained (-1.0 to 3.0)"
    )
    assert accuracy_line(0.5, None, None, None) == "accuracy 50.0 %"


def network() -> onnx.ModelProto:
    """Scores, a map of classes and one value from the same hidden layer."""
    net = networks.Network((2, 4, 4), np.random.default_rng(3))
    net.convolve(6, 3, 1, 1, 1, 1, False)
    net.then("Relu")
    trunk, shape = net.current, net.shape
    net.convolve(5, 1, 1, 0, 1, 1, False)
    net.output()
    for outputs in (3, 1):
        net.current, net.shape = trunk, shape
        net.then("Flatten", shape=(96,))
        net.dense(outputs, False)
        net.output()
    return net.model()


ANN = network()
IMAGES = networks.images_for(ANN, 80)
LABELS = np.arange(80) % 5


def test_every_output_is_in_the_report_and_in_the_file() -> None:
    model = snnc.convert(ANN, calib=IMAGES, method="low-latency", steps=32)
    found_of_model = verified(model.report)
    outputs = found_of_model.outputs
    assert [(found.meaning, found.places) for found in outputs.values()] == [
        ("classes", 16),
        ("classes", 1),
        ("values", 1),
    ]
    first = next(iter(outputs.values()))
    assert (first.agreement, first.error) == (found_of_model.agreement, found_of_model.error)
    assert snnc.api.open_converted(model).verification == found_of_model
    curve = snnc.evaluate(model, IMAGES, ann=ANN, steps=[4, 32])
    assert list(curve.points[-1].outputs) == list(outputs)
    result, expected = model.session().run(IMAGES, 32).outputs, Ann(ANN).run(IMAGES)
    for name, found in curve.points[-1].outputs.items():
        values, truth = result[name].astype(np.float64), expected[name]
        error = np.linalg.norm(values - truth)
        assert found.error == pytest.approx(error / np.linalg.norm(truth), rel=1e-4)
        assert found.spread_error == pytest.approx(error / np.linalg.norm(truth - truth.mean(0)), rel=1e-4)
        if outputs[name].meaning == "classes":
            assert found.agreement == pytest.approx((values.argmax(1) == truth.argmax(1)).mean())
    document = curve.to_json()
    assert list(document["outputs"]) == list(outputs)
    assert set(document["points"][0]["outputs"]) == set(outputs)


def test_any_output_can_be_the_one_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    last = [value.name for value in ANN.graph.output][-1]
    point_before = OutputSums.point

    def spoiled(sums: OutputSums) -> OutputPoint:
        found = point_before(sums)
        return OutputPoint(None, None, 0.7, 0.9) if sums.name == last else found

    monkeypatch.setattr(OutputSums, "point", spoiled)
    with pytest.raises(DiagnosticError, match=f"SNN408.*output '{last}': output error 0.700") as refusal:
        snnc.convert(ANN, calib=IMAGES, method="low-latency", steps=32)
    assert "the bar is an error of 0.5" in str(refusal.value)
    report = snnc.convert(ANN, calib=IMAGES, method="low-latency", steps=32, accept_poor=True).report
    (warning,) = [found for found in report.diagnostics.found if found.rule.code == "SNN503"]
    assert warning.message.startswith(f"output {last!r}: ")
    assert verified(report).outputs[last].missed == "an error of 0.25"


def test_labels_give_accuracies_and_their_difference() -> None:
    ann = networks.perceptron([8], inputs=4, outputs=5).model()
    images = networks.images_for(ann, 80)
    labels = Ann(ann).run(images)[ann.graph.output[0].name].argmax(1)
    labels[::2] = (labels[::2] + 1) % 5
    model = snnc.convert(ann, calib=(images, labels), method="exact", levels=2, accept_poor=True)
    found = verified(model.report)
    assert found.ann_accuracy is not None
    assert found.accuracy is not None
    assert found.ann_accuracy < 1
    assert found.accuracy_interval == interval(found.accuracy, found.samples)
    curve = snnc.evaluate(model, (images, labels), ann=ann)
    last = curve.points[-1]
    assert last.lost is not None
    assert last.gained is not None
    assert curve.ann_accuracy is not None
    assert last.accuracy is not None
    assert last.lost - last.gained == round(80 * (curve.ann_accuracy - last.accuracy))
    assert last.drop_interval == paired_difference(last.lost, last.gained, 80)
    without = verified(snnc.convert(ann, calib=images, method="exact", levels=2, accept_poor=True).report)
    assert (without.accuracy, without.ann_accuracy, without.drop_interval) == (None, None, None)
    others = verified(snnc.convert(ann, calib=(images, labels + 5), method="exact", accept_poor=True).report)
    assert others.accuracy is None  # labels of something else


def test_silent_channels_are_named() -> None:
    counts = np.zeros((4, 3, 2, 2), np.int64)
    counts[:, 1], counts[2, 2, 0, 0] = 5, -1
    activations = np.zeros(counts.shape, np.float32)
    activations[:, 0], activations[:, 1] = 1, 3
    found = channels_of(counts, counts >= 5, activations)
    assert (found.channels, found.silent, found.silent_channels) == (3, 1, [0])
    assert found.silent_share == pytest.approx(0.25)
    assert (found.saturated, found.saturated_channels) == (1, [1])
    assert channels_of(counts, counts >= 5, None).silent_share is None
    line = channel_lines({"a layer with quite a long name": found})
    assert line.startswith("channels     a layer…uite a long name: 1 of 3 silent (0, 25 % of the")
    assert all(len(row) <= WIDTH for row in line.splitlines())
    flat = channels_of(np.zeros((2, 40), np.int64), np.zeros((2, 40), bool), None)
    assert (flat.silent, len(flat.silent_channels)) == (40, 16)
    assert "13, 14, 15, ...)" in channel_lines({"dense": flat})


def test_a_silent_channel_that_the_ann_uses_is_warned_of() -> None:
    """One threshold for all channels, and one of them with small weights."""
    net = networks.Network((4,), np.random.default_rng(1))
    net.dense(6, False)
    net.then("Relu")
    net.dense(3, False)
    net.output()
    model = net.model()
    first = onnx.numpy_helper.to_array(model.graph.initializer[0]).copy()
    first[:] = np.abs(first)
    first[:, 2] *= 0.3
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(first, model.graph.initializer[0].name))
    images = np.abs(networks.images_for(model, 60))
    rough: dict[str, Any] = {"threshold": "max", "method": "low-latency", "per_channel": False, "accept_poor": True}
    report = snnc.convert(model, calib=images, steps=1, **rough).report
    ((name, found),) = verified(report).channels.items()
    assert (found.silent, found.silent_channels) == (1, [2])
    (warning,) = [finding for finding in report.diagnostics.found if finding.rule.code == "SNN521"]
    assert warning.node == name
    assert warning.message.startswith("1 of 6 channels never fired (2), which have ")
    report = snnc.convert(model, calib=images, steps=32, **rough).report
    assert verified(report).channels[name].silent == 0
    assert "SNN521" not in {finding.rule.code for finding in report.diagnostics.found}


def layer(scale: float, levels: int = 1) -> LayerReport:
    return LayerReport("x", "input", "PoissonEncode", (3,), 3, scale, levels=levels)


def test_features_that_hide_behind_larger_ones() -> None:
    images = np.array([[0.0, 20, 7], [100_000, 60, 7]], np.float32)
    found = hidden_inputs(layer(1e5), images, 256)
    assert found is not None
    assert (found.features, found.hidden, found.hidden_features) == (3, 1, [1])
    assert found.widest == 40
    assert found.resolution == pytest.approx(390.625)
    assert hidden_inputs(layer(1e5), images, 4096) is None
    of_levels = hidden_inputs(layer(50, levels=100), images, 1)
    assert of_levels is not None
    assert of_levels.hidden == 1
    maps = np.broadcast_to(images[:, :, None, None], (2, 3, 5, 5))
    of_maps = hidden_inputs(layer(1e5), maps, 256)
    assert of_maps is not None
    assert of_maps.hidden_features == [1]
    assert hidden_inputs(layer(1e5), np.moveaxis(maps, 1, -1), 256) is None  # channels last


def test_hidden_features_are_warned_of() -> None:
    net = networks.Network((3,), np.random.default_rng(1))
    net.dense(6, False)
    net.then("Relu")
    net.dense(2, False)
    net.output()
    random = np.random.default_rng(0)
    images = (random.random((60, 3)) * [1e5, 50, 1e5]).astype(np.float32)
    report = snnc.convert(net.model(), calib=images, steps=64, accept_poor=True).report
    (warning,) = [found for found in report.diagnostics.found if found.rule.code == "SNN522"]
    assert warning.message.startswith("1 of 3 input features (1) vary by at most ")
    hidden = verified(report).hidden_inputs
    assert hidden is not None
    assert math.isfinite(hidden.widest)


def test_curves_without_an_ann_have_no_outputs() -> None:
    ann = networks.perceptron([8], inputs=4, outputs=5).model()
    model = snnc.convert(ann, calib=networks.images_for(ann, 40), method="exact")
    curve = snnc.evaluate(model, networks.images_for(ann, 5))
    assert isinstance(curve, Curve)
    assert (curve.outputs, curve.points[-1].outputs) == ({}, {})


@pytest.mark.parametrize(
    ("form", "told"),
    [((), True), (("--layout", "NCHW"), True), (("--mean", "0"), False), (("--scale", "0.0625"), False)],
)
def test_whoever_said_nothing_of_the_data_is_asked_for_the_accuracy(
    form: tuple[str, ...], told: bool, invoke: Invoke
) -> None:
    fast = ("--method", "exact", "--calib-samples", "16", "--accept-poor")
    assert len(UNPREPARED) <= WIDTH
    found = invoke("convert", "net.onnx", "--calib", "digits:train", *fast, *form)
    assert "accuracy" in found.stdout
    assert (UNPREPARED in found.stdout) == told


def test_where_no_accuracy_is_known_nobody_is_asked_for_it(invoke: Invoke) -> None:
    np.save("images.npy", load("digits:train", (1, 8, 8)).images[:40])
    fast = ("--method", "exact", "--calib-samples", "16", "--accept-poor")
    assert UNPREPARED not in invoke("convert", "net.onnx", "--calib", "images.npy", *fast).stdout
    assert UNPREPARED not in invoke("convert", "net.onnx", *fast).stdout
