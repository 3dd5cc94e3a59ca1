"""Arrays in files of numpy: npz with images, labels and splits, npy with images alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from snnc.data.dataset import Source
from snnc.data.files import choose_split, reading
from snnc.data.npy_rows import rows_of_file, rows_of_member
from snnc.diagnostics import fail

IMAGE_WORDS = ("x", "images", "image", "data", "inputs", "input", "features")
_ZIP = b"PK\x03\x04"
LABEL_WORDS = ("y", "labels", "label", "targets", "target", "classes")


def is_file(path: Path) -> bool:
    """By the ending, so that a damaged file is reported as such, or by the first bytes."""
    return path.suffix in (".npz", ".npy") or _starts_as_numpy(path)


def _starts_as_numpy(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(6)
    return start == b"\x93NUMPY" or start[:4] == _ZIP


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == _ZIP


def read_file(path: Path, split: str | None, memory: int | None = None) -> Source:
    """The images and labels of one split. Only arrays of that split are read. Pickled objects are refused.

    Images that take more than `memory` bytes are left in the file, or unpacked into a temporary one.
    """
    if not _starts_as_numpy(path):  # numpy would take it for a pickle
        fail("SNN301", f"{path} is neither an npz nor an npy file")
    with reading(path, "npz or npy"), path.open("rb") as file:
        rows = None if _is_zip(path) else rows_of_file(path, file, memory)
        if rows is not None:
            choose_split([""], split, str(path))
            return Source(rows, None, str(path))
        file.seek(0)
        try:
            content = np.load(file, allow_pickle=False)
            if isinstance(content, np.ndarray):
                choose_split([""], split, str(path))
                return Source(content, None, str(path))
            return _read_npz(content, path, split, memory)
        except ValueError as error:
            if "allow_pickle" not in str(error):
                raise
            fail("SNN303", f"{path} holds pickled Python objects, which are never loaded")


def _read_npz(arrays: np.lib.npyio.NpzFile, path: Path, split: str | None, memory: int | None) -> Source:
    keys, labels = _find(arrays.files, IMAGE_WORDS), _find(arrays.files, LABEL_WORDS)
    if not keys:
        keys, labels = _find_unnamed(arrays.files, path)
    chosen = choose_split(keys, split, str(path))
    name = f"{path}:{chosen}" if chosen else str(path)
    notes = [f"images are {keys[chosen]!r} of the file"]
    assert arrays.zip is not None
    rows = rows_of_member(path, arrays.zip, keys[chosen], memory)
    images = np.asarray(arrays[keys[chosen]]) if rows is None else rows
    if chosen not in labels:
        return Source(images, None, name, tuple(notes))
    notes.append(f"labels are {labels[chosen]!r}")
    return Source(images, np.asarray(arrays[labels[chosen]]), name, tuple(notes))


def _find(keys: list[str], words: tuple[str, ...]) -> dict[str, str]:
    """Split -> key, for keys that are one of `words`, alone or with the split: x, x_train, test_images."""
    found: dict[str, str] = {}
    for word in words:
        for key in keys:
            parts = key.lower().split("_")
            if word in parts:
                parts.remove(word)
                found.setdefault("_".join(parts), key)
    return found


def _find_unnamed(keys: list[str], path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Images and labels without a known name: the only array, or numpy.savez's arr_0 and arr_1."""
    if len(keys) == 1:
        return {"": keys[0]}, {}
    if sorted(keys) == ["arr_0", "arr_1"]:
        return {"": "arr_0"}, {"": "arr_1"}
    listed = ", ".join(keys) or "nothing"
    fail(
        "SNN301",
        f"{path} holds {listed}",
        hint="name the arrays x and y, or x_train, y_train, x_test, y_test",
    )
