"""From data as stored (`Source`) to data as the network wants it (`DataSet`).

In this order: labels, dtype, shape and layout, conversion to float32, scale, mean and standard deviation,
finiteness. Images stay in their stored dtype (usually uint8) for as long as possible, since float32 takes
four times the memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from snnc.data.dataset import Array, DataSet, FloatArray, LabelArray, Source
from snnc.data.preparation import Preparation
from snnc.data.shapes import Shape, fit_to_input
from snnc.diagnostics import fail


def prepare(source: Source, input_shape: Shape | None, preparation: Preparation) -> DataSet:
    """The samples of `source` in the network's `input_shape` (without the batch axis; None: as stored)."""
    images = np.asarray(source.images)
    _check_images(images, source.name)
    labels, label_notes = _to_labels(source.labels, len(images), source.name)
    fitted, shape_notes = fit_to_input(images, input_shape, preparation.layout, source.name)
    values, scale_notes = _to_float(fitted, source.white, preparation.scale)
    _normalise(values, preparation, source.name)
    _check_finite(values, source.name)
    notes = (*source.notes, *label_notes, *shape_notes, *scale_notes)
    return DataSet(values, labels, source.name, notes, preparation=preparation)


def _check_images(images: Array, name: str) -> None:
    if images.dtype.kind not in "buif":
        fail("SNN303", f"{name}: images are of dtype {images.dtype}")
    if images.ndim == 0:
        fail("SNN302", f"{name} is a single number, not an array of samples")
    if images.size == 0:
        fail("SNN306", f"{name} has no samples (its shape is {images.shape})")


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
        return values, [f"{images.dtype} values from {smallest:g} to {largest:g} taken as they are"]
    return values, []


def _normalise(values: FloatArray, preparation: Preparation, name: str) -> None:
    """In place: `(x - mean) / std`."""
    if preparation.mean is not None:
        values -= _per_channel(preparation.mean, "mean", values, name)
    if preparation.std is not None:
        values /= _per_channel(preparation.std, "std", values, name)


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
