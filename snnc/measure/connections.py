"""The layers of weights in a block, and nodes that count their effective operations in every step.

A connection is a `Conv`, `Gemm` or `MatMul` whose one side is constant, or the synapses of an operator that is a whole
layer. Sums over windows (pooling) and identity paths are none: they have no weights of their own.

What is counted follows NeuroBench (`snnc.measure.neurobench`): the layer again, with 1 for everything that is not 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from snnc.emit.block import Block
from snnc.emit.model import make_model
from snnc.emit.nodes import Nodes
from snnc.ir.domain import DOMAIN
from snnc.ir.names import COUNT
from snnc.measure.operations import fused_nodes
from snnc.runtime.session import make_session

#: Values, and the name of an initializer.
Folded = tuple[np.ndarray, str]

_WEIGHTED = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True)
class Spikes:
    """Words that an operator of a whole layer reads: copies of the channels, of signed spikes in pairs."""

    words: str
    copies: int
    signed: bool


@dataclass(frozen=True)
class Connection:
    """One layer of weights, or one tap of its kernel: `op` on `source`, the values of a step as a tensor's name or as
    words, with `weight`. `layer` is the same for all taps: the name of the initializer that holds their weights."""

    op: str
    source: str | Spikes
    weight: np.ndarray
    layer: str
    attributes: dict[str, Any]
    weight_first: bool = False


def find_connections(block: Block) -> list[Connection]:
    """All connections of a block, in order."""
    initializers = {tensor.name: tensor for tensor in block.body_constants}
    fused = {node.name for node in fused_nodes(block)}
    folded = _folded(block)
    found: list[Connection] = []
    for node in block.body:
        if node.domain == DOMAIN and node.name in fused:
            found += _of_layer(node, initializers)
        elif node.domain == "" and node.op_type in _WEIGHTED and len(set(node.input[:2]) & folded.keys()) == 1:
            found += _of_node(node, folded)
    return found


def counting(block: Block, connections: Sequence[Connection], *, dense: bool) -> tuple[Block, list[str], list[str]]:
    """A block that counts in steps of one, and the names of two scalars for each connection: operations of all samples
    (int64), and the largest magnitude that came in (float32).

    `dense` counts everything; else what is neither 0 in the input nor 0 among the weights.
    """
    nodes = Nodes(block.names())
    operations, largest = [], []
    for index, connection in enumerate(connections):
        label = f"connection_{index}"
        values = _values(nodes, connection, label)
        magnitude = nodes.node("Abs", [values], f"{label}/magnitude")
        largest.append(_scalar(nodes, "ReduceMax", magnitude, TensorProto.FLOAT, f"{label}/largest"))
        products = _products(nodes, connection, values, label, dense=dense)
        operations.append(_scalar(nodes, "ReduceSum", products, TensorProto.INT64, f"{label}/operations"))
    constants = [*block.body_constants, *nodes.constants.values()]
    return replace(block, body=[*block.body, *nodes.nodes], body_constants=constants), operations, largest


def _of_layer(node: onnx.NodeProto, initializers: dict[str, TensorProto]) -> Iterator[Connection]:
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}

    def connection(position: int, prefix: str, op: str, chosen: dict[str, Any]) -> Connection:
        words = Spikes(node.input[position], attributes[f"{prefix}copies"], bool(attributes[f"{prefix}signed"]))
        stored = node.input[position + 1]
        return Connection(op, words, numpy_helper.to_array(initializers[stored]), stored, chosen)

    if "group" not in attributes:
        yield connection(0, "", "MatMul", {})
        return
    yield connection(0, "", "Conv", {name: attributes[name] for name in ("strides", "dilations", "pads", "group")})
    if "residual_group" in attributes:
        group = attributes["residual_group"]
        residual = connection(2, "residual_", "Conv", {"group": group})
        if residual.weight.shape[:2] != (group, 1):  # else an identity path
            yield residual


def _of_node(node: onnx.NodeProto, folded: dict[str, Folded]) -> Iterator[Connection]:
    weight_first = node.input[0] in folded
    source, name = (node.input[1], node.input[0]) if weight_first else (node.input[0], node.input[1])
    weight, layer = folded[name]
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    if not _sums_windows(node.op_type, weight, attributes):
        op = "Conv" if node.op_type == "Conv" else "MatMul"
        yield Connection(op, source, weight, layer, attributes if op == "Conv" else {}, weight_first)


def _sums_windows(op: str, weight: np.ndarray, attributes: dict[str, Any]) -> bool:
    """Whether this is the sum over windows of every channel by itself; as products, `[channels, 1, 1]` for each tap."""
    by_channel = weight.shape[:2] == (attributes["group"], 1) if op == "Conv" else weight.shape[1:] == (1, 1)
    return by_channel and bool((weight == 1).all())


def _folded(block: Block) -> dict[str, Folded]:
    """The float tensors of a block that depend on its constants alone: values, and the initializer behind them."""
    origin = {tensor.name: tensor.name for tensor in block.body_constants}
    nodes = []
    for node in block.body:
        if node.domain == "" and node.input and origin.keys() >= set(node.input):
            nodes.append(node)
            origin.update(dict.fromkeys(node.output, origin[node.input[0]]))
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in block.body_constants}
    computed = [name for node in nodes for name in node.output]
    if computed:
        outputs = [onnx.ValueInfoProto(name=name) for name in computed]
        graph = helper.make_graph(nodes, "constants", [], outputs, block.body_constants)
        session = make_session(make_model(graph).SerializeToString(), native=False)
        values |= dict(zip(computed, session.run(None, {}), strict=True))
    return {name: (value, origin[name]) for name, value in values.items() if value.dtype.kind == "f"}


def _values(nodes: Nodes, connection: Connection, label: str) -> str:
    """What comes in, float32 `[N, ...]`: of spikes their sum over copies, negative ones subtracted."""
    source = connection.source
    if isinstance(source, str):
        return nodes.node("Cast", [source], f"{label}/values", to=TensorProto.FLOAT)
    planes = nodes.node("SpikeUnpack", [source.words, COUNT], f"{label}/planes", DOMAIN)
    count = source.copies * (1 + source.signed)
    if count == 1:
        return planes
    parts = nodes.split(planes, [f"{label}/plane_{index}" for index in range(count)], axis=1)
    if not source.signed:
        return nodes.node("Sum", parts, f"{label}/values")
    plus = nodes.node("Sum", parts[0::2], f"{label}/plus")
    return nodes.node("Sub", [plus, nodes.node("Sum", parts[1::2], f"{label}/minus")], f"{label}/values")


def _products(nodes: Nodes, connection: Connection, values: str, label: str, *, dense: bool) -> str:
    """The layer with 1 for what counts: how many products each output is the sum of."""
    zero = nodes.constant("connection/zero", np.float32(0))
    is_zero = nodes.node("Equal", [values, zero], f"{label}/is_zero")
    counted = nodes.node("Or", [is_zero, nodes.node("Not", [is_zero], f"{label}/is_not")], f"{label}/all")
    counts = counted if dense else nodes.node("Not", [is_zero], f"{label}/effective")
    ones = nodes.node("Cast", [counts], f"{label}/ones", to=TensorProto.FLOAT)
    weight = np.ones_like(connection.weight) if dense else connection.weight != 0
    mask = nodes.constant(f"{label}/mask", weight.astype(np.float32))
    inputs = [mask, ones] if connection.weight_first else [ones, mask]
    return nodes.node(connection.op, inputs, f"{label}/products", **connection.attributes)


def _scalar(nodes: Nodes, op: str, values: str, kind: int, label: str) -> str:
    """All of a tensor reduced to a number; float32 holds each of them exactly, but not their sum."""
    wide = nodes.node("Cast", [values], f"{label}/wide", to=kind)
    return nodes.node(op, [wide], label, keepdims=0)
