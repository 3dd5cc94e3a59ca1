"""Which nodes of an ANN compute every element from the same element of their operands, and of which tensor they are
functions.

A constant may differ from channel to channel (axis 1), but not within a channel or from sample to sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.batchnorm import objection
from snnc.ir.graph import activation_inputs
from snnc.ir.signal import collapsed

# Every operand is an activation, or a constant that broadcasts against one.
_CURVES = (
    *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cast", "Ceil", "Celu", "Clip", "Cos", "Cosh"),
    *("Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Log", "Mish"),
    *("Neg", "PRelu", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh"),
    *("Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu"),
)
_ARITHMETIC = ("Add", "Div", "Max", "Mean", "Min", "Mod", "Mul", "Pow", "Sub", "Sum")
_LOGIC = (
    *("And", "Equal", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less", "LessOrEqual", "Not", "Or", "Where"),
    "Xor",
)
#: Operators that compute every element from the same element of operands that broadcast against each other.
BROADCASTING = (*_CURVES, *_ARITHMETIC, *_LOGIC)
_QUANTIZING = ("QuantizeLinear", "DequantizeLinear")
_DOMAINS = ("", "ai.onnx", None)


def is_elementwise(node: gs.Node) -> bool:
    """Whether `node` computes one tensor, element by element, from activations of its shape and from constants."""
    if node.domain not in _DOMAINS or len(node.outputs) != 1 or not activation_inputs(node):
        return False
    shape = list(node.outputs[0].shape or [])
    if len(shape) < 2 or any(list(tensor.shape or []) != shape for tensor in activation_inputs(node)):
        return False
    constants = [np.asarray(tensor.values) for tensor in node.inputs if isinstance(tensor, gs.Constant)]
    if node.op in BROADCASTING:
        return all(_by_channel(value, shape) for value in constants)
    if node.op == "BatchNormalization":
        return objection(node) is None
    if node.op in _QUANTIZING:
        return len(constants) == len(node.inputs) - 1 and _quantizes_channels(node, constants, shape)
    return False


def _by_channel(value: np.ndarray, shape: Sequence[int | str]) -> bool:
    """Whether `value`, broadcast to `shape`, is the same within a channel and for all samples."""
    dims = (1,) * (len(shape) - value.ndim) + collapsed(value).shape
    return len(dims) == len(shape) and all(size == 1 or axis == 1 for axis, size in enumerate(dims))


def _quantizes_channels(node: gs.Node, constants: Sequence[np.ndarray], shape: Sequence[int | str]) -> bool:
    if node.attrs.get("block_size", 0):
        return False
    by_channel = node.attrs.get("axis", 1) % len(shape) == 1
    return all(value.size == 1 or (by_channel and value.shape == (shape[1],)) for value in constants)


def constants_of(nodes: Iterable[gs.Node]) -> dict[str, np.ndarray]:
    """The constants of elementwise nodes by name, in the smallest shapes that broadcast to the same: nothing of them
    is larger than a channel's number."""
    found: dict[str, np.ndarray] = {}
    fixed: set[str] = set()
    for node in nodes:
        for tensor in node.inputs:
            if isinstance(tensor, gs.Constant):
                found[tensor.name] = np.asarray(tensor.values)
                fixed.update(() if node.op in BROADCASTING else (tensor.name,))
    return {name: value if name in fixed else collapsed(value) for name, value in found.items()}


def roots(graph: gs.Graph) -> dict[str, gs.Variable]:
    """The tensor that each elementwise result is a function of, by the name of the result; no entry for others.

    A result that depends on two tensors is none: it is one that others may be functions of. Nodes are in order.
    """
    found: dict[str, gs.Variable] = {}
    for node in graph.nodes:
        if not is_elementwise(node):
            continue
        sources = {
            found.get(tensor.name, tensor).name: found.get(tensor.name, tensor) for tensor in activation_inputs(node)
        }
        if len(sources) == 1:
            found[node.outputs[0].name] = next(iter(sources.values()))
    return found
