"""How well a spiking network follows its ANN: what it can be judged by, bars, and the steps that measurements support.

Outputs that are classes are judged by agreement with the ANN, other outputs by ‖ŷ - y‖₂/‖y‖₂ and by the same over the
spread of y (a value that hardly changes beside a large mean hides its error in that). A class that is right
while the values behind it are lost (soft reset decodes values) is no good sign either: there the error has a bar too.
Where the ANN itself gives one class for nearly all samples, as some do for random images, agreement tells nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from snnc.measure.evaluation import Curve, Point
from snnc.measure.intervals import Interval, interval

COMMONEST_CLASS = 0.9
# What the lower end of the confidence interval must reach for a number of steps to be called enough.
_SUPPORTED_AGREEMENT = 0.9
# With fewer samples than this, agreement refuses nothing, and one class for all of them means nothing.
_FEWEST_SAMPLES = 8


class Judged(Protocol):
    """What is judged: a `Point` (its first output), or one of its outputs."""

    @property
    def agreement(self) -> float | None: ...

    @property
    def agreement_interval(self) -> Interval | None: ...

    @property
    def error(self) -> float | None: ...

    @property
    def spread_error(self) -> float | None: ...


@dataclass(frozen=True)
class Bar:
    """The least agreement (classes), the largest error of other outputs, the same over their spread, and the largest
    error of the values behind classes."""

    agreement: float
    error: float
    spread_error: float
    error_behind_classes: float


GOOD = Bar(agreement=0.95, error=0.25, spread_error=0.25, error_behind_classes=0.5)
# An output that never changes has an error of 1 over the spread.
USABLE = Bar(agreement=0.8, error=0.5, spread_error=1.0, error_behind_classes=0.9)


@dataclass(frozen=True)
class Yardstick:
    """What the points of a curve can be judged by: classes, values, both, or (one class, no values) neither."""

    samples: int
    classes: bool
    values: bool

    @property
    def judged_by(self) -> Literal["classes", "values"] | None:
        """What counts first."""
        return "classes" if self.classes else "values" if self.values else None

    @staticmethod
    def of(curve: Curve, reset: str, leak: int, output: str | None = None) -> Yardstick:
        """Of an output (None: of the first one). Values are those of soft reset. A leak makes them smaller, however
        many the steps: behind classes they are not judged. Where outputs are no classes, there is nothing but their
        error to judge."""
        ends: list[Judged] = [point if output is None else point.outputs[output] for point in curve.points]
        if ends[-1].agreement is None:
            return Yardstick(curve.samples, classes=False, values=True)
        commonest = curve.commonest_class if output is None else curve.outputs[output].commonest_class
        several = commonest is None or commonest < COMMONEST_CLASS
        telling = several or curve.samples < _FEWEST_SAMPLES  # so few may well be of one class
        has_values = any(end.error is not None for end in ends)
        values = reset == "soft" and has_values and not (telling and leak)
        return Yardstick(curve.samples, classes=telling, values=values)

    def missed(self, point: Judged, bar: Bar) -> str | None:
        """The part of `bar` that `point` misses, in words; None if it meets all that can be judged."""
        return self._missed(point, point.agreement, bar)

    def certainly_missed(self, point: Judged, bar: Bar) -> str | None:
        """The same for what is beyond doubt: the agreement's confidence interval lies below the bar."""
        best = point.agreement
        if best is not None:
            best = self._interval(point)[1] if self.samples >= _FEWEST_SAMPLES else 1.0
        return self._missed(point, best, bar)

    def _missed(self, point: Judged, agreement: float | None, bar: Bar) -> str | None:
        if self.classes and (agreement is None or agreement < bar.agreement):
            return f"{bar.agreement:.0%} agreement".replace("%", " %")
        limit = bar.error_behind_classes if self.classes else bar.error
        if self.values and (point.error is None or point.error > limit):
            return f"an error of {limit:g}{' of the values behind the classes' if self.classes else ''}"
        is_spread_judged = self.values and point.agreement is None and self.samples >= _FEWEST_SAMPLES
        if is_spread_judged and point.spread_error is not None and point.spread_error > bar.spread_error:
            return f"an error of {bar.spread_error:g} times the spread of the values"
        return None

    def _interval(self, point: Judged) -> Interval:
        return point.agreement_interval or interval(point.agreement or 0.0, self.samples)

    def supports(self, point: Judged) -> bool:
        """Whether the samples show that the network is good at this point."""
        if not (self.classes or self.values) or self.missed(point, GOOD):
            return False
        return not self.classes or self._interval(point)[0] >= _SUPPORTED_AGREEMENT


def supported_steps(points: Sequence[Point], yardstick: Yardstick, output: str | None = None) -> int | None:
    """The fewest steps from which on an output (None: the first one) is good at every point beyond doubt; None if the
    samples do not support any."""
    enough = None
    for point in reversed(points):
        if not yardstick.supports(point if output is None else point.outputs[output]):
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
