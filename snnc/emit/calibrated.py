"""The calibrated graph inside a converted file, of which other forms of the network can be written (`snnc.export`).

The graph of level FUSED as an ONNX model: encoder, linear operators, neurons and readouts with the integers of the
grid, in the shapes of the ANN, without time. What the block has in words and operators of whole layers stands here
operator by operator. Weights are those of the block (`snnc.emit.embedded`). The tail behind the readouts is left out,
and so is what is about the conversion alone: attributes that are neither numbers, arrays, words nor lists of integers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import helper, numpy_helper

from snnc.emit.embedded import Shared, extract, packed
from snnc.ir.domain import DOMAIN, DOMAIN_VERSION, IR_VERSION, OPSET
from snnc.ir.graph import activation_inputs
from snnc.operators import LAYERS, is_linear


def embed_calibrated(graph: gs.Graph, constants: Iterable[onnx.TensorProto]) -> str:
    """`graph` (level FUSED) as text; `constants` are those of its block."""
    nodes = [node for node in graph.nodes if node.op in LAYERS or is_linear(node)]
    shared, initializers = Shared(constants), {}
    for node in nodes:
        for tensor in node.inputs:
            if isinstance(tensor, gs.Constant) and tensor.name not in initializers:
                initializers[tensor.name] = numpy_helper.from_array(np.asarray(tensor.values), tensor.name)
                shared.refer(initializers[tensor.name])
    produced = {node.outputs[0].name for node in nodes}
    read = {tensor.name for node in nodes for tensor in activation_inputs(node)}
    infos = {node.outputs[0].name: _info(node.outputs[0]) for node in nodes}
    outputs = [infos[name] for name in infos if name not in read]
    inner = [infos[name] for name in infos if name in read]
    inputs = [_info(tensor) for tensor in graph.inputs if tensor.name not in produced]
    body = helper.make_graph(
        [_node(node) for node in nodes], "calibrated", inputs, outputs, list(initializers.values()), value_info=inner
    )
    domains = dict.fromkeys((node.domain or "" for node in nodes), 1) | {"": OPSET, DOMAIN: DOMAIN_VERSION}
    opsets = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
    return packed(helper.make_model(body, opset_imports=opsets, ir_version=IR_VERSION, producer_name="snnc"))


def extract_calibrated(text: str, constants: Iterable[onnx.TensorProto]) -> gs.Graph:
    """The graph again. ValueError, KeyError or protobuf's DecodeError: the text is damaged."""
    graph = gs.import_onnx(extract(text, constants))
    for node in graph.nodes:
        for name, value in node.attrs.items():
            if isinstance(value, gs.Tensor):
                array = np.asarray(value.values)
                node.attrs[name] = float(array) if array.shape == () and array.dtype == np.float64 else array
    return graph


def _node(node: gs.Node) -> onnx.NodeProto:
    inputs, outputs = ([tensor.name for tensor in tensors] for tensors in (node.inputs, node.outputs))
    proto = helper.make_node(node.op, inputs, outputs, name=node.name, domain=node.domain or "")
    for key, value in sorted(node.attrs.items()):
        if isinstance(value, float):  # attributes of ONNX are float32 otherwise
            value = np.array(value, np.float64)
        if isinstance(value, np.ndarray):
            proto.attribute.append(helper.make_attribute(key, numpy_helper.from_array(value)))
        elif _is_plain(value):
            proto.attribute.append(helper.make_attribute(key, value))
    return proto


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) > 0 and all(isinstance(item, int) for item in value)
    return isinstance(value, int | str)


def _info(tensor: gs.Tensor) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(tensor.name, onnx.TensorProto.FLOAT, list(tensor.shape))
