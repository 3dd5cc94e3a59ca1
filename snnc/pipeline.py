"""The passes of every method, in order."""

from __future__ import annotations

from snnc.ir.conversion import Conversion, Pass
from snnc.levels import run_pass
from snnc.methods import METHODS
from snnc.passes import (
    biases,
    calibrate,
    certify,
    charges,
    choose_alpha,
    choose_levels,
    choose_potential,
    choose_steps,
    dense,
    emit,
    fold,
    fold_batchnorm,
    fuse,
    ingest,
    input_scale,
    input_steps,
    picks,
    pools,
    products,
    regions,
    relays,
    reshapes,
    scales,
    settle,
    spike,
    synthesize,
    validate,
    verify,
    windows,
)

# What every method begins with: the ANN in few words, whatever an exporter wrote.
_UNDERSTAND: list[Pass] = [
    ingest.PASS,
    fold.PASS,
    reshapes.PASS,
    picks.PASS,
    dense.PASS,
    windows.PASS,
    biases.PASS,
    fold_batchnorm.PASS,
    products.PASS,
    regions.PASS,
    pools.PASS,
]

#: Method `exact` (snnc.methods.exact).
EXACT: list[Pass] = [
    *_UNDERSTAND,
    relays.PASS,
    validate.PASS,
    spike.PASS,
    input_scale.PASS,
    input_steps.PASS,
    charges.PASS,
    scales.PASS,
    synthesize.PASS,
    choose_levels.PASS,
    calibrate.PASS,
    fuse.PASS,
    settle.PASS,
    emit.PASS,
    certify.PASS,
    verify.PASS,
]

#: Method `low-latency` (snnc.methods.low_latency).
LOW_LATENCY: list[Pass] = [
    *_UNDERSTAND,
    validate.PASS,
    spike.PASS,
    input_scale.PASS,
    scales.PASS,
    synthesize.PASS,
    choose_steps.PASS,
    calibrate.PASS,
    fuse.PASS,
    choose_potential.PASS,
    emit.PASS,
    verify.PASS,
]

#: Method `rmp` (snnc.methods.rmp).
RMP: list[Pass] = [
    *_UNDERSTAND,
    validate.PASS,
    spike.PASS,
    synthesize.PASS,
    choose_alpha.PASS,
    calibrate.PASS,
    fuse.PASS,
    choose_potential.PASS,
    emit.PASS,
    verify.PASS,
]


def passes_of(conversion: Conversion) -> list[Pass]:
    """What the method of a conversion runs."""
    return METHODS[conversion.options.method].passes


def run(conversion: Conversion, passes: list[Pass] | None = None) -> None:
    """Take a conversion through the passes (None: those of its method), checking the level after each."""
    for step in passes_of(conversion) if passes is None else passes:
        run_pass(step, conversion)
