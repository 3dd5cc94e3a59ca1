"""How many bits the integer weights of a layer get.

Rounding changes the current of a layer by its *rounding error*: the root mean square of the change over that of the
current, for independent inputs. A bit more halves it, as long as sums have room for it. `auto` takes the fewest bits
that keep it below `MOST_ERROR`, but no fewer than `FASTEST_BITS`: rows of bytes are the fastest ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np

from snnc.integers.grid import Rounded
from snnc.ir.options import MOST_WEIGHT_BITS

MOST_ERROR = 0.01
FASTEST_BITS = 8


def rounding_error(rounded: Rounded) -> float:
    """By how much rounding changes the current of a layer, as a share of it; 0 where there is none."""
    shape = np.broadcast_shapes(rounded.signal.noise.shape, rounded.signal.power.shape, rounded.scale.shape)
    squares = np.square(np.broadcast_to(rounded.scale, shape))
    power = float((rounded.signal.power * squares).sum())
    return math.sqrt(float((rounded.signal.noise * squares).sum()) / power) if power > 0 else 0.0


def round_within(bits: int | Literal["auto"], round_to: Callable[[int], Rounded | None]) -> Rounded | None:
    """What `round_to` gives for so many bits, or for the fewest that will do; None where there is no such grid."""
    if bits != "auto":
        return round_to(bits)
    fewest, most, best = FASTEST_BITS, MOST_WEIGHT_BITS, None
    while fewest < most:
        middle = (fewest + most) // 2
        rounded = round_to(middle)
        if rounded is not None and rounding_error(rounded) <= MOST_ERROR:
            most, best = middle, rounded
        else:
            fewest = middle + 1
    return best if best is not None else round_to(MOST_WEIGHT_BITS)
