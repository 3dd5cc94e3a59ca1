"""How well a spiking network follows its ANN: what it can be judged by, bars, and the steps that measurements support.

Outputs that are classes are judged by agreement with the ANN, other outputs by ‖ŷ - y‖₂/‖y‖₂. A class that is right
while the values behind it are lost (soft reset decodes values) is no good sign either: there the error has a bar too.
Where the ANN itself gives one class for nearly all samples, as some do for random images, agreement tells nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from snnc.measure.evaluation import Curve, Point

COMMONEST_CLASS = 0.9
# What the lower end of the confidence interval must reach for a number of steps to be called enough.
_SUPPORTED_AGREEMENT = 0.9
# With fewer samples than this, agreement refuses nothing, and one class for all of them means nothing.
_FEWEST_SAMPLES = 8


@dataclass(frozen=True)
class Bar:
    """The least agreement (classes), the largest error of other outputs, and of the values behind classes."""

    agreement: float
    error: float
    error_behind_classes: float


GOOD = Bar(agreement=0.95, error=0.25, error_behind_classes=0.5)
USABLE = Bar(agreement=0.8, error=0.5, error_behind_classes=0.9)


@dataclass(frozen=True)
class Yardstick:
    """What the points of a curve can be judged by: classes, values, both, or (one class, no values) neither."""

    samples: int
    classes: bool
    values: bool

    @staticmethod
    def of(curve: Curve, reset: str, leak: int) -> Yardstick:
        """Values are those of soft reset. A leak makes them smaller, however many the steps: behind classes they are
        not judged. Where outputs are no classes, there is nothing but their error to judge."""
        last = curve.points[-1]
        if last.agreement is None:
            return Yardstick(curve.samples, classes=False, values=True)
        several = curve.commonest_class is None or curve.commonest_class < COMMONEST_CLASS
        telling = several or curve.samples < _FEWEST_SAMPLES  # so few may well be of one class
        has_values = any(point.error is not None for point in curve.points)
        values = reset == "soft" and has_values and not (telling and leak)
        return Yardstick(curve.samples, classes=telling, values=values)

    def missed(self, point: Point, bar: Bar) -> str | None:
        """The part of `bar` that `point` misses, in words; None if it meets all that can be judged."""
        if self.classes and (point.agreement is None or point.agreement < bar.agreement):
            return f"{bar.agreement:.0%} agreement".replace("%", " %")
        limit = bar.error_behind_classes if self.classes else bar.error
        if self.values and (point.error is None or point.error > limit):
            return f"an error of {limit:g}{' of the values behind the classes' if self.classes else ''}"
        return None

    def certainly_missed(self, point: Point, bar: Bar) -> str | None:
        """The same for what is beyond doubt: the agreement's confidence interval lies below the bar."""
        best = point.agreement
        if best is not None:
            best = interval(best, self.samples)[1] if self.samples >= _FEWEST_SAMPLES else 1.0
        return self.missed(replace(point, agreement=best), bar)

    def supports(self, point: Point) -> bool:
        """Whether the samples show that the network is good at this point."""
        if not (self.classes or self.values) or self.missed(point, GOOD):
            return False
        return not self.classes or interval(point.agreement or 0.0, self.samples)[0] >= _SUPPORTED_AGREEMENT


def interval(share: float, samples: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share that was counted on `samples` samples."""
    z = 1.96
    centre = (share + z * z / (2 * samples)) / (1 + z * z / samples)
    half = z / (1 + z * z / samples) * math.sqrt(share * (1 - share) / samples + z * z / (4 * samples * samples))
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))  # share itself, rounding or not


def supported_steps(points: Sequence[Point], yardstick: Yardstick) -> int | None:
    """The fewest steps from which on every point is good beyond doubt; None if the samples do not support any."""
    enough = None
    for point in reversed(points):
        if not yardstick.supports(point):
            break
        enough = point.steps
    return enough


def steps_to_reach(points: Sequence[Point], goal: float, yardstick: Yardstick) -> int | None:
    """The fewest steps from which on the agreement stays at `goal` or, judged by values, the error below it."""
    reached = None
    for point in reversed(points):
        if yardstick.classes:
            if point.agreement is None or point.agreement < goal:
                break
        elif point.error is None or point.error > goal:
            break
        reached = point.steps
    return reached
