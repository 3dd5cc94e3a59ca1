"""Hints fit the method: networks that settle have no `--max-steps` and no `--alpha` to change."""

from __future__ import annotations

from contextlib import suppress

import onnx.parser
import pytest
from bad_models import GOOD

from snnc.diagnostics import RULES, Diagnostic, DiagnosticError, Diagnostics, fail
from snnc.diagnostics.words import in_python
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.levels import run_pass
from snnc.methods.defaults import make_options


@pytest.mark.parametrize("method", ["exact", "rmp"])
def test_hints_fit_the_method(method: str) -> None:
    rule = RULES["SNN406"]
    expected = rule.settling_hint if method == "exact" else rule.hint
    conversion = Conversion(onnx.parser.parse_model(GOOD), make_options(method=method))
    conversion.diagnostics.report("SNN406", "too large")
    assert expected in conversion.diagnostics.found[0].text
    failing = Pass("failing", Level.SOURCE, Level.SOURCE, lambda conversion: fail("SNN406", "too large"))
    with pytest.raises(DiagnosticError) as raised:
        run_pass(failing, conversion)
    assert expected in raised.value.diagnostics[0].text


def test_a_hint_that_was_given_stays() -> None:
    conversion = Conversion(onnx.parser.parse_model(GOOD), make_options(method="exact"))
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


def test_warnings_of_one_rule_are_one_warning_of_python(caplog: pytest.LogCaptureFixture) -> None:
    """With all their nodes, once the pass is done that found them; others have their own."""

    def find(conversion: Conversion) -> None:
        report = conversion.diagnostics.report
        report("SNN504", "no neuron fired", node="/a/Relu", op="Relu")
        report("SNN502", "half of the input is clipped")
        for node in ("/b/Relu", "/c/Relu"):
            report("SNN504", "no neuron fired", node=node, op="Relu", shape="[N, 3]")
        report("SNN504", "no sum was positive", node="/d/Relu", op="Relu")
        report("SNN504", "no neuron fired", node="/e/Relu", op="Relu", hint="give `--calib`")
        assert not caplog.messages

    conversion = Conversion(onnx.parser.parse_model(GOOD), make_options())
    run_pass(Pass("finding", Level.SOURCE, Level.SOURCE, find), conversion)
    together, clipped, other = caplog.messages
    assert together.splitlines()[:-1] == [
        "warning[SNN504] 4 findings:",
        "  Relu '/a/Relu', Relu '/b/Relu' [N, 3], Relu '/c/Relu' [N, 3]: no neuron fired",
        "  Relu '/d/Relu': no sum was positive",
    ]
    assert together.splitlines()[-1] == f"  hint: {in_python(RULES['SNN504'].hint)}"
    assert clipped.startswith("warning[SNN502] half of the input is clipped\n  hint: ")
    assert other == "warning[SNN504] Relu '/e/Relu': no neuron fired\n  hint: give `calib`"
    assert len(conversion.diagnostics.warnings) == 6


def test_warnings_are_logged_where_the_work_fails(caplog: pytest.LogCaptureFixture) -> None:
    found = Diagnostics()
    with suppress(RuntimeError), found.together(), found.together():
        found.report("SNN502", "clipped")
        raise RuntimeError
    assert len(caplog.messages) == 1
    found.report("SNN503", "poor")
    assert len(caplog.messages) == 2


def test_where_a_node_comes_from_is_said_in_both_forms(caplog: pytest.LogCaptureFixture) -> None:
    found = Diagnostics()
    with found.together():
        for line in (41, 42):
            place = {"node": f"n{line}", "op": "Relu", "module": "a", "source": f"n.py:{line}"}
            found.add(Diagnostic(RULES["SNN504"], "no neuron fired", **place))
    assert "Relu 'n41' in module a (n.py:41), Relu 'n42' in module a (n.py:42): no neuron fired" in caplog.text
    assert found.found[0].finding == "warning[SNN504] Relu 'n41': no neuron fired\n  in: module a (n.py:41)"
