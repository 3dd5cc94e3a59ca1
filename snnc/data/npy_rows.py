"""Arrays in files of numpy that are too large for memory, read sample by sample.

An npy file, and an npz member that is not compressed, are read where they lie; a compressed member is unpacked into a
temporary file first. Whole, an npz member is read once in any case: that checks its sum of redundancy.
"""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from snnc.data.rows import FileRows, too_large
from snnc.scratch import Scratch, require_space

_CHUNK = 2**22
_LOCAL_HEADER = struct.Struct("<26xHH")  # of a zip member: the lengths of its name and of what stands behind it


def rows_of_file(path: Path, file: IO[bytes], memory: int | None) -> FileRows | None:
    """The samples of an npy file, open at its start; None where they fit into memory or cannot be read one by one."""
    found = _header(file)
    if found is None or not too_large(found[0], memory):
        return None
    return FileRows(path, file.tell(), *found, str(path))


def rows_of_member(path: Path, archive: zipfile.ZipFile, key: str, memory: int | None) -> FileRows | None:
    """The same of an array in an npz file."""
    name = key if key in archive.namelist() else f"{key}.npy"
    info = archive.getinfo(name)
    with archive.open(info) as member:
        found = _header(member)
        if found is None or not too_large(found[0], memory):
            return None
        start = member.tell()
        packed = info.compress_type != zipfile.ZIP_STORED
        if packed:
            require_space(info.file_size, f"{path} is compressed")
        scratch = Scratch() if packed else None
        while chunk := member.read(_CHUNK):
            if scratch is not None:
                scratch.append(chunk)
    if scratch is not None:
        return FileRows(scratch, 0, *found, str(path))
    return FileRows(path, _start_of(path, info) + start, *found, str(path))


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]] | None:
    """Shape and dtype of an array whose samples lie behind each other; the file stands at the first of them then."""
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        return None
    shape, in_columns, dtype = readers[version](file)
    if in_columns or dtype.hasobject or not shape:
        return None
    return shape, dtype


def _start_of(path: Path, info: zipfile.ZipInfo) -> int:
    """Where the content of a member begins in the file."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    return info.header_offset + _LOCAL_HEADER.size + int(name) + int(extra)
