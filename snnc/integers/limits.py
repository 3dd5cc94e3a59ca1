"""How large integers may become where they are added up, so that no sum is ever inexact and no potential overflows."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from snnc.integers.grid import Limits
from snnc.ir.domain import BLOCK_STEPS
from snnc.ir.trees import largest_total

EXACT_FLOAT32 = 2**24
EXACT_FLOAT64 = 2**53
INT32 = 2**31
INT64 = 2**63
# What a neuron may have at the start: potentials move by as much again at least.
LARGEST_CHARGE = 2**29
# Weights of readouts are packed in 32 bits; more of them than a few decimal digits carries nothing.
_READOUT_WEIGHT = 2.0**20


def reach(root: gs.Tensor, max_steps: int) -> int:
    """How many currents of one step a potential can be away from where it started.

    Spikes bring it back towards 0, so there is one for each step. Where all that ever comes is bounded, the charge is,
    and so is what spikes have taken from it: they answer to a charge that was there.
    """
    total = largest_total(root)
    return max_steps if total is None else min(max_steps, 2 * total)


def sum_limit(currents: int, *, charged: bool = False) -> float:
    """The largest current of one step with which no membrane potential leaves int32.

    A potential is at most so many `currents` away from where it started (`reach`); it starts within one current of 0
    (θ/2, and thresholds are kept below two currents), and from its charge where it is `charged`; and the next current
    is added before it is compared.
    """
    return (INT32 - 1 - (LARGEST_CHARGE if charged else 0)) / (currents + 2)


def tree_limit(root: gs.Tensor, max_steps: int, bits: int, *, readout: bool, charged: bool = False) -> Limits:
    """What the grid of the tree under `root` must keep, with weights of so many `bits`, which those of readouts are not
    bound to; `charged`: what reads it has a charge from the start."""
    if not readout:
        exact = float(EXACT_FLOAT32)
        return Limits(min(sum_limit(reach(root, max_steps), charged=charged), exact), exact, 2.0 ** (bits - 1) - 1)
    exact = EXACT_FLOAT64 / BLOCK_STEPS
    return Limits(min(INT64 / max(1, reach(root, max_steps)), exact), exact, _READOUT_WEIGHT, _READOUT_WEIGHT)
