"""Which samples calibrate, which are held back for verification, and what they may take of the memory."""

from __future__ import annotations

import numpy as np

from snnc.data import DataSet
from snnc.diagnostics import fail

MOST_HELD_BACK = 128
#: What a calibration keeps in memory from batch to batch where nothing else is said, in bytes: images, spike trains.
CALIB_MEMORY = 2**31
_SAMPLES = 512


def image_memory(calib_memory: int) -> int:
    """How much of that the data may take, and how much the samples that are chosen from them; the rest is for spike
    trains. What takes more stays where it is."""
    return calib_memory // 4


def calibration_split(
    data: DataSet, samples: int | None, most_held_back: int = MOST_HELD_BACK
) -> tuple[DataSet, DataSet]:
    """Up to `samples` (512 if None) for calibration, and others to verify on: a fifth of the data, and of what
    calibrates nothing more, `most_held_back` in all.

    Drawn by a fixed permutation, because data may be sorted by class. Synthetic images were made for this
    (`with_held_back`): a third of them is held back.
    """
    if len(data) < 2:
        count = "one sample" if len(data) else "no samples"
        fail("SNN306", f"{data.name} has {count}; one calibrates, one is held back")
    order = np.random.default_rng(0).permutation(len(data))
    share = 5 if data.value_range is None else 3
    held_back = max(1, len(order) // share)
    if most_held_back > MOST_HELD_BACK:
        held_back = max(held_back, len(order) - (samples or _SAMPLES))
    held_back = min(most_held_back, held_back)
    return data.select(order[held_back:][: samples or _SAMPLES]), data.select(order[:held_back])


def with_held_back(samples: int) -> int:
    """How many synthetic images to make so that `samples` calibrate."""
    return samples + min(MOST_HELD_BACK, max(1, samples // 2))
