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
