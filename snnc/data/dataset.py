"""What the readers give (`Source`), and what the rest of the compiler gets (`DataSet`)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from snnc.data.preparation import Preparation
from snnc.data.rows import Array, ChosenRows, Rows, too_large
from snnc.diagnostics import fail

FloatArray = npt.NDArray[np.float32]
LabelArray = npt.NDArray[np.int64]
#: What is looked through at once, of samples that are not in memory.
PIECE_BYTES = 2**24


@dataclass(frozen=True, eq=False)
class Source:
    """Data as stored: images `[S, ...]` of any dtype and layout, labels of any kind.

    `white` is the value that stands for 1.0 where the format defines one (digits: 16); None: decided by the
    dtype.
    """

    images: Array | Rows
    labels: Array | None
    name: str
    notes: tuple[str, ...] = ()
    white: float | None = None


@dataclass(frozen=True)
class Survey:
    """What one walk through all samples finds: the smallest and the largest value, and the hash of the content."""

    smallest: float
    largest: float
    sha256: str


@dataclass(frozen=True, eq=False)
class DataSet:
    """Samples ready for a network: finite, in its input shape, on its scale.

    `stored` is float32 `[S, ...]`, S >= 1: an array, or what reads the samples piece by piece. `labels` are int64
    `[S]`, none negative, or None. `notes` says in plain words what was guessed on the way. `value_range` is that of
    synthetic images, None for real ones.
    `label_problem` says why there are no labels where some were given that are no classes, such as the targets of a
    regression.
    `preparation` is what was said of the stored data and has been done to them; None where nobody knows.
    """

    stored: FloatArray | Rows
    labels: LabelArray | None
    name: str
    notes: tuple[str, ...] = ()
    value_range: tuple[float, float] | None = None
    preparation: Preparation | None = None
    label_problem: str = ""
    _survey: list[Survey] = field(default_factory=list, init=False, repr=False)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.stored)

    @property
    def images(self) -> FloatArray:
        """All samples, in memory."""
        return self.stored[:] if isinstance(self.stored, Rows) else self.stored

    def select(self, samples: slice | npt.NDArray[np.int64]) -> DataSet:
        """The data set of these samples alone, in this order."""
        labels = None if self.labels is None else self.labels[samples]
        if isinstance(self.stored, Rows):
            return replace(self, stored=ChosenRows(self.stored, np.arange(len(self))[samples]), labels=labels)
        return replace(self, stored=self.stored[samples], labels=labels)

    def within(self, memory: int | None) -> DataSet:
        """The same samples, in memory if they take no more than so many bytes there (None: in any case)."""
        return self if too_large(self.stored.shape, memory) else replace(self, stored=self.images)

    def survey(self, progress: Callable[[float], None] = lambda share: None) -> Survey:
        """Look all samples through, when it is asked for first; SNN304 where samples that had not been read yet are not
        finite."""
        if not self._survey:
            self._survey.append(self._look_through(progress))
        return self._survey[0]

    def content_hash(self) -> str:
        """SHA-256 of shapes, images and labels, in hexadecimal; the same on every machine."""
        return self.survey().sha256

    def _look_through(self, progress: Callable[[float], None]) -> Survey:
        digest = hashlib.sha256(f"{self.stored.shape}<f4".encode())
        smallest, largest, first_wrong, wrong = math.inf, -math.inf, "", 0
        for start, piece in self._pieces():
            digest.update(np.ascontiguousarray(piece, dtype="<f4").data)
            smallest, largest = min(smallest, float(piece.min())), max(largest, float(piece.max()))
            if isinstance(self.stored, Rows):
                finite = np.isfinite(piece)
                if not wrong and not finite.all():
                    sample, *place = (int(index) for index in np.unravel_index(int(finite.argmin()), piece.shape))
                    first_wrong = f"the first in sample {start + sample} at {place}"
                wrong += piece.size - int(np.count_nonzero(finite))
            progress((start + len(piece)) / len(self))
        if wrong:
            total = math.prod(self.stored.shape)
            fail("SNN304", f"{self.name}: {wrong} of {total} values are not finite; {first_wrong}")
        if self.labels is not None:
            digest.update(f"{self.labels.shape}<i8".encode())
            digest.update(np.ascontiguousarray(self.labels, dtype="<i8").data)
        return Survey(smallest, largest, digest.hexdigest())

    def _pieces(self) -> Iterator[tuple[int, FloatArray]]:
        size = max(1, PIECE_BYTES // max(1, 4 * math.prod(self.stored.shape[1:])))
        for start in range(0, len(self), size):
            yield start, self.stored[start : start + size]


def check_labels(dataset: DataSet, classes: int) -> LabelArray:
    """The labels, all in `0 .. classes - 1`. SNN305 if there are none or one is too large."""
    if dataset.labels is None:
        if dataset.label_problem:
            fail("SNN305", dataset.label_problem)
        fail("SNN305", f"{dataset.name} has no labels, and accuracy needs them")
    largest = int(dataset.labels.max())
    if largest >= classes:
        sample = int(dataset.labels.argmax())
        fail(
            "SNN305",
            f"{dataset.name}: sample {sample} has the label {largest}, the network has {classes} outputs",
        )
    return dataset.labels
