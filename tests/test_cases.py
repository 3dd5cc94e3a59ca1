"""What the compiler makes of the networks in tests/cases; `--update-golden` rewrites the expected parts."""

from __future__ import annotations

import re
from pathlib import Path

import golden
import pytest

from snnc.diagnostics.rules import RULES

CASES = sorted((Path(__file__).parent / "cases").glob("*.txt"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path, update_golden: bool) -> None:
    case = golden.read_case(path)
    output = golden.run_case(case)
    if update_golden:
        case.write(output)
    else:
        assert output == case.expected


def test_there_is_a_case_for_every_rule_about_networks() -> None:
    """SNN2xx: what cannot be converted."""
    shown = {code for path in CASES for code in re.findall(r"error\[(SNN\d+)\]", path.read_text(encoding="utf-8"))}
    assert shown >= {code for code in RULES if code.startswith("SNN2")}
