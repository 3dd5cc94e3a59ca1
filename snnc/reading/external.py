"""Weights in files beside the model: found, within its folder, and not too large for a protobuf."""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx
from onnx import TensorProto

from snnc.diagnostics import Diagnostics, fail
from snnc.reading.probe import first_line
from snnc.reading.tensors import tensors_of

#: A protobuf holds less, and onnxruntime is given one.
MOST_BYTES = 2**31 - 2**20
_LONGEST_NAME = 255
_CUT_SHORT = "copy the file again whole, or the one that was saved with this model: it is cut short or of another model"


def check_size(size: int, name: str) -> None:
    """SNN107 where a model with all its weights takes so many bytes that no protobuf holds it."""
    if size > MOST_BYTES:
        fail("SNN107", f"{name} has {size / 2**30:.1f} GiB")


def load_external_data(model: onnx.ModelProto, path: Path) -> None:
    """Put the weights that lie in other files into `model`, which was read from `path`.

    Raises:
        DiagnosticError: SNN104 for every tensor whose file is missing, too short or not in the folder of the model,
            SNN107 where the model becomes too large.
    """
    diagnostics = Diagnostics()
    external = [tensor for tensor in tensors_of(model.graph) if tensor.data_location == TensorProto.EXTERNAL]
    sizes = [_size(tensor, path.parent, diagnostics) for tensor in external]
    diagnostics.raise_errors()
    check_size(model.ByteSize() + sum(sizes), f"{path} with its external data")
    if not external:
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of entries that nobody knows, and nobody needs
            onnx.load_external_data_for_model(model, str(path.parent))
    except Exception as error:  # onnx raises several kinds here, all of them about the user's file
        fail("SNN104", first_line(error))


def _size(tensor: TensorProto, folder: Path, diagnostics: Diagnostics) -> int:
    """The bytes of a tensor; 0 where something is wrong with its file, which is reported."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    place = {"node": tensor.name, "op": "initializer"}
    data = folder / entries.get("location", "")
    try:
        data.resolve().stat()
    except FileNotFoundError:
        pass  # which is told below
    except (OSError, ValueError, RuntimeError):  # of a name that no file can have
        diagnostics.report("SNN104", f"{_short(data.name)} cannot be the name of a file", **place)
        return 0
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", 0))
    except ValueError:
        diagnostics.report("SNN104", "its offset or length is not a number", **place)
        return 0
    if offset < 0 or length < 0:
        diagnostics.report("SNN104", f"its offset is {offset}, its length {length}", **place)
    elif not data.resolve().is_relative_to(folder.resolve()):
        hint = "external data must lie in the folder of the model, or below it"
        diagnostics.report("SNN104", f"{_short(str(data))} is outside of the folder of the model", **place, hint=hint)
    elif not data.is_file():
        diagnostics.report("SNN104", f"{_short(data.name)} is not beside the model", **place)
    elif data.stat().st_size < offset + length:
        where = f"its {length} bytes begin at byte {offset}" if length else f"it begins at byte {offset}"
        message = f"{_short(data.name)} ends after {data.stat().st_size} bytes, and {where}"
        diagnostics.report("SNN104", message, **place, hint=_CUT_SHORT)
    else:
        return length or data.stat().st_size - offset
    return 0


def _short(name: str) -> str:
    """For a message; a damaged file may have a name of any length."""
    return repr(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}...")
