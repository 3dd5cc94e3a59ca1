"""Write `Einsum` of two operands as a product of matrices.

Takes and gives level SOURCE, in front of layers. Values change by rounding only. By the letters of its equation, the
first of which is the batch of every activation:

    both operands and the result     places      one operand and the result     rows or columns
    both operands alone              summed

    Einsum(x, y) = Transpose(Reshape(x [places, rows, summed] · y [places, summed, columns]))

1. two activations: a `MatMul` of activations, for the pass `matrix_products`;
2. an activation and a constant, without common places: a `MatMul` with weights, for the pass `dense`.

Left alone: one operand or three and more, `...`, a letter twice in an operand, letters that are summed in one operand
alone, equations without `->`, results whose first letter is not the batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import sample_shape, sort_topologically
from snnc.ir.names import Names, names_in
from snnc.ir.writer import Writer
from snnc.methods import METHODS
from snnc.operators import tail_nodes
from snnc.operators.tail import is_activation

_OPERANDS = 2


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    settles = METHODS[conversion.options.method].settles
    tail, names = tail_nodes(graph), Names(names_in(graph.nodes))
    for node in [node for node in graph.nodes if node.op == "Einsum" and node.name not in tail]:
        terms = _terms(node)
        if terms is None or not all(map(is_activation, (*_activations(node), *node.outputs))):
            continue
        sizes = _sizes(node, terms)
        if sizes is None:
            continue
        if len(_activations(node)) == 1:
            _with_weights(Writer(graph, node, names), node, *terms, sizes)
        elif settles:
            _of_activations(Writer(graph, node, names), node, *terms, sizes)
    sort_topologically(graph)


def _activations(node: gs.Node) -> list[gs.Variable]:
    return [tensor for tensor in node.inputs if isinstance(tensor, gs.Variable)]


def _terms(node: gs.Node) -> tuple[str, str, str] | None:
    """The letters of both operands and of the result; those of activations begin with the batch."""
    given = node.attrs["equation"]
    equation = (given.decode() if isinstance(given, bytes) else given).replace(" ", "")
    if "->" not in equation or "." in equation or len(node.inputs) != _OPERANDS or not _activations(node):
        return None
    operands, result = equation.split("->")
    first, second = operands.split(",")
    terms = first, second, result
    alone = set(first) ^ set(second)
    if any(len(set(term)) < len(term) for term in terms) or not alone <= set(result):
        return None
    batch = result[:1]
    varying = [isinstance(tensor, gs.Variable) for tensor in node.inputs]
    begins = [each == (term[:1] == batch != "") for term, each in zip((first, second), varying, strict=True)]
    return terms if all(begins) and not any(batch in term[1:] for term in terms) else None


def _sizes(node: gs.Node, terms: Sequence[str]) -> dict[str, int] | None:
    """Of every letter but the batch; None where an operand broadcasts along one."""
    found: dict[str, int] = {}
    for term, tensor in zip(terms, (*node.inputs, *node.outputs), strict=True):
        for letter, size in zip(term, tensor.shape, strict=True):
            if isinstance(size, int) and found.setdefault(letter, size) != size:
                return None
    return found


def _with_weights(writer: Writer, node: gs.Node, first: str, second: str, result: str, sizes: dict[str, int]) -> None:
    """x with what is summed at the end, times the constant as a matrix."""
    if isinstance(node.inputs[0], gs.Constant):
        first, second, source, weight = second, first, node.inputs[1], node.inputs[0]
    else:
        source, weight = node.inputs
    summed = [letter for letter in first if letter in second and letter not in result]
    columns = [letter for letter in second if letter not in first]
    if len(summed) + len(columns) < len(second) or not summed:
        return  # other weights for every place
    values = np.asarray(weight.values)
    order = [second.index(letter) for letter in (*summed, *columns)]
    rows = [letter for letter in first[1:] if letter not in summed]
    matrix = np.ascontiguousarray(values.transpose(order).reshape(_size(summed, sizes), -1))
    turned = _arranged(writer, "turned", source, first[1:], [*rows, *summed], sizes)
    shape = [_size([letter], sizes) for letter in rows]
    flat = _reshaped(writer, "summed", turned, [*shape, matrix.shape[0]])
    product = writer.add("MatMul", "product", [flat, matrix], [*shape, matrix.shape[1]])
    _end(writer, product, [*rows, *columns], result[1:], sizes)


def _of_activations(writer: Writer, node: gs.Node, first: str, second: str, result: str, sizes: dict[str, int]) -> None:
    left, right = node.inputs
    places = [letter for letter in result[1:] if letter in first and letter in second]
    summed = [letter for letter in first if letter in second and letter not in result]
    rows = [letter for letter in result[1:] if letter not in second]
    columns = [letter for letter in result[1:] if letter not in first]
    if not summed:
        return
    shape = [sizes[letter] for letter in places]
    turned = [
        _arranged(writer, "left", left, first[1:], [*places, *rows, *summed], sizes),
        _arranged(writer, "right", right, second[1:], [*places, *summed, *columns], sizes),
    ]
    height, depth, width = (_size(letters, sizes) for letters in (rows, summed, columns))
    operands = [
        _reshaped(writer, "rows", turned[0], [*shape, height, depth]),
        _reshaped(writer, "columns", turned[1], [*shape, depth, width]),
    ]
    product = writer.add("MatMul", "product", operands, [*shape, height, width])
    _end(writer, product, [*places, *rows, *columns], result[1:], sizes)


def _size(letters: Sequence[str], sizes: dict[str, int]) -> int:
    return math.prod(sizes[letter] for letter in letters)


def _arranged(
    writer: Writer, what: str, source: gs.Variable, letters: str, wanted: Sequence[str], sizes: dict[str, int]
) -> gs.Variable:
    """The axes of a sample in the order of `wanted`."""
    if list(letters) == list(wanted):
        return source
    order = [letters.index(letter) + 1 for letter in wanted]
    return writer.add("Transpose", what, [source], [sizes[letter] for letter in wanted], perm=[0, *order])


def _reshaped(writer: Writer, what: str, source: gs.Variable, shape: Sequence[int]) -> gs.Variable:
    if list(sample_shape(source)) == list(shape):
        return source
    return writer.add("Reshape", what, [source, np.array([-1, *shape], np.int64)], shape)


def _end(writer: Writer, product: gs.Variable, letters: Sequence[str], wanted: str, sizes: dict[str, int]) -> None:
    """Every letter an axis of its own again, in the order of the result."""
    whole = _reshaped(writer, "axes", product, [sizes[letter] for letter in letters])
    writer.end(_arranged(writer, "result", whole, "".join(letters), wanted, sizes))


PASS = Pass("einsums", Level.SOURCE, Level.SOURCE, run)
