"""Take constants that differ within a channel, and differences of activations, for weights and currents.

Takes and gives level SOURCE. In front of layers only; behind the last one such nodes work on decoded values. With c a
constant for every element of a sample, the same for all samples:

1. x + c, x - c, c - x:  → `Scale` of the domain `ai.snnc` by 1 or -1, with a bias of c or -c;
2. x·c, x/c:  → `Scale` by c or 1/c;
3. x where a mask says so, else c:  → `Scale` by the mask, with a bias of c where it does not;
4. x - y with two activations of one shape:  → `Add` of x and of y scaled by -1.

Left alone: constants by tensor or channel, which the pass `regions` takes with whatever is around them; c/x; constants
that make the activation larger.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.elementwise import is_elementwise, roots
from snnc.ir.graph import activation_inputs, sort_topologically
from snnc.ir.names import Names, names_in, own
from snnc.ir.signal import FloatArray
from snnc.operators import before_layers
from snnc.operators.scale import Scale
from snnc.operators.tail import is_activation


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    names, functions, in_layers = Names(names_in(graph.nodes)), roots(graph), before_layers(graph)
    for node in list(graph.nodes):
        operands = activation_inputs(node)
        if node.name not in in_layers or not _is_arithmetic(node, operands):
            continue
        if len(operands) == 1 and not is_elementwise(node):
            _as_scale(node)
        elif len(operands) == 2 and node.op == "Sub" and node.outputs[0].name not in functions:
            _as_junction(graph, node, names)
    sort_topologically(graph)


def _is_arithmetic(node: gs.Node, operands: list[gs.Variable]) -> bool:
    """Whether it computes one activation from activations of its shape, and at most one number for each element."""
    arithmetic = node.op in ("Add", "Div", "Mul", "Sub") and 0 < len(operands) <= len(node.inputs) == 2
    if not arithmetic and not (node.op == "Where" and len(operands) == 1):
        return False
    shape = list(node.outputs[0].shape or [])
    return all(is_activation(tensor) and list(tensor.shape) == shape for tensor in (*operands, *node.outputs))


def _as_junction(graph: gs.Graph, node: gs.Node, names: Names) -> None:
    subtracted = node.inputs[1]
    negative = gs.Variable(names.unique(f"{node.name}/negative"), np.float32, subtracted.shape)
    weight = gs.Constant(own(f"{node.name}/minus_one"), np.array(-1, np.float32))
    name = names.unique(f"{node.name}/negate")
    graph.nodes.append(gs.Node(Scale.name, name, {}, [subtracted, weight], [negative], domain=Scale.domain))
    node.op, node.inputs = "Add", [node.inputs[0], negative]


def _as_scale(node: gs.Node) -> None:
    """`node` of one activation and constants."""
    (operand,) = activation_inputs(node)
    numbers = _weight_and_bias(node, len(operand.shape))
    if numbers is None:
        return
    weight, bias = numbers
    constants = [("weight", weight)] + ([("bias", bias)] if np.any(bias) else [])
    node.op, node.domain, node.attrs = Scale.name, Scale.domain, {}
    node.inputs = [
        operand,
        *(gs.Constant(own(f"{node.name}/{what}"), np.asarray(value, np.float32)) for what, value in constants),
    ]


def _weight_and_bias(node: gs.Node, rank: int) -> tuple[FloatArray, FloatArray] | None:
    """What `node` multiplies by and what it adds, as arrays that broadcast against a sample; None where it does not."""
    nothing, one = np.zeros(()), np.ones(())
    values = [_of_sample(tensor, rank) for tensor in node.inputs]
    if node.op == "Where":
        if values[0] is None:
            return None  # what it chooses by is computed
        chosen = values[0] if values[1] is None else 1 - values[0]
        other = next(value for value in values[1:] if value is not None)
        return chosen, (1 - chosen) * other
    first, second = values
    if node.op == "Add":
        return one, next(value for value in values if value is not None)
    if node.op == "Mul":
        return next(value for value in values if value is not None), nothing
    if node.op == "Sub":
        return (one, -second) if second is not None else (-one, np.asarray(first))
    with np.errstate(divide="ignore"):  # the room reports what is not finite
        return (1 / second, nothing) if second is not None else None


def _of_sample(tensor: gs.Tensor, rank: int) -> FloatArray | None:
    """A constant as an array that broadcasts against a sample; None of an activation."""
    if not isinstance(tensor, gs.Constant):
        return None
    values = np.asarray(tensor.values, np.float64)
    found: FloatArray = values.reshape((1,) * (rank - values.ndim) + values.shape)[0]
    return found


PASS = Pass("constants", Level.SOURCE, Level.SOURCE, run)
