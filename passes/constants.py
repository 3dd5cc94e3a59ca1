"""Take constants that differ within a channel, and differences of activations, for what they are: weights and currents.

Takes and gives level SOURCE. In front of layers only; behind the last one such nodes work on decoded values. With c a
constant for every element of a sample, the same for all samples:

1. x + c, x - c, c - x:  → `Scale` of the domain `ai.snnc` by 1 or -1, with a bias of c or -c;
2. x·c, x/c:  → `Scale` by c or 1/c;
3. x - y with two activations of one shape:  → `Add` of x and of y scaled by -1.

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
    """Whether it computes one activation from activations of its shape, and at most one constant."""
    if node.op not in ("Add", "Div", "Mul", "Sub") or not 0 < len(operands) <= len(node.inputs) == 2:
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
    """`node` of an activation and a constant, in either order."""
    constant_first = isinstance(node.inputs[0], gs.Constant)
    operand, tensor = reversed(node.inputs) if constant_first else node.inputs
    values = np.asarray(tensor.values, np.float64)
    rank = len(operand.shape)
    values = values.reshape((1,) * (rank - values.ndim) + values.shape)[0]
    one = np.ones(())
    with np.errstate(divide="ignore"):  # the room reports what is not finite
        scaled = {
            "Add": (one, values),
            "Sub": (-one, values) if constant_first else (one, -values),
            "Mul": (values, None),
            "Div": (None, None) if constant_first else (1 / values, None),
        }
    weight, bias = scaled[node.op]
    if weight is None:
        return
    constants = [(what, value) for what, value in (("weight", weight), ("bias", bias)) if value is not None]
    node.op, node.domain, node.attrs = Scale.name, Scale.domain, {}
    node.inputs = [
        operand,
        *(gs.Constant(own(f"{node.name}/{what}"), np.asarray(value, np.float32)) for what, value in constants),
    ]


PASS = Pass("constants", Level.SOURCE, Level.SOURCE, run)
