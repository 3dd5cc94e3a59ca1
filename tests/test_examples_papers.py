"""The example that makes RMP-SNN's figures: what it chooses, that parts are the whole, where it goes on."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import snnc
from snnc.diagnostics import fail
from snnc.measure.evaluation import Curve, Point

REPOSITORY = Path(__file__).parent.parent
DIGITS = REPOSITORY / "snnc" / "demo" / "digits.onnx"


@pytest.fixture
def rmp(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """examples/papers/rmp.py, with the files beside it."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "examples" / "papers"))
    for name in ("rmp", "cells", "summary"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("rmp")


def laboratory(rmp: ModuleType, folder: Path, **choices: Any) -> Any:
    values: dict[str, Any] = {
        "ann": str(DIGITS),
        "calib": "digits:train",
        "data": "digits:test",
        "mean": None,
        "std": None,
        "calib_samples": 16,
        "calib_steps": 32,
        "part": 20,
        "relaxed": False,
    }
    return rmp.Laboratory(rmp.Settings(**{**values, **choices}), folder, threads=1)


def curve(*accuracies: float, ann: float = 0.9) -> Curve:
    """At T = 1, 2, 4, ..."""
    points = [
        Point(2**power, accuracy, accuracy, 0.1, 1.0, {}, 1.0, 1.0, 1.0, 1.0)
        for power, accuracy in enumerate(accuracies)
    ]
    return Curve(points, 100, 0, ann, 1, 0.0)


def test_steps_that_reach_the_ann_stay_there(rmp: ModuleType) -> None:
    assert rmp.steps_to_reach(curve(0.5, 0.89, 0.9)) == 2
    assert rmp.steps_to_reach(curve(0.89, 0.8, 0.9, 0.95)) == 4
    assert rmp.steps_to_reach(curve(0.9, 0.88)) is None


def test_the_chosen_alpha_is_the_fastest_of_those_that_lose_nothing(rmp: ModuleType) -> None:
    slow, fast, lossy = curve(0.1, 0.2, 0.9), curve(0.1, 0.89, 0.896), curve(0.89, 0.89, 0.89)
    cells = {rmp.Cell("soft", alpha): found for alpha, found in ((1.0, slow), (0.6, fast), (0.4, lossy))}
    assert rmp.chosen_alpha(cells) == 0.6
    equal = {rmp.Cell("soft", alpha): slow for alpha in (0.4, 0.8, 0.6)}
    assert rmp.chosen_alpha(equal) == 0.8
    none = {rmp.Cell("soft", alpha): found for alpha, found in ((1.0, curve(0.2)), (0.5, curve(0.3)))}
    assert rmp.chosen_alpha(none) == 0.5


def test_steps_are_powers_of_two_and_what_lies_between(rmp: ModuleType) -> None:
    assert rmp.steps_up_to(128) == [1, 2, 4, 8, 16, 32, 48, 64, 96, 128]
    assert rmp.steps_up_to(100) == [1, 2, 4, 8, 16, 32, 48, 64, 96, 100]


def test_parts_are_the_whole(rmp: ModuleType, tmp_path: Path) -> None:
    cell = rmp.Cell("soft", 0.6)
    parts = laboratory(rmp, tmp_path / "parts").measure(cell, 60, [8, 40])
    whole = laboratory(rmp, tmp_path / "whole", part=60).measure(cell, 60, [8, 40])
    assert parts.samples == whole.samples == 60
    for found, expected in zip(parts.points, whole.points, strict=True):
        assert (found.lost, found.gained) == (expected.lost, expected.gained)
        assert found.accuracy == pytest.approx(expected.accuracy)
        assert found.spike_rate == pytest.approx(expected.spike_rate)
        assert found.layer_rates == pytest.approx(expected.layer_rates)
    assert parts.ann_accuracy == pytest.approx(whole.ann_accuracy)


def test_what_is_known_is_not_measured_again(rmp: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell, measured = rmp.Cell("hard", 1.0), []

    def counted(model: str, data: Any, **arguments: Any) -> Curve:
        measured.append(arguments["first_sample"])
        if len(measured) == 2:
            raise KeyboardInterrupt
        return evaluate(model, data, **arguments)

    evaluate = snnc.evaluate
    monkeypatch.setattr(snnc, "evaluate", counted)
    with pytest.raises(KeyboardInterrupt):
        laboratory(rmp, tmp_path).measure(cell, 40, [8])
    assert laboratory(rmp, tmp_path).measure(cell, 60, [8]).samples == 60
    assert measured == [0, 20, 20, 40]
    assert laboratory(rmp, tmp_path).measure(cell, 40, [8]).samples == 40
    assert len(measured) == 4


def test_a_folder_of_other_settings_is_refused(rmp: ModuleType, tmp_path: Path) -> None:
    laboratory(rmp, tmp_path)
    with pytest.raises(SystemExit, match="begun with calib_steps 32, not 64"):
        laboratory(rmp, tmp_path, calib_steps=64)


def test_calibration_and_choice_share_no_image(rmp: ModuleType, tmp_path: Path) -> None:
    lab = laboratory(rmp, tmp_path)
    calibrating = {image.tobytes() for image in lab.calibrating.images}
    assert not calibrating & {image.tobytes() for image in lab.splits["train"].images}


def test_one_command_makes_everything(rmp: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [f"--{name}-images=20" for name in ("run", "after", "all", "choice")]
    arguments = ["--images=40", *sizes, "--alpha=1,0.6", "--steps=70", "--part=20"]
    data = ["--ann", str(DIGITS), "--calib=digits:train", "--data=digits:test", "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["rmp.py", *data, *arguments, "--calib-samples=16", "--calib-steps=32"])
    convert = snnc.convert

    def refusing(ann: Any, **choices: Any) -> Any:
        if (choices["reset"], choices["alpha_when"]) == ("hard", "after"):
            fail("SNN406", "rounding its weights would change its output")
        return convert(ann, **choices)

    monkeypatch.setattr(snnc, "convert", refusing)
    rmp.main()
    document = json.loads((tmp_path / "summary.json").read_text())
    assert document["chosen"] in (1.0, 0.6)
    cells = [(cell["reset"], cell["alpha"], cell["images"]) for cell in document["cells"]]
    assert cells == [("soft", 1.0, 40), ("soft", 0.6, 40), ("hard", 1.0, 40), ("hard", 0.6, 40)]
    assert [len(cell["curves"]) for cell in document["runs"]] == [5, 5]
    assert {curve["seed"] for curve in document["runs"][0]["curves"]} == {0, 1, 2, 3, 4}
    assert [(cell["reset"], cell["when"]) for cell in document["after"]] == [("soft", "after")]  # hard was refused
    assert max(point["steps"] for point in document["after"][0]["points"]) == 17
    text = (tmp_path / "summary.md").read_text()
    assert "| T = 32 | T = 64 | T = 70 | ANN | lost at T = 70 (95 %) |" in text
    assert "| RMP (soft α=" in text
    assert "| IF (hard α=1) | 20 | 70 |" in text
    assert all((tmp_path / f"{name}.png").stat().st_size > 10_000 for name in ("figure-5", "fast", "after"))
