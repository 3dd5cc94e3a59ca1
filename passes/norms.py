"""Write normalisations by what the sample itself has there as means, products and an inverse square root.

Takes and gives level SOURCE, of networks that settle. Values change by rounding only. With means over what is
normalised together:

    d = x - mean x;   y = d · 1/√(mean d² + ε) · γ + β

1. `LayerNormalization`: over the axes from its own to the last; γ and β by element;
2. `InstanceNormalization`: over the plane; γ and β by channel;
3. `GroupNormalization`: over the plane and the channels of a group; γ and β by channel;
4. `RMSNormalization`: as 1., with d = x and without β;
5. `LpNormalization`: x · 1/√(Σ x²), or x · 1/Σ|x|, over one axis.

Each is written as exporters do that know none of these operators, so that the passes behind see one spelling.

Left alone: behind the last layer; where mean or deviation are read too; factors that are computed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import constant, sample_shape, sort_topologically
from snnc.ir.names import Names, names_in
from snnc.ir.writer import Writer
from snnc.methods import METHODS
from snnc.operators import tail_nodes
from snnc.operators.tail import is_activation

_EPSILON = 1e-5


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    if not METHODS[conversion.options.method].settles:
        return
    tail, names = tail_nodes(graph), Names(names_in(graph.nodes))
    for node in list(graph.nodes):
        if node.op in _WRITTEN and node.name not in tail and _is_plain(node):
            writer = Writer(graph, node, names)
            writer.end(_WRITTEN[node.op](writer, node))
    sort_topologically(graph)


def _is_plain(node: gs.Node) -> bool:
    """Whether it makes one activation of one and of constants, sample by sample."""
    source, others = node.inputs[0], [tensor for tensor in node.inputs[1:] if not tensor.is_empty()]
    if not isinstance(source, gs.Variable) or not all(isinstance(tensor, gs.Constant) for tensor in others):
        return False
    if any(tensor.outputs for tensor in node.outputs[1:]):
        return False
    over_samples = node.attrs.get("axis", -1) % len(source.shape or [0]) == 0
    return not over_samples and is_activation(source) and is_activation(node.outputs[0])


def _layer(writer: Writer, node: gs.Node) -> gs.Variable:
    source, centred = node.inputs[0], node.op == "LayerNormalization"
    rank = len(source.shape) - 1
    axes = range(node.attrs.get("axis", -1) % (rank + 1) - 1, rank)
    found = _normalised(writer, source, axes, node, centred=centred)
    return _scaled(writer, found, constant(node, 1), constant(node, 2))


def _instance(writer: Writer, node: gs.Node) -> gs.Variable:
    source = node.inputs[0]
    plane = range(1, len(source.shape) - 1)
    ones = [1] * len(plane)
    found = _normalised(writer, source, plane, node)
    return _scaled(writer, found, *(_shaped(constant(node, index), (-1, *ones)) for index in (1, 2)))


def _group(writer: Writer, node: gs.Node) -> gs.Variable:
    """The channels of a group along an axis of their own."""
    channels, *plane = sample_shape(node.inputs[0])
    groups = int(node.attrs["num_groups"])
    grouped = _reshaped(writer, "grouped", node.inputs[0], [groups, channels // groups, math.prod(plane)])
    found = _normalised(writer, grouped, [1, 2], node)
    whole, ones = _reshaped(writer, "whole", found, [channels, *plane]), [1] * len(plane)
    return _scaled(writer, whole, *(_shaped(constant(node, index), (-1, *ones)) for index in (1, 2)))


def _lp(writer: Writer, node: gs.Node) -> gs.Variable:
    source = node.inputs[0]
    shape, axis = sample_shape(source), node.attrs.get("axis", -1) % len(source.shape) - 1
    if node.attrs.get("p", 2) == 1:
        length = writer.reduced("ReduceSum", "length", writer.add("Abs", "abs", [source], shape), [axis])
    else:
        squares = writer.reduced("ReduceSum", "sum", writer.add("Mul", "square", [source, source], shape), [axis])
        length = writer.add("Sqrt", "length", [squares], sample_shape(squares))
    inverse = writer.add("Reciprocal", "inverse", [length], sample_shape(length))
    return writer.add("Mul", "normalised", [source, inverse], shape)


def _normalised(
    writer: Writer, source: gs.Variable, axes: Sequence[int], node: gs.Node, *, centred: bool = True
) -> gs.Variable:
    """x or x - mean x, over the root of its mean square and ε."""
    shape, epsilon = sample_shape(source), float(node.attrs.get("epsilon", _EPSILON))
    if centred:
        mean = writer.reduced("ReduceMean", "mean", source, axes)
        source = writer.add("Sub", "centred", [source, mean], shape)
    square = writer.reduced("ReduceMean", "variance", writer.add("Mul", "square", [source, source], shape), axes)
    few = sample_shape(square)
    root = writer.add("Sqrt", "deviation", [writer.add("Add", "epsilon", [square, epsilon], few)], few)
    return writer.add("Mul", "normalised", [source, writer.add("Reciprocal", "inverse", [root], few)], shape)


def _scaled(writer: Writer, value: gs.Variable, factor: np.ndarray | None, shift: np.ndarray | None) -> gs.Variable:
    """γ·x + β, of constants that broadcast against a sample."""
    if factor is not None:
        value = writer.add("Mul", "factor", [value, factor], sample_shape(value))
    return value if shift is None else writer.add("Add", "shift", [value, shift], sample_shape(value))


def _shaped(value: np.ndarray | None, shape: Sequence[int]) -> np.ndarray | None:
    return None if value is None else value.reshape(shape)


def _reshaped(writer: Writer, what: str, source: gs.Variable, shape: Sequence[int]) -> gs.Variable:
    return writer.add("Reshape", what, [source, np.array([-1, *shape], np.int64)], shape)


_WRITTEN = {
    "GroupNormalization": _group,
    "InstanceNormalization": _instance,
    "LayerNormalization": _layer,
    "LpNormalization": _lp,
    "RMSNormalization": _layer,
}

PASS = Pass("norms", Level.SOURCE, Level.SOURCE, run)
