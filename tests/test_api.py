"""The Python interface on the network of the demo."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import snnc
from snnc.api import SpikingModel
from snnc.diagnostics import DiagnosticError
from snnc.runtime.session import SpikingLayer, largest_batch

DIGITS = Path(snnc.__file__).parent / "demo" / "digits.onnx"
IMAGES = np.random.default_rng(3).random((7, 1, 8, 8), np.float32)


@pytest.fixture(scope="module")
def model() -> SpikingModel:
    return snnc.convert(DIGITS, calib=np.random.default_rng(0).random((40, 1, 8, 8)), steps=70, calib_steps=64)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floats_are_taken(model: SpikingModel, dtype: type) -> None:
    images = IMAGES.astype(np.float16)
    expected = model.session().run(images.astype(np.float32), 20)
    assert np.array_equal(model.session().run(images.astype(dtype), 20).logits, expected.logits)


def test_batches_do_not_matter(model: SpikingModel) -> None:
    session = model.session()
    whole, split = session.run(IMAGES, 70), session.run(IMAGES, 70, batch_size=2)
    later = session.run(IMAGES[3:], 70, first_sample=3)
    assert np.array_equal(whole.spike_totals, split.spike_totals)
    assert np.array_equal(whole.logits[3:], later.logits)
    assert not np.array_equal(whole.logits[3:], session.run(IMAGES[3:], 70).logits)


@pytest.mark.parametrize(
    ("layer", "native", "batch"),
    [
        (SpikingLayer("", "neuron", 4096), True, 16),  # currents are measured
        (SpikingLayer("", "neuron", 4096, 1.0, "plain"), True, 16),
        (SpikingLayer("", "neuron", 4096, 1.0, None), True, 16),  # a file of before there were such operators
        (SpikingLayer("", "neuron", 4096, 1.0, "SpikingConv"), True, 128),
        (SpikingLayer("", "neuron", 4096, 1.0, "SpikingConv"), False, 16),
        (SpikingLayer("", "input", 4096, 1.0, None), True, 128),
        (SpikingLayer("", "input", 4096, 1.0, None), False, 16),
        (SpikingLayer("", "neuron", 1, 1.0, "SpikingGemm"), True, 256),
        (SpikingLayer("", "neuron", 10**9, 1.0, "SpikingGemm"), True, 1),
    ],
)
def test_batches_fit_the_layers(layer: SpikingLayer, native: bool, batch: int) -> None:
    assert largest_batch([layer], native=native) == batch
    assert largest_batch([layer, SpikingLayer("", "neuron", 4096, 1.0, "plain")], native=native) == min(batch, 16)


def test_sessions_choose_batches_for_their_form(model: SpikingModel, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def batch(layers: list[SpikingLayer], *, native: bool) -> int:
        asked.append(native)
        return len(layers)

    monkeypatch.setattr("snnc.runtime.session.largest_batch", batch)
    for native in (False, True):
        model.session(native=native).run(IMAGES, 1)
    assert asked == [False, True]


def test_empty_batch(model: SpikingModel) -> None:
    result = model.session().run(IMAGES[:0], 10)
    assert result.logits.shape == (0, 10)
    assert result.spike_totals.shape == (0, 4)


@pytest.mark.parametrize(
    ("images", "error", "text"),
    [
        (IMAGES[0], ValueError, "add a batch axis"),
        (IMAGES[:, :, :4], ValueError, "must be"),
        (np.array([["a"]]), TypeError, "dtype"),
        (np.full((1, 1, 8, 8), np.nan), ValueError, "NaN"),
    ],
)
def test_wrong_images(model: SpikingModel, images: np.ndarray, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        model.session().run(images)


@pytest.mark.parametrize("steps", [0, -1, 4097])
def test_wrong_steps(model: SpikingModel, steps: int) -> None:
    with pytest.raises(ValueError, match="4096"):
        model.session().run(IMAGES, steps)
    with pytest.raises(DiagnosticError, match="SNN404"):
        snnc.record(model, IMAGES, steps=steps)


def test_clipped_inputs_are_said(model: SpikingModel, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "snnc.runtime"):
        result = model.session().run(2 * IMAGES, 5)
    assert result.clipped == pytest.approx(float((2 * IMAGES > 1).mean()), abs=0.01)
    assert "exceed the input scale" in caplog.text


def test_recorded_spikes_are_those_of_the_totals(model: SpikingModel) -> None:
    names = [layer.name for layer in model.report.layers if layer.kind != "readout"]
    spikes = snnc.record(model, IMAGES, steps=70, layers=names)
    totals = model.session().run(IMAGES, 70).spike_totals
    for column, name in enumerate(names):
        counted = np.abs(spikes[name].astype(int)).reshape(70, len(IMAGES), -1).sum((0, 2))
        assert np.array_equal(counted, totals[:, column])
    with pytest.raises(KeyError, match="no layer"):
        snnc.record(model, IMAGES, layers=["nothing"])


def test_rates_come_close_to_the_activations(model: SpikingModel) -> None:
    pairs = snnc.compare(model, DIGITS, IMAGES, steps=1024)
    assert list(pairs) == [layer.name for layer in model.report.layers if layer.kind == "neuron"]
    for activation, rate in pairs.values():
        assert np.linalg.norm(rate - activation) < 0.15 * np.linalg.norm(activation)


def test_evaluation_agrees_with_the_session(model: SpikingModel) -> None:
    labels = np.arange(len(IMAGES)) % 10
    curve = snnc.evaluate(model, (IMAGES, labels), ann=DIGITS, steps=[1, 65, 70])
    result = model.session().run(IMAGES, 70)
    assert [point.steps for point in curve.points] == [1, 65, 70]
    assert curve.points[-1].accuracy == pytest.approx((result.logits.argmax(1) == labels).mean())
    assert curve.points[-1].operations == pytest.approx(result.synaptic_operations.sum(1).mean())
    assert curve.points[-1].layer_rates == pytest.approx(result.spike_rates)


def test_check_lists_what_is_wrong() -> None:
    assert snnc.check(DIGITS) == []


def test_from_torch() -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, bias=False), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(64, 3, bias=False)
    )
    example = torch.rand(2, 1, 6, 6)
    model = snnc.from_torch(net, example, calib=torch.rand(20, 1, 6, 6), steps=512, calib_steps=64)
    with torch.no_grad():
        expected = net(example).numpy()
    logits = model.session().run(example.numpy()).logits
    assert np.linalg.norm(logits - expected) < 0.2 * np.linalg.norm(expected)
    assert net.training


def test_the_runtime_needs_neither_the_compiler_nor_torch() -> None:
    code = (
        "import sys, snnc.runtime; snnc.runtime.SpikingSession;"
        "print({'onnx', 'torch', 'onnx_graphsurgeon', 'click'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


def test_compare_gives_every_image_its_own_random_numbers(model: SpikingModel, monkeypatch: pytest.MonkeyPatch) -> None:
    same = np.repeat(IMAGES[:1], 3, axis=0)
    whole = snnc.compare(model, DIGITS, same, steps=32)
    monkeypatch.setattr("snnc.api.layers.largest_batch", lambda layers: 1)
    one_by_one = snnc.compare(model, DIGITS, same, steps=32)
    assert list(one_by_one) == list(whole) != []
    for name, (_, rate) in one_by_one.items():
        assert np.array_equal(rate, whole[name][1])


def test_uint8_is_scaled_or_refused_but_never_taken_as_it_is(model: SpikingModel) -> None:
    pixels = np.round(IMAGES * 255).astype(np.uint8)
    scaled = (pixels / np.float32(255)).astype(np.float32)
    layer = "/1/Relu"
    assert np.array_equal(snnc.record(model, pixels, steps=8)[layer], snnc.record(model, scaled, steps=8)[layer])
    with pytest.raises(TypeError, match="uint8"):
        model.session().run(pixels)


def test_only_the_own_ann_is_an_opponent(model: SpikingModel) -> None:
    with pytest.raises(DiagnosticError, match="SNN405"):
        snnc.evaluate(model, IMAGES, ann=model.model)


@pytest.mark.parametrize("arguments", [{"seed": 2**66}, {"steps": []}])
def test_senseless_arguments_are_diagnostics(model: SpikingModel, arguments: dict[str, object]) -> None:
    with pytest.raises(DiagnosticError):
        snnc.evaluate(model, IMAGES, **arguments)  # type: ignore[arg-type]


def test_a_network_of_one_output_has_no_accuracy() -> None:
    import onnx

    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[N, 2] x) => (float[N, 1] y) <float[2, 2] W = {1, -1, 1, 1}, float[2, 1] V = {1, 1}>
    { a = MatMul (x, W)  b = Relu (a)  c = MatMul (b, V)  y = Sigmoid (c) }
    """
    single = onnx.parser.parse_model(text)
    curve = snnc.evaluate(snnc.convert(single, steps=4), (np.ones((3, 2)), np.ones(3, int)), ann=single)
    assert curve.points[-1].accuracy is None


def test_the_order_of_an_addition_does_not_matter() -> None:
    import onnx

    def rates(addition: str) -> dict[str, float | list[float]]:
        model = onnx.parser.parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        net (float[N, 2] x) => (float[N, 2] y) <float[2, 2] W = {{1, -0.5, 0.5, 1}}>
        {{ a = MatMul (x, W)  b = Relu (a)  h = MatMul (b, W)  r = Relu (h)  c = MatMul (r, W)
           d = {addition}  e = Relu (d)  y = MatMul (e, W) }}
        """)
        data = np.random.default_rng(0).random((50, 2))
        report = snnc.convert(model, calib=data, alpha=0.5, steps=64, calib_steps=64, accept_poor=True).report
        return {layer.name: layer.scale for layer in report.layers}

    assert rates("Add (b, c)") == rates("Add (c, b)")


def test_lost_weights_are_said_or_refused() -> None:
    import onnx

    def model(size: int) -> onnx.ModelProto:
        result = onnx.parser.parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        net (float[N, 1, {size}, {size}] x) => (float[N, 3] y)
        {{ a = Conv (x, W)  b = Relu (a)  c = GlobalAveragePool (b)  d = Flatten (c)  e = MatMul (d, V)  y = Relu (e) }}
        """)
        values = np.random.default_rng(0)
        for name, shape in {"W": (64, 1, 1, 1), "V": (64, 3)}.items():
            weight = values.standard_normal(shape).astype(np.float32)
            result.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
        return result

    def codes(size: int) -> set[str]:
        try:
            found = snnc.convert(model(size), steps=2, calib_samples=8, accept_poor=True).report.diagnostics.found
        except DiagnosticError as error:
            found = error.diagnostics
        return {diagnostic.rule.code for diagnostic in found}

    assert "SNN509" not in codes(4)
    assert "SNN509" in codes(40)
    assert "SNN406" in codes(160)


@pytest.mark.parametrize("module", ["data", "runtime"])
def test_modules_that_users_name_are_there_at_once(module: str) -> None:
    command = [sys.executable, "-c", f"import snnc; assert '{module}' in dir(snnc); print(snnc.{module}.__name__)"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == f"snnc.{module}\n", done.stderr
