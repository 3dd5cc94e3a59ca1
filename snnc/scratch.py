"""Files for what does not fit into memory. They have no name: the system removes them when the process ends, however it
ends. They lie where Python puts temporary files (`TMPDIR`)."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable

import numpy as np

from snnc.diagnostics import fail

# Left free for everybody else.
_MARGIN = 2**26


class Scratch:
    """A file that only grows, until it is closed or nobody refers to it any more."""

    def __init__(self) -> None:
        with tempfile.TemporaryFile(prefix="snnc-") as file:
            self.descriptor = os.dup(file.fileno())
        self.size = 0
        self._close = weakref.finalize(self, os.close, self.descriptor)

    def append(self, content: np.ndarray | bytes) -> int:
        """Write `content` behind what is there; where it begins. SNN412 where there is no room for it."""
        start = self.size
        array = np.frombuffer(content, np.uint8) if isinstance(content, bytes) else np.ascontiguousarray(content)
        rest = memoryview(array.reshape(-1).view(np.uint8).data)
        while len(rest):
            written = self._write(rest)
            self.size += written
            rest = rest[written:]
        return start

    def _write(self, content: memoryview) -> int:
        """Write some of it, and how much."""
        try:
            return os.pwrite(self.descriptor, content, self.size)
        except OSError as error:
            fail("SNN412", f"temporary files in {tempfile.gettempdir()}: {error.strerror or error}")

    def close(self) -> None:
        """Give the space back."""
        self._close()


def read_into(descriptor: int, place: int, found: np.ndarray, truncated: Callable[[], None]) -> None:
    """Fill the C-contiguous `found` with the bytes of a file from `place` on; `truncated()` has to raise where the file
    ends before that."""
    rest = memoryview(found.reshape(-1).view(np.uint8).data)
    while len(rest):
        count = os.preadv(descriptor, [rest], place)
        if not count:
            truncated()
        place += count
        rest = rest[count:]


def require_space(needed: int, what: str) -> None:
    """SNN412 where temporary files of so many bytes do not fit."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if needed + _MARGIN > free:
        fail("SNN412", f"{what}: {text_of(needed)} of temporary files, {folder} has {text_of(free)} free")


def text_of(size: int) -> str:
    """`1.5 GiB`."""
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >= 2**power:
            return f"{size / 2**power:.1f} {unit}"
    return f"{size} bytes"
