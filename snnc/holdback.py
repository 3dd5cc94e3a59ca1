"""Which samples calibrate and which are held back for verification."""

from __future__ import annotations

import numpy as np

from snnc.data import DataSet
from snnc.diagnostics import fail

_MOST_HELD_BACK = 128


def calibration_split(data: DataSet, samples: int) -> tuple[DataSet, DataSet]:
    """Up to `samples` for calibration and up to 128 others.

    Drawn by a fixed permutation, because data may be sorted by class.
    """
    if len(data.images) < 2:
        fail("SNN306", f"{data.name} has {len(data.images)} samples; one calibrates, one is held back")
    order = np.random.default_rng(0).permutation(len(data.images))
    held_back = min(_MOST_HELD_BACK, max(1, len(order) // 5))
    return data.select(order[held_back : held_back + samples]), data.select(order[:held_back])
