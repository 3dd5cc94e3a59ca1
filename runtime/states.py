"""The states that a file of the schedule `stream` carries from block to block (docs/format.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import onnxruntime

#: Steps.
LONGEST_BLOCK = 64


@dataclass(frozen=True)
class State:
    """An entry of `snnc.states`: `next` is the output with the value after a block or a sweep, `output` is set for
    totals. The next value of one that is `in_place` may be written over it."""

    name: str
    next: str
    dtype: str
    dims: list[int]
    initial: Any
    output: str = ""
    what: str = ""
    in_place: bool = False

    def start(self, samples: int) -> np.ndarray:
        """`[samples, *dims]` before the first step."""
        full: np.ndarray = np.broadcast_to(np.asarray(self.initial, self.dtype), (samples, *self.dims)).copy()
        return full


def read_states(session: onnxruntime.InferenceSession) -> list[State]:
    """The states of the file in a session."""
    known = [field.name for field in fields(State)]
    entries = json.loads(session.get_modelmeta().custom_metadata_map["snnc.states"])
    return [State(**{name: entry[name] for name in known if name in entry}) for entry in entries]
