"""Running nodes of an ANN alone, to learn what they do from what they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnxruntime
from onnx import helper

from snnc.runtime.session import cpu_session

_IR_VERSION = 10
_DEEPEST = 64


class NotAlone(Exception):
    """What nodes do depends on more than their source."""


def model_of(
    nodes: Sequence[gs.Node], sources: Sequence[gs.Variable], results: Sequence[gs.Variable], opset: int
) -> onnx.ModelProto:
    """A model of `nodes`, in order, that computes `results` from `sources`; of no shape more is said than its rank."""
    constants = {tensor.name: tensor for node in nodes for tensor in node.inputs if isinstance(tensor, gs.Constant)}
    protos = [
        helper.make_node(
            *(node.op, [tensor.name for tensor in node.inputs], [tensor.name for tensor in node.outputs]),
            name=node.name,
            **{name: _attribute(value) for name, value in node.attrs.items()},
        )
        for node in nodes
    ]
    graph = helper.make_graph(
        protos,
        "alone",
        [_info(tensor, len(tensor.shape)) for tensor in sources],
        [_info(tensor, None) for tensor in results],
        [onnx.numpy_helper.from_array(np.asarray(each.values), name) for name, each in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=_IR_VERSION)


def run_model(model: onnx.ModelProto, values: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """What a model gives, unoptimised. Raises what onnxruntime raises about nodes that it cannot take."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = cpu_session(model.SerializeToString(), options)
    return list(session.run(None, dict(values)))


def unlinked(node: gs.Node, attrs: Mapping[str, object]) -> gs.Node:
    """The same node with these attributes, of tensors that no other node knows."""
    inputs = [
        gs.Constant(tensor.name, tensor.values) if isinstance(tensor, gs.Constant) else gs.Variable(tensor.name)
        for tensor in node.inputs
    ]
    return gs.Node(node.op, node.name, dict(attrs), inputs, [gs.Variable(tensor.name) for tensor in node.outputs])


def with_parameters(row: Sequence[gs.Node], source: gs.Variable) -> list[gs.Node]:
    """The nodes of `row`, of which each reads first what the one before gives, with those that compute their other
    inputs from the shape of `source`, in order. Raises `NotAlone` where these depend on anything else."""
    found: list[gs.Node] = []
    for node in row:
        for parameter in node.inputs[1:]:
            _add_computation(parameter, source, found, 0)
        found.append(node)
    return found


def _add_computation(tensor: gs.Tensor, source: gs.Variable, found: list[gs.Node], depth: int) -> None:
    """The nodes that compute `tensor` from constants and the shape of `source` alone, behind those `found` already."""
    if isinstance(tensor, gs.Constant) or tensor.is_empty():
        return
    node = tensor.inputs[0] if tensor.inputs else None
    if node is None or depth > _DEEPEST or (tensor is source):
        raise NotAlone
    if any(node is known for known in found):
        return
    for operand in node.inputs:
        if not (node.op == "Shape" and operand is source):
            _add_computation(operand, source, found, depth + 1)
    found.append(node)


def _attribute(value: Any) -> Any:
    """An attribute of a graph as onnx takes it: tensors are constants there."""
    return onnx.numpy_helper.from_array(np.asarray(value.values)) if isinstance(value, gs.Constant) else value


def _info(tensor: gs.Variable, rank: int | None) -> onnx.ValueInfoProto:
    elem_type = helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype))
    return helper.make_tensor_value_info(tensor.name, elem_type, None if rank is None else [None] * rank)
