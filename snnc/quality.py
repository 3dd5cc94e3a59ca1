"""How well a spiking network follows its ANN: bars, confidence, and how many steps the measurements support.

Outputs that are classes are judged by agreement with the ANN, other outputs by ‖ŷ - y‖₂/‖y‖₂. A class that is right
while the values behind it are lost (soft reset decodes values) is no good sign either: there the error has a bar too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from snnc.curves import Point


@dataclass(frozen=True)
class Bar:
    """The least agreement (classes), the largest error of other outputs, and of the values behind classes."""

    agreement: float
    error: float
    error_behind_classes: float

    def is_met(self, point: Point, *, values: bool) -> bool:
        """Whether `point` reaches the bar; `values` says whether the outputs decode to values (soft reset)."""
        if point.agreement is None:
            return not values or (point.error is not None and point.error <= self.error)
        if values and (point.error is None or point.error > self.error_behind_classes):
            return False
        return point.agreement >= self.agreement


GOOD = Bar(agreement=0.95, error=0.25, error_behind_classes=0.5)
USABLE = Bar(agreement=0.8, error=0.5, error_behind_classes=0.9)
# What the lower end of the confidence interval must reach for a number of steps to be called enough.
_SUPPORTED_AGREEMENT = 0.9


def interval(share: float, samples: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share that was counted on `samples` samples."""
    z = 1.96
    centre = (share + z * z / (2 * samples)) / (1 + z * z / samples)
    half = z / (1 + z * z / samples) * math.sqrt(share * (1 - share) / samples + z * z / (4 * samples * samples))
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))  # share itself, rounding or not


def supported_steps(points: Sequence[Point], samples: int, *, values: bool) -> int | None:
    """The fewest steps from which on every point is good beyond doubt; None if the samples do not support any."""
    enough = None
    for point in reversed(points):
        certain = point.agreement is None or interval(point.agreement, samples)[0] >= _SUPPORTED_AGREEMENT
        if not (certain and GOOD.is_met(point, values=values)):
            break
        enough = point.steps
    return enough


def steps_to_reach(points: Sequence[Point], goal: float) -> int | None:
    """The fewest steps from which on the agreement stays at `goal` or, where there is none, the error below it."""
    reached = None
    for point in reversed(points):
        if point.agreement is not None:
            if point.agreement < goal:
                break
        elif point.error is None or point.error > goal:
            break
        reached = point.steps
    return reached
