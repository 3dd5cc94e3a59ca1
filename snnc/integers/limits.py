"""How large the sums of a layer may get so that every number in a simulation is an exact integer."""

from __future__ import annotations

from snnc.ir.domain import BLOCK_STEPS

#: float32 holds every integer below this magnitude.
EXACT_FLOAT32 = 2**24
#: Membrane potentials are int32: magnitudes below this.
INT32 = 2**31
# V(0) is at most half a threshold. A threshold is at most the largest sum of the layer, before it is rounded up to an
# even integer: two sums more than the steps of a simulation leave room for it.
_SUMS_OF_V_INIT = 2


def largest_sum(max_steps: int, *, readout: bool) -> float:
    """What the magnitude of a layer's weighted input sum must stay below in every step.

    No potential leaves int32 in `max_steps` steps, and every sum is exact in float32. A `readout` sums the spikes of a
    block before it multiplies.
    """
    steps_at_once = BLOCK_STEPS if readout else 1
    return min((INT32 - 1) / (max_steps + _SUMS_OF_V_INIT), EXACT_FLOAT32 / steps_at_once)
