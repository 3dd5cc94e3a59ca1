"""Where the spike trains of a calibration are kept: in memory while they may take more of it, else in temporary files.

A train comes and is read in pieces (a block of steps of a batch of samples), always whole ones, so that nothing depends
on where they lie. Every train has a file of its own, so that forgetting it gives its space back.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snnc.diagnostics import InternalError
from snnc.scratch import Scratch, read_into, require_space, text_of


@dataclass(frozen=True)
class _Place:
    """A piece in a file."""

    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass
class _Train:
    pieces: list[np.ndarray | _Place] = field(default_factory=list)
    in_memory: int = 0
    file: Scratch | None = None


class TrainStorage:
    """Trains by name. Those in memory take at most `memory` bytes (None: no limit)."""

    def __init__(self, memory: int | None = None) -> None:
        self._memory = math.inf if memory is None else max(0, memory)
        self._used = 0
        self._trains: dict[str, _Train] = {}

    def require_space(self, lives: Iterable[tuple[str, int]]) -> None:
        """SNN412 where the disk is too small for what is to come: (name, bytes) of every train in the order in which
        they come, with 0 bytes where it is forgotten."""
        kept: dict[str, tuple[int, int]] = {}
        most_on_disk = most = 0
        for name, size in lives:
            kept.pop(name, None)
            if size:
                room = max(0, self._memory - sum(in_memory for in_memory, _ in kept.values()))
                in_memory = min(size, int(min(room, size)))
                kept[name] = in_memory, size - in_memory
            most_on_disk = max(most_on_disk, sum(on_disk for _, on_disk in kept.values()))
            most = max(most, sum(map(sum, kept.values())))
        if most_on_disk:
            require_space(most_on_disk, f"the spike trains of the calibration take up to {text_of(most)}")

    def append(self, name: str, piece: np.ndarray) -> None:
        """Keep the next piece of a train."""
        train = self._trains.setdefault(name, _Train())
        if self._used + piece.nbytes <= self._memory:
            train.pieces.append(piece)
            train.in_memory += piece.nbytes
            self._used += piece.nbytes
            return
        if train.file is None:
            train.file = Scratch()
        train.pieces.append(_Place(train.file.append(piece), piece.shape, piece.dtype))

    def read(self, name: str, index: int) -> np.ndarray:
        """The piece of a train that was kept as the `index`-th."""
        train = self._trains[name]
        piece = train.pieces[index]
        if not isinstance(piece, _Place):
            return piece
        assert train.file is not None
        found = np.empty(piece.shape, piece.dtype)
        read_into(train.file.descriptor, piece.start, found, _truncated)
        return found

    def forget(self, name: str) -> None:
        """Free what a train takes."""
        train = self._trains.pop(name, None)
        if train is not None:
            self._used -= train.in_memory
            if train.file is not None:
                train.file.close()


def _truncated() -> None:
    raise InternalError("calibrate", "a temporary file of spike trains is truncated")
