"""`--alpha auto`: several factors are tried, and the best one becomes the option."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import pytest
from commands import DIGITS, FAST, Invoke

import snnc
from snnc import api
from snnc.diagnostics import DiagnosticError, fail
from snnc.ir.conversion import Conversion
from snnc.ir.option import Option
from snnc.measure.evaluation import Curve, Point
from snnc.methods.defaults import make_options
from snnc.passes import choose_alpha
from snnc.passes.choose_alpha import CANDIDATES, best

COMMON: dict[str, Any] = {"calib_steps": 32, "steps": 32, "accept_poor": True}


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return networks.perceptron([8, 8], outputs=3).model()


def convert(model: onnx.ModelProto, **options: Any) -> snnc.api.SpikingModel:
    return snnc.convert(model, calib=networks.images_for(model, 60), **{**COMMON, **options})


def metadata(model: onnx.ModelProto) -> dict[str, Any]:
    return {entry.key: json.loads(entry.value) for entry in model.metadata_props if entry.value.startswith(("{", "["))}


def without_what_was_tried(model: onnx.ModelProto) -> onnx.ModelProto:
    copy: onnx.ModelProto = onnx.ModelProto.FromString(model.SerializeToString())
    for entry in copy.metadata_props:
        if entry.key == "snnc.calibration":
            entry.value = json.dumps({**json.loads(entry.value), "alphas": {}})
    return copy


@pytest.mark.parametrize("when", ["during", "after"])
@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_the_file_is_the_one_of_the_chosen_alpha(model: onnx.ModelProto, when: str, reset: str) -> None:
    chosen = convert(model, alpha="auto", alpha_when=when, reset=reset)
    options, calibration = metadata(chosen.model)["snnc.options"], chosen.report.calibration
    assert options["alpha"] in CANDIDATES
    assert options["threshold"] == "vmax"
    assert calibration is not None
    assert calibration.alpha == options["alpha"]
    assert list(calibration.alphas) == [f"{alpha:g}" for alpha in CANDIDATES]
    assert [row[0] for row in calibration.alphas["1"]] == [1, 2, 4, 8, 16, 32]
    assert chosen.report.verification is not None
    assert calibration.alphas[f"{calibration.alpha:g}"] == chosen.report.verification.curve
    alone = convert(model, alpha=options["alpha"], alpha_when=when, reset=reset)
    assert without_what_was_tried(chosen.model) == without_what_was_tried(alone.model)
    assert api.open_converted(chosen).options.factor == options["alpha"]


def test_each_curve_is_that_of_a_conversion(model: onnx.ModelProto) -> None:
    calibration = convert(model, alpha="auto").report.calibration
    assert calibration is not None
    for alpha in (1.0, 0.3):
        verification = convert(model, alpha=alpha).report.verification
        assert verification is not None
        assert calibration.alphas[f"{alpha:g}"] == verification.curve


def test_without_data_and_with_other_rules(model: onnx.ModelProto) -> None:
    assert snnc.convert(model, alpha="auto", **COMMON).report.calibration is not None
    calibration = convert(model, alpha="auto", threshold="max").report.calibration
    assert calibration is not None
    assert calibration.alpha in CANDIDATES


def test_check_knows_it(model: onnx.ModelProto) -> None:
    assert snnc.check(model, alpha="auto") == []


def curve(agreement: float | None, error: float | None, samples: int = 100, commonest: float = 0.2) -> Curve:
    point = Point(32, None, agreement, error, 1.0, {}, 1.0, 1.0, 0.0, 1.0)
    return Curve([point], samples, 0, None, 1, 0.0, None if agreement is None else commonest)


@pytest.mark.parametrize(
    ("curves", "reset", "wanted"),
    [
        ({1.0: curve(0.5, 0.4), 0.6: curve(0.98, 0.2), 0.4: curve(0.97, 0.1)}, "soft", 0.4),  # within the noise
        ({1.0: curve(0.5, 0.4), 0.6: curve(0.98, 0.2), 0.4: curve(0.90, 0.1)}, "soft", 0.6),
        ({1.0: curve(0.98, 0.4), 0.6: curve(0.97, 0.2)}, "hard", 1.0),  # hard reset has no values
        ({1.0: curve(None, 0.4), 0.6: curve(None, 0.2), 0.4: curve(None, None)}, "soft", 0.6),
        ({1.0: curve(0.99, 0.4, commonest=0.95), 0.6: curve(0.9, 0.2, commonest=0.95)}, "soft", 0.6),
        ({1.0: curve(1.0, None), 0.6: curve(1.0, None), 0.4: curve(0.99, None)}, "soft", 1.0),  # class numbers
        ({1.0: curve(1.0, 0.1), 0.6: curve(1.0, 0.1)}, "soft", 1.0),
    ],
)
def test_which_one_is_best(curves: dict[float, Curve], reset: str, wanted: float) -> None:
    assert best(curves, reset, 0) == wanted
    assert best(dict(reversed(curves.items())), reset, 0) == wanted


def test_an_alpha_that_does_not_fit_is_out(model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = choose_alpha._measured

    def failing(conversion: Conversion, alpha: float) -> Curve:
        if alpha > limit:
            fail("SNN406", f"not with {alpha}")
        return measured(conversion, alpha)

    monkeypatch.setattr(choose_alpha, "_measured", failing)
    limit = 0.6
    calibration = convert(model, alpha="auto").report.calibration
    assert calibration is not None
    assert list(calibration.alphas) == ["0.6", "0.5", "0.4", "0.3", "0.2"]
    limit = 0.0
    with pytest.raises(DiagnosticError, match="not with"):
        convert(model, alpha="auto")


def test_the_word_is_an_option() -> None:
    assert make_options(alpha="auto").alpha == "auto"
    for word in ("auto", np.str_("auto")):
        assert type(make_options(alpha=word).alpha) is str
    assert make_options(alpha=np.float32(0.5)).alpha == 0.5
    for wrong in ("automatic", "Auto", "0.5", True, np.True_, b"auto"):
        with pytest.raises(DiagnosticError, match="of the wrong type"):
            make_options(alpha=wrong)
    with pytest.raises(DiagnosticError, match="must be above 0 and at most 1, or auto"):
        make_options(alpha=2)
    with pytest.raises(DiagnosticError, match="of the wrong type"):
        make_options(rate_quantile="auto")
    with pytest.raises(AssertionError):
        make_options(alpha="auto").factor  # noqa: B018
    option = dataclasses.replace(Option("size", int, 3, "How large.", low=1, high=9), word="any")
    assert [option.parse(text) for text in ("any", "4")] == ["any", 4]
    assert option.help_text == "How large.  [from 1 to 9, or any; default: 3]"


def test_the_command_line_tells_what_was_tried(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("convert", DIGITS, "-o", "net.snn.onnx", "--calib", "digits:train", "--alpha", "auto", *FAST)
    lines = result.stdout.splitlines()
    (first,) = [index for index, line in enumerate(lines) if line.startswith("alpha  ")]
    assert " was best at 64 steps; 1: " in lines[first]
    inspected = invoke("inspect", "net.snn.onnx").stdout
    assert "\n".join(lines[first : first + 2]) in inspected
    assert "alphas" not in inspected
    assert max(map(len, inspected.splitlines())) <= 80
    for wrong in ("automatic", "2"):
        result = invoke("convert", DIGITS, "--alpha", wrong, exit_code=2)
        assert "auto" in result.stderr
