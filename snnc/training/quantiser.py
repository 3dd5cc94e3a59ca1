"""The activation that a spiking neuron computes in L steps, trainable: QCFS (Bu et al., ICLR 2022), with noise.

    y = λ · floor(L · clip(x/λ, 0, 1) + 1/2) / L                     while evaluating
    y = λ · floor(L · clip(x/λ, 0, 1) + 1/2) / L - σ · ε,  ε ~ N(0, 1)    while training

λ is the threshold, learned with the weights. σ is the standard deviation of what the SNN leaves of y (Huang et al.,
Explicit Modelling of Residual Error in ANNs), measured by `snnc.training.residual`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

#: As in the paper, for inputs that batch normalisation has scaled.
THRESHOLD = 8.0
LEVELS = 4


class Quantiser(nn.Module):
    """Activations as multiples of λ/L from 0 to λ, with L = `levels`.

    `threshold`: λ in units of the activations, one for the layer. `deviation`: σ in the same units, 0 until it is set;
    it is subtracted while training if `noisy`. Raises ValueError for no levels or a threshold that is not positive.
    """

    threshold: nn.Parameter
    deviation: Tensor

    def __init__(self, levels: int = LEVELS, threshold: float = THRESHOLD, noisy: bool = False) -> None:
        super().__init__()
        if levels < 1:
            raise ValueError(f"a quantiser has at least one level, not {levels}")
        if not threshold > 0:
            raise ValueError(f"the threshold must be positive, not {threshold}")
        self.levels = levels
        self.noisy = noisy
        self.threshold = nn.Parameter(torch.tensor(float(threshold)))
        self.register_buffer("deviation", torch.tensor(0.0))

    def forward(self, x: Tensor) -> Tensor:
        """Element by element, in the shape of x."""
        if not self.training:
            return self.threshold * quantised(x / self.threshold, self.levels)
        y: Tensor = _StraightThrough.apply(x, self.threshold, self.levels)  # type: ignore[no-untyped-call]
        return torch.addcmul(y, torch.randn_like(y), self.deviation, value=-1) if self.noisy else y

    def extra_repr(self) -> str:
        """For `print(network)`."""
        noise = ", noisy" if self.noisy else ""
        return f"levels={self.levels}, threshold={self.threshold.item():g}{noise}"


def quantised(ratio: Tensor, levels: int) -> Tensor:
    """floor(L · clip(r, 0, 1) + 1/2) / L: the operators that a file of the network has, in their order."""
    return torch.floor(torch.clamp(ratio, 0, 1) * levels + 0.5) / levels


class _StraightThrough(torch.autograd.Function):
    """λ · quantised(x/λ), whose floor counts as the identity in the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, threshold: Tensor, levels: int) -> Tensor:
        y = threshold * quantised(x / threshold, levels)
        ctx.save_for_backward(x, threshold, y)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        return *gradients(gradient, *ctx.saved_tensors), None


def gradients(gradient: Tensor, x: Tensor, threshold: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Of x and of λ, from that of y = λ · q. With r = x/λ:

    dy/dx = [0 <= r <= 1],   dy/dλ = q - r · [0 <= r <= 1]
    """
    passed = torch.where((x >= 0) & (x <= threshold), gradient, 0)
    return passed, ((gradient * y).sum() - (passed * x).sum()) / threshold
