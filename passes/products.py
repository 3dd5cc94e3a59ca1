"""Tell products of two activations from functions of one.

Takes and gives level SOURCE. `Mul` of two activations:

1. both are functions of one tensor, element by element (x·sigmoid(x), x·x):  left alone, a function for `regions`;
2. one operand is an `Expand` to the shape of the other:  products broadcast, so this one reads what is expanded;
3. shapes of one rank, in which sizes are equal or 1, in networks that settle:  → `Product` of the domain `ai.snnc`;
4. x·x or `Pow(x, 2)` that only sums and means over axes read, in networks that settle:  → `Product` of x and x. Its sum
   is exact then, where a function would round every square; variances are such, and what they are of is counted anyway;
5. `Div` of two activations, in networks that settle:  x/y = x·(1/y), the same with a `Reciprocal`, a function.

Left alone: methods whose networks do not settle, as only a count can be multiplied; shapes that broadcast otherwise.
`validate` reports these.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.domain import DOMAIN
from snnc.ir.elementwise import roots
from snnc.ir.graph import (
    PRODUCT,
    activation_inputs,
    constant,
    describe,
    producer,
    sample_shape,
    sort_topologically,
)
from snnc.ir.names import Names, names_in
from snnc.ir.writer import Writer
from snnc.methods import METHODS
from snnc.operators import tail_nodes
from snnc.operators.tail import is_activation

_AXES = "give both the same axes, with sizes that are equal or 1"
_SQUARE = 2.0


def run(conversion: Conversion) -> None:
    if not METHODS[conversion.options.method].settles:
        return
    graph = conversion.graph
    names, tail, functions = Names(names_in(graph.nodes)), tail_nodes(graph), roots(graph)
    for node in list(graph.nodes):
        if node.name in tail or not _is_known(node, ("Div",)) or node.outputs[0].name in functions:
            continue
        if len(activation_inputs(node)) == 2:
            _as_product_with_reciprocal(graph, node, names)
    sort_topologically(graph)
    sources = roots(graph)
    for node in graph.nodes:
        if node.name in tail:
            continue  # it works on decoded values
        if _is_summed_square(node):
            _become_product(node, [node.inputs[0], node.inputs[0]])
        elif _is_known(node, ("Mul",)) and len(activation_inputs(node)) == 2:
            first, second = (sources.get(tensor.name, tensor) for tensor in node.inputs)
            if first is not second:
                _multiply(conversion, node)
    graph.cleanup()


def _is_known(node: gs.Node, ops: Sequence[str]) -> bool:
    return node.op in ops and node.domain in ("", "ai.onnx", None)


def _as_product_with_reciprocal(graph: gs.Graph, node: gs.Node, names: Names) -> None:
    divisor = node.inputs[1]
    if not all(map(is_activation, (*node.inputs, *node.outputs))):
        return
    inverse = Writer(graph, node, names).add("Reciprocal", "inverse", [divisor], sample_shape(divisor))
    node.op, node.inputs = "Mul", [node.inputs[0], inverse]


def _is_summed_square(node: gs.Node) -> bool:
    """Whether it gives x·x, and only sums and means over axes read that."""
    if _is_known(node, ("Pow",)):
        exponent = constant(node, 1)
        squares = exponent is not None and exponent.size == 1 and float(exponent.reshape(())) == _SQUARE
    else:
        squares = _is_known(node, ("Mul",)) and node.inputs[0] is node.inputs[1]
    if not squares or not all(map(is_activation, (*activation_inputs(node), *node.outputs))):
        return False
    readers = node.outputs[0].outputs
    return bool(readers) and all(reader.op in ("ReduceMean", "ReduceSum") for reader in readers)


def _multiply(conversion: Conversion, node: gs.Node) -> None:
    """Let a `Mul` of different activations become a `Product`, or say why it does not."""
    node.inputs = [_unexpanded(tensor) for tensor in node.inputs]
    if _broadcasts_by_axis(node):
        _become_product(node, list(node.inputs))
    else:
        shapes = " and ".join(map(describe, node.inputs))
        conversion.declined[node.name] = (f"it multiplies activations of the shapes {shapes}", _AXES)


def _become_product(node: gs.Node, operands: list[gs.Tensor]) -> None:
    node.op, node.domain, node.attrs, node.inputs = PRODUCT, DOMAIN, {}, operands


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
