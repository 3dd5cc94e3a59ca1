"""The passes of every method, in order."""

from __future__ import annotations

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.levels import run_pass
from snnc.methods import METHODS
from snnc.passes import (
    biases,
    broadcasts,
    calibrate,
    certify,
    charges,
    choose_alpha,
    choose_levels,
    choose_potential,
    choose_steps,
    constants,
    dense,
    einsums,
    emit,
    fold,
    fold_batchnorm,
    fuse,
    ingest,
    input_scale,
    input_steps,
    joined_constants,
    matrix_products,
    moves,
    norms,
    picks,
    pools,
    products,
    reductions,
    regions,
    relays,
    reshapes,
    scales,
    settle,
    softmaxes,
    spike,
    synthesize,
    tail,
    transposed,
    validate,
    verify,
    windows,
)

# What every method begins with: the ANN in few words, whatever an exporter wrote.
_UNDERSTAND: list[Pass] = [
    ingest.PASS,
    fold.PASS,
    reshapes.PASS,
    joined_constants.PASS,
    norms.PASS,
    softmaxes.PASS,
    einsums.PASS,
    matrix_products.PASS,
    broadcasts.PASS,
    products.PASS,
    moves.PASS,
    picks.PASS,
    reductions.PASS,
    dense.PASS,
    transposed.PASS,
    windows.PASS,
    biases.PASS,
    fold_batchnorm.PASS,
    constants.PASS,
    regions.PASS,
    pools.PASS,
]

# Choose an option by measuring conversions.
_CHOOSING: list[Pass] = [choose_alpha.PASS, choose_levels.PASS, choose_steps.PASS]

#: Method `exact` (snnc.methods.exact).
EXACT: list[Pass] = [
    *_UNDERSTAND,
    relays.PASS,
    tail.PASS,
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
    tail.PASS,
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
    tail.PASS,
    validate.PASS,
    spike.PASS,
    input_scale.PASS,
    scales.PASS,
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


def before_data(conversion: Conversion) -> list[Pass]:
    """The passes of a conversion that need no data."""
    passes = passes_of(conversion)
    return passes[: passes.index(synthesize.PASS)]


def up_to_the_grid(conversion: Conversion) -> list[Pass]:
    """The passes behind `before_data`, to where all weights are integers, without those that choose by measurements."""
    passes = passes_of(conversion)
    rest = passes[passes.index(synthesize.PASS) :]
    return [step for step in rest if step.takes == Level.SPIKING and step not in _CHOOSING]


def run(conversion: Conversion, passes: list[Pass] | None = None) -> None:
    """Take a conversion through the passes (None: those of its method), checking the level after each."""
    for step in passes_of(conversion) if passes is None else passes:
        run_pass(step, conversion)
