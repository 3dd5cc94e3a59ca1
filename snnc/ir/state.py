"""What a layer carries from block to block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

#: What a state of a layer is: the spikes so far are those that a neuron fired, the input count those that a pool or a
#: product got (of its first input; a second one has its own).
What = Literal["", "membrane potential", "spike count", "input count", "second input count", "entered charge", "charge"]


@dataclass(frozen=True)
class State:
    """A tensor carried from block to block: `[N, *dims]` of `dtype`, starting at `initial` (broadcast).

    `layer` is the node whose state it is, and `what` it is there; `output` the output of the network that its last
    value is, or "". In graded networks the channels may be the last axis (`channels_last`), and the next value may be
    written over the one before (`in_place`).
    """

    name: str
    next_name: str
    dtype: str
    dims: tuple[int, ...]
    initial: Any = 0
    layer: str = ""
    output: str = ""
    what: What = ""
    channels_last: bool = False
    in_place: bool = False

    def start(self, batch: int) -> np.ndarray:
        """The state before the first step."""
        full = np.broadcast_to(np.asarray(self.initial, self.dtype), (batch, *self.dims))
        return np.ascontiguousarray(full)
