"""Inputs that hardly differ beside what they have in common, such as values around 300 that vary by 1.

The coding gives its units to the whole value, and neurons their counts: what tells samples apart is lost. An ANN that
was trained on samples around 0 then puts all of them into one class, and agreement with it says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from snnc.ir.conversion import LayerReport
from snnc.measure.outputs import OutputPoint
from snnc.measure.quality import GOOD

# Images from 0 to 1 have a mean of one to two deviations.
_FAR = 10.0
# As many channels are told one by one.
_MOST_CHANNELS = 4


@dataclass(frozen=True)
class Offset:
    """Mean and standard deviation of the input, each one number or one for each of a few channels."""

    mean: list[float]
    deviation: list[float]

    @property
    def remedy(self) -> str:
        """The options that would remove it."""
        return f"--mean {','.join(self._means())} --std {_listed(self.deviation)}"

    def __str__(self) -> str:
        return f"{','.join(self._means())} on average and vary by {_listed(self.deviation)}"

    def _means(self) -> list[str]:
        """As exact as the deviations make sense of."""
        places = [-math.floor(math.log10(deviation)) for deviation in self.deviation]
        return [f"{round(mean, place):.12g}" for mean, place in zip(self.mean, places, strict=True)]


def input_offset(layer: LayerReport, images: np.ndarray) -> Offset | None:
    """That of `images` `[N, C, ...]`, as the input `layer` sees them; None where it is none to speak of."""
    axes = tuple(axis for axis in range(images.ndim) if axis != 1)
    mean, deviation = images.mean(axes, dtype=np.float64), images.std(axes, dtype=np.float64)
    seen = mean - np.asarray(layer.origin, np.float64).reshape(-1)
    if not np.mean(seen**2) > _FAR**2 * np.mean(deviation**2) > 0:
        return None
    if images.ndim == 2 or len(mean) > _MOST_CHANNELS or np.ptp(mean) < deviation.max():
        return Offset([float(images.mean(dtype=np.float64))], [float(images.std(dtype=np.float64))])
    return Offset(mean.tolist(), np.where(deviation > 0, deviation, 1).tolist())


def worst_spread_error(points: Iterable[OutputPoint]) -> float | None:
    """The largest error over the spread of an output, where that is not good; None where all are."""
    errors = [point.spread_error for point in points if point.spread_error is not None]
    worst = max(errors, default=0.0)
    return worst if worst > GOOD.spread_error else None


def _listed(values: list[float]) -> str:
    return ",".join(f"{value:.2g}" for value in values)
