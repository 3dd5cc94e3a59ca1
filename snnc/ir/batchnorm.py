"""Batch normalization at inference, γ·(x - μ)/√(σ² + ε) + β by channel, and what keeps a node from being it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.graph import constant
from snnc.ir.signal import FloatArray

_DEFAULT_EPSILON = 1e-5
_PARAMETERS = ("scale", "bias", "mean", "variance")


@dataclass(frozen=True)
class Objection:
    """Why a node cannot be taken for an affine function: rule, message, and a hint, "" for that of the rule."""

    rule: str
    message: str
    hint: str = ""


def objection(node: gs.Node) -> Objection | None:
    """What is wrong with a `BatchNormalization`; None where it is an affine function of each channel."""
    if node.attrs.get("training_mode", 0) or len(node.outputs) > 1:
        message = "it is in training mode: it normalizes by the batch that it gets"
        return Objection("SNN202", message, "export the network in inference mode (`model.eval()` in PyTorch)")
    parameters = [constant(node, index) for index in range(1, 5)]
    computed = [name for name, value in zip(_PARAMETERS, parameters, strict=True) if value is None]
    if computed:
        return Objection("SNN206", f"its {computed[0]} is computed, not constant")
    channels = node.inputs[0].shape[1]
    for name, value in zip(_PARAMETERS, parameters, strict=True):
        if value is None or value.shape != (channels,):
            return Objection("SNN207", f"its {name} is not one number for each channel")
        if not np.isfinite(value).all():
            return Objection("SNN208", f"its {name} is not finite")
    variance = np.asarray(parameters[3])
    if variance.min() + node.attrs.get("epsilon", _DEFAULT_EPSILON) <= 0:
        message = f"the variance of channel {int(variance.argmin())} is {variance.min():.3g}: it has no square root"
        return Objection("SNN208", message, "look at the training, or at what the export made of the running variance")
    return None


def factor_and_shift(node: gs.Node) -> tuple[FloatArray, FloatArray]:
    """a and b of a·x + b, float64 `[C]`, of a node to which there is no objection."""
    gamma, beta, mean, variance = (np.asarray(constant(node, index), np.float64) for index in range(1, 5))
    factor = gamma / np.sqrt(variance + node.attrs.get("epsilon", _DEFAULT_EPSILON))
    return factor, beta - mean * factor
