"""Models from public repositories: each converts, or says what keeps it from being converted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import snnc
from snnc.diagnostics import DiagnosticError

SHARED = Path(os.environ.get("SNNC_SHARED", Path(__file__).resolve().parents[2] / "shared"))
MODELS = sorted((SHARED / "zoo").glob("*.onnx"))
STEPS = 4


@pytest.mark.skipif(not MODELS, reason="no zoo: set SNNC_SHARED")
@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_zoo(path: Path) -> None:
    """Relaxed, without data; the conversion ends with its own verification. `pytest -rP` shows what became of each."""
    try:
        model = snnc.convert(path, relaxed=True, steps=STEPS, accept_poor=True)
    except DiagnosticError as error:
        codes = sorted({found.rule.code for found in error.diagnostics})
        print(f"{path.stem}: refused, {' '.join(codes)}")
        return
    print(f"{path.stem}: {len(model.report.layers)} layers, {model.report.verification}")
    assert model.report.verification is not None
    assert model.report.verification.steps == STEPS
