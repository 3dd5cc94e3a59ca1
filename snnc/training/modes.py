"""Evaluating for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(network: nn.Module) -> Iterator[nn.Module]:
    """`network` in evaluation mode; afterwards every module has the mode that it had, also those that were frozen."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        yield network.eval()
    finally:
        for module, training in modes:
            module.training = training
