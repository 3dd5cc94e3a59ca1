"""What kind of function a region is, found by running it on points of every magnitude, never from its operators' names.

A ReLU is one to within the precision of float32, whatever it was written as; so are the other kinds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from snnc.ir.region import TOLERANCE, Float32, Region, constant_numbers
from snnc.ir.signal import FloatArray, collapsed

if TYPE_CHECKING:
    from snnc.emit.nodes import Nodes

#: A quantiser has at most as many steps.
MOST_STEPS = 1024
# Values per sign and octave, octaves around 1, values in the uniform part. All off the grid of short binary fractions,
# on which much looks like a quantiser.
_PER_OCTAVE, _OCTAVES, _UNIFORM, _REACH = 24, 28, 4096, 10.0
# A sample of a region with many channels has this many values in all.
_MOST_VALUES = 2**23
# What a function may fall between two points, as a share of its largest value on [-1, 1]: the noise of exp and erf.
_NOISE = 2.0**-20
# An inverse falls from here on by a power between these.
_FAR, _LEAST_POWER, _LARGEST_POWER = 2.0**16, 1 / 8, 4


class Curve(Protocol):
    """A function of one variable, perhaps another one for every channel: a `Region`, or whatever else is one."""

    @property
    def channels(self) -> int:
        """How many functions there are: one for every channel, or one."""

    def curve(self, values: Float32) -> Float32:
        """f of `values` `[K, C]`, element by element."""

    def write(self, nodes: Nodes, x: str, output: str) -> str:
        """Write it as standard ONNX behind the tensor `x`; gives the name of the result."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """`monotone`: nowhere falling, so that f(max x) = max f(x)."""

    monotone: bool = True


@dataclass(frozen=True, kw_only=True)
class Relu(Kind):
    """max(x, 0)."""


@dataclass(frozen=True, kw_only=True)
class ClippedRelu(Kind):
    """min(max(x, 0), cap); `cap` is one number, or an array that broadcasts against a sample."""

    cap: float | FloatArray


@dataclass(frozen=True, kw_only=True)
class Identity(Kind):
    """x."""


@dataclass(frozen=True, kw_only=True)
class Affine(Kind):
    """factor·x + shift, of which each is one number, or an array that broadcasts against a sample; no `Identity`, and
    not 0 in all channels."""

    factor: float | FloatArray
    shift: float | FloatArray


@dataclass(frozen=True, kw_only=True)
class Quantiser(Kind):
    """Integer multiples of `step` from `low` to `high` (included, of all channels).

    `step` is one number, or an array that broadcasts against a sample. `nearest`: it is the multiple next to x, of any
    two that are equally near, or the end that x is beyond.
    """

    step: float | FloatArray
    low: int
    high: int
    nearest: bool = False


@dataclass(frozen=True, kw_only=True)
class Other(Kind):
    """None of these. `inverse`: for large x it falls as a power of x does, as 1/x and 1/√(x + ε) do."""

    inverse: bool = False


def kind_of(region: Region) -> Kind:
    """The kind of a region."""
    x = sample_points(region)
    with np.errstate(all="ignore"):  # functions may leave their domain there
        y = region.curve(x).astype(np.float64)
    return _kind(x.astype(np.float64), y, region.rank)


def sample_points(region: Region) -> Float32:
    """Points `[K, C]`, ascending in every channel: both signs of every magnitude, 0, the numbers of the region itself,
    where its pieces are likely to meet, and what is next to these."""
    magnitudes = np.exp2(np.arange(-_OCTAVES * _PER_OCTAVE, _OCTAVES * _PER_OCTAVE) / _PER_OCTAVE + 0.0137)
    uniform = np.linspace(-_REACH, _REACH * 1.00731, _UNIFORM)
    common = np.concatenate([-magnitudes, [0.0, 0.5, 1.0, -0.5, -1.0], magnitudes, uniform])
    common = common[:: max(1, common.size * region.channels // _MOST_VALUES)]
    own = [np.broadcast_to(point, (region.channels,)) for point in _points_of_interest(region)]
    columns = [np.broadcast_to(common[:, None], (common.size, region.channels)), *(point[None] for point in own)]
    points = np.sort(np.concatenate(columns).astype(np.float32), axis=0)
    return points


def _points_of_interest(region: Region) -> Iterator[FloatArray]:
    for number in constant_numbers(region):
        if np.isfinite(number).all() and (np.abs(number) < 2.0**100).all():
            for factor in (1.0, 1 + 2.0**-22, 1 - 2.0**-22, 0.5, 1.5, 3.0, 1e3):
                yield number * factor
                yield -number * factor


def _kind(x: FloatArray, y: FloatArray, rank: int) -> Kind:
    """Of the values y `[K, C]` at the points x."""
    positive, top = np.maximum(x, 0), y[-1]
    monotone = _monotone(x, y)
    if _equal(y, positive, np.abs(x)):
        return Relu()
    if (top > 0).all() and _equal(y, np.minimum(positive, top), np.minimum(np.abs(x), top)):
        return ClippedRelu(cap=_shaped(top, rank))
    if _equal(y, x, np.abs(x)):
        return Identity()
    return _affine(x, y, rank) or _quantiser(x, y, rank, monotone) or Other(monotone=monotone, inverse=_inverse(x, y))


def _equal(found: FloatArray, expected: FloatArray, magnitude: FloatArray) -> bool:
    """To within float32's precision at this magnitude."""
    with np.errstate(invalid="ignore"):
        return bool((np.abs(found - expected) <= TOLERANCE * magnitude).all())


def _monotone(x: FloatArray, y: FloatArray) -> bool:
    if np.isnan(y).any():
        return False
    highest = np.maximum.accumulate(y, axis=0)
    near = np.abs(np.where(np.abs(x) <= 1, y, 0))
    noise = _NOISE * (np.where(np.isfinite(near), near, 0).max(axis=0) + np.abs(highest))
    return bool((y >= highest - np.where(np.isfinite(noise), noise, 0)).all())


def _inverse(x: FloatArray, y: FloatArray) -> bool:
    """Whether f falls to 0, but no faster than a power of x."""
    far = (x[:, 0] >= _FAR).nonzero()[0]
    first, last = y[far[0]], y[far[-1]]
    with np.errstate(all="ignore"):
        power = np.log(last / first) / np.log(x[far[-1]] / x[far[0]])
    return bool((first > 0).all() and ((power < -_LEAST_POWER) & (power > -_LARGEST_POWER)).all())


def _affine(x: FloatArray, y: FloatArray, rank: int) -> Affine | None:
    with np.errstate(invalid="ignore", over="ignore"):
        factor = (y[-1] - y[0]) / (x[-1] - x[0])
    shift = np.take_along_axis(y, np.abs(x).argmin(0)[None], 0)[0]
    if not np.isfinite(factor).all() or not factor.any():
        return None
    if not _equal(y, factor * x + shift, np.abs(factor * x) + np.abs(shift)):
        return None
    return Affine(factor=_shaped(factor, rank), shift=_shaped(shift, rank), monotone=bool((factor >= 0).all()))


def _quantiser(x: FloatArray, y: FloatArray, rank: int, monotone: bool) -> Quantiser | None:
    found = [_step_of(np.unique(channel)) for channel in y.T]
    steps = np.array([0.0 if step is None else step for step in found])
    if any(step is None for step in found) or not steps.any():
        return None
    steps = np.where(steps > 0, steps, steps.max())  # a channel that is always 0
    counts = np.rint(y / steps)
    low, high = int(counts.min()), int(counts.max())
    if high - low > MOST_STEPS:
        return None
    off = np.abs(counts - np.clip(x / steps, low, high))
    nearest = bool((off <= 0.5 + TOLERANCE * (high - low)).all())
    return Quantiser(step=_shaped(steps, rank), low=low, high=high, nearest=nearest, monotone=monotone)


def _step_of(levels: FloatArray) -> float | None:
    """Of which number all `levels`, ascending, are integer multiples; 0 where all are 0, None where there is none."""
    if levels.size > 2 * MOST_STEPS or not np.isfinite(levels).all():
        return None
    largest = float(np.abs(levels).max())
    if largest == 0:
        return 0.0
    apart = np.diff(np.union1d(levels, 0.0))
    step = float(apart[apart > TOLERANCE * largest].min())  # less is how differently the same level was rounded
    step = largest / np.rint(largest / step)
    counts = np.rint(levels / step)
    unit = levels[np.abs(counts) == 1]
    if unit.size and np.array_equal((abs(unit[-1]) * counts).astype(np.float32), levels.astype(np.float32)):
        step = float(abs(unit[-1]))  # exactly the quantiser's own
    return step if (np.abs(levels - step * counts) <= 2 * TOLERANCE * largest).all() else None


def _shaped(values: FloatArray, rank: int) -> float | FloatArray:
    """Values by channel as one number, or in the rank of a sample."""
    found = collapsed(values.reshape(-1, *[1] * (rank - 2)))
    return float(found.reshape(-1)[0]) if found.size == 1 else found
