"""The ANN that a spiking graph stands for, as a plain float32 ONNX model with the output of every layer.

Taken at level SPIKING, where weights are the floats of the ANN: then every layer gives what the ANN has there.

    linear operator   its room's own current of a step, over its divisor
    layer             what its room says (`Layer.analog`): encoders and readouts x [+ bias], neurons their activation
                      function, pools the maximum

So whatever the passes made of the ANN, and whatever stands for a Relu, is measured as it was trained.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import TensorProto, helper

from snnc.emit.model import make_model
from snnc.emit.nodes import Nodes
from snnc.ir.domain import OPSET
from snnc.ir.graph import activation_inputs, sample_shape
from snnc.ir.names import Names, names_in
from snnc.ir.trees import tree
from snnc.operators import LAYERS, operator_of


@dataclass(frozen=True)
class AnalogNetwork:
    """The model, and its tensors by the names of layers: `outputs` of all of them, `[N, ...]`, in order of the graph;
    `limits` of neurons, inputs `[C, 1, ...]` (empty where it was not asked for them)."""

    model: onnx.ModelProto
    outputs: dict[str, str]
    limits: dict[str, str]


def analog_network(graph: gs.Graph, *, limited: bool = False) -> AnalogNetwork:
    """The ANN of a graph of level SPIKING; `limited`: what reads a neuron reads min(its output, its limit).

    Outputs are those in front of the limits. Input and batch axis have the names that they have in the graph.
    """
    nodes = Nodes(Names(names_in(graph.nodes)).take(tensor.name for tensor in graph.inputs))
    values = {tensor.name: tensor.name for tensor in graph.inputs}
    outputs: dict[str, str] = {}
    limits: dict[str, str] = {}
    infos_in = [_info(tensor.name, list(tensor.shape)) for tensor in graph.inputs]
    infos_out: list[onnx.ValueInfoProto] = []
    for layer in graph.nodes:
        if layer.op not in LAYERS:
            continue
        room = LAYERS[layer.op]
        roots = activation_inputs(layer)
        for node in (node for root in roots for node in tree(root)):
            operands = [values[operand.name] for operand in activation_inputs(node)]
            values[node.outputs[0].name] = _linear(node, operands, nodes)
        tensor = layer.outputs[0]
        reads = [_charged(layer, values[root.name], nodes) for root in roots]
        value = room.analog(layer, reads, f"{layer.name}/analog", nodes)
        values[tensor.name] = outputs[layer.name] = value
        infos_out.append(_info(value, list(tensor.shape)))
        if limited and room.kind == "neuron":
            limit = limits[layer.name] = nodes.names.unique(f"{layer.name}/limit")
            infos_in.append(_info(limit, [size if axis == 0 else 1 for axis, size in enumerate(sample_shape(tensor))]))
            values[tensor.name] = nodes.node("Min", [value, limit], f"{layer.name}/limited")
    return AnalogNetwork(_model(nodes, infos_in, infos_out, graph.opset), outputs, limits)


def _linear(node: gs.Node, operands: list[str], nodes: Nodes) -> str:
    """A linear operator on values of the ANN."""
    room, label = operator_of(node), f"{node.outputs[0].name}/analog"
    divisor = room.divisor(node)
    if divisor == 1:
        return room.current(node, operands, label, "steps", nodes)
    sums = room.current(node, operands, f"{label}/sums", "steps", nodes)
    return nodes.node("Div", [sums, nodes.constant("divisor", np.array(divisor, np.float32))], label)


def _charged(layer: gs.Node, read: str, nodes: Nodes) -> str:
    """What a layer reads, with the bias that the pass `charges` has taken out of its tree."""
    if "charge_value" not in layer.attrs:
        return read
    charge = nodes.constant(f"charge/{layer.name}", np.asarray(layer.attrs["charge_value"], np.float32))
    return nodes.node("Add", [read, charge], f"{layer.name}/charged")


def _info(name: str, dims: list[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)


def _model(
    nodes: Nodes, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto], opset: int
) -> onnx.ModelProto:
    """In the opset of the ANN where that is newer than the one that rooms write."""
    graph = helper.make_graph(nodes.nodes, "analog", inputs, outputs, list(nodes.constants.values()))
    return make_model(graph, opset=max(OPSET, opset))
