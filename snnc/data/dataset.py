"""What the readers give (`Source`), and what the rest of the compiler gets (`DataSet`)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.data.preparation import Preparation
from snnc.diagnostics import fail

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float32]
LabelArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Source:
    """Data as stored: images `[S, ...]` of any dtype and layout, labels of any kind.

    `white` is the value that stands for 1.0 where the format defines one (digits: 16); None: decided by the
    dtype.
    """

    images: Array
    labels: Array | None
    name: str
    notes: tuple[str, ...] = ()
    white: float | None = None


@dataclass(frozen=True, eq=False)
class DataSet:
    """Samples ready for a network: finite, in its input shape, on its scale.

    `images` is float32 `[S, ...]`, S >= 1; `labels` int64 `[S]`, none negative, or None. `notes` says in
    plain words what was guessed on the way. `value_range` is that of synthetic images, None for real ones.
    `preparation` is what was said of the stored data and has been done to them; None where nobody knows.
    """

    images: FloatArray
    labels: LabelArray | None
    name: str
    notes: tuple[str, ...] = ()
    value_range: tuple[float, float] | None = None
    preparation: Preparation | None = None

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.images)

    def select(self, samples: slice | npt.NDArray[np.int64]) -> DataSet:
        """The data set of these samples alone, in this order."""
        labels = None if self.labels is None else self.labels[samples]
        return replace(self, images=self.images[samples], labels=labels)

    def content_hash(self) -> str:
        """SHA-256 of shapes, images and labels, in hexadecimal; the same on every machine."""
        digest = hashlib.sha256()
        for array, dtype in ((self.images, "<f4"), (self.labels, "<i8")):
            if array is not None:
                digest.update(f"{array.shape}{dtype}".encode())
                digest.update(np.ascontiguousarray(array, dtype=dtype).data)
        return digest.hexdigest()


def check_labels(dataset: DataSet, classes: int) -> LabelArray:
    """The labels, all in `0 .. classes - 1`. SNN305 if there are none or one is too large."""
    if dataset.labels is None:
        fail("SNN305", f"{dataset.name} has no labels, and accuracy needs them")
    largest = int(dataset.labels.max())
    if largest >= classes:
        sample = int(dataset.labels.argmax())
        fail(
            "SNN305",
            f"{dataset.name}: sample {sample} has the label {largest}, the network has {classes} outputs",
        )
    return dataset.labels
