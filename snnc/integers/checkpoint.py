"""What a calibration has found so far, in a file, so that it can go on where it was interrupted.

The file is written anew, whole or not at all, whenever the threshold of a layer is known. What is found belongs to a
key: all that it depends on (`snnc.thresholds.sharing.dependencies`: the network, the data, the options) and the version
of snnc; what is of another key stays and is not used. Spikes are not kept: they follow from the thresholds, bit for
bit.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

import snnc
from snnc.diagnostics import DiagnosticError, fail
from snnc.files import write_atomically
from snnc.places import said
from snnc.thresholds import Estimate

_LOG = logging.getLogger("snnc")
_COMPLETE = "complete"
#: Of every checkpoint, as `json.dumps` writes it.
_BEGINNING = b'{"snnc": '
_NO_ROOM = {"SNN401", "SNN412"}


class Checkpoint:
    """The estimates of the layers of one conversion, or of several for which it makes choices, in the file `path`.

    As a context it removes the file at the end: there is nothing to go on with where the conversion is done or the
    model or the data is at fault. It stays where the conversion was interrupted, there was no room for files, or snnc
    itself failed: what it holds is right then too, and the same command is soon where it failed.
    """

    def __init__(self, path: Path) -> None:
        """Read what is in the file, if there is one; one that is damaged counts as one of another conversion. SNN401
        where it holds something else, or it cannot be read."""
        self.path = path
        found = _read(path)
        self._undecided = found is not None
        self._found: dict[str, dict[str, Any]] = found or {}
        self._asked: set[str] = set()

    def load(self, dependencies: Any, layers: int) -> tuple[dict[str, Estimate], bool]:
        """What is known of a network of so many layers, and whether that is all there is to know."""
        key = _key(dependencies)
        self._asked.add(key)
        entry = self._found.get(key)
        if self._undecided:
            self._undecided = False
            if entry is None:
                _LOG.warning(
                    "%s is of another conversion (network, data, options or version of snnc): it is not used",
                    self.path,
                )
            else:
                known = len(entry["estimates"])
                _LOG.warning("going on from %s: the thresholds of %d of %d layers are known", self.path, known, layers)
        if entry is None:
            return {}, False
        return {name: _estimate(values) for name, values in entry["estimates"].items()}, bool(entry[_COMPLETE])

    def keep(self, dependencies: Any, estimates: dict[str, Estimate], *, complete: bool = False) -> None:
        """Write what is known now."""
        found, key = {name: _plain(estimate) for name, estimate in estimates.items()}, _key(dependencies)
        self._asked.add(key)
        self._found[key] = {"estimates": found, _COMPLETE: complete}
        self._write(self._found)

    def remove(self) -> None:
        """The conversions that were asked for are done: what is kept of others stays."""
        others = {key: entry for key, entry in self._found.items() if key not in self._asked}
        if others:
            self._write(others)
        else:
            self.path.unlink(missing_ok=True)

    def _write(self, found: dict[str, dict[str, Any]]) -> None:
        document = {"snnc": snnc.__version__, "found": found}
        write_atomically(self.path, json.dumps(document).encode())

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        at_fault = isinstance(error, DiagnosticError) and not _NO_ROOM & {
            found.rule.code for found in error.diagnostics
        }
        if (error is None or at_fault) and not self._undecided:
            self.path.unlink(missing_ok=True)


@contextmanager
def checkpoint_at(path: str | PathLike[str] | Checkpoint | None) -> Iterator[Checkpoint | None]:
    """The checkpoint in a file, which ends with the context; one that is open already stays so."""
    if path is None or isinstance(path, Checkpoint):
        yield path
    else:
        with Checkpoint(Path(path)) as checkpoint:
            yield checkpoint


def _key(dependencies: Any) -> str:
    return hashlib.sha256(repr((snnc.__version__, dependencies)).encode()).hexdigest()


def _plain(estimate: Estimate) -> dict[str, Any]:
    """As JSON, which gives floats back as they were."""
    return {
        "threshold": np.asarray(estimate.threshold, np.float64).tolist(),
        "f_in": None if estimate.f_in is None else float(estimate.f_in),
        "v_in": None if estimate.v_in is None else float(estimate.v_in),
        "from_weights": bool(estimate.from_weights),
    }


def _estimate(values: dict[str, Any]) -> Estimate:
    threshold = values["threshold"]
    return Estimate(**{**values, "threshold": np.asarray(threshold) if isinstance(threshold, list) else threshold})


def _read(path: Path) -> dict[str, dict[str, Any]] | None:
    """What is in the file, nothing where it is damaged; None where there is none."""
    with said(path):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
    if content and not content.startswith(_BEGINNING):
        hint = "give another file, or remove it"
        fail("SNN401", f"{path} is there, and holds no thresholds that could be gone on from", hint=hint)
    try:
        return _parsed(content)
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def _parsed(content: bytes) -> dict[str, dict[str, Any]]:
    """ValueError, TypeError, KeyError or AttributeError where it is no checkpoint."""
    found: dict[str, dict[str, Any]] = json.loads(content)["found"]
    for entry in found.values():
        for values in entry["estimates"].values():
            _estimate(values)
        entry[_COMPLETE]
    return found
