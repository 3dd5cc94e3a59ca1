"""How large integers may become where they are added up, so that no sum is ever inexact and no potential overflows."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from snnc.integers.grid import Limits
from snnc.ir.domain import BLOCK_STEPS

EXACT_FLOAT32 = 2**24
EXACT_FLOAT64 = 2**53
INT32 = 2**31
# Weights of readouts are packed in 32 bits; more of them than a few decimal digits carries nothing.
_READOUT_WEIGHT = 2.0**20


def sum_limit(max_steps: int) -> float:
    """The largest current of one step with which no membrane potential leaves int32.

    After `max_steps` steps a potential is at most max_steps currents away from where it started; it starts within one
    current of 0 (θ/2, and thresholds are kept below two currents), and the next current is added before it is compared.
    """
    return (INT32 - 1) / (max_steps + 2)


def tree_limit(root: gs.Tensor, max_steps: int, *, readout: bool) -> Limits:
    """What the grid of the tree under `root` must keep."""
    if not readout:
        return Limits(min(sum_limit(max_steps), float(EXACT_FLOAT32)))
    return Limits(EXACT_FLOAT64 / BLOCK_STEPS, _READOUT_WEIGHT, _READOUT_WEIGHT)
