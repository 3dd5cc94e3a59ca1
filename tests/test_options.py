"""Options are declared once: types, ranges, choices, help and documents follow from the declaration."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import click
import numpy as np
import pytest
from click.testing import CliRunner

import snnc
from snnc.cli.app import snnc as command_line
from snnc.cli.generate import generated, main
from snnc.diagnostics import DiagnosticError
from snnc.ir.option import Option
from snnc.ir.options import LARGEST_MAX_STEPS, OPTIONS, Options
from snnc.methods import METHODS
from snnc.methods.defaults import make_options
from snnc.methods.rmp import Rmp
from snnc.thresholds import RULES

DIGITS = Path(snnc.__file__).parent / "demo" / "digits.onnx"
DOCS = Path(__file__).parent.parent / "docs"


def refused(**options: Any) -> str:
    """The one SNN405 that `make_options` raises."""
    with pytest.raises(DiagnosticError) as caught:
        make_options(**options)
    (found,) = caught.value.diagnostics
    assert found.rule.code == "SNN405"
    return found.message


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("alpha", 0, "alpha is 0.0, must be above 0 and at most 1"),
        ("alpha", math.nan, "alpha is nan, must be above 0 and at most 1"),
        ("rate_quantile", 0.5, "rate_quantile is 0.5, must be from 0.9 to 1"),
        ("steps", 0, "steps is 0, must be at least 1"),
        ("max_steps", LARGEST_MAX_STEPS + 1, "max_steps is 33554433, must be from 1 to 2^25"),
        ("seed", 2**63, "seed is 9223372036854775808, must be from -2^63 to 2^63 - 1"),
        ("v_init", 0.25, "v_init is 0.25, must be one of 0.0, 0.5"),
        ("leak", 16, "leak is 16, must be from 0 to 15"),
        ("leak", -1, "leak is -1, must be from 0 to 15"),
        ("reset", "medium", "reset is 'medium', must be one of soft, hard"),
        (
            "threshold",
            "medium",
            "threshold is 'medium', must be one of rate, vmax, model, max, percentile, mmse, balance",
        ),
        ("method", "medium", "method is 'medium', must be one of rmp"),
        ("input_scale", 0.0, "input_scale is 0.0, must be from 1e-30 to 1e+30"),
        ("input_range", [1, 0], "input_range is (1.0, 0.0), must be two numbers from -1e+30 to 1e+30, the lower one"),
        ("input_range", [0, 1, 2], "input_range is (0.0, 1.0, 2.0), must be two numbers"),
        ("input_range", [0, 1e-40], "input_range is (0.0, 1e-40), must reach 1e-30"),
        ("max_step", 4, "neither the method nor the threshold rule has an option 'max_step'"),
    ],
)
def test_values_out_of_range(option: str, value: Any, message: str) -> None:
    assert message in refused(**{option: value})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *[("steps", value) for value in (4.0, True, np.True_, "4", np.float32(4), [4])],
        *[("leak", value) for value in (6.0, True, np.True_, "6")],
        *[("alpha", value) for value in ("0.5", True, np.True_, [0.5])],
        *[("accept_poor", value) for value in (1, "yes", 0.0)],
        *[("reset", value) for value in (1, True, b"soft")],
        *[("input_range", value) for value in ("01", 3, [0, "1"], [False, True])],
        ("method", 1),
    ],
)
def test_values_of_another_type(option: str, value: Any) -> None:
    assert refused(**{option: value}).endswith("of the wrong type")


def test_numpy_scalars_are_numbers() -> None:
    options = make_options(
        steps=np.int16(8),
        alpha=np.float32(0.5),
        accept_poor=np.True_,
        input_range=np.array([0, 2.5]),
        v_init=np.int64(0),
    )
    assert (options.steps, options.alpha, options.accept_poor) == (8, 0.5, True)
    assert (options.input_range, options.v_init) == ((0.0, 2.5), 0.0)
    assert [type(value) for value in (options.steps, options.alpha, options.accept_poor)] == [int, float, bool]


def test_a_near_name_is_told() -> None:
    with pytest.raises(DiagnosticError, match="there is 'calib_steps'"):
        make_options(calib_step=4)


@pytest.mark.parametrize("rule", ["vmax", "model"])
def test_an_option_of_another_rule_is_refused(rule: str, tmp_path: Path) -> None:
    message = f"rate_quantile belongs to the threshold rule rate, the rule here is {rule}"
    assert refused(threshold=rule, rate_quantile=0.99) == message
    output = tmp_path / "x.snn.onnx"
    result = CliRunner().invoke(
        command_line, ["convert", str(DIGITS), "--threshold", rule, "--rate-quantile", "0.99", "-o", str(output)]
    )
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


class Narrow(Rmp):
    """A method without alpha, of one rule, with defaults of its own."""

    name = "narrow"
    without: ClassVar[Mapping[str, str]] = {"alpha": "its thresholds are never scaled"}
    options = (Option("sharpness", float, 0.5, "How sharp.", low=0, high=1),)

    def rules(self) -> list[str]:
        return ["vmax"]

    def defaults(self, given: Any) -> dict[str, Any]:
        return {"threshold": "vmax", "steps": 32, "bias": "current"}


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS.own, "narrow", Narrow())


@pytest.mark.usefixtures("narrow")
def test_a_method_has_its_options_rules_and_defaults() -> None:
    assert (
        refused(method="narrow", alpha=0.5)
        == "alpha is no option of the method narrow: its thresholds are never scaled"
    )
    assert refused(method="narrow", threshold="rate") == "threshold is 'rate', must be one of vmax"
    assert refused(method="narrow", sharpness=2.0) == "sharpness is 2.0, must be from 0 to 1"
    assert refused(sharpness=0.5) == "sharpness belongs to the method narrow, the method here is rmp"
    options = make_options(method="narrow", max_steps=20, sharpness="0.25")
    assert (options.threshold, options.steps, options.calib_steps, options.bias) == ("vmax", 20, 20, "current")
    assert make_options(method="narrow", steps=40, bias="reject").steps == 40
    assert options.own(Narrow.options[0]) == 0.25
    assert make_options(method="narrow").own(Narrow.options[0]) == 0.5
    assert Options(**options.to_json()) == options
    assert options.to_json()["plugin_options"] == {"sharpness": 0.25}


@pytest.mark.usefixtures("narrow")
def test_choices_come_from_the_registries(tmp_path: Path) -> None:
    text = CliRunner().invoke(command_line, ["convert", "--help"]).output
    assert f"--method [{'|'.join(METHODS)}]" in text
    assert f"--threshold [{'|'.join(RULES)}]" in text
    output = str(tmp_path / "x.snn.onnx")
    arguments = ["convert", str(DIGITS), "--method", "narrow", "--set", "sharpness=0.125", "-o", output]
    assert CliRunner().invoke(command_line, arguments).exit_code == 0
    written = " ".join(CliRunner().invoke(command_line, ["inspect", output]).output.split())
    assert "method=narrow" in written
    assert "plugin_options={'sharpness': 0.125}" in written
    for wrong, message in [("alpha", "NAME=VALUE"), ("alpha=1", "--alpha is one of snnc"), ("blunt=1", "'blunt'")]:
        result = CliRunner().invoke(command_line, [*arguments, "--set", wrong])
        assert result.exit_code == 2
        assert message in result.stderr
    result = CliRunner().invoke(command_line, ["check", str(DIGITS), "--method", "broad"])
    assert result.exit_code == 2
    assert "'broad' is not one of 'rmp', " in result.stderr
    assert CliRunner().invoke(command_line, ["passes", "--method", "narrow"]).output.startswith("ingest")


def test_a_file_of_an_unknown_method_can_be_read() -> None:
    assert Options(method="of a plug-in", threshold="that is not here").threshold == "that is not here"


@pytest.mark.parametrize("name", command_line.commands)
def test_help_fits_80_columns(name: str) -> None:
    text = CliRunner().invoke(command_line, [name, "--help"]).output
    assert max(map(len, text.splitlines())) <= 80


def test_help_tells_the_defaults() -> None:
    """A default that does not depend on anything is told as it is; nothing is given where the user gives nothing."""
    for command in (command_line.commands["convert"], command_line.commands["sweep"]):
        for parameter in command.params:
            declared = OPTIONS.get(parameter.name or "")
            if declared is not None and isinstance(parameter, click.Option) and declared.kind is not bool:
                assert parameter.default is None or not isinstance(parameter.default, (str, int, float))
                shown = declared.default_text or str(declared.default)
                if (command.name, parameter.name) == ("sweep", "levels"):
                    shown = "4,8,16,32"  # several of what convert takes one of
                assert f"default: {shown}]" in (parameter.help or ""), parameter.name


def test_generated_parts_of_the_documents_are_fresh() -> None:
    result = CliRunner().invoke(main, ["--check", str(DOCS)])
    assert result.exit_code == 0, result.output


def test_a_stale_document_is_found_and_mended(tmp_path: Path) -> None:
    page = tmp_path / "cli.md"
    shutil.copy(DOCS / "cli.md", page)
    fresh = page.read_text(encoding="utf-8")
    page.write_text(fresh.replace("default: 0.9997", "default: 0.999"), encoding="utf-8")
    stale = CliRunner().invoke(main, ["--check", str(tmp_path)])
    assert stale.exit_code == 1
    assert "cli.md is stale" in stale.output
    assert "0.9997" not in page.read_text(encoding="utf-8")
    assert CliRunner().invoke(main, [str(tmp_path)]).exit_code == 0
    assert page.read_text(encoding="utf-8") == fresh


def test_documents_list_what_snnc_has() -> None:
    text = (DOCS / "methods.md").read_text(encoding="utf-8")
    for rule in RULES.own.values():
        assert f"| `{rule.name}` | {rule.summary} | {rule.source} |" in text
    for method in METHODS.own.values():
        assert f"| `{method.name}` | {method.summary} |" in text
    assert generated("<!-- generated: threshold rules -->\n<!-- end -->").count("\n") == len(RULES.own) + 3
