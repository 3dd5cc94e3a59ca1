"""Output files that appear whole or not at all, and reading converted networks back."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

import onnx

from snnc.diagnostics import fail
from snnc.emit import format1
from snnc.emit.block import Block
from snnc.emit.written import read_block
from snnc.ir.conversion import LayerReport
from snnc.ir.options import Options
from snnc.runtime.session import FORMAT_VERSION


def write_atomically(path: str | PathLike[str], content: bytes) -> None:
    """Write `content` beside `path`, then rename it there; SNN401 if that is not possible."""
    path = Path(path)
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except OSError as error:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        fail("SNN401", f"{path}: {error.strerror or error}")


def check_writable(path: str | PathLike[str], inputs: Iterable[str | PathLike[str] | None] = ()) -> None:
    """SNN401 before hours of work, not after, where `path` cannot be written or is one of the `inputs`."""
    path = Path(path)
    for other in inputs:
        if other is not None and path.exists() and os.path.exists(other) and os.path.samefile(path, other):
            fail("SNN401", f"{path} is an input of this command and would be overwritten")
    folder = path.parent
    if path.is_dir():
        fail("SNN401", f"{path} is a folder")
    if not folder.is_dir():
        fail("SNN401", f"{path}: the folder {folder} does not exist")
    if not os.access(folder, os.W_OK):
        fail("SNN401", f"{path}: the folder {folder} is not writable")


def set_metadata(model: onnx.ModelProto, key: str, value: str) -> None:
    """Set an entry of `metadata_props`, replacing an older one."""
    for entry in model.metadata_props:
        if entry.key == key:
            entry.value = value
            return
    model.metadata_props.add(key=key, value=value)


def _fields(kind: type[Options] | type[LayerReport], values: dict[str, Any]) -> dict[str, Any]:
    """The values that `kind` knows, checked by it; files of a later version of the same format may have more."""
    names = {field.name for field in dataclasses.fields(kind)}
    return dataclasses.asdict(kind(**{name: value for name, value in values.items() if name in names}))


class ConvertedFile:
    """A `.snn.onnx` file with its metadata.

    Attributes: `model`, `options`, `layers`, `calibration`, `verification` (as in `Report.to_json`), `format_version`.
    """

    def __init__(self, model: onnx.ModelProto, name: str) -> None:
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        if "snnc.format_version" not in metadata:
            fail("SNN402", f"{name} carries no snnc.format_version")
        self.model, self.name = model, name
        try:
            self.format_version = int(metadata["snnc.format_version"])
            if self.format_version > FORMAT_VERSION:
                fail("SNN403", f"{name} has format {self.format_version}, this snnc reads up to {FORMAT_VERSION}")
            self.version = metadata["snnc.version"]
            self.calibration: dict[str, Any] = json.loads(metadata["snnc.calibration"])
            options = json.loads(metadata["snnc.options"])
            if options.get("threshold") is None:  # snnc 0.1 noted the rule that it chose in the calibration alone
                options["threshold"] = self.calibration["threshold"]
            self.options: dict[str, Any] = _fields(Options, options)
            self.layers: list[dict[str, Any]] = [
                _fields(LayerReport, layer) for layer in json.loads(metadata["snnc.layers"])
            ]
            self.verification: dict[str, Any] = json.loads(metadata.get("snnc.verification", "{}"))
            #: The block of 64 steps inside the file.
            self.block: Block = (
                format1.read_block(model, metadata["snnc.states"])
                if self.format_version == 1
                else read_block(model, metadata["snnc.states"], metadata["snnc.block"])
            )
        except (KeyError, ValueError, TypeError, AttributeError, StopIteration) as error:
            fail("SNN402", f"the metadata of {name} is damaged ({type(error).__name__}: {error})")

    @property
    def input_dims(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return tuple(dim.dim_value for dim in self.model.graph.input[0].type.tensor_type.shape.dim[1:])

    def check_steps(self, steps: int) -> None:
        """SNN404 unless `steps` is from 1 to the file's max_steps."""
        if not 1 <= steps <= self.options["max_steps"]:
            fail("SNN404", f"{steps} steps; {self.name} allows 1 to {self.options['max_steps']}")

    def choose_seed(self, seed: int | None) -> int:
        """`seed`, or the file's own; SNN405 unless it fits into a signed 64-bit integer."""
        chosen = int(self.options["seed"]) if seed is None else int(seed)
        if not -(2**63) <= chosen < 2**63:
            fail("SNN405", f"seed is {chosen}, must fit into a signed 64-bit integer")
        return chosen
