"""Where output files go: a regular file is replaced whole, links are followed, devices and pipes are written to."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from snnc.diagnostics import fail

# Of a name; a temporary file beside it needs room for more letters than the name has.
_LONGEST_PREFIX = 40


#: What helps against an error of the system, where it is something else than another folder.
_HINTS = {
    errno.ENOSPC: "make room there, or choose a path on another disk",
    errno.EDQUOT: "make room there, or choose a path on another disk",
    errno.EFBIG: "choose a path on a disk that can hold files as large",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "choose a path whose links lead to a file",
    errno.EPIPE: "what reads the pipe has to read to its end",
}


@contextmanager
def said(path: str | PathLike[str]) -> Iterator[None]:
    """SNN401 in the place of an error of the system, with a hint that fits it."""
    try:
        yield
    except OSError as error:
        hint = _HINTS.get(error.errno or 0, "")
        fail("SNN401", f"{os.fspath(path)}: {error.strerror or error}", hint=hint)


def mode_of(path: str | PathLike[str]) -> int | None:
    """The mode of what `path` and its links lead to; None where there is nothing yet. SNN401 for links in a circle and
    names that no file can have."""
    with said(path):
        try:
            return os.stat(path).st_mode
        except FileNotFoundError:
            return None


def is_stream(path: str | PathLike[str]) -> bool:
    """Whether `path` is a device or a pipe, which content flows through: it is written to and not replaced."""
    mode = mode_of(path)
    return mode is not None and (stat.S_ISCHR(mode) or stat.S_ISFIFO(mode))


def file_behind(path: str | PathLike[str]) -> Path:
    """The file that is to be replaced: `path` itself, or what its links lead to."""
    return Path(os.path.realpath(path) if os.path.islink(path) else path)


def write_together(files: Sequence[tuple[str | PathLike[str], bytes]]) -> None:
    """Write every content to its path, so that all are there in the end or, where one cannot be written (SNN401), none:
    regular files are written beside their places, then devices and pipes to the end, then files are renamed."""
    replaced = [(path, content) for path, content in files if not is_stream(path)]
    temporary: list[str] = []
    try:
        for path, content in replaced:
            with said(path):
                _write_beside(file_behind(path), content, temporary)
        for path, content in files:
            if is_stream(path):
                with said(path), open(path, "wb") as stream:
                    stream.write(content)
        for (path, _), written in zip(replaced, temporary, strict=True):
            with said(path):
                os.replace(written, file_behind(path))
    finally:  # also where Ctrl-C interrupts it
        for written in temporary:
            if os.path.exists(written):
                os.unlink(written)


def check_folder(folder: str | PathLike[str]) -> None:
    """SNN401 where files cannot be written into `folder`, or it cannot be made."""
    place, mode = file_behind(folder), mode_of(folder)
    if mode is not None and not stat.S_ISDIR(mode):
        fail("SNN401", f"{os.fspath(folder)} is not a folder")
    parent = place if mode is not None else place.absolute().parent
    if not parent.is_dir():
        fail("SNN401", f"{os.fspath(folder)}: the folder {parent} does not exist")
    if not os.access(parent, os.W_OK):
        fail("SNN401", f"{os.fspath(folder)}: the folder {parent} is not writable")


@contextmanager
def made_folder(folder: str | PathLike[str]) -> Iterator[Path]:
    """The folder, made where it does not exist (SNN401), and gone again where what is done in it fails."""
    check_folder(folder)
    place, made = file_behind(folder), mode_of(folder) is None
    try:
        with said(folder):
            place.mkdir(exist_ok=True)
        yield place
        made = False
    finally:  # also where Ctrl-C interrupts it
        if made and place.is_dir() and not any(place.iterdir()):
            place.rmdir()


def write_folder(folder: str | PathLike[str], files: Mapping[str, bytes]) -> None:
    """Write files by their names into `folder`, all or none (SNN401); it is made where it does not exist, and other
    files in it stay."""
    with made_folder(folder) as place:
        write_together([(place / name, content) for name, content in files.items()])


def _write_beside(place: Path, content: bytes, temporary: list[str]) -> None:
    """Write a file beside `place`, with the mode of the file that it will replace, and name it in `temporary`."""
    handle, written = tempfile.mkstemp(prefix=f".{place.name[:_LONGEST_PREFIX]}.", dir=place.parent)
    temporary.append(written)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    mode = mode_of(place)
    os.chmod(written, 0o666 & ~_mask() if mode is None else stat.S_IMODE(mode))


def _mask() -> int:
    """The mode bits that new files do not get."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
