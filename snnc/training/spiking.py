"""The SNN of a network of quantisers, in torch: what `--method low-latency` makes of it, in floating point.

    V ← V + x;   s = [V >= λ];   V ← V - λ·s        from V = λ/2 on

x is the input of the quantiser, the same in every step for the first; what goes on is λ·s. Biases and batch
normalisation act in every step. The outputs of the last layer are summed: y(T) = 1/T · Σ z(t).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from snnc.training.quantiser import Quantiser
from snnc.training.replacement import quantisers

# Not linear: what they make of spikes is not what they make of activations. Dropout is none, while evaluating.
_REFUSED = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.GELU,
    nn.SiLU,
    nn.Sigmoid,
    nn.Tanh,
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.MaxPool3d,
    nn.AdaptiveMaxPool2d,
    nn.LayerNorm,
    nn.GroupNorm,
)


class Neuron(nn.Module):
    """In the place of a quantiser: one step per call; the state is that of one run over one batch."""

    def __init__(self, threshold: Tensor) -> None:
        super().__init__()
        self.threshold = threshold.detach()
        self.potential: Tensor | None = None
        self.count: Tensor | None = None
        self.calls = 0

    def reset(self) -> None:
        """Before a run."""
        self.potential = self.count = None
        self.calls = 0

    def forward(self, current: Tensor) -> Tensor:
        """The spikes of one step, each worth λ."""
        self.calls += 1
        if self.potential is None or self.count is None:
            self.potential = torch.full_like(current, 0.5) * self.threshold
            self.count = torch.zeros_like(current)
        if self.potential.shape != current.shape:
            raise ValueError(_CALLED_TWICE)
        self.potential = self.potential + current
        spikes = (self.potential >= self.threshold).to(current.dtype)
        self.potential -= spikes * self.threshold
        self.count += spikes
        return spikes * self.threshold


_CALLED_TWICE = "a quantiser is called twice in one pass: give each place of the network a ReLU of its own"


@dataclass(frozen=True)
class SpikingRun:
    """`outputs`: mean of the outputs after 1, 2, ... T steps, [T, N, ...]. `counts`: spikes of each neuron in T
    steps, by the name of the quantiser, in the shape of its activations."""

    outputs: Tensor
    counts: dict[str, Tensor]


class SpikingNetwork:
    """A copy of `network` as it is now, with neurons for quantisers; it evaluates, whatever the network does.

    Between quantisers everything must be linear, a bias aside. Raises ValueError where a module is known not to be.
    """

    def __init__(self, network: nn.Module) -> None:
        found = quantisers(network)
        for name, module in network.named_modules():
            if isinstance(module, _REFUSED):
                raise ValueError(f"{name} is a {type(module).__name__}: between quantisers all must be linear")
        self.network = copy.deepcopy(network).eval()
        self.neurons = {name: Neuron(quantiser.threshold) for name, quantiser in found.items()}
        for place, module in list(self.network.named_modules(remove_duplicate=False)):
            if isinstance(module, Quantiser):
                if place not in self.neurons:
                    raise ValueError(_CALLED_TWICE)
                parent, _, name = place.rpartition(".")
                setattr(self.network.get_submodule(parent), name, self.neurons[place])

    @torch.no_grad()
    def run(self, images: Tensor, steps: int) -> SpikingRun:
        """Run one batch for `steps` steps with the images as constant current."""
        for neuron in self.neurons.values():
            neuron.reset()
        sums: list[Tensor] = []
        for step in range(1, steps + 1):
            output = self.network(images)
            if any(neuron.calls != step for neuron in self.neurons.values()):
                raise ValueError(_CALLED_TWICE)
            sums.append(sums[-1] + output if sums else output)
        counts = {name: neuron.count for name, neuron in self.neurons.items() if neuron.count is not None}
        return SpikingRun(torch.stack([total / (step + 1) for step, total in enumerate(sums)]), counts)
