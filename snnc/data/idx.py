"""The idx format of MNIST (LeCun et al.), as is or gzipped.

A file is two zero bytes, a dtype code, the number of axes, the sizes as big-endian uint32, and the values,
big-endian.
"""

from __future__ import annotations

import gzip
import io
import math
import zlib
from pathlib import Path

import numpy as np

from snnc.data.dataset import Source
from snnc.data.files import choose_split, reading
from snnc.data.rows import Array
from snnc.diagnostics import fail

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_AXES = 8


def is_file(path: Path) -> bool:
    """By the header (of the unpacked file), or by a name such as train-images-idx3-ubyte.gz."""
    if _looks_like_images(path.name):
        return True
    try:
        with _open(path) as file:
            start = file.read(4)
    except (OSError, EOFError, zlib.error):
        return False
    return len(start) == 4 and start[:2] == b"\0\0" and start[2] in DTYPES and 1 <= start[3] <= MAX_AXES


def is_folder(folder: Path) -> bool:
    """Whether idx files of images lie in the folder."""
    return bool(_image_files(folder))


def read_folder(folder: Path, split: str | None) -> Source:
    """`train` and `test`: train-images-idx3-ubyte, t10k-images-idx3-ubyte, and their labels."""
    files: dict[str, Path] = {}
    for path in _image_files(folder):
        name = _split_of(path.name)
        if name in files and files[name].name.removesuffix(".gz") != path.name.removesuffix(".gz"):
            fail("SNN301", f"{folder} has several files for {name}: {files[name].name} and {path.name}",
                 hint="name the file of images itself")  # fmt: skip
        files.setdefault(name, path)
    return read_file(files[choose_split(files, split, str(folder))], None)


def read_file(path: Path, split: str | None) -> Source:
    """The images of this file, and the labels of the file beside it, if there is one."""
    choose_split([""], split, str(path))
    images = _read_array(path)
    if images.ndim == 1 and "label" in path.name:
        fail("SNN301", f"{path} holds labels", hint="name the file of images; the labels beside it are found")
    labels_path = _labels_beside(path)
    if labels_path is None:
        return Source(images, None, str(path), ("no file of labels beside it",))
    return Source(images, _read_array(labels_path), str(path), (f"labels are in {labels_path.name}",))


def _looks_like_images(name: str) -> bool:
    return "images" in name and "idx" in name


def _image_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and _looks_like_images(path.name))


def _split_of(name: str) -> str:
    if "t10k" in name or "test" in name:
        return "test"
    return "train" if "train" in name else name.partition("images")[0].strip("-_.")


def _labels_beside(path: Path) -> Path | None:
    if "images" not in path.name:
        return None
    name = path.name.replace("images", "labels").replace("idx3", "idx1").removesuffix(".gz")
    for candidate in (path.with_name(name), path.with_name(name + ".gz")):
        if candidate.is_file():
            return candidate
    return None


def _open(path: Path) -> gzip.GzipFile | io.BufferedReader:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else path.open("rb")


def _read_array(path: Path) -> Array:
    with reading(path, "idx"), _open(path) as file:
        content = file.read()
    axes = content[3] if len(content) >= 4 else 0
    start = 4 + 4 * axes
    if content[:2] != b"\0\0" or axes == 0 or content[2] not in DTYPES or len(content) < start:
        fail("SNN301", f"{path} does not start with an idx header")
    shape = tuple(int(size) for size in np.frombuffer(content, dtype=">u4", count=axes, offset=4))
    dtype = np.dtype(DTYPES[content[2]])
    expected = math.prod(shape) * dtype.itemsize
    if len(content) - start != expected:
        fail("SNN301", f"{path} has {len(content) - start} bytes of data, its header announces {expected}")
    values = np.frombuffer(content, dtype=dtype, offset=start)
    return values.reshape(shape).astype(dtype.newbyteorder("="), copy=False)
