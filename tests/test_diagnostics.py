"""Hints fit the method: networks that settle have no `--max-steps` and no `--alpha` to change."""

from __future__ import annotations

import pytest
from bad_models import GOOD

from snnc.diagnostics import RULES, Diagnostic, DiagnosticError, fail
from snnc.diagnostics.words import in_python
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.levels import run_pass
from snnc.methods.defaults import make_options


@pytest.mark.parametrize("method", ["exact", "rmp"])
def test_hints_fit_the_method(method: str) -> None:
    rule = RULES["SNN406"]
    expected = rule.settling_hint if method == "exact" else rule.hint
    conversion = Conversion(GOOD, make_options(method=method))
    conversion.diagnostics.report("SNN406", "too large")
    assert expected in conversion.diagnostics.found[0].text
    failing = Pass("failing", Level.SOURCE, Level.SOURCE, lambda conversion: fail("SNN406", "too large"))
    with pytest.raises(DiagnosticError) as raised:
        run_pass(failing, conversion)
    assert expected in raised.value.diagnostics[0].text


def test_a_hint_that_was_given_stays() -> None:
    conversion = Conversion(GOOD, make_options(method="exact"))
    conversion.diagnostics.report("SNN406", "too large", hint="do this")
    assert "hint: do this" in str(conversion.diagnostics.found[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pass `--bias current` (or `--relaxed`)", 'pass `bias="current"` (or `relaxed=True`)'),
        ("pass `--batchnorm fold --bias current`", 'pass `batchnorm="fold", bias="current"`'),
        ("a larger `--max-steps`; `--steps 4`", "a larger `max_steps`; `steps=4`"),
        ("`--input-range LOW,HIGH`, `--calib DATA`", "`input_range=(LOW, HIGH)`, `calib=DATA`"),
        ("see `snnc convert --help`, `snnc explain SNN201`", "see `help(snnc.convert)`, `snnc explain SNN201`"),
        ("with --schedule unrolled: a-b -- c", "with schedule unrolled: a-b -- c"),
    ],
)
def test_python_is_spoken_in_python(text: str, expected: str) -> None:
    assert in_python(text) == expected


def test_no_options_of_the_command_line_in_errors_of_python() -> None:
    for rule in RULES.values():
        assert "--" not in str(Diagnostic(rule, "message")).replace("full_check", ""), rule.code
