"""Data that were normalised before, and are a second time, as the converted file says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from snnc.data.dataset import DataSet, FloatArray
from snnc.data.preparation import Preparation
from snnc.data.prepare import as_given

# Samples that are looked at; shares of elements beyond the input scale, as given and prepared.
_SAMPLES, _FITS, _EXCEEDS = 64, 0.001, 0.1


def prepared_twice(
    dataset: DataSet, preparation: Preparation, beyond: Callable[[FloatArray], np.ndarray]
) -> tuple[tuple[float, float], float] | None:
    """The range of the values as they were given, and the share of them that exceeds the input scale since they are
    prepared, where it seems that they had been prepared before; else None.

    That takes all three: negative values as they were given, nearly all of them within the input scale, and many
    beyond it since. Raw data that are larger than those of the calibration are so as they were given too, and where
    a preparation changes next to nothing, few values leave the scale by it. `beyond` tells which elements exceed it.
    """
    chosen = np.linspace(0, len(dataset) - 1, min(_SAMPLES, len(dataset))).round().astype(np.int64)
    prepared = dataset.stored[chosen]
    given = as_given(prepared, preparation, dataset.name)
    smallest, share = float(given.min(initial=0)), float(beyond(prepared).mean())
    if smallest >= 0 or share < _EXCEEDS or beyond(given).mean() > _FITS:
        return None
    return (smallest, float(given.max())), share
