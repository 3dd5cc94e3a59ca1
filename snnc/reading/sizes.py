"""Sizes of the input that a file leaves open, from an option or from data.

Neurons have to be counted, so a network that takes images of any height and width is converted for one of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NoReturn

import onnx

from snnc.diagnostics import fail
from snnc.reading.protos import copied, data_inputs, shape_text

_EXAMPLE = "a shape is of the form 3,48,192 or 1x3x48x192, NAME=3,48,192 where the input is named"


def parsed(text: str) -> tuple[str, tuple[int, ...]]:
    """`[NAME=]SIZES` as on the command line: the name, "" where there is none, and the sizes; SNN405 if it is none."""
    name, _, numbers = text.rpartition("=")
    found = re.fullmatch(r"\s*\[?\s*(\d+(?:\s*[x,*]\s*\d+)*)\s*\]?\s*", numbers)
    sizes = tuple(int(size) for size in re.split(r"[x,*]", found[1])) if found else ()
    if not sizes or min(sizes) < 1:
        fail("SNN405", f"shape is {text!r}: {_EXAMPLE}")
    return name.strip(), sizes


def open_axes(model: onnx.ModelProto) -> list[int]:
    """The axes behind the batch that have no size in the file."""
    inputs = data_inputs(model)
    dims = inputs[0].type.tensor_type.shape.dim if len(inputs) == 1 else []
    return [axis for axis, dim in enumerate(dims) if axis and dim.dim_value < 1]


def with_shape(model: onnx.ModelProto, text: str) -> onnx.ModelProto:
    """`model` for samples of the shape that `text` (see `parsed`) says, with or without the batch in front, which
    stays as it is; SNN405 where the file contradicts."""
    name, sizes = parsed(text)
    inputs = data_inputs(model)
    if not inputs:
        return model  # that there is nothing to feed is reported later
    named = [value for value in inputs if name in ("", value.name)]
    if not named:
        fail("SNN405", f"shape is {text!r}, and the input is named {', '.join(repr(value.name) for value in inputs)}")
    tensor = named[0].type.tensor_type
    rank = len(tensor.shape.dim) if tensor.HasField("shape") else len(sizes)
    if len(sizes) not in (rank, rank - 1):
        _contradict(named[0], text)
    return with_sizes(model, named[0], sizes[len(sizes) - rank + 1 :], text)


def with_sizes(model: onnx.ModelProto, value: onnx.ValueInfoProto, sizes: Sequence[int], text: str) -> onnx.ModelProto:
    """`model` with these sizes of a sample at the input `value`; SNN405 where the file contradicts what was said."""
    sized = copied(model)
    tensor = next(other for other in sized.graph.input if other.name == value.name).type.tensor_type
    if not tensor.HasField("shape"):
        for _ in range(len(sizes) + 1):
            tensor.shape.dim.add()
    for dim, size in zip(tensor.shape.dim[1:], sizes, strict=True):
        if dim.dim_value > 0 and dim.dim_value != size:
            _contradict(value, text)
        dim.dim_value = size
    return sized


def _contradict(value: onnx.ValueInfoProto, text: str) -> NoReturn:
    fail("SNN405", f"shape is {text!r}, and the input {value.name!r} of the network is {shape_text(value)}")
