"""Models from public repositories and small situations from public reports: what becomes of each is known.

What is expected of each model stands in data/zoo.csv: the codes of the rules that refuse it with the method `exact`
and with `rmp`, none where it converts; of `rmp` also the least agreement with the ANN and the largest error of its
outputs (no agreement where the outputs are no classes). With `exact` a certificate says that nothing differs.
data/cases.csv has what `exact` makes of the small situations. Whoever makes a model convertible changes its row.

The models themselves are no part of the repository: SNNC_SHARED names the folder that has them in `zoo/` and `cases/`;
without it, and without a folder `shared` beside the repository, these tests are skipped. `python -m tests.zoo` has more
of them, accuracies, and a process for each.
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
from tests.zoo.attempt import Task, attempt
from tests.zoo.known import SIZES

DATA = Path(__file__).parent / "data"
SHARED = Path(os.environ.get("SNNC_SHARED", Path(__file__).resolve().parents[2] / "shared"))
ZOO, CASES = SHARED / "zoo", SHARED / "cases"
STEPS = 32
# To convert one of them takes more than some seconds: they are only checked here.
LARGE = (
    *("akamaster_resnet20_bn_legacy", "light_resnet50", "light_vgg19", "mcunet_insects_relu6", "ppocr_cls_mobile_v2"),
    "ultraface_slim320_heads",
)
LARGE_AS_RATES = (*LARGE, "akamaster_resnet20_dynamo", "own_resnet20_bias_free_cifar10_jpeg75", "qonnx_resblock_clean")


@dataclass(frozen=True)
class Expectation:
    """Of one model: the codes that refuse it, sorted; bounds for the network of the method rmp."""

    exact: list[str]
    rmp: list[str]
    agreement: float | None
    error: float | None


def expectation(row: dict[str, str]) -> Expectation:
    numbers = [float(row[column]) if row[column] else None for column in ("agreement", "error")]
    return Expectation(row["exact"].split(), row["rmp"].split(), *numbers)


def table(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


EXPECTED = {row["model"]: expectation(row) for row in table("zoo.csv")}
SITUATIONS = {row["case"]: row["exact"].split() for row in table("cases.csv")}

with_models = pytest.mark.skipif(
    not ZOO.is_dir() and "SNNC_SHARED" not in os.environ, reason="no models: set SNNC_SHARED"
)


@pytest.mark.parametrize("name", EXPECTED)
def test_an_expectation_is_a_refusal_or_a_bound(name: str) -> None:
    expected = EXPECTED[name]
    for codes in (expected.exact, expected.rmp):
        assert set(codes) <= set(RULES)
        assert codes == sorted(codes)
    if expected.rmp:
        assert (expected.agreement, expected.error) == (None, None)
    elif name not in LARGE_AS_RATES:
        assert expected.error is not None
        assert 0 < expected.error < 1
        assert expected.agreement is None or 0 < expected.agreement <= 1


def test_most_models_convert() -> None:
    assert sum(not expected.exact for expected in EXPECTED.values()) >= 36
    assert sum(not expected.rmp for expected in EXPECTED.values()) >= 24


@with_models
def test_every_model_is_in_the_tables() -> None:
    assert sorted(path.stem for path in ZOO.glob("*.onnx")) == sorted(EXPECTED)
    assert sorted(path.stem for path in CASES.glob("*.onnx")) == sorted(SITUATIONS)


@with_models
@pytest.mark.parametrize("name", [name for name in EXPECTED if name != "light_vgg19"])  # a minute to be checked alone
def test_exact(name: str) -> None:
    """With all that has an exact treatment; the conversion ends with its certificate."""
    path = ZOO / f"{name}.onnx"
    if name in LARGE:
        assert codes_of_check(path, method="exact") == EXPECTED[name].exact
    else:
        assert codes_of_conversion(path) == EXPECTED[name].exact


@with_models
@pytest.mark.parametrize("name", EXPECTED)
def test_rmp(name: str) -> None:
    """On few synthetic images; the conversion ends with its own verification."""
    expected, path = EXPECTED[name], ZOO / f"{name}.onnx"
    if name in LARGE_AS_RATES:
        assert codes_of_check(path) == expected.rmp
        return
    options: dict[str, Any] = {
        "relaxed": True,
        "steps": STEPS,
        "calib_samples": 32,
        "calib_steps": 32,
        "accept_poor": True,
    }
    if path.name in SIZES:
        options["shape"] = SIZES[path.name]
    if expected.rmp:
        with pytest.raises(DiagnosticError) as refusal:
            snnc.convert(path, **options)
        assert sorted({found.rule.code for found in refusal.value.diagnostics}) == expected.rmp
        return
    found = snnc.convert(path, **options).report.verification
    assert found is not None
    assert found.steps == STEPS
    assert found.error is not None
    assert found.error <= (expected.error or 0.0)
    assert (found.agreement is None) == (expected.agreement is None)
    assert found.agreement is None or found.agreement >= (expected.agreement or 0.0)


@with_models
@pytest.mark.parametrize("name", SITUATIONS)
def test_situations(name: str) -> None:
    assert codes_of_conversion(CASES / f"{name}.onnx") == SITUATIONS[name]


def codes_of_conversion(path: Path) -> list[str]:
    """What refuses it with the method exact."""
    found = attempt(Task(path, "exact"))
    assert found.outcome != "failed", found.detail
    return found.codes


def codes_of_check(path: Path, **options: Any) -> list[str]:
    """What `snnc check` says would refuse it."""
    if path.name in SIZES:
        options["shape"] = SIZES[path.name]
    found = snnc.check(path, relaxed=True, **options)
    return sorted({problem.rule.code for problem in found if problem.severity == "error"})
