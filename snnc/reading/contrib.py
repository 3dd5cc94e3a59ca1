"""What onnxruntime's optimisations wrote, in operators of ONNX.

A model that onnxruntime optimised and saved has operators of the domain `com.microsoft`: a convolution or dense layer
together with what followed it, and activations that exporters write as several nodes. `in_standard_operators` writes
them out again. Whether the result is the same network is tried by the pass `ingest`.

| operator | becomes |
|---|---|
| `FusedConv` | `Conv` [`Add`] and its activation |
| `FusedGemm` | `Gemm` and its activation |
| `FusedMatMul` | `MatMul` of operands transposed before, times `alpha` |
| `Gelu`, `BiasGelu`, `FastGelu`, `QuickGelu` | [`Add`,] x·Φ(x), by `Erf`, `Tanh` or `Sigmoid` |
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import onnx
from onnx import helper, numpy_helper

from snnc.ir.names import own
from snnc.reading.protos import copied, replace_nodes

DOMAIN = "com.microsoft"
# Activations of fused layers: operator → names of its parameters, in the order of `activation_params`.
_ACTIVATIONS: dict[str, tuple[str, ...]] = {
    "Relu": (),
    "Sigmoid": (),
    "Tanh": (),
    "LeakyRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "Clip": ("low", "high"),
}
_FIELDS: dict[type, tuple[int, str]] = {
    bytes: (onnx.AttributeProto.STRING, "s"),
    float: (onnx.AttributeProto.FLOAT, "f"),
    int: (onnx.AttributeProto.INT, "i"),
    list: (onnx.AttributeProto.FLOATS, "floats"),
}
Value = TypeVar("Value", bytes, float, int, list[float])
_GEMM_PARAMETERS = ("activation_alpha", "activation_beta")


class _Unknown(Exception):
    """A form of the operator that is not known here."""


class _Writer:
    """Collects the nodes and constants in the place of one node; the last one keeps its name and its output."""

    def __init__(self, model: onnx.ModelProto, node: onnx.NodeProto) -> None:
        self.node, self.nodes = node, list[onnx.NodeProto]()
        self.attributes = {attribute.name: attribute for attribute in node.attribute}
        self.constants = list[onnx.TensorProto]()
        self._weights = {tensor.name: tensor for tensor in model.graph.initializer if tensor.name in node.input}

    def write(self, op: str, inputs: list[str], **attributes: Any) -> str:
        """A node; gives the name of what it computes."""
        name = own(f"{self.node.name}/{len(self.nodes)}")
        self.nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        return name

    def write_with_the_rest(self, op: str, inputs: list[str]) -> str:
        """A node with all attributes that are not used up, as they are: lists may be empty."""
        name = self.write(op, inputs)
        self.nodes[-1].attribute.extend(self.attributes.values())
        return name

    def number(self, value: float) -> str:
        """A constant of the type of the weights, float32 where there are none."""
        kind = next((tensor.data_type for tensor in self._weights.values()), onnx.TensorProto.FLOAT)
        name = own(f"{self.node.name}/constant_{len(self.constants)}")
        values = np.array(value, helper.tensor_dtype_to_np_dtype(kind))
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def transposed(self, name: str) -> str:
        """A weight with its last two axes exchanged."""
        if name not in self._weights:
            raise _Unknown
        axes = list(range(len(self._weights[name].dims)))
        return self.write("Transpose", [name], perm=[*axes[:-2], axes[-1], axes[-2]])

    def finish(self) -> None:
        """Let the last node be the one that others know."""
        self.nodes[-1].name, self.nodes[-1].output[0] = self.node.name, self.node.output[0]

    def take(self, name: str, default: Value) -> Value:
        """An attribute of the type of `default`, which is used up."""
        attribute = self.attributes.pop(name, None)
        if attribute is None:
            return default
        kind, field = _FIELDS[type(default)]
        if attribute.type != kind:
            raise _Unknown
        value: Value = getattr(attribute, field)
        return value


def in_standard_operators(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` without those operators of `com.microsoft` that are known here; itself where it has none."""
    if not any(is_known(node) for node in model.graph.node):
        return model
    changed = copied(model)
    nodes: list[onnx.NodeProto] = []
    for node in changed.graph.node:
        writer = _Writer(changed, node)
        try:
            if is_known(node):
                _OPERATORS[node.op_type](writer)
                writer.finish()
        except _Unknown:
            nodes.append(node)
            continue
        nodes += writer.nodes or [node]
        changed.graph.initializer.extend(writer.constants)
    replace_nodes(changed.graph, nodes)
    return changed


def is_known(node: onnx.NodeProto) -> bool:
    """Whether it is one of the operators that are written out here."""
    return bool(node.domain == DOMAIN and node.op_type in _OPERATORS and len(node.output) == 1)


def _conv(writer: _Writer) -> None:
    activation, parameters = writer.take("activation", b""), list(writer.take("activation_params", list[float]()))
    inputs = list(writer.node.input)
    current = writer.write_with_the_rest("Conv", inputs[:3])
    if len(inputs) > 3 and inputs[3]:
        current = writer.write("Add", [current, inputs[3]])
    _activate(writer, current, activation, parameters)


def _gemm(writer: _Writer) -> None:
    activation = writer.take("activation", b"")
    parameters = [writer.take(name, 0.0) for name in _GEMM_PARAMETERS]
    writer.take("activation_gamma", 0.0)
    current = writer.write_with_the_rest("Gemm", list(writer.node.input))
    _activate(writer, current, activation, parameters)


def _matmul(writer: _Writer) -> None:
    if writer.take("transBatchA", 0) or writer.take("transBatchB", 0):
        raise _Unknown
    operands = []
    for name, side in zip(writer.node.input, "AB", strict=True):
        transposed = writer.take(f"trans{side}", 0)
        operands.append(writer.transposed(name) if transposed else name)
    product, alpha = writer.write("MatMul", operands), writer.take("alpha", 1.0)
    if alpha != 1:
        writer.write("Mul", [product, writer.number(alpha)])


def _gelu(writer: _Writer) -> None:
    current = _shifted(writer)
    error = writer.write("Erf", [writer.write("Mul", [current, writer.number(math.sqrt(0.5))])])
    _halved(writer, current, error)


def _fast_gelu(writer: _Writer) -> None:
    current = _shifted(writer)
    square = writer.write("Mul", [current, current])
    slope = writer.write("Mul", [square, writer.number(0.044715 * math.sqrt(2 / math.pi))])
    factor = writer.write("Add", [slope, writer.number(math.sqrt(2 / math.pi))])
    _halved(writer, current, writer.write("Tanh", [writer.write("Mul", [current, factor])]))


def _quick_gelu(writer: _Writer) -> None:
    current = writer.node.input[0]
    scaled = writer.write("Mul", [current, writer.number(writer.take("alpha", 1.702))])
    writer.write("Mul", [current, writer.write("Sigmoid", [scaled])])


def _shifted(writer: _Writer) -> str:
    """The input, and its bias added where there is one."""
    inputs = [name for name in writer.node.input if name]
    return inputs[0] if len(inputs) == 1 else writer.write("Add", inputs[:2])


def _halved(writer: _Writer, current: str, curve: str) -> None:
    """x/2·(1 + curve)."""
    raised = writer.write("Add", [curve, writer.number(1.0)])
    writer.write("Mul", [writer.write("Mul", [current, writer.number(0.5)]), raised])


def _activate(writer: _Writer, current: str, activation: bytes, parameters: list[float]) -> None:
    name = activation.decode(errors="replace")
    if not name:
        return
    if name not in _ACTIVATIONS or (name == "Clip" and len(parameters) != 2):
        raise _Unknown
    if name == "Clip":  # which has other forms in other opsets
        low, high = parameters
        writer.write("Min", [writer.write("Max", [current, writer.number(low)]), writer.number(high)])
    else:
        writer.write(name, [current], **dict(zip(_ACTIVATIONS[name], parameters, strict=False)))


_OPERATORS: dict[str, Callable[[_Writer], None]] = {
    "FusedConv": _conv,
    "FusedGemm": _gemm,
    "FusedMatMul": _matmul,
    "Gelu": _gelu,
    "BiasGelu": _gelu,
    "FastGelu": _fast_gelu,
    "QuickGelu": _quick_gelu,
}
