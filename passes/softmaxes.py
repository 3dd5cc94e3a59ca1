"""Write a Softmax in front of a layer as exponentials and a logarithm of sums, which need no product.

Takes and gives level SOURCE, of networks that settle. Values change by rounding only. Over the axes of the node:

    d = x - max x;   log Softmax(x) = d - log Σ exp d;   Softmax(x) = exp(d - log Σ exp d)

1. `LogSoftmax`:  → ReduceMax, Sub, Exp, ReduceSum, Log, Sub;
2. `Softmax`:  → the same and Exp.

Softmax does not depend on what is subtracted from all x; with their maximum every exp d lies in (0, 1], the sum between
1 and their number, its logarithm between 0 and that of their number, whatever the sample: so every one of them has a
range that its levels share out, and none overflows or is lost beside those of other samples. The logarithm shares
out its levels evenly over all sums, small ones and large ones; a reciprocal would lose those of large sums.

Before opset 13 a Softmax runs over all axes from its own to the last.

Left alone: behind the last layer, where it works on decoded values; over the samples of a batch.
"""

from __future__ import annotations

import onnx_graphsurgeon as gs

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import activation_inputs, sample_shape, sort_topologically
from snnc.ir.names import Names, names_in
from snnc.ir.writer import Writer
from snnc.methods import METHODS
from snnc.operators import tail_nodes
from snnc.operators.tail import is_activation

_OVER_ONE_AXIS = 13  # opset


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    if not METHODS[conversion.options.method].settles:
        return
    tail, names = tail_nodes(graph), Names(names_in(graph.nodes))
    for node in list(graph.nodes):
        if node.op in ("Softmax", "LogSoftmax") and node.name not in tail:
            axes = _axes(node, graph.opset)
            if axes:
                _write(graph, node, axes, names)
    sort_topologically(graph)


def _axes(node: gs.Node, opset: int) -> list[int]:
    """The axes of a sample that it runs over; none where it cannot be written so."""
    if not activation_inputs(node) or not all(map(is_activation, (*node.inputs, *node.outputs))):
        return []
    rank = len(node.inputs[0].shape)
    if opset >= _OVER_ONE_AXIS:
        axis = node.attrs.get("axis", -1) % rank
        return [axis - 1] if axis else []
    axis = node.attrs.get("axis", 1) % rank
    return list(range(axis - 1, rank - 1)) if axis else []


def _write(graph: gs.Graph, node: gs.Node, axes: list[int], names: Names) -> None:
    writer, source = Writer(graph, node, names), node.inputs[0]
    shape = sample_shape(source)
    largest = writer.reduced("ReduceMax", "largest", source, axes)
    below = writer.add("Sub", "below", [source, largest], shape)
    weights = writer.add("Exp", "exp", [below], shape)
    total = writer.reduced("ReduceSum", "sum", weights, axes)
    logarithm = writer.add("Log", "log", [total], sample_shape(total))
    share = writer.add("Sub", "share", [below, logarithm], shape)
    writer.end(share if node.op == "LogSoftmax" else writer.add("Exp", "exp_share", [share], shape))


PASS = Pass("softmaxes", Level.SOURCE, Level.SOURCE, run)
