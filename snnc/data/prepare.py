"""From data as stored (`Source`) to data as the network wants it (`DataSet`).

In this order: labels, dtype, shape and layout, conversion to float32, scale, mean and standard deviation,
finiteness. Images stay in their stored dtype (usually uint8) for as long as possible, since float32 takes
four times the memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from snnc.data.dataset import DataSet, FloatArray, LabelArray, Source
from snnc.data.preparation import Preparation
from snnc.data.rows import Array, Places, Rows, too_large
from snnc.data.shapes import Shape, fit_to_input
from snnc.diagnostics import DiagnosticError, fail

_UNSCALED = "taken as they are"


def prepare(source: Source, input_shape: Shape | None, preparation: Preparation, memory: int | None = None) -> DataSet:
    """The samples of `source` in the network's `input_shape` (without the batch axis; None: as stored).

    Where they would take more than `memory` bytes, they are prepared whenever they are read; that they are finite is
    found out by `DataSet.survey` then.
    """
    images = source.images if isinstance(source.images, Rows) else np.asarray(source.images)
    _check_images(images, source.name)
    labels, label_notes, problem = _labels(source, len(images))
    notes = (*source.notes, *label_notes)
    if too_large(images.shape, memory):
        rows = PreparedRows(images, source, input_shape, preparation)
        return DataSet(rows, labels, source.name, (*notes, *rows.notes), None, preparation, problem)
    values, value_notes = _to_values(images[:], source, input_shape, preparation)
    _check_finite(values, source.name)
    return DataSet(values, labels, source.name, (*notes, *value_notes), None, preparation, problem)


class PreparedRows(Rows):
    """Samples that are prepared when they are read. `notes` says what was guessed, as far as the first one tells."""

    def __init__(
        self, stored: Array | Rows, source: Source, input_shape: Shape | None, preparation: Preparation
    ) -> None:
        self._stored, self._source = stored, source
        self._input_shape, self._preparation = input_shape, preparation
        sample, notes = _to_values(stored[:1], source, input_shape, preparation)
        self.shape, self.dtype = (len(stored), *sample.shape[1:]), sample.dtype
        # The range of all values is not known.
        self.notes = [note for note in notes if not note.endswith(_UNSCALED)]
        if stored.dtype.kind in "ui" and self.notes != notes:
            self.notes.append(f"{stored.dtype} values {_UNSCALED}")

    def _read(self, places: Places) -> Array:
        return _to_values(self._stored[places], self._source, self._input_shape, self._preparation)[0]


def _to_values(
    images: Array, source: Source, input_shape: Shape | None, preparation: Preparation
) -> tuple[FloatArray, list[str]]:
    """A new float32 array of some samples of `source`, and what was guessed."""
    fitted, shape_notes = fit_to_input(images, input_shape, preparation.layout, source.name)
    values, scale_notes = _to_float(fitted, source.white, preparation.scale)
    _normalise(values, preparation, source.name)
    return values, [*shape_notes, *scale_notes]


def _check_images(images: Array | Rows, name: str) -> None:
    if images.dtype.kind not in "buif":
        fail("SNN303", f"{name}: images are of dtype {images.dtype}")
    if images.ndim == 0:
        fail("SNN302", f"{name} is a single number, not an array of samples")
    if images.size == 0:
        fail("SNN306", f"{name} has no samples (its shape is {images.shape})")


def _labels(source: Source, samples: int) -> tuple[LabelArray | None, list[str], str]:
    """The labels, what was guessed, and why there are none where they are no classes: who needs them says so."""
    if source.labels is not None and np.ndim(source.labels) > 0 and len(source.labels) == samples:
        try:
            return *_to_labels(source.labels, samples, source.name), ""
        except DiagnosticError as error:
            problem = error.diagnostics[0].message
            return None, ["labels are not used: they are no classes"], problem
    return *_to_labels(source.labels, samples, source.name), ""


def _to_labels(labels: Array | None, samples: int, name: str) -> tuple[LabelArray | None, list[str]]:
    """Labels as int64 `[S]`. Columns `[S, 1]`, one-hot rows `[S, K]` and whole floats are accepted."""
    if labels is None:
        return None, []
    labels, notes = np.asarray(labels), []
    if labels.dtype.kind not in "buif":
        fail("SNN305", f"{name}: labels are of dtype {labels.dtype}, not integers")
    if labels.ndim == 0 or len(labels) != samples:
        fail(
            "SNN305",
            f"{name}: {labels.size if labels.ndim == 0 else len(labels)} labels for {samples} images",
        )
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    elif labels.ndim == 2 and np.all((labels == 0) | (labels == 1)) and np.all(labels.sum(axis=1) == 1):
        labels = labels.argmax(axis=1)
        notes.append("one-hot labels read as class numbers")
    if labels.ndim != 1:
        fail("SNN305", f"{name}: labels have the shape {labels.shape}, expected ({samples},)")
    if labels.dtype.kind == "f" and not np.all(labels == np.floor(labels)):
        fail("SNN305", f"{name}: labels are floats that are not whole numbers")
    if not np.all((labels >= 0) & (labels < 2**31)):
        wrong = int(np.flatnonzero(~((labels >= 0) & (labels < 2**31)))[0])
        fail("SNN305", f"{name}: sample {wrong} has the label {labels[wrong]}")
    return labels.astype(np.int64), notes


def _to_float(images: Array, white: float | None, scale: float | None) -> tuple[FloatArray, list[str]]:
    """A new float32 array: values times `scale`, or, if that is None, divided by the value of white."""
    with np.errstate(over="ignore"):  # what overflows is found by the check for infinities
        values: FloatArray = np.array(images, dtype=np.float32, order="C")
        if scale is not None:
            values *= np.float32(scale)
            return values, []
    if white is None and images.dtype == np.uint8:
        white = 255.0
    if white is not None:
        values /= np.float32(white)
        return values, [f"{images.dtype} divided by {white:g}"]
    smallest, largest = float(values.min()), float(values.max())
    if images.dtype.kind in "ui" or largest > 2.0:
        return values, [f"{images.dtype} values from {smallest:g} to {largest:g} {_UNSCALED}"]
    return values, []


def _normalise(values: FloatArray, preparation: Preparation, name: str) -> None:
    """In place: `(x - mean) / std`."""
    if preparation.mean is not None:
        values -= _per_channel(preparation.mean, "mean", values, name)
    if preparation.std is not None:
        values /= _per_channel(preparation.std, "std", values, name)


def as_given(values: FloatArray, preparation: Preparation, name: str) -> FloatArray:
    """What `values` `[S, ...]` were before they were scaled and normalised; pixels stay divided by white."""
    found: FloatArray = values.copy()
    if preparation.std is not None:
        found *= _per_channel(preparation.std, "std", found, name)
    if preparation.mean is not None:
        found += _per_channel(preparation.mean, "mean", found, name)
    if preparation.scale is not None:
        found /= np.float32(preparation.scale)
    return found


def _per_channel(numbers: Sequence[float], what: str, values: FloatArray, name: str) -> FloatArray:
    """`numbers` shaped to broadcast along the channels, the first or the last axis of a sample."""
    column = np.asarray(numbers, dtype=np.float32)
    sample = values.shape[1:]
    if len(column) == 1:
        return column
    if sample and sample[0] == len(column):
        return column.reshape(-1, *[1] * (len(sample) - 1))
    if sample and sample[-1] == len(column):
        return column
    fail(
        "SNN302",
        f"{name}: {what} has {len(column)} values, samples of shape {sample} have no axis of that size",
    )


def _check_finite(values: FloatArray, name: str) -> None:
    finite = np.isfinite(values)
    if finite.all():
        return
    count = int(values.size - np.count_nonzero(finite))
    sample, *place = (int(index) for index in np.unravel_index(int(np.argmin(finite)), values.shape))
    fail(
        "SNN304",
        f"{name}: {count} of {values.size} values are not finite; the first in sample {sample} at {place}",
    )
