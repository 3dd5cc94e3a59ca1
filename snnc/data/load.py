"""The DATA arguments of the command line, and arrays of the Python API."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from snnc.data import cifar, digits, idx, image_folder, npz
from snnc.data.dataset import DataSet, Source
from snnc.data.forms import source_of
from snnc.data.preparation import Preparation
from snnc.data.prepare import prepare
from snnc.data.rows import Array, Rows
from snnc.data.shapes import Shape
from snnc.diagnostics import fail


def load(
    spec: str | os.PathLike[str],
    input_shape: Shape | None = None,
    *,
    scale: float | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    layout: str | None = None,
    streams: int = 1,
    memory: int | None = None,
) -> DataSet:
    """Read `place[:split]`: npz or npy, a folder of images, MNIST idx files, CIFAR batches, or `digits`.

    `input_shape` is the shape of the network's input without the batch axis; samples are brought to it or
    refused (SNN302). Without `scale`, a factor on the stored values, uint8 is divided by 255 and other dtypes
    are left alone. Then `(x - mean) / std`. What was guessed is in the `notes` of the result.

    With several `streams` the data are frames `[T, streams, ...]`: frame t of stream n is sample t·streams + n, without
    a label.

    Samples that take more than `memory` bytes (None: no limit) stay where they are and are read when they are asked for
    (`DataSet.stored`): in npz and npy files and folders of images; the other formats are small enough.

    Without a split, the data must have just one. All that is wrong with the data raises `DiagnosticError`
    (SNN3xx).
    """
    source = _read(os.fspath(spec), channels=_channels(input_shape), memory=memory)
    if streams > 1:
        source = dataclasses.replace(source, images=_samples(source, streams), labels=None)
    return prepare(source, input_shape, Preparation.of(scale, mean, std, layout), memory)


def as_dataset(
    data: Any,
    input_shape: Shape | None = None,
    *,
    scale: float | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    layout: str | None = None,
    memory: int | None = None,
) -> DataSet:
    """`data` as a `DataSet`: images, a pair (images, labels), a dictionary of them, a DATA string or path, a `DataSet`,
    a data set of torch, or an iterable of batches (a generator, a loader): `snnc.data.forms` has what is what.

    Arrays are anything numpy can convert, tensors of torch too, of the dtypes and with the treatment of `load`. Batches
    are read once, into a temporary file, and with a limit of `memory` bytes they stay there where they take more.
    SNN405 where a `DataSet` is to be prepared that has been prepared already.
    """
    preparation = Preparation.of(scale, mean, std, layout)
    if isinstance(data, str | os.PathLike):
        return load(data, input_shape, memory=memory, **preparation.given)
    if isinstance(data, DataSet):
        return _prepared_again(data, input_shape, preparation, memory)
    source = source_of(data, input_shape)
    return prepare(source, input_shape, preparation, memory)


def _prepared_again(data: DataSet, input_shape: Shape | None, preparation: Preparation, memory: int | None) -> DataSet:
    """A `DataSet` in the shape of the network."""
    before = data.preparation
    if before is not None and before.given and preparation.given:
        fail("SNN405", f"{data.name} was prepared already ({before}), and is to be prepared with {preparation} now")
    if isinstance(data.stored, Rows) and not preparation.given and data.stored.shape[1:] == input_shape:
        return data
    again = prepare(Source(data.stored, data.labels, data.name, data.notes), input_shape, preparation, memory)
    kept = preparation if preparation.given else before
    return dataclasses.replace(again, preparation=kept)


def _samples(frames: Source, streams: int) -> Array:
    """The frames of all streams behind each other."""
    assert not isinstance(frames.images, Rows), "frames are read without a limit"
    shape = frames.images.shape
    if len(shape) < 2 or shape[1] != streams:
        fail("SNN302", f"{frames.name} has the shape {shape}; of {streams} streams it must be [T, {streams}, ...]")
    return frames.images.reshape(-1, *shape[2:])


def _channels(input_shape: Shape | None) -> int | None:
    """1 (grey) or 3 (colour) where the input shape of the network says so."""
    if input_shape is None:
        return None
    if len(input_shape) == 2:
        return 1
    if len(input_shape) == 3:
        return next((size for size in (input_shape[0], input_shape[-1]) if size in (1, 3)), None)
    return None


def _split_spec(spec: str) -> tuple[str, str | None]:
    """`place` and `split` of `place[:split]`; what exists is a place, so file names may hold colons."""
    place, colon, split = spec.rpartition(":")
    if not colon or not place or os.path.exists(spec) or "/" in split or "\\" in split:
        return spec, None
    if not split:
        fail("SNN301", f"the name of the split is missing in {spec!r}")
    return place, split


def _read(spec: str, channels: int | None, memory: int | None) -> Source:
    if not spec or "\0" in spec:
        fail("SNN301", f"{spec!r} is not the name of a data set")
    place, split = _split_spec(spec)
    if place == "digits":
        return digits.read(split)
    path = Path(place)
    try:
        if path.is_dir():
            return _read_folder(path, split, channels, memory)
        if path.is_file():
            return _read_file(path, split, memory)
    except OSError as error:
        fail("SNN301", f"{place}: {error.strerror or error}")
    fail("SNN301", f"{place} does not exist")


def _read_folder(folder: Path, split: str | None, channels: int | None, memory: int | None) -> Source:
    if idx.is_folder(folder):
        return idx.read_folder(folder, split)
    if cifar.is_folder(folder):
        return cifar.read_folder(folder, split)
    return image_folder.read(folder, split, channels, memory)


def _read_file(path: Path, split: str | None, memory: int | None) -> Source:
    if npz.is_file(path):
        return npz.read_file(path, split, memory)
    if idx.is_file(path):
        return idx.read_file(path, split)
    if cifar.is_file(path):
        return cifar.read_file(path, split)
    fail("SNN301", f"{path} is neither npz nor npy, idx or a CIFAR batch")
