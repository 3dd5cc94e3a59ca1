"""Hints fit the method: networks that settle have no `--max-steps` and no `--alpha` to change."""

from __future__ import annotations

import pytest
from bad_models import GOOD

from snnc.diagnostics import RULES, DiagnosticError, fail
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.levels import run_pass
from snnc.methods.defaults import make_options


@pytest.mark.parametrize("method", ["exact", "rmp"])
def test_hints_fit_the_method(method: str) -> None:
    rule = RULES["SNN406"]
    expected = rule.settling_hint if method == "exact" else rule.hint
    conversion = Conversion(GOOD, make_options(method=method))
    conversion.diagnostics.report("SNN406", "too large")
    assert expected in str(conversion.diagnostics.found[0])
    failing = Pass("failing", Level.SOURCE, Level.SOURCE, lambda conversion: fail("SNN406", "too large"))
    with pytest.raises(DiagnosticError) as raised:
        run_pass(failing, conversion)
    assert expected in str(raised.value)


def test_a_hint_that_was_given_stays() -> None:
    conversion = Conversion(GOOD, make_options(method="exact"))
    conversion.diagnostics.report("SNN406", "too large", hint="do this")
    assert "hint: do this" in str(conversion.diagnostics.found[0])
