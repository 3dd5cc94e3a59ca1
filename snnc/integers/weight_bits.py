"""How many bits the integer weights of a layer get.

Rounding changes the current of a layer by its *rounding error*: the root mean square of the change over that of the
current, for independent inputs. What it does to a bias comes in every step, whether inputs spike or not: that is
compared with the current of inputs of a low rate. A bit more halves the error, as long as sums have room for it.

Such errors are independent, so the squares of those of layers in a row add up. `auto` takes the fewest bits at which
they amount to no more than `MOST_ERROR` behind the last layer, each with an equal share, but no fewer than
`FASTEST_BITS`: rows of bytes are the fastest ones.
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
# Spikes per step and neuron where there are few of them, and what rounding does to a number: its variance.
LOW_RATE = 1 / 32
_ROUNDING = 1 / 12


def rounding_error(rounded: Rounded) -> float:
    """By how much rounding changes the current of a layer, as a share of it; 0 where there is none."""
    shape = np.broadcast_shapes(rounded.signal.noise.shape, rounded.signal.power.shape, rounded.scale.shape)
    squares = np.square(np.broadcast_to(rounded.scale, shape))
    power = float((rounded.signal.power * squares).sum())
    biased = not rounded.own and any(weights.bias is not None for weights in rounded.weights.values())
    noise = rounded.signal.noise + (_ROUNDING / LOW_RATE**2 if biased else 0.0)
    return math.sqrt(float((noise * squares).sum()) / power) if power > 0 else 0.0


def error_share(depth: int) -> float:
    """The rounding error that each of `depth` layers in a row may have."""
    return MOST_ERROR / math.sqrt(max(depth, 1))


def round_within(
    bits: int | Literal["auto"], round_to: Callable[[int], Rounded | None], most_error: float
) -> Rounded | None:
    """What `round_to` gives for so many bits, or for the fewest that keep the rounding error within `most_error`; None
    where there is no such grid."""
    if bits != "auto":
        return round_to(bits)
    fewest, most, best = FASTEST_BITS, MOST_WEIGHT_BITS, None
    while fewest < most:
        middle = (fewest + most) // 2
        rounded = round_to(middle)
        if rounded is not None and rounding_error(rounded) <= most_error:
            most, best = middle, rounded
        else:
            fewest = middle + 1
    return best if best is not None else round_to(MOST_WEIGHT_BITS)
