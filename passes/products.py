"""Tell products of two activations from functions of one.

Takes and gives level SOURCE. `Mul` of two activations:

1. both are functions of one tensor, element by element (x·sigmoid(x), x·x):  left alone, a function for `regions`;
2. one operand is an `Expand` to the shape of the other:  products broadcast, so this one reads what is expanded;
3. shapes of one rank, in which sizes are equal or 1, in networks that settle:  → `Product` of the domain `ai.snnc`.

Left alone: methods whose networks do not settle, as only a count can be multiplied; shapes that broadcast otherwise.
`validate` reports these.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.domain import DOMAIN
from snnc.ir.elementwise import roots
from snnc.ir.graph import PRODUCT, activation_inputs, describe, producer
from snnc.methods import METHODS
from snnc.operators import tail_nodes

_AXES = "give both the same axes, with sizes that are equal or 1"


def run(conversion: Conversion) -> None:
    if not METHODS[conversion.options.method].settles:
        return
    graph = conversion.graph
    sources, tail = roots(graph), tail_nodes(graph)
    for node in graph.nodes:
        if node.name in tail:
            continue  # it works on decoded values
        if node.op != "Mul" or node.domain not in ("", "ai.onnx", None) or len(activation_inputs(node)) != 2:
            continue
        first, second = (sources.get(tensor.name, tensor) for tensor in node.inputs)
        if first is second:
            continue
        node.inputs = [_unexpanded(tensor) for tensor in node.inputs]
        if _broadcasts_by_axis(node):
            node.op, node.domain, node.attrs = PRODUCT, DOMAIN, {}
        else:
            shapes = " and ".join(map(describe, node.inputs))
            conversion.declined[node.name] = (f"it multiplies activations of the shapes {shapes}", _AXES)
    graph.cleanup()


def _unexpanded(tensor: gs.Tensor) -> gs.Tensor:
    """What is repeated along axes of size 1 to give `tensor`; `tensor` itself where nothing is."""
    node = producer(tensor)
    if node is None or node.op != "Expand":
        return tensor
    source = node.inputs[0]
    whole = isinstance(source, gs.Variable) and source.shape is not None and len(source.shape) == len(tensor.shape)
    return source if whole else tensor


def _broadcasts_by_axis(node: gs.Node) -> bool:
    """Whether both operands are float32, with the axes of the product: batch first, the others of its size or 1."""
    result = node.outputs[0]
    for tensor in node.inputs:
        if tensor.dtype != np.float32 or tensor.shape is None or len(tensor.shape) != len(result.shape):
            return False
        batch, *sizes = tensor.shape
        if not isinstance(batch, str) or batch != result.shape[0]:
            return False
        if any(size not in (1, whole) for size, whole in zip(sizes, result.shape[1:], strict=True)):
            return False
    return True


PASS = Pass("products", Level.SOURCE, Level.SOURCE, run)
