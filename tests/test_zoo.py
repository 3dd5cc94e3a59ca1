"""Models from public repositories: each converts well enough, or is refused for the reasons it should be.

What is expected of each stands in data/zoo.csv: the codes of the rules that refuse it (`refused`), or the least
agreement with the ANN and the largest output error of the converted network (no agreement where the outputs are no
classes).
Whoever makes a model convertible changes its row. The models themselves are no part of the repository: SNNC_SHARED
names the folder that has them in `zoo/`; without it, and without a folder `shared` beside the repository, these tests
are skipped.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import snnc
from snnc.diagnostics import DiagnosticError
from snnc.diagnostics.rules import RULES

TABLE = Path(__file__).parent / "data" / "zoo.csv"
ZOO = Path(os.environ.get("SNNC_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "zoo"
ASKED_FOR = "SNNC_SHARED" in os.environ
STEPS = 32
# Of 224x224 pixels: to convert one takes minutes.
LARGE = ("light_resnet50", "light_vgg19")
# Of 240x320 pixels: fewer samples do.
WIDE = ("ultraface_slim320_heads",)


@dataclass(frozen=True)
class Expectation:
    """Of one model: `refused` (rule codes, sorted), else bounds for the converted network."""

    refused: list[str]
    agreement: float | None
    error: float | None


def expectation(row: dict[str, str]) -> Expectation:
    numbers = [float(row[column]) if row[column] else None for column in ("agreement", "error")]
    return Expectation(row["refused"].split(), *numbers)


with TABLE.open(encoding="utf-8", newline="") as file:
    EXPECTED = {row["model"]: expectation(row) for row in csv.DictReader(file)}

with_models = pytest.mark.skipif(not ZOO.is_dir() and not ASKED_FOR, reason="no models: set SNNC_SHARED")


@pytest.mark.parametrize("name", EXPECTED)
def test_an_expectation_is_a_refusal_or_a_bound(name: str) -> None:
    expected = EXPECTED[name]
    assert set(expected.refused) <= set(RULES)
    assert expected.refused == sorted(expected.refused)
    if expected.refused:
        assert (expected.agreement, expected.error) == (None, None)
    else:
        assert expected.error is not None
        assert 0 < expected.error < 1
        assert expected.agreement is None or 0 < expected.agreement <= 1


def test_the_table_has_models_of_both_kinds() -> None:
    refused = [name for name, expected in EXPECTED.items() if expected.refused]
    assert len(refused) >= 10
    assert len(EXPECTED) - len(refused) >= 10


@with_models
def test_every_model_is_in_the_table() -> None:
    assert sorted(path.stem for path in ZOO.glob("*.onnx")) == sorted(EXPECTED)


@with_models
@pytest.mark.parametrize("name", EXPECTED)
def test_zoo(name: str) -> None:
    """With all that is exact (`relaxed`), on few synthetic images; the conversion ends with its own verification."""
    expected = EXPECTED[name]
    options: dict[str, Any] = {
        "max_pool": "reject" if name in LARGE else "exact",
        "relaxed": True,
        "steps": STEPS,
        "calib_samples": 8 if name in WIDE else 32,
        "calib_steps": 32,
        "accept_poor": True,
    }
    if expected.refused:
        with pytest.raises(DiagnosticError) as refusal:
            snnc.convert(ZOO / f"{name}.onnx", **options)
        assert sorted({found.rule.code for found in refusal.value.diagnostics}) == expected.refused
        return
    found = snnc.convert(ZOO / f"{name}.onnx", **options).report.verification
    assert found is not None
    assert found.steps == STEPS
    assert found.error is not None
    assert found.error <= (expected.error or 0.0)
    assert (found.agreement is None) == (expected.agreement is None)
    assert found.agreement is None or found.agreement >= (expected.agreement or 0.0)
