"""How calibration data were prepared stands in the file, and other data are prepared in the same way."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest
from commands import Invoke, dense_model, refuse
from data_samples import diagnosed

import snnc
from snnc import api
from snnc.data import DataSet, Preparation, as_dataset
from snnc.files import set_metadata

STORED = Preparation(scale=0.01, mean=(0.5,), std=(0.25,))
RAW = np.random.default_rng(0).integers(0, 100, (40, 4)).astype(np.float32)
READY = (RAW * np.float32(0.01) - np.float32(0.5)) / np.float32(0.25)


@pytest.fixture(scope="module")
def model() -> snnc.SpikingModel:
    return snnc.convert(dense_model(), calib=RAW, preparation=STORED, method="exact")


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, "snnc")
    return caplog


def test_what_was_said_is_known_of_the_model_and_of_the_file(model: snnc.SpikingModel, tmp_path: Path) -> None:
    assert model.preparation == STORED
    model.save(tmp_path / "a.snn.onnx")
    assert api.open_converted(tmp_path / "a.snn.onnx").preparation == STORED
    assert model.report.to_json()["calibration"]["preparation"]["std"] == (0.25,)


def test_random_images_were_prepared_by_nobody() -> None:
    model = snnc.convert(dense_model(), method="exact")
    assert model.preparation is None
    assert api.open_converted(model).preparation == Preparation()
    with diagnosed("SNN405", "there are none"):
        snnc.convert(dense_model(), preparation=STORED)


def test_a_data_set_brings_its_own() -> None:
    data = as_dataset(RAW, (4,), scale=0.01, mean=[0.5], std=np.float32(0.25))
    assert snnc.convert(dense_model(), calib=data, method="exact").preparation == STORED
    with diagnosed("SNN405", "was prepared already"):
        snnc.convert(dense_model(), calib=data, preparation=STORED)


def test_data_are_prepared_as_the_calibration_data_were(
    model: snnc.SpikingModel, logged: pytest.LogCaptureFixture
) -> None:
    file = api.open_converted(model)
    found = file.dataset(RAW)
    np.testing.assert_array_equal(found.images, READY)
    assert "scale 0.01, mean 0.5, std 0.25 as the file says" in found.notes
    from_raw = snnc.evaluate(model, RAW, ann=dense_model())
    ready = snnc.evaluate(model, DataSet(READY, None, "ready"), ann=dense_model())
    assert from_raw.points == ready.points
    assert (snnc.verify(model, RAW).steps == snnc.verify(model, DataSet(READY, None, "ready")).steps).all()
    spikes = snnc.record(model, RAW[:3])
    for name, expected in snnc.record(model, DataSet(READY[:3], None, "ready")).items():
        np.testing.assert_array_equal(spikes[name], expected)
    activations, _ = snnc.compare(model, dense_model(), RAW)["relu"]
    np.testing.assert_array_equal(
        activations, snnc.compare(model, dense_model(), DataSet(READY, None, "ready"))["relu"][0]
    )
    assert not logged.records


def test_what_is_said_now_wins_and_a_contradiction_is_named(
    model: snnc.SpikingModel, logged: pytest.LogCaptureFixture
) -> None:
    file = api.open_converted(model)
    found = file.dataset(RAW, Preparation(mean=(0.0,)))
    np.testing.assert_array_equal(found.images, RAW * np.float32(0.01) / np.float32(0.25))
    (record,) = logged.records
    assert "SNN520" in record.getMessage()
    assert "mean 0 instead of 0.5" in record.getMessage()
    assert "std" not in record.getMessage().splitlines()[0]


def test_the_same_again_is_no_contradiction(model: snnc.SpikingModel, logged: pytest.LogCaptureFixture) -> None:
    np.testing.assert_array_equal(api.open_converted(model).dataset(RAW, STORED).images, READY)
    assert not logged.records


def test_a_data_set_that_was_not_prepared_alike_is_named(
    model: snnc.SpikingModel, logged: pytest.LogCaptureFixture
) -> None:
    file = api.open_converted(model)
    found = file.dataset(as_dataset(RAW, (4,), scale=0.01))
    np.testing.assert_array_equal(found.images, RAW * np.float32(0.01))
    assert "no mean instead of 0.5; no std instead of 0.25" in logged.records[0].getMessage()


@pytest.mark.parametrize("measure", [snnc.evaluate, snnc.verify, snnc.record])
def test_data_that_are_prepared_a_second_time_are_named(
    measure: Callable[..., Any], model: snnc.SpikingModel, logged: pytest.LogCaptureFixture
) -> None:
    measure(model, READY)
    (record,) = logged.records
    text = record.getMessage()
    assert "SNN524" in text
    assert "-2 to 1.96" in text
    assert "`scale=1, mean=0, std=1`" in text
    logged.clear()
    measure(model, READY, preparation=Preparation(scale=1, mean=(0,), std=(1,)))  # as it says
    measure(model, DataSet(READY, None, "ready"))
    assert not logged.records


def test_data_that_are_only_unlike_the_calibration_data_are_no_second_time(
    model: snnc.SpikingModel, logged: pytest.LogCaptureFixture
) -> None:
    """Larger ones, some negative ones, few or dark ones; pixels; a part of the preparation that is said."""
    file = api.open_converted(model)
    for data in (RAW * 10, RAW * -3, RAW - 10, RAW[:1], RAW * 0, RAW.astype(np.uint8), READY * 100):
        file.dataset(data)
    file.dataset(READY, Preparation(mean=(0.5,)))
    assert not logged.records


def test_channels_and_files_that_are_prepared_a_second_time(tmp_path: Path, logged: pytest.LogCaptureFixture) -> None:
    small = networks.small().model()
    raw = np.random.default_rng(1).random((40, *networks.images_for(small, 1).shape[1:])).astype(np.float32)
    channels = raw.shape[1]
    said = Preparation(mean=np.linspace(0.3, 0.5, channels), std=np.linspace(0.2, 0.3, channels))  # type: ignore[arg-type]
    file = api.open_converted(snnc.convert(small, calib=raw, preparation=said, method="exact", relaxed=True))
    np.save(tmp_path / "ready.npy", file.dataset(raw).images)
    assert not logged.records
    file.dataset(str(tmp_path / "ready.npy"), memory=100)
    assert "SNN524" in logged.records[0].getMessage()


def test_files_that_do_not_tell_work_as_before(logged: pytest.LogCaptureFixture) -> None:
    model = snnc.convert(dense_model(), calib=READY, method="exact")
    assert model.preparation == Preparation()
    entry = next(entry for entry in model.model.metadata_props if entry.key == "snnc.calibration")
    set_metadata(model.model, "snnc.calibration", entry.value.replace('"preparation"', '"ignored"'))
    file = api.open_converted(model)
    assert file.calibration is not None
    assert file.calibration.preparation is None
    np.testing.assert_array_equal(file.dataset(RAW, STORED).images, READY)
    np.testing.assert_array_equal(file.dataset(READY).images, READY)
    assert not logged.records


def test_commands(invoke: Invoke) -> None:
    convert = ("convert", "net.onnx", "-o", "a.snn.onnx", "--calib", "digits:train", "--method", "exact")
    form = ("--calib-samples", "16", "--mean", "0.25", "--std", "0.5,0.5")
    refuse(invoke, "SNN302", *convert, *form)
    invoke(*convert, *form[:-1], "0.5")
    assert "preparation  of the data: mean 0.25, std 0.5\n" in invoke("inspect", "a.snn.onnx").stdout
    note = "mean 0.25, std 0.5 as the file says"
    digits = ("--data", "digits:test", "--samples", "8")
    assert note in invoke("eval", "a.snn.onnx", *digits, "--ann", "net.onnx", "--json", "e.json").stderr
    assert note in Path("e.json").read_text()
    assert note in invoke("verify", "a.snn.onnx", *digits).stderr
    np.save("x.npy", np.zeros((2, 1, 8, 8), np.float32))
    assert note in invoke("run", "a.snn.onnx", "--input", "x.npy").stderr
    assert note in invoke("stream", "a.snn.onnx", "--frames", "x.npy").stderr
    assert note in invoke("bench", "a.snn.onnx", "--data", "x.npy", "--repeats", "1").stderr
    warned = invoke("eval", "a.snn.onnx", *digits, "--mean", "0").stderr
    assert warned.count("SNN520") == 1
    assert "mean 0 instead of 0.25\n" in warned


def test_values_of_channels_may_be_equal() -> None:
    """The list of `--std` kept every value once."""
    from snnc.cli.options import VALUES

    assert VALUES(None, None, "0.2,0.2,0.3") == [0.2, 0.2, 0.3]  # type: ignore[arg-type]
