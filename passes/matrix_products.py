"""Write products of two activations over a common axis as products of elements and sums.

Takes and gives level SOURCE, of networks that settle. `MatMul` of x `[N, d..., n, k]` and y `[N, d..., k, m]`, where
axes d may have size 1 in one of them:

    (x·y)_nm = Σ_k x_nk·y_km:   Mul of x `[d..., n, 1, k]` and yᵀ `[d..., 1, m, k]`, ReduceSum over the last axis

Left alone: constants among the operands; behind the last layer; `[N, k]`, whose rows are samples; more than 2^22
products of elements, which take 1 GiB in a block of 64 steps of a sample.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import activation_inputs, sample_shape, sort_topologically
from snnc.ir.names import Names, names_in
from snnc.ir.writer import Writer
from snnc.methods import METHODS
from snnc.operators import tail_nodes
from snnc.operators.tail import is_activation

#: Products of elements of a sample that are there beside each other before they are summed.
MOST_PRODUCTS = 2**22
_SHORTER = "attend in windows, or over fewer places or features: they are multiplied with each other"


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    if not METHODS[conversion.options.method].settles:
        return
    tail, names = tail_nodes(graph), Names(names_in(graph.nodes))
    for node in list(graph.nodes):
        if node.op != "MatMul" or node.name in tail or len(activation_inputs(node)) != 2:
            continue
        ranks = {len(tensor.shape or []) for tensor in (*node.inputs, *node.outputs)}
        if len(ranks) == 1 and min(ranks) > 2 and all(map(is_activation, (*node.inputs, *node.outputs))):
            size = math.prod(sample_shape(node.outputs[0])) * sample_shape(node.inputs[0])[-1]
            if size <= MOST_PRODUCTS:
                _write(Writer(graph, node, names), node)
            else:
                message = f"it would be {size} products of elements, at most {MOST_PRODUCTS} are kept apart"
                conversion.declined[node.name] = (message, _SHORTER)
    sort_topologically(graph)


def _write(writer: Writer, node: gs.Node) -> None:
    first, second = node.inputs
    *places, rows, common = sample_shape(first)
    *others, _, columns = sample_shape(second)
    order = [*range(len(others)), len(others) + 1, len(others)]
    turned = writer.add(
        "Transpose", "turned", [second], [*others, columns, common], perm=[0, *(axis + 1 for axis in order)]
    )
    left = _reshaped(writer, "rows", first, [*places, rows, 1, common])
    right = _reshaped(writer, "columns", turned, [*others, 1, columns, common])
    result = sample_shape(node.outputs[0])
    products = writer.add("Mul", "products", [left, right], [*result, common])
    sums = writer.reduced("ReduceSum", "sums", products, [len(result)])
    writer.end(_reshaped(writer, "result", sums, result))


def _reshaped(writer: Writer, what: str, source: gs.Variable, shape: list[int] | tuple[int, ...]) -> gs.Variable:
    return writer.add("Reshape", what, [source, np.array([-1, *shape], np.int64)], shape)


PASS = Pass("matrix_products", Level.SOURCE, Level.SOURCE, run)
