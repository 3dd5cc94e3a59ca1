"""Run the spiking network from both initial potentials against the ANN, and choose one where that is left open.

Takes and gives level FUSED. On the samples held back from calibration:

1. the network runs from V(0) = 0 (RMP-SNN) and from V(0) = θ/2, which rounds spike counts to the nearest instead of
   down; the two curves against steps are kept for `verify` (`Conversion.trials`);
2. where the option `v_init` is None, the one that does better from an eighth of the steps on is chosen: more
   agreement on average or, where that is the same or says nothing (`snnc.quality`), less error. Neither is better
   everywhere: from θ/2 neurons fire earlier, those too that should not fire at all.

Calibration starts every neuron from V(0) = 0, so that the thresholds do not depend on the choice.
"""

from __future__ import annotations

import dataclasses
import statistics

from snnc.ann import Ann
from snnc.conversion import Conversion, Level, Options, Pass
from snnc.curves import Curve
from snnc.quality import Yardstick
from snnc.stream import default_cuts
from snnc.trials import INITIAL_POTENTIALS, held_back_images, simulate_against, start_from


def run(conversion: Conversion) -> None:
    options = conversion.options
    images = held_back_images(conversion)
    ann_outputs = Ann(conversion.ann).run(images)
    for position, v_init in enumerate(INITIAL_POTENTIALS):

        def progress(share: float, position: int = position) -> None:
            conversion.progress("comparing with the ANN", (position + share) / len(INITIAL_POTENTIALS))

        start_from(conversion, v_init)
        cuts = default_cuts(options.steps)
        conversion.trials[v_init] = simulate_against(conversion, images, ann_outputs, cuts, progress)
    chosen = _better(conversion.trials, options) if options.v_init is None else options.v_init
    conversion.options = dataclasses.replace(options, v_init=chosen)
    start_from(conversion, chosen)


def _better(trials: dict[float, Curve], options: Options) -> float:
    yardstick = Yardstick.of(next(iter(trials.values())), options.reset)

    def merit(v_init: float) -> tuple[float, float, float]:
        points = [point for point in trials[v_init].points if 8 * point.steps >= options.steps]
        agreement = statistics.fmean(point.agreement or 0.0 for point in points) if yardstick.classes else 0.0
        error = statistics.fmean(min(1.0, 1.0 if point.error is None else point.error) for point in points)
        return agreement, -error, -v_init

    return max(INITIAL_POTENTIALS, key=merit)


PASS = Pass("choose_potential", Level.FUSED, Level.FUSED, run)
