"""Changes of constants: values, types, sizes, and the files that they lie in."""

from __future__ import annotations

import random

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from .graph import EXTREMES, tensor_names

_FLOATS = (np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, -0.0, 0.0, 1e30, 1e-30, 1e12, 1.0)
_FACTORS = (0.0, 1.0, -1.0, 1e-30, 1e-10, 1e10, 1e30, 1e38, 1e-44)
_LOCATIONS = (
    "../secret", "/etc/passwd", "/dev/zero", "data.bin", "net.onnx", "", ".", "a\0b", "below/../../secret", "link",
    "nothing.bin", "~/x", "C:\\x", "data.bin/", "x" * 5000,
)  # fmt: skip


def some_tensor(model: onnx.ModelProto, draw: random.Random) -> TensorProto:
    """A constant of the graph or in an attribute; ValueError where there is none."""
    found: list[TensorProto] = list(model.graph.initializer)
    found += [attribute.t for node in model.graph.node for attribute in node.attribute if attribute.HasField("t")]
    if not found:
        raise ValueError("no constants")
    return draw.choice(found)


def _replace(tensor: TensorProto, values: np.ndarray) -> None:
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))


def change_value(model: onnx.ModelProto, draw: random.Random) -> None:
    """One element."""
    tensor = some_tensor(model, draw)
    values = numpy_helper.to_array(tensor).copy()
    if values.size == 0:
        raise ValueError("no elements")
    with np.errstate(all="ignore"):
        of = _FLOATS if values.dtype.kind == "f" else EXTREMES
        values.reshape(-1)[draw.randrange(values.size)] = np.array(draw.choice(of)).astype(values.dtype)
    _replace(tensor, values)


def change_all_values(model: onnx.ModelProto, draw: random.Random) -> None:
    """All elements, or those of a channel: multiplied, or of one value."""
    tensor = some_tensor(model, draw)
    values = numpy_helper.to_array(tensor).copy()
    part = values[:1] if values.ndim and draw.random() < 0.4 else values
    with np.errstate(all="ignore"):
        if draw.random() < 0.7:
            part[...] = (part * draw.choice(_FACTORS)).astype(values.dtype)
        else:
            part[...] = np.array(draw.choice(_FLOATS)).astype(values.dtype)
    _replace(tensor, values)


def change_shape(model: onnx.ModelProto, draw: random.Random) -> None:
    """The elements in another shape: a size of 1 more or less, transposed, cut, repeated, none."""
    tensor = some_tensor(model, draw)
    values = numpy_helper.to_array(tensor)
    kind = draw.randrange(7)
    axis = draw.randrange(max(1, values.ndim))
    if kind == 0:
        values = np.expand_dims(values, axis)
    elif kind == 1:
        values = np.squeeze(values)
    elif kind == 2:
        values = values.T
    elif kind == 3:
        values = values.reshape(-1)
    elif values.ndim == 0:
        raise ValueError("a number")
    elif kind == 4:
        values = values.take(range(min(values.shape[axis], draw.randrange(3))), axis=axis)
    elif kind == 5:
        values = np.repeat(values, draw.choice([2, 3]), axis=axis)
    else:
        values = values[..., :0]
    _replace(tensor, values)


def change_dims(model: onnx.ModelProto, draw: random.Random) -> None:
    """The shape that is said, whatever the elements are."""
    tensor = some_tensor(model, draw)
    if tensor.dims and draw.random() < 0.7:
        tensor.dims[draw.randrange(len(tensor.dims))] = draw.choice(EXTREMES)
    elif draw.random() < 0.5:
        tensor.dims.append(draw.choice(EXTREMES))
    else:
        del tensor.dims[:]


def change_type(model: onnx.ModelProto, draw: random.Random) -> None:
    """The type that is said, or the elements in another one."""
    tensor = some_tensor(model, draw)
    if draw.random() < 0.5:
        tensor.data_type = draw.choice([*range(27), 99, -1])
        return
    kind = draw.choice([np.float64, np.float16, np.int8, np.uint8, np.int32, np.int64, np.bool_, np.complex64])
    with np.errstate(all="ignore"):
        _replace(tensor, numpy_helper.to_array(tensor).astype(kind))


def change_storage(model: onnx.ModelProto, draw: random.Random) -> None:
    """Elements cut off, in two fields, of text, in the wrong field, or in a segment."""
    tensor = some_tensor(model, draw)
    kind = draw.randrange(6)
    if kind == 0:
        tensor.raw_data = tensor.raw_data[: draw.randrange(len(tensor.raw_data) + 1)]
    elif kind == 1:
        tensor.float_data.extend([1.0, float("nan")])
    elif kind == 2:
        tensor.ClearField("raw_data")
        tensor.string_data.append(b"\xff")
    elif kind == 3:
        tensor.segment.begin, tensor.segment.end = 0, draw.choice(EXTREMES)
    elif kind == 4:
        tensor.ClearField("raw_data")
    else:
        tensor.raw_data = tensor.raw_data + bytes(draw.randrange(1, 9))


def change_names(model: onnx.ModelProto, draw: random.Random) -> None:
    """A constant of the name of something else, twice, or also an input."""
    if not model.graph.initializer:
        raise ValueError("no constants")
    tensor = draw.choice(model.graph.initializer)
    kind = draw.randrange(4)
    if kind == 0:
        tensor.name = draw.choice([*tensor_names(model), ""])
    elif kind == 1:
        model.graph.initializer.append(tensor)
    elif kind == 2:
        value = model.graph.input.add()
        value.name = tensor.name
        value.type.tensor_type.elem_type = draw.choice([1, 7, 11])
        value.type.tensor_type.shape.dim.add().dim_value = draw.choice(EXTREMES)
    else:
        model.graph.initializer.remove(tensor)


def make_sparse(model: onnx.ModelProto, draw: random.Random) -> None:
    """A sparse constant, whose places may be outside."""
    if not model.graph.initializer:
        raise ValueError("no constants")
    tensor = draw.choice(model.graph.initializer)
    values = numpy_helper.to_array(tensor)
    sparse = model.graph.sparse_initializer.add()
    sparse.dims.extend(values.shape if draw.random() < 0.7 else [draw.choice(EXTREMES) for _ in values.shape])
    places = np.flatnonzero(values)[: draw.choice([0, 1, 5, 1000])]
    sparse.values.CopyFrom(numpy_helper.from_array(values.reshape(-1)[places], tensor.name))
    if draw.random() < 0.4:
        places = places + draw.choice(EXTREMES)
    sparse.indices.CopyFrom(numpy_helper.from_array(places.astype(np.int64), "places"))
    model.graph.initializer.remove(tensor)


def make_external(model: onnx.ModelProto, draw: random.Random) -> None:
    """Elements in another file, which may be anywhere."""
    tensor = some_tensor(model, draw)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    found = {"location": draw.choice(_LOCATIONS)}
    for name in ("offset", "length"):
        if draw.random() < 0.5:
            found[name] = str(draw.choice([*EXTREMES, "abc", "", "1e3", " 4", "9" * 400, 48, 4096]))
    if draw.random() < 0.2:
        found[draw.choice(["checksum", "basepath", "own"])] = "x"
    for key, value in found.items():
        tensor.external_data.add(key=key, value=value)


MUTATORS = (
    change_value, change_value, change_all_values, change_all_values, change_shape, change_dims, change_type,
    change_storage, change_names, make_sparse, make_external,
)  # fmt: skip
