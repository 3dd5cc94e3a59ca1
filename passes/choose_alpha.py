"""Choose the factor on the thresholds by measurement, where `--alpha auto` leaves it open.

Takes and gives level SPIKING. Left alone: a conversion with an alpha. Otherwise:

1. for every alpha of `CANDIDATES` a copy of the network is calibrated and runs on the samples held back from
   calibration, by the passes that follow here up to level FUSED; an alpha with which it does not fit the integers is
   out;
2. the best one at the steps of the file becomes the option: of those whose agreement with the ANN is within its
   standard error of the largest, the one with the least error; where agreement says nothing (`snnc.measure.quality`)
   the least error, and where there is no error to judge by the largest agreement. Of equals the largest alpha;
3. the curves of all go into the report.

Estimates are shared with the conversion that follows (and with others, if the caller shares them), so that the chosen
alpha is not measured again.
"""

from __future__ import annotations

import dataclasses
import math

from snnc.diagnostics import DiagnosticError
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.options import AUTO
from snnc.measure.evaluation import Curve, rows_of
from snnc.measure.quality import Yardstick
from snnc.measure.trials import trial

CANDIDATES = (1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2)


def run(conversion: Conversion) -> None:
    options = conversion.options
    if options.alpha != AUTO:
        return
    if conversion.estimates is None:
        conversion.estimates = {}
    curves: dict[float, Curve] = {}
    failure: DiagnosticError | None = None
    for alpha in CANDIDATES:
        try:
            curves[alpha] = _measured(conversion, alpha)
        except DiagnosticError as error:
            failure = error
    if not curves:
        assert failure is not None
        raise failure
    conversion.options = dataclasses.replace(options, alpha=best(curves, options.reset, options.leak))
    conversion.alphas = {f"{alpha:g}": rows_of(curve.points) for alpha, curve in curves.items()}


def best(curves: dict[float, Curve], reset: str, leak: int) -> float:
    """The alpha whose curve ends best."""
    ends = {alpha: curve.points[-1] for alpha, curve in curves.items()}
    yardsticks = [Yardstick.of(curve, reset, leak) for curve in curves.values()]
    classes, values = (any(getattr(yardstick, what) for yardstick in yardsticks) for what in ("classes", "values"))
    errors = {alpha: math.inf if end.error is None else end.error for alpha, end in ends.items()}
    if not classes:
        return min(ends, key=lambda alpha: (errors[alpha], -alpha))
    agreements = {alpha: end.agreement or 0.0 for alpha, end in ends.items()}
    if not values:
        return max(ends, key=lambda alpha: (agreements[alpha], alpha))
    top, samples = max(agreements.values()), yardsticks[0].samples
    noise = math.sqrt(max(top * (1 - top), 1 / samples) / samples)
    near = [alpha for alpha in ends if agreements[alpha] >= top - noise]
    return min(near, key=lambda alpha: (errors[alpha], -alpha))


def _measured(conversion: Conversion, alpha: float) -> Curve:
    """The network with this alpha against the ANN."""
    position = CANDIDATES.index(alpha)
    share = (position / len(CANDIDATES), (position + 1) / len(CANDIDATES))
    tried = trial(conversion, PASS, f"alpha {alpha:g}", share, alpha=alpha)
    assert tried.options.v_init is not None
    return tried.trials[tried.options.v_init]


PASS = Pass("choose_alpha", Level.SPIKING, Level.SPIKING, run)
