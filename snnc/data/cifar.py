"""CIFAR-10 and CIFAR-100 as published (Krizhevsky 2009): pickled Python batches, and binary batches.

A binary record is one label byte (CIFAR-100: the coarse and the fine label) and 3x32x32 bytes. A pickled
batch is a dictionary with the rows of `data` and the list `labels` (CIFAR-100: `fine_labels`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from snnc.data.dataset import Source
from snnc.data.files import choose_split, reading
from snnc.data.rows import Array
from snnc.data.unpickle import PickledArray, load_numbers
from snnc.diagnostics import fail

IMAGE_SHAPE = (3, 32, 32)
IMAGE_BYTES = 3 * 32 * 32
PICKLE_START = b"\x80"


def is_file(path: Path) -> bool:
    """A pickle by its first byte, or a file of whole binary records."""
    if path.suffix == ".bin":
        return True
    with path.open("rb") as file:
        return file.read(1) == PICKLE_START


def is_folder(folder: Path) -> bool:
    """Whether the files of one of the four published archives lie in the folder."""
    return bool(_batches(folder))


def read_folder(folder: Path, split: str | None) -> Source:
    """`train` (all training batches that are there) or `test`."""
    batches = _batches(folder)
    chosen = choose_split(batches, split, str(folder))
    sources = [read_file(path, None) for path in batches[chosen]]
    names = ", ".join(path.name for path in batches[chosen])
    labels = [np.asarray(source.labels) for source in sources]
    return Source(
        np.concatenate([source.images for source in sources]),
        np.concatenate(labels),
        f"{folder}:{chosen}",
        (f"read from {names}",),
    )


def read_file(path: Path, split: str | None) -> Source:
    """One batch: images uint8 `[S, 3, 32, 32]` and their (fine) labels."""
    choose_split([""], split, str(path))
    images, labels = _read_binary(path) if path.suffix == ".bin" else _read_pickle(path)
    return Source(images, labels, str(path))


def _batches(folder: Path) -> dict[str, list[Path]]:
    """Split -> files, for the names of the four published archives."""
    for ending in ("", ".bin"):
        numbered = [folder / f"data_batch_{number}{ending}" for number in range(1, 6)]
        cifar10 = {"train": numbered, "test": [folder / f"test_batch{ending}"]}
        cifar100 = {"train": [folder / f"train{ending}"], "test": [folder / f"test{ending}"]}
        for layout in (cifar10, cifar100):
            present = {split: [path for path in paths if path.is_file()] for split, paths in layout.items()}
            if any(present.values()):
                return {split: paths for split, paths in present.items() if paths}
    return {}


def _read_binary(path: Path) -> tuple[Array, Array]:
    content = np.fromfile(path, dtype=np.uint8)
    for label_bytes, classes in ((1, 10), (2, 100)):
        record = label_bytes + IMAGE_BYTES
        if content.size % record == 0:
            records = content.reshape(-1, record)
            labels = records[:, label_bytes - 1]
            if not labels.size or labels.max() < classes:
                return records[:, label_bytes:].reshape(-1, *IMAGE_SHAPE), labels
    fail("SNN301", f"{path} ({content.size} bytes) does not hold whole records of CIFAR-10 or CIFAR-100")


def _read_pickle(path: Path) -> tuple[Array, Array]:
    with reading(path, "a CIFAR batch"), path.open("rb") as file:
        batch = load_numbers(file)
    if not isinstance(batch, dict):
        fail("SNN301", f"{path} is not a CIFAR batch: it holds a {type(batch).__name__}")
    data = _entry(batch, "data")
    labels = _entry(batch, "labels")
    if labels is None:
        labels = _entry(batch, "fine_labels")
    if data is None or labels is None:
        fail("SNN301", f"{path} is not a CIFAR batch: it lacks {'data' if data is None else 'labels'}")
    with reading(path, "a CIFAR batch"):
        images, numbers = np.asarray(data), np.asarray(labels)
    if images.ndim == 2 and images.shape[1] == IMAGE_BYTES:
        images = images.reshape(-1, *IMAGE_SHAPE)
    return images, numbers


def _entry(batch: dict[Any, Any], key: str) -> Any:
    """Keys are bytes in the published files, which Python 2 wrote, and strings where Python 3 wrote them."""
    value = batch.get(key.encode(), batch.get(key))
    return value.array if isinstance(value, PickledArray) else value
