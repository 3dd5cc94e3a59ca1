"""ReLUs of any torch module become quantisers."""

from __future__ import annotations

from torch import nn

from snnc.training.quantiser import LEVELS, THRESHOLD, Quantiser


def replace_relus(
    network: nn.Module, *, levels: int = LEVELS, threshold: float = THRESHOLD, noisy: bool = False
) -> list[str]:
    """Put a `Quantiser` in the place of every `nn.ReLU` within the network; gives the names of these places.

    A ReLU that stands at two places becomes two quantisers. Quantisers are made where the network's parameters are.
    Raises ValueError if there is no ReLU: `torch.nn.functional.relu` cannot be replaced.
    """
    places = [name for name, module in network.named_modules(remove_duplicate=False) if isinstance(module, nn.ReLU)]
    if not places or places == [""]:
        raise ValueError("the network has no nn.ReLU to replace; calls of torch.nn.functional.relu are not seen")
    some_parameter = next(network.parameters(), None)
    for place in places:
        quantiser = Quantiser(levels, threshold, noisy)
        if some_parameter is not None:
            quantiser.to(some_parameter.device)
        parent, _, name = place.rpartition(".")
        setattr(network.get_submodule(parent), name, quantiser)
    return places


def quantisers(network: nn.Module) -> dict[str, Quantiser]:
    """All of the network by name, in the order in which they were registered. ValueError if there is none."""
    found = {name: module for name, module in network.named_modules() if isinstance(module, Quantiser)}
    if not found:
        raise ValueError("the network has no quantisers: call replace_relus first")
    return found
