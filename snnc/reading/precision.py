"""The same network in float32, whatever types its file computes with.

Spiking networks have integers and float32 inside. A file may compute in float64, float16 or bfloat16, or take integers
that a `Cast` makes floats: in all of it float32 is as good, or rounds less. `in_float32` changes types alone, names of
tensors and nodes stay. Whether the result is the same network is tried by the pass `ingest`.

Left alone are integers that shapes are computed from, and quantised weights, which `fold` computes.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from snnc.diagnostics import Diagnostics
from snnc.ir.names import own
from snnc.reading.protos import copied, data_inputs, replace_nodes, shape_text, subgraphs

_OTHER_FLOATS = (TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
_INTEGERS = (
    TensorProto.UINT8,
    TensorProto.INT8,
    TensorProto.UINT16,
    TensorProto.INT16,
    TensorProto.INT32,
    TensorProto.UINT32,
    TensorProto.INT64,
    TensorProto.BOOL,
)
#: What an input may be.
READABLE = (TensorProto.FLOAT, *_OTHER_FLOATS, *_INTEGERS)
# Attributes that name a type.
_TYPES = ("to", "dtype", "output_dtype")
_MOVING = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose")
_SHAPES = ("Shape", "Size")
# What reads floats of one type alone, and gives such floats.
_OF_ONE_TYPE = ("Add", "Conv", "Div", "Flatten", "Gemm", "MatMul", "Mul", "Relu", "Sigmoid", "Softmax", "Sub", "Tanh")


def input_type(model: onnx.ModelProto) -> int:
    """The type of the first input that has to be fed; FLOAT where there is none."""
    inputs = data_inputs(model)
    return inputs[0].type.tensor_type.elem_type if inputs else TensorProto.FLOAT


def takes_integers(model: onnx.ModelProto) -> bool:
    """Whether the input of a model is of integers, such as pixels from 0 to 255."""
    return input_type(model) in _INTEGERS


def in_float32(model: onnx.ModelProto, diagnostics: Diagnostics | None = None) -> onnx.ModelProto:
    """`model` with float32 in the place of all other floats and of an input of integers; itself where it has neither.

    With `diagnostics`, SNN105 is reported where something computes with the integers of the input.
    """
    if not _has_other_types(model.graph) and not takes_integers(model):
        return model
    changed = copied(model)
    _retype(changed.graph)
    if takes_integers(model):
        _take_floats(changed, diagnostics or Diagnostics(logged=False))
        del changed.graph.value_info[:]
    return changed


def mixing_node(model: onnx.ModelProto) -> onnx.NodeProto | None:
    """The first node that reads floats of several types where the standard wants one, which onnxruntime refuses."""
    kinds: dict[str, int] = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    kinds |= {value.name: value.type.tensor_type.elem_type for value in model.graph.input if value.name not in kinds}
    nodes: list[onnx.NodeProto] = [*model.graph.node]
    for node in nodes:
        if node.op_type not in _OF_ONE_TYPE:
            continue
        found = {kinds[name] for name in node.input if kinds.get(name) in (TensorProto.FLOAT, *_OTHER_FLOATS)}
        if len(found) > 1:
            return node
        kinds.update((name, kind) for kind in found for name in node.output)
    return None


def of_one_type(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` in float32 where it mixes types of floats (`mixing_node`); else itself."""
    return model if mixing_node(model) is None else in_float32(model)


def _has_other_types(graph: onnx.GraphProto) -> bool:
    values = (*graph.input, *graph.output, *graph.value_info)
    if any(value.type.tensor_type.elem_type in _OTHER_FLOATS for value in values):
        return True
    if any(tensor.data_type in _OTHER_FLOATS for tensor in graph.initializer):
        return True
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.t.data_type in _OTHER_FLOATS:
                return True
            if attribute.name in _TYPES and attribute.i in _OTHER_FLOATS:
                return True
        if any(_has_other_types(inner) for inner in subgraphs(node)):
            return True
    return False


def _retype(graph: onnx.GraphProto) -> None:
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type in _OTHER_FLOATS:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for tensor in graph.initializer:
        _retype_tensor(tensor)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                _retype_tensor(attribute.t)
            elif attribute.name in _TYPES and attribute.i in _OTHER_FLOATS:
                attribute.i = TensorProto.FLOAT
        for inner in subgraphs(node):
            _retype(inner)


def _retype_tensor(tensor: TensorProto) -> None:
    if tensor.data_type in _OTHER_FLOATS:
        with np.errstate(over="ignore"):  # what overflows is found where weights have to be finite
            values = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _take_floats(model: onnx.ModelProto, diagnostics: Diagnostics) -> None:
    """Let the input be of floats that stand for its integers, as far as the node that makes floats of them."""
    source = data_inputs(model)[0]
    kind = source.type.tensor_type.elem_type
    integers = {source.name}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        nodes.append(node)
        if node.op_type in _SHAPES or integers.isdisjoint(node.input):
            continue
        if node.op_type in _MOVING or _widens(node, kind):
            integers.add(node.output[0])
        elif node.op_type == "DequantizeLinear" and node.input[0] in integers and _of_one_scale(model, node):
            nodes[-1:] = _dequantised(node)
        elif node.op_type != "Cast" or _target(node) != TensorProto.FLOAT:
            name = TensorProto.DataType.Name(kind)
            message = f"it computes with the integers of the input {source.name!r} {shape_text(source)}, {name}"
            hint = "let a Cast to float32 stand directly behind the input"
            diagnostics.report("SNN105", message, node=node.name, op=node.op_type, hint=hint)
    for node in nodes:
        if _widens(node, kind) and node.input[0] in integers:
            next(attribute for attribute in node.attribute if attribute.name == "to").i = TensorProto.FLOAT
    source.type.tensor_type.elem_type = TensorProto.FLOAT
    for value in model.graph.output:
        if value.name in integers:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    replace_nodes(model.graph, nodes)


def _target(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "to"), TensorProto.UNDEFINED)


def _widens(node: onnx.NodeProto, kind: int) -> bool:
    """Whether it makes other integers of the input's, without changing their values."""
    if node.op_type != "Cast" or _target(node) not in _INTEGERS:
        return False
    dtypes = [helper.tensor_dtype_to_np_dtype(one) for one in (kind, _target(node))]
    return bool(np.can_cast(dtypes[0], dtypes[1], "safe"))


def _of_one_scale(model: onnx.ModelProto, node: onnx.NodeProto) -> bool:
    """Whether it has one scale and one zero point for all elements, constants of the model."""
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
    for other in model.graph.node:
        for attribute in other.attribute if other.op_type == "Constant" else ():
            sizes[other.output[0]] = int(np.prod(attribute.t.dims)) if attribute.HasField("t") else 1
    return all(sizes.get(name) == 1 for name in filter(None, node.input[1:]))


def _dequantised(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """(x - zero point)·scale, of floats."""
    scale, *rest = node.input[1:]
    before, nodes = node.input[0], []
    if rest and rest[0]:
        point, shifted = own(f"zero/{node.name}"), own(f"shifted/{node.name}")
        nodes.append(helper.make_node("Cast", [rest[0]], [point], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Sub", [before, point], [shifted], own(f"shifted/{node.name}")))
        nodes[0].name, before = point, shifted
    nodes.append(helper.make_node("Mul", [before, scale], [node.output[0]], node.name))
    return nodes
