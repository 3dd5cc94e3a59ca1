"""stdout and stderr whose readers may go: the work goes on, and `snnc convert ... | head -2` writes its file."""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO


class _Unread(io.FileIO):
    """A file that takes whatever is written to it, also where it is a pipe that nobody reads any more."""

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except (BrokenPipeError, ConnectionResetError):  # the latter where it is a socket
            return memoryview(content).nbytes


def outlive_readers() -> None:
    """Let stdout and stderr drop what nobody takes: their reader has gone, or they were closed from the start."""
    sys.stdout = _outliving(sys.stdout)
    sys.stderr = _outliving(sys.stderr)


def _outliving(stream: TextIO | None) -> TextIO:
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    if not isinstance(stream, io.TextIOWrapper) or stream.isatty():
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(_Unread(stream.fileno(), "wb", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
