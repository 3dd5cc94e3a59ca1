"""Samples that are read when they are asked for, so that there may be more of them than fit into memory."""

from __future__ import annotations

import math
import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.diagnostics import fail
from snnc.scratch import Scratch, read_into, require_space

Array = npt.NDArray[Any]
Places = npt.NDArray[np.int64]


class Rows(ABC):
    """Samples `[S, ...]`: `rows[places]` reads those of a slice or of an array of indices, as an array.

    Attributes:
        shape: `(S, ...)`.
        dtype: of what is read.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __len__(self) -> int:
        """Number of samples."""
        return self.shape[0]

    def __getitem__(self, places: slice | Places) -> Array:
        return self.read(np.arange(len(self))[places])

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def read(self, places: Places) -> Array:
        """The samples at these places, `[len(places), ...]`, in this order; there may be none."""
        return self._read(places) if len(places) else np.empty((0, *self.shape[1:]), self.dtype)

    @abstractmethod
    def _read(self, places: Places) -> Array:
        """The same of one place or more."""


class FileRows(Rows):
    """Samples that lie behind each other in a file, in C order, from `offset` on."""

    def __init__(
        self, source: Path | Scratch, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any], name: str
    ) -> None:
        self.shape, self.dtype, self._offset, self._name = shape, dtype, offset, name
        self._source = source
        if isinstance(source, Scratch):
            self._descriptor = source.descriptor
        else:
            self._descriptor = os.open(source, os.O_RDONLY)
            weakref.finalize(self, os.close, self._descriptor)

    def _read(self, places: Places) -> Array:
        found = np.empty((len(places), *self.shape[1:]), self.dtype)
        size = math.prod(self.shape[1:]) * self.dtype.itemsize
        starts = np.flatnonzero(np.diff(places, prepend=-2) != 1)
        for start, end in zip(starts, [*starts[1:], len(places)], strict=True):
            read_into(self._descriptor, self._offset + int(places[start]) * size, found[start:end], self._truncated)
        return found

    def _truncated(self) -> None:
        fail("SNN301", f"{self._name} is truncated")


class ChosenRows(Rows):
    """Some samples of others, in another order."""

    def __init__(self, rows: Rows, places: Places) -> None:
        self.shape, self.dtype = (len(places), *rows.shape[1:]), rows.dtype
        self._rows, self._places = rows, places

    def _read(self, places: Places) -> Array:
        return self._rows.read(self._places[places])


class JoinedRows(Rows):
    """The samples of several behind each other, all of one shape and dtype."""

    def __init__(self, parts: Sequence[Array | Rows]) -> None:
        self.shape, self.dtype = (sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype
        self._parts = parts

    def _read(self, places: Places) -> Array:
        found, first = np.empty((len(places), *self.shape[1:]), self.dtype), 0
        for part in self._parts:
            chosen = (places >= first) & (places < first + len(part))
            found[chosen] = part[places[chosen] - first]
            first += len(part)
        return found


def too_large(shape: tuple[int, ...], memory: int | None) -> bool:
    """Whether samples of this shape take more than `memory` bytes as float32; None is no limit."""
    return memory is not None and 4 * math.prod(shape) > memory


def unpacked(batches: Iterable[Array], name: str) -> FileRows:
    """A temporary file with the samples of all `batches` `[N, ...]`; SNN303 where they are of several shapes or dtypes,
    SNN306 where there are none, SNN412 where the disk is full."""
    scratch, first, samples = Scratch(), None, 0
    for batch in batches:
        if first is None:
            first = batch
        if batch.ndim == 0 or batch.shape[1:] != first.shape[1:] or batch.dtype != first.dtype:
            fail("SNN303", f"{name}: batches of {_kind(first)} and of {_kind(batch)}")
        require_space(batch.nbytes, name)
        scratch.append(batch)
        samples += len(batch)
    if first is None or not samples:
        fail("SNN306", f"{name} has no samples")
    return FileRows(scratch, 0, (samples, *first.shape[1:]), first.dtype, name)


def _kind(batch: Array) -> str:
    return f"shape {batch.shape}, {batch.dtype}"
