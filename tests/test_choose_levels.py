"""The method exact: levels by layer, and the fewest that are shown to lose no more accuracy (`--target-drop`)."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import pytest
import region_models
from commands import DIGITS, Invoke
from exact_networks import body, compared, converted
from test_options import refused
from test_qcfs import QCFS, images

import snnc
from snnc import api
from snnc.data import DataSet
from snnc.diagnostics import DiagnosticError
from snnc.integers.calibration_split import calibration_split
from snnc.measure.drop import Pairs, allowed_error, fewest_samples, upper_bound
from snnc.methods import METHODS
from snnc.methods.defaults import make_options
from snnc.passes import choose_levels
from snnc.passes.choose_levels import CANDIDATES
from snnc.simulate.ann import Ann

METHOD = "exact"


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


def counts_of(found: api.SpikingModel) -> dict[str, tuple[int, int]]:
    return {layer.name: layer.counts for layer in found.report.layers if layer.counts is not None}


# --- levels by layer ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "given", ["16,conv1=32,fc=8", " fc = 8, 16 ,conv1=32", {"*": 16, "fc": 8, "conv1": 32}, {"fc": 8, "conv1": 32}]
)
def test_levels_of_layers(given: Any) -> None:
    options = make_options(method=METHOD, levels=given)
    assert (options.levels, options.layer_levels) == (16, (("conv1", 32), ("fc", 8)))
    assert [options.levels_of(layer) for layer in ("conv1", "fc", "other")] == [32, 8, 16]


def test_names_may_have_equals_signs() -> None:
    assert make_options(method=METHOD, levels="4,a=b=7").layer_levels == (("a=b", 7),)


@pytest.mark.parametrize("given", ["", "16,", "x", "16,=4", "16,a=x", "a=", "1.5"])
def test_levels_that_cannot_be_read(given: str) -> None:
    assert refused(method=METHOD, levels=given) == f"levels is {given!r}, must be of the form 16,LAYER=32"


def test_levels_out_of_range() -> None:
    for given in (0, "0", "16,a=0", {"a": 0}):
        assert refused(method=METHOD, levels=given) == "levels is 0, must be from 1 to 4096"
    for wrong in ({"a": 2.0}, {"a": True}, {"a": "4"}, {"a": None}, {1: 4}):
        assert refused(method=METHOD, levels=wrong) == f"levels is {wrong!r}, must map names of layers to numbers"
    assert refused(method=METHOD, levels="4,8") == "levels is '4,8', with two values for all layers"
    assert refused(method=METHOD, levels="a=4,a=8") == "levels is 'a=4,a=8', with two values for 'a'"
    assert refused(levels="4,a=8") == "levels belongs to the method exact, the method here is rmp"


def test_layers_have_their_own_levels(tmp_path: Path) -> None:
    """Counts reach them and no more, and they stand in report, file and certificate."""
    name = "linear bottleneck"
    plain = counts_of(converted(body(name), levels=6))
    first, *_, relay = [layer for layer, counts in plain.items() if counts == (0, 6)][:1] + [
        layer for layer, counts in plain.items() if counts == (-6, 6)
    ]
    model = converted(body(name), levels={"*": 6, first: 11, relay: 3})
    expected = {**plain, first: (0, 11), relay: (-3, 3)}
    assert counts_of(model) == expected
    assert model.certificate is not None
    assert model.certificate.levels == {layer: high for layer, (_, high) in expected.items()}
    path = tmp_path / "net.snn.onnx"
    model.save(path)
    file = api.open_converted(path)
    assert file.options.layer_levels == tuple(sorted({first: 11, relay: 3}.items()))
    assert file.certificate == model.certificate
    assert {layer.name: layer.counts for layer in file.layers if layer.counts is not None} == expected
    assert compared(model, networks.images_for(body(name), 20, seed=7)).differences == []


def test_remedies_have_more_levels_everywhere() -> None:
    options = make_options(method=METHOD, levels="3,fc=1000")
    words, change = METHODS[METHOD].remedies(options)[0]
    assert words == "--levels 6,fc=2000"
    assert dataclasses.replace(options, **change).levels_of("fc") == 2000
    assert [words for words, _ in METHODS[METHOD].remedies(options)] == ["--levels 6,fc=2000", "--levels 12,fc=4000"]
    assert len(METHODS[METHOD].remedies(make_options(method=METHOD, levels="3,fc=2000"))) == 1


def test_layers_that_there_are_not() -> None:
    with pytest.raises(DiagnosticError) as error:
        converted(body("linear bottleneck"), levels="6,Relo_1=4,nothing=3")
    first, second = error.value.diagnostics
    assert first.message == "levels: there is no layer 'Relo_1'"
    assert first.hint == "did you mean 'Relu_1'?"
    assert second.message == "levels: there is no layer 'nothing'"
    assert second.hint.startswith("layers are ")


def test_layers_with_steps_of_their_own_have_none_to_choose() -> None:
    model = region_models.network(QCFS)
    options: dict[str, Any] = {"calib": images(40), "method": METHOD, "accept_poor": True}
    layer = next(iter(counts_of(snnc.convert(model, **options))))
    with pytest.raises(DiagnosticError, match="has steps of its own"):
        snnc.convert(model, levels={layer: 4}, **options)
    with pytest.raises(DiagnosticError, match="all layers have steps of their own"):
        snnc.convert(model, target_drop=0.1, **options)


# --- the fewest levels ----------------------------------------------------------------------------------------------
def test_options_that_do_not_go_together() -> None:
    for given in (8, "8", "8,a=4", {"a": 4}):
        refusal = refused(method=METHOD, target_drop=0.01, levels=given)
        assert refusal == "target_drop chooses the levels, and levels are given"


@pytest.mark.parametrize("calib", [None, "synthetic"])
def test_random_images_have_no_accuracy(model: onnx.ModelProto, calib: str | None) -> None:
    with pytest.raises(DiagnosticError, match="there is no data to measure it on"):
        snnc.convert(model, calib=calib, method=METHOD, target_drop=0.01)


def test_the_chosen_levels_are_those_of_the_file(found: api.SpikingModel) -> None:
    assert found.report.calibration is not None
    target = found.report.calibration.target
    assert target is not None
    assert target.met
    levels = target.chosen.levels
    assert levels is not None
    assert [tried.levels for tried in target.tried] == [one for one in CANDIDATES if one <= levels]
    assert all(tried.bound > 0.04 and tried.steps is None for tried in target.tried[:-1])
    assert target.chosen.bound <= 0.04
    file = api.open_converted(found)
    assert file.options.levels == levels
    assert file.calibration == dataclasses.replace(found.report.calibration)
    assert set(counts_of(found).values()) == {(0, levels)}
    assert found.certificate is not None
    assert set(found.certificate.levels.values()) == {levels}


def test_the_spiking_network_loses_just_what_was_counted(
    found: api.SpikingModel, model: onnx.ModelProto, data: DataSet
) -> None:
    """No spike was needed to find out, and the settled spiking network has these classes on the held-back samples."""
    assert found.report.calibration is not None
    assert found.report.calibration.target is not None
    last, error = found.report.calibration.target.chosen, allowed_error(CANDIDATES)
    wanted = 4 * fewest_samples(0.04, error, labels=True)
    held_back = calibration_split(data, None, wanted)[1]
    assert len(held_back) == last.samples == min(wanted, 1500 - 512)
    expected = next(iter(Ann(model).run(held_back.images).values())).argmax(1)
    classes = next(iter(found.session().run(held_back.images).outputs.values())).argmax(1)
    assert held_back.labels is not None
    right, found_right = expected == held_back.labels, classes == held_back.labels
    assert (last.lost, last.gained) == ((right & ~found_right).sum(), (~right & found_right).sum())
    assert last.bound == upper_bound(Pairs(last.samples, last.lost, last.gained), error)


def test_the_file_is_the_one_of_these_levels(found: api.SpikingModel, model: onnx.ModelProto, data: DataSet) -> None:
    """Thresholds are those that the calibration samples give for the chosen levels."""
    levels = api.open_converted(found).options.levels
    wanted = 4 * fewest_samples(0.04, allowed_error(CANDIDATES), labels=True)
    calibrating = calibration_split(data, None, wanted)[0]
    order = np.concatenate([np.zeros(128, np.int64), np.arange(512)])
    back = np.empty(640, np.int64)
    back[np.random.default_rng(0).permutation(640)] = order  # so that just these samples calibrate
    scale = float(np.abs(data.images).max())
    alone = snnc.convert(
        model, calib=calibrating.images[back], method=METHOD, levels=levels, input_scale=scale, accept_poor=True
    )
    for layer, other in zip(alone.report.layers, found.report.layers, strict=True):
        assert layer.threshold_integer == other.threshold_integer


def test_layers_of_any_function_are_given_levels(data: DataSet) -> None:
    """Identity neurons and functions that go below 0 too: on both sides of it."""
    model = body("leaky residual")
    found = snnc.convert(model, calib=networks.images_for(model, 900), method=METHOD, target_drop=0.2, accept_poor=True)
    levels = api.open_converted(found).options.levels
    assert {abs(limit) for counts in counts_of(found).values() for limit in counts} <= {0, levels}
    assert any(low < 0 for low, _ in counts_of(found).values())
    assert compared(found, networks.images_for(model, 20, seed=7)).differences == []


def test_too_few_samples_for_any_claim(model: onnx.ModelProto, data: DataSet) -> None:
    few = data.select(slice(0, 60))
    converted = snnc.convert(model, calib=few, method=METHOD, target_drop=0.01, accept_poor=True)
    (warning,) = [found for found in converted.report.diagnostics.found if found.rule.code == "SNN513"]
    assert converted.report.calibration is not None
    target = converted.report.calibration.target
    assert target is not None
    assert not target.met
    assert api.open_converted(converted).options.levels == target.chosen.levels
    fewest = fewest_samples(0.01, allowed_error(CANDIDATES), labels=True)
    assert "a drop of at most 1 % could not be shown" in warning.message
    assert f"; {target.chosen.what}: " in warning.message
    assert warning.hint == f"at least {fewest:,} held-back samples are needed if nothing is lost: give more data"


def test_levels_that_do_not_fit_are_out(model: onnx.ModelProto, data: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be had of too many levels does not keep the others from being chosen."""
    from snnc.measure.trials import trial

    def refusing(*arguments: Any, **options: Any) -> Any:
        if options["levels"] > 2:
            raise DiagnosticError([])
        return trial(*arguments, **options)

    monkeypatch.setattr(choose_levels, "trial", refusing)
    found = snnc.convert(model, calib=data, method=METHOD, target_drop=0.004, accept_poor=True)
    assert api.open_converted(found).options.levels in (1, 2)
    assert found.report.calibration is not None
    assert found.report.calibration.target is not None
    assert [tried.bound for tried in found.report.calibration.target.tried[2:]] == [1.0] * (len(CANDIDATES) - 2)


def test_the_command_line_tells_what_was_tried(invoke: Invoke, tmp_path: Path) -> None:
    arguments = ("convert", DIGITS, "-o", "net.snn.onnx", "--method", METHOD, "--calib", "digits:train")
    result = invoke(*arguments, "--target-drop", "3%", "--json", "report.json")
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("target drop  ")]
    assert line.startswith("target drop  3 %: the fewest with 2 levels, at most ")
    inspected = invoke("inspect", "net.snn.onnx").stdout
    assert line in inspected
    assert "levels=2" in inspected
    assert "of 2 levels" in inspected
    assert all(len(line) <= 80 for line in (result.stdout + inspected).splitlines())
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert [tried["levels"] for tried in report["calibration"]["target"]["tried"]] == [1, 2]
    assert set(report["certificate"]["levels"].values()) == {2}


def test_the_command_line_takes_levels_by_layer(invoke: Invoke) -> None:
    arguments = ("convert", DIGITS, "-o", "net.snn.onnx", "--method", METHOD, "--calib", "digits:train")
    shown = invoke(*arguments, "--levels", "8,/4/Relu=20").stdout + invoke("inspect", "net.snn.onnx").stdout
    assert "of 8 levels (/4/Relu: 20)" in " ".join(shown.split())
    assert "layer_levels={'/4/Relu': 20}" in shown
    assert "did you mean '/4/Relu'?" in invoke(*arguments, "--levels", "8,/4/Rel=20", exit_code=2).stderr
    assert "must be of the form" in invoke(*arguments, "--levels", "8,/4/Relu", exit_code=2).stderr
