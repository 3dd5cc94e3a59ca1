"""Run the spiking network from both initial potentials against the ANN, and choose one where that is left open.

Takes and gives level FUSED. On the samples held back from calibration:

1. the network runs from V(0) = 0 (RMP-SNN) and from V(0) = θ/2, which rounds spike counts to the nearest instead of
   down; the two curves against steps are kept for `verify` (`Conversion.trials`);
2. where the option `v_init` is None, it becomes 0 unless θ/2 is clearly better at the steps of the file and at half of
   them: in agreement by more than its standard error on these samples or, where agreement says nothing
   (`snnc.measure.quality`), with less than 0.8 of the error. From θ/2 neurons fire earlier, those too that should not
   fire at all: it helps networks that get few steps.

Calibration starts every neuron from V(0) = 0, so that the thresholds do not depend on the choice.
"""

from __future__ import annotations

import dataclasses
import math
import statistics

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.options import Options
from snnc.measure.evaluation import Curve
from snnc.measure.quality import Yardstick
from snnc.measure.trials import INITIAL_POTENTIALS, held_back_images, simulate_against, start_from
from snnc.simulate.ann import Ann
from snnc.simulate.block_runner import default_cuts

_CLEARLY_LESS = 0.8


def run(conversion: Conversion) -> None:
    options = conversion.options
    images = held_back_images(conversion)
    ann_outputs = Ann(conversion.ann).run(images)
    for position, v_init in enumerate(INITIAL_POTENTIALS):

        def progress(share: float, position: int = position) -> None:
            conversion.progress("comparing with the ANN", (position + share) / len(INITIAL_POTENTIALS))

        start_from(conversion, v_init)
        cuts = default_cuts(options.steps, options.delay)
        conversion.trials[v_init] = simulate_against(conversion, images, ann_outputs, cuts, progress)
    chosen = _better(conversion.trials, options) if options.v_init is None else options.v_init
    conversion.options = dataclasses.replace(options, v_init=chosen)
    start_from(conversion, chosen)


def _better(trials: dict[float, Curve], options: Options) -> float:
    zero, half = (trials[v_init] for v_init in INITIAL_POTENTIALS)
    yardstick = Yardstick.of(zero, options.reset, options.leak)
    if yardstick.classes:
        before, after = (_late(curve, options.steps, "agreement", 0.0) for curve in (zero, half))
        noise = math.sqrt(max(before * (1 - before), 1 / yardstick.samples) / yardstick.samples)
        return 0.5 if after > before + noise else 0.0
    before, after = (_late(curve, options.steps, "error", 1.0) for curve in (zero, half))
    return 0.5 if after < _CLEARLY_LESS * before else 0.0


def _late(curve: Curve, steps: int, name: str, unknown: float) -> float:
    """Mean of a field of the points from half of the steps on."""
    values = [getattr(point, name) for point in curve.points if 2 * point.steps >= steps]
    return statistics.fmean(unknown if value is None else value for value in values)


PASS = Pass("choose_potential", Level.FUSED, Level.FUSED, run)
