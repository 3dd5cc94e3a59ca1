"""Synthetic images, for calibration where there is no data: smooth random fields over the range of the input.

    z = a coarse field of normal numbers, blown up four times along the plane, plus 0.3 of a fine one
    x = clip(middle + half the range · (z - mean z) / sd z / 2, range),  mean and sd over each image

The channel axis is the first one (the last, where that one is smaller) and stays independent. An input without a plane
gets normal numbers as z. A network's layers get sums of the kind that images give; what the images show does not matter
to thresholds.
"""

from __future__ import annotations

import re

import numpy as np

from snnc.data.dataset import DataSet
from snnc.diagnostics import fail

_COARSER = 4
_FINE_SHARE = 0.3
_DEVIATIONS_IN_HALF_RANGE = 2.0


def synthetic_seed(spec: object) -> int | None:
    """The seed in `synthetic[:SEED]`; None for any other DATA. SNN301 if SEED is no number."""
    if not isinstance(spec, str) or spec.partition(":")[0] != "synthetic":
        return None
    if spec == "synthetic":
        return 0
    if not re.fullmatch(r"synthetic:\d{1,9}", spec):
        fail("SNN301", f"the seed in {spec!r} is not a number from 0 to 999999999 (a file of this name: ./synthetic)")
    return int(spec.partition(":")[2])


def synthetic(shape: tuple[int, ...], samples: int, limits: tuple[float, float], seed: int) -> DataSet:
    """`samples` images of `shape` (without the batch axis) with values in `limits`. Each depends on seed and place."""
    # RandomState is frozen by numpy; the numbers of default_rng may change between versions.
    images = np.empty((samples, *shape), np.float32)
    for place in range(samples):
        images[place] = _image(shape, limits, np.random.RandomState([seed, place]))
    return DataSet(images, None, f"synthetic:{seed}", value_range=limits)


def _image(shape: tuple[int, ...], limits: tuple[float, float], random: np.random.RandomState) -> np.ndarray:
    field = random.normal(size=shape)
    if len(shape) > 1 and field.size > 1:
        channel = 0 if shape[0] <= shape[-1] else len(shape) - 1
        coarse = [size if axis == channel else -(-size // _COARSER) for axis, size in enumerate(shape)]
        blown_up = random.normal(size=coarse)
        for axis, size in enumerate(shape):
            if axis != channel:
                blown_up = np.repeat(blown_up, _COARSER, axis=axis).take(range(size), axis=axis)
        field = blown_up + _FINE_SHARE * field
        field = (field - field.mean()) / field.std()
    low, high = limits
    values = (low + high) / 2 + field * (high - low) / 2 / _DEVIATIONS_IN_HALF_RANGE
    return np.asarray(np.clip(values, low, high), np.float32)
