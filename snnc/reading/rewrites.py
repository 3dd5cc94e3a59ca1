"""Nodes that hold the size of the batch as a number, written for batches of any size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from snnc.ir.names import own
from snnc.reading.protos import copied, data_inputs

_SHAPING = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")
# Constants with more elements are weights, not shapes.
_MOST_OF_A_SHAPE = 64

Sizes = Mapping[str, tuple[int, ...]]


def for_any_batch(model: onnx.ModelProto, shapes: Sizes, made_for: int) -> tuple[onnx.ModelProto, list[str]]:
    """`model`, whose tensors have these `shapes` for a batch of `made_for` samples, for any number of them, without
    declared shapes; and the names of the Reshapes that have this number.

    1. `Reshape`, `Flatten`, `Squeeze`, `Unsqueeze` that keep samples apart → `Reshape` to `[-1, dims...]`;
    2. `Resize` to sizes that are multiples of those it reads → `Resize` by scales.
    """
    free = copied(model)
    del free.graph.value_info[:]
    for value in free.graph.output:
        value.type.tensor_type.ClearField("shape")
    dim = data_inputs(free)[0].type.tensor_type.shape.dim[0]
    dim.dim_param = dim.dim_param or "batch"
    constants, numbered = dict(integer_constants(model)), []
    for node in free.graph.node:
        source, result = (shapes.get(name, ()) for name in (node.input[0] if node.input else "", node.output[0]))
        if not source[:1] == result[:1] == (made_for,):
            continue
        if node.op_type in _SHAPING and math.prod(source[1:]) == math.prod(result[1:]) > 0:
            if node.op_type == "Reshape" and constants.get(node.input[1], [])[:1] == [made_for]:
                numbered.append(node.name)
            _reshape(free.graph, node, result)
        elif node.op_type == "Resize" and len(node.input) == 4 and constants.get(node.input[3]):
            _resize(free.graph, node, source, result)
    return free, numbered


def integer_constants(model: onnx.ModelProto) -> Iterator[tuple[str, list[int]]]:
    """The constants of integers that may be shapes, by name."""
    tensors = [(tensor.name, tensor) for tensor in model.graph.initializer]
    for node in model.graph.node:
        for attribute in node.attribute if node.op_type == "Constant" else ():
            if attribute.HasField("t"):
                tensors.append((node.output[0], attribute.t))
            elif attribute.type in (onnx.AttributeProto.INT, onnx.AttributeProto.INTS):
                yield node.output[0], [*attribute.ints] or [attribute.i]
    for name, tensor in tensors:
        integer = tensor.data_type in (onnx.TensorProto.INT64, onnx.TensorProto.INT32)
        if integer and math.prod(tensor.dims) <= _MOST_OF_A_SHAPE:
            yield name, [int(value) for value in numpy_helper.to_array(tensor).ravel()]


def _reshape(graph: onnx.GraphProto, node: onnx.NodeProto, result: tuple[int, ...]) -> None:
    name = own(f"for_any_batch/{node.name}")
    graph.initializer.append(numpy_helper.from_array(np.array([-1, *result[1:]], np.int64), name))
    source = node.input[0]
    node.op_type = "Reshape"
    del node.input[:]
    node.input.extend([source, name])
    del node.attribute[:]


def _resize(graph: onnx.GraphProto, node: onnx.NodeProto, source: tuple[int, ...], result: tuple[int, ...]) -> None:
    if any(after % before for before, after in zip(source[1:], result[1:], strict=True)):
        return
    name = own(f"for_any_batch/{node.name}")
    scales = np.array([1, *(after // before for before, after in zip(source[1:], result[1:], strict=True))], np.float32)
    graph.initializer.append(numpy_helper.from_array(scales, name))
    node.input[2] = name
    node.input.pop()
