"""A second network inside a converted file, without its weights: the file has these already.

A model without the bytes of those initializers that the block has too; which ones they are is noted in the place of the
bytes. Compressed, as text.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable

import onnx

_SHARED = "snnc.shared"
# What is smaller than a reference to it is kept as it is.
_LEAST_BYTES = 256


def embed(model: onnx.ModelProto, constants: Iterable[onnx.TensorProto]) -> str:
    """`model` as text, without the initializers that are among `constants` of the block."""
    shared = Shared(constants)
    small = onnx.ModelProto()
    small.CopyFrom(model)
    for tensor in small.graph.initializer:
        shared.refer(tensor)
    return packed(small)


class Shared:
    """The initializers of a block, by their content."""

    def __init__(self, constants: Iterable[onnx.TensorProto]) -> None:
        self._known = {_content(tensor): tensor.name for tensor in constants}

    def refer(self, tensor: onnx.TensorProto) -> None:
        """Take the bytes of `tensor` away and note where the block has them; nothing where it has not, or few."""
        name = self._known.get(_content(tensor)) if len(tensor.raw_data) >= _LEAST_BYTES else None
        if name is not None:
            tensor.ClearField("raw_data")
            tensor.doc_string = f"{_SHARED} {name}"


def packed(model: onnx.ModelProto) -> str:
    """`model` as text, compressed."""
    return base64.b64encode(zlib.compress(model.SerializeToString(deterministic=True), 9)).decode("ascii")


def extract(text: str, constants: Iterable[onnx.TensorProto]) -> onnx.ModelProto:
    """The model again. ValueError, KeyError or protobuf's DecodeError: the text is damaged, or the block lacks an
    initializer."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(zlib.decompress(base64.b64decode(text, validate=True)))
    except zlib.error as error:
        raise ValueError(str(error)) from error
    known = {tensor.name: tensor for tensor in constants}
    for tensor in model.graph.initializer:
        if tensor.doc_string.startswith(f"{_SHARED} "):
            tensor.raw_data = known[tensor.doc_string.removeprefix(f"{_SHARED} ")].raw_data
            tensor.ClearField("doc_string")
    return model


def _content(tensor: onnx.TensorProto) -> tuple[int, tuple[int, ...], bytes]:
    return tensor.data_type, tuple(tensor.dims), tensor.raw_data
