"""Repeat what broadcasts in a sum or beside a constant, so that operands have the shape of the result.

Takes and gives level SOURCE, in front of layers. Values are unchanged. Where the operand of a node has size 1 and the
result more, with as many axes:  `Gather` of the one element, as often as it is needed. Of

1. `Add` and `Sub` of two activations;
2. `Add`, `Sub`, `Mul` and `Div` of an activation and a constant.

Left alone: operands of the shape of the result; `Mul` and `Div` of two activations, as products read operands with
sizes of 1; other numbers of axes, with which the batch of one would meet another axis of the other.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import activation_inputs, sample_shape, sort_topologically
from snnc.ir.names import Names, names_in
from snnc.ir.writer import Writer
from snnc.operators import tail_nodes
from snnc.operators.tail import is_activation

_OPERANDS = 2
#: Operators by how many of their operands are activations.
_OPS = {1: ("Add", "Div", "Mul", "Sub"), 2: ("Add", "Sub")}


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    tail, names = tail_nodes(graph), Names(names_in(graph.nodes))
    for node in list(graph.nodes):
        operands = activation_inputs(node)
        if node.name in tail or len(node.inputs) != _OPERANDS or node.op not in _OPS.get(len(operands), ()):
            continue
        ranks = {len(tensor.shape or []) for tensor in (*operands, *node.outputs)}
        if len(ranks) == 1 and all(map(is_activation, (*operands, *node.outputs))):
            writer = Writer(graph, node, names)
            for index, tensor in enumerate(node.inputs):
                if isinstance(tensor, gs.Variable):
                    node.inputs[index] = _repeated(writer, tensor, sample_shape(node.outputs[0]))
    sort_topologically(graph)


def _repeated(writer: Writer, tensor: gs.Variable, shape: tuple[int, ...]) -> gs.Variable:
    """`tensor`, whose samples broadcast against `shape`, with samples of that shape."""
    sizes = sample_shape(tensor)
    for axis, (size, wanted) in enumerate(zip(sizes, shape, strict=True)):
        if size != wanted:
            reached = (*shape[: axis + 1], *sizes[axis + 1 :])
            tensor = writer.add("Gather", "repeated", [tensor, np.zeros(wanted, np.int64)], reached, axis=axis + 1)
    return tensor


PASS = Pass("broadcasts", Level.SOURCE, Level.SOURCE, run)
