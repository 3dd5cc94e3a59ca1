"""What has been found of the parts of some work, in a file, so that it can go on where it was interrupted.

A line of JSON for each part, written when it is done, with the key of the work: all that what is found depends on,
and the version of snnc. Lines of another key are left alone: several works may share a file. A last line that is not
whole was interrupted itself; one whose checksum is another one is not believed, and its part is done again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import snnc
from snnc.diagnostics import fail
from snnc.files import write_atomically
from snnc.places import said

_LOG = logging.getLogger("snnc")
_SUM = "sum"


@dataclass
class Journal:
    """The parts of one work in a file; `known` has what was found, by index."""

    file: JournalFile
    key: str
    known: dict[int, Any] = field(default_factory=dict)

    def keep(self, index: int, found: Any) -> None:
        """Write what was found of a part; SNN401 where that is not possible."""
        self.file.write({"key": self.key, "index": index, "found": found})


class JournalFile:
    """The file of one or several works. SNN401 where there is one that holds something else, or it cannot be read."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self._known: dict[str, dict[int, Any]] = {}
        self._asked: set[str] = set()
        self._cut = False
        self._whole = 0  # bytes of whole lines
        with said(self.path):
            try:
                content = self.path.read_bytes()
            except FileNotFoundError:
                return
        *lines, last = content.split(b"\n")
        self._whole, self._cut = len(content) - len(last), bool(last)
        entries = [_entry(line) for line in lines]
        good = [entry for entry in entries if entry is not None]
        if lines and not good:
            hint = "give another file, or remove it"
            fail("SNN401", f"{self.path} is there, and holds no results that could be gone on from", hint=hint)
        if len(good) < len(lines):
            _LOG.warning("%s: %d of %d lines are damaged, and measured again", path, len(lines) - len(good), len(lines))
        for entry in good:
            self._known.setdefault(entry["key"], {})[entry["index"]] = entry["found"]

    def of(self, dependencies: Any, parts: int) -> Journal:
        """The work that depends on this, of so many parts."""
        key = hashlib.sha256(repr((snnc.__version__, dependencies)).encode()).hexdigest()
        known = self._known.get(key, {})
        if known:
            _LOG.warning("going on from %s: %d of %d parts are known", self.path, len(known), parts)
        elif self._known and not self._asked:
            _LOG.warning("%s is of other work (network, data, options or version of snnc): it is added to", self.path)
        self._asked.add(key)
        return Journal(self, key, {index: found for index, found in known.items() if 0 <= index < parts})

    def write(self, entry: dict[str, Any]) -> None:
        """Add a line."""
        with said(self.path):
            if self._cut:
                os.truncate(self.path, self._whole)
                self._cut = False
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(f"{json.dumps({**entry, _SUM: _checksum(entry)})}\n")

    def remove(self) -> None:
        """The works that were asked for are done: what is kept of others stays."""
        try:
            lines = self.path.read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return
        entries = [(line, _entry(line)) for line in lines if line.endswith(b"\n")]
        others = [line for line, entry in entries if entry is not None and entry["key"] not in self._asked]
        if others:
            write_atomically(self.path, b"".join(others))
        else:
            self.path.unlink(missing_ok=True)


def _entry(line: bytes) -> dict[str, Any] | None:
    """What `JournalFile.write` wrote; None of anything else."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    known = isinstance(entry, dict) and entry.pop(_SUM, None) == _checksum(entry)
    return entry if known else None


def _checksum(entry: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(entry).encode())


@contextmanager
def journal_at(path: str | PathLike[str] | JournalFile | None) -> Iterator[JournalFile | None]:
    """The file at a place, which is removed at the end and stays where the work was interrupted or failed; one that is
    open stays as it is."""
    if path is None or isinstance(path, JournalFile):
        yield path
        return
    file = JournalFile(path)
    yield file
    file.remove()
