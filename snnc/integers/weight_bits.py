"""How many bits the integer weights of a layer get.

Rounding changes the current of a layer by its *rounding error*: the root mean square of the change over that of the
current, for independent inputs. A bit more halves it. `auto` takes the fewest bits that keep it below `MOST_ERROR`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np

from snnc.integers.grid import Rounded
from snnc.ir.options import FEWEST_WEIGHT_BITS, MOST_WEIGHT_BITS

MOST_ERROR = 0.01


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
    finest = round_to(MOST_WEIGHT_BITS)
    if finest is None:
        return None
    error = max(rounding_error(finest), MOST_ERROR * 2.0**-MOST_WEIGHT_BITS)
    expected = MOST_WEIGHT_BITS - math.floor(math.log2(MOST_ERROR / error))
    for few in range(max(FEWEST_WEIGHT_BITS, expected - 1), MOST_WEIGHT_BITS):
        rounded = round_to(few)
        if rounded is not None and rounding_error(rounded) <= MOST_ERROR:
            return rounded
    return finest
