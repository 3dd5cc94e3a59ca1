"""The residual error of the SNN, layer by layer, and noise as large in training.

gap_l = y_l - λ_l · n_l / T        y_l: quantiser of the ANN without noise,  n_l: its spikes in T steps
σ_l   = sqrt(mean over batches of Var(gap_l))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from snnc.training.modes import evaluating
from snnc.training.replacement import quantisers
from snnc.training.spiking import SpikingNetwork


class ResidualNoise:
    """Sets σ of all quantisers; call `update` after each epoch.

    `batches`: input batches held out of the training data, read anew at each update. `steps`: T of the SNN, the number
    of steps for which the network is trained.
    """

    def __init__(self, network: nn.Module, batches: Iterable[Tensor], steps: int) -> None:
        self.network, self.batches, self.steps = network, batches, steps

    def update(self) -> dict[str, Tensor]:
        """Measure and set σ; gives it by the name of the quantiser, in units of its activations."""
        deviations = residual_deviations(self.network, self.batches, self.steps)
        for name, quantiser in quantisers(self.network).items():
            quantiser.deviation.copy_(deviations[name])
        return deviations


@torch.no_grad()
def residual_deviations(network: nn.Module, batches: Iterable[Tensor], steps: int) -> dict[str, Tensor]:
    """σ by the name of the quantiser, scalars where the network is. ValueError if there are no batches."""
    spiking = SpikingNetwork(network)
    found = quantisers(network)
    variances: dict[str, list[Tensor]] = {name: [] for name in found}
    for batch in batches:
        activations = record_activations(network, batch)
        counts = spiking.run(batch, steps).counts
        for name, quantiser in found.items():
            gap = activations[name] - quantiser.threshold * counts[name] / steps
            variances[name].append(gap.var(correction=0))
    if not all(variances.values()):
        raise ValueError("there are no batches to measure the residual error on")
    return {name: torch.stack(of_batches).mean().sqrt() for name, of_batches in variances.items()}


@torch.no_grad()
def record_activations(network: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """What every quantiser gives while evaluating, that is, without noise; the network's mode is left as it is."""
    recorded: dict[str, Tensor] = {}

    def recorder(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def record(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
            recorded[name] = output

        return record

    hooks = [module.register_forward_hook(recorder(name)) for name, module in quantisers(network).items()]
    try:
        with evaluating(network):
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return recorded
