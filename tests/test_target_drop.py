"""`--target-drop`: the fewest steps that are shown to lose no more accuracy become those of the file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import pytest
from commands import DIGITS, Invoke, refuse
from test_options import refused

import snnc
from snnc import api
from snnc.data import DataSet
from snnc.diagnostics import DiagnosticError
from snnc.integers.activations import Activations
from snnc.integers.calibration_split import calibration_split
from snnc.measure.drop import Pairs, allowed_error, fewest_samples, upper_bound
from snnc.methods.defaults import make_options
from snnc.passes.choose_steps import CANDIDATES
from snnc.simulate.ann import Ann

METHOD = "low-latency"


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return networks.perceptron([16, 16], outputs=3).model()


@pytest.fixture(scope="module")
def data(model: onnx.ModelProto) -> DataSet:
    """Labelled as the ANN would have it, but for one in eight."""
    images = networks.images_for(model, 1500)
    labels = next(iter(Ann(model).run(images).values())).argmax(1)
    labels[::8] = (labels[::8] + 1) % 3
    return DataSet(images, labels.astype(np.int64), "labelled")


@pytest.fixture(scope="module")
def found(model: onnx.ModelProto, data: DataSet) -> api.SpikingModel:
    return snnc.convert(model, calib=data, method=METHOD, target_drop="4%")


def test_the_option_is_a_share_or_a_percentage() -> None:
    for value in ("0.5%", "0.005", 0.005, np.float32(0.005)):
        assert make_options(method=METHOD, target_drop=value).target_drop == pytest.approx(0.005)
    for wrong in ("half", "%", True, "0.5 percent"):
        assert refused(method=METHOD, target_drop=wrong).endswith("of the wrong type")
    for share in (0, "0%", 0.5, "30%", -0.01):
        assert "must be above 0 and at most 0.2" in refused(method=METHOD, target_drop=share)


def test_options_that_do_not_go_together() -> None:
    assert refused(method=METHOD, target_drop=0.01, steps=8) == "target_drop chooses the steps, and steps are given"
    assert refused(target_drop=0.01) == "target_drop belongs to the method low-latency, the method here is rmp"


@pytest.mark.parametrize("calib", [None, "synthetic", "synthetic:3"])
def test_random_images_have_no_accuracy(model: onnx.ModelProto, calib: str | None) -> None:
    with pytest.raises(DiagnosticError, match="there is no data to measure it on"):
        snnc.convert(model, calib=calib, method=METHOD, target_drop=0.01)


def test_the_chosen_steps_are_those_of_the_file(found: api.SpikingModel) -> None:
    assert found.report.calibration is not None
    target = found.report.calibration.target
    assert target is not None
    assert target.met
    steps = target.tried[-1].steps
    assert steps is not None
    assert [tried.steps for tried in target.tried] == [tried for tried in CANDIDATES if tried <= steps]
    assert all(tried.bound > 0.04 for tried in target.tried[:-1])
    assert target.tried[-1].bound <= 0.04
    file = api.open_converted(found)
    assert file.options.steps == steps
    assert file.options.target_drop == pytest.approx(0.04)
    assert file.calibration == dataclasses.replace(found.report.calibration)
    assert found.report.verification is not None
    assert found.report.verification.steps == steps


def test_the_counts_are_those_of_the_held_back_samples(
    found: api.SpikingModel, model: onnx.ModelProto, data: DataSet
) -> None:
    assert found.report.calibration is not None
    assert found.report.calibration.target is not None
    last = found.report.calibration.target.tried[-1]
    error = allowed_error(CANDIDATES)
    wanted = 4 * fewest_samples(0.04, error, labels=True)
    held_back = calibration_split(data, None, wanted)[1]
    assert len(held_back) == last.samples == min(wanted, 1500 - 512)
    expected = next(iter(Ann(model).run(held_back.images).values())).argmax(1)
    classes = next(iter(found.session().run(held_back.images, last.steps).outputs.values())).argmax(1)
    assert held_back.labels is not None
    right, found_right = expected == held_back.labels, classes == held_back.labels
    assert (last.lost, last.gained) == ((right & ~found_right).sum(), (~right & found_right).sum())
    assert last.bound == upper_bound(Pairs(last.samples, last.lost, last.gained), error)


def test_the_file_is_the_one_of_these_steps(found: api.SpikingModel, model: onnx.ModelProto, data: DataSet) -> None:
    """The thresholds are those that the samples give at the chosen steps."""
    steps = api.open_converted(found).options.steps
    wanted = 4 * fewest_samples(0.04, allowed_error(CANDIDATES), labels=True)
    calibrating = calibration_split(data, None, wanted)[0]
    assert len(calibrating) == 512
    estimates: api.Estimates = {}
    order = np.concatenate([np.zeros(128, np.int64), np.arange(512)])
    back = np.empty(640, np.int64)
    back[np.random.default_rng(0).permutation(640)] = order  # so that just these samples calibrate
    alone = snnc.convert(
        model,
        calib=calibrating.images[back],
        method=METHOD,
        steps=steps,
        input_scale=float(np.abs(data.images).max()),
        estimates=estimates,
    )
    for layer, other in zip(alone.report.layers, found.report.layers, strict=True):
        assert layer.threshold_integer == other.threshold_integer


def test_without_labels_classes_are_compared(model: onnx.ModelProto, data: DataSet) -> None:
    report = snnc.convert(model, calib=data.images, method=METHOD, target_drop=0.1).report
    assert report.calibration is not None
    assert report.calibration.target is not None
    assert all(tried.gained is None for tried in report.calibration.target.tried)


def test_activations_are_measured_once(model: onnx.ModelProto, data: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    walks = []
    walk = Activations.walk

    def counted(self: Activations, *rest: Any) -> Any:
        walks.append(self)
        return walk(self, *rest)

    monkeypatch.setattr(Activations, "walk", counted)
    snnc.convert(model, calib=data, method=METHOD, target_drop=0.04)
    assert len(walks) == 2  # ranges, then histograms


def warning_of(model: onnx.ModelProto, data: Any, **options: Any) -> Any:
    converted = snnc.convert(model, calib=data, method=METHOD, accept_poor=True, **options)
    (warning,) = [found for found in converted.report.diagnostics.found if found.rule.code == "SNN513"]
    assert converted.report.calibration is not None
    target = converted.report.calibration.target
    assert target is not None
    assert not target.met
    best = min(target.tried, key=lambda tried: tried.bound)
    assert api.open_converted(converted).options.steps == best.steps
    return warning


def test_too_few_samples_for_any_claim(model: onnx.ModelProto, data: DataSet) -> None:
    warning = warning_of(model, data.select(slice(0, 60)), target_drop=0.01, max_steps=16)
    fewest = fewest_samples(0.01, 0.05 / 6, labels=True)
    assert "a drop of at most 1 % could not be shown" in warning.message
    assert "on 12 samples" in warning.message
    assert warning.hint == f"at least {fewest:,} held-back samples are needed if nothing is lost: give more data"


def test_too_few_steps(model: onnx.ModelProto, data: DataSet) -> None:
    warning = warning_of(model, data, target_drop=0.02, max_steps=1)
    assert "; 1 step: " in warning.message
    assert "allow a larger drop, or more steps" in warning.hint


def test_outputs_that_are_no_classes(data: DataSet) -> None:
    model = networks.perceptron([8], outputs=1).model()
    with pytest.raises(DiagnosticError, match="the output of the network is none"):
        snnc.convert(model, calib=networks.images_for(model, 60), method=METHOD, target_drop=0.01)


def test_labels_that_do_not_fit(model: onnx.ModelProto, data: DataSet) -> None:
    wrong = dataclasses.replace(data, labels=np.full(len(data), 3, np.int64))
    with pytest.raises(DiagnosticError, match="SNN305"):
        snnc.convert(model, calib=wrong, method=METHOD, target_drop=0.01)


def test_more_are_held_back_only_if_more_are_wanted() -> None:
    data = DataSet(np.zeros((2000, 1), np.float32), None, "zeros")
    assert [len(part) for part in calibration_split(data, None)] == [512, 128]
    assert [len(part) for part in calibration_split(data, None, 300)] == [512, 300]
    assert [len(part) for part in calibration_split(data, None, 5000)] == [512, 1488]
    assert [len(part) for part in calibration_split(data, 1900, 5000)] == [1600, 400]
    assert [len(part) for part in calibration_split(data.select(slice(0, 50)), None, 5000)] == [40, 10]


def test_the_command_line_tells_what_was_tried(invoke: Invoke, tmp_path: Path) -> None:
    arguments = ("convert", DIGITS, "-o", "net.snn.onnx", "--method", METHOD, "--calib", "digits:train")
    result = invoke(*arguments, "--target-drop", "3%", "--json", "report.json")
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("target drop  ")]
    assert line.startswith("target drop  3 %: the fewest with ")
    assert line in invoke("inspect", "net.snn.onnx").stdout
    target = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["calibration"]["target"]
    assert target["met"]
    assert set(target["tried"][0]) == {"steps", "levels", "samples", "lost", "gained", "bound"}
    for wrong in ("half", "40%", "0.5"):
        assert "target_drop is" in invoke(*arguments, "--target-drop", wrong, exit_code=2).stderr
    refuse(invoke, "SNN405", "convert", DIGITS, "--method", METHOD, "--target-drop", "1%", exit_code=2)


def test_too_few_samples_are_all_looked_at(model: onnx.ModelProto, data: DataSet) -> None:
    warning = warning_of(model, data, target_drop=0.004, max_steps=2)
    assert "on 988 samples" in warning.message
