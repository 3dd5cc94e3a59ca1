"""The passes, in order."""

from __future__ import annotations

from snnc.ir.conversion import Conversion, Pass
from snnc.levels import run_pass
from snnc.passes import (
    biases,
    calibrate,
    choose_potential,
    dense,
    emit,
    fold,
    fold_batchnorm,
    fuse,
    ingest,
    reshapes,
    spike,
    synthesize,
    validate,
    verify,
    windows,
)

PASSES: list[Pass] = [
    ingest.PASS,
    fold.PASS,
    reshapes.PASS,
    dense.PASS,
    windows.PASS,
    biases.PASS,
    fold_batchnorm.PASS,
    validate.PASS,
    spike.PASS,
    synthesize.PASS,
    calibrate.PASS,
    fuse.PASS,
    choose_potential.PASS,
    emit.PASS,
    verify.PASS,
]


def run(conversion: Conversion, passes: list[Pass] = PASSES) -> None:
    """Take a conversion through the passes, checking the level after each."""
    for step in passes:
        run_pass(step, conversion)
