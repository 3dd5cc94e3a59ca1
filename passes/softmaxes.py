"""Write a Softmax in front of a layer as exponentials and a logarithm of sums, which need no product.

Takes and gives level SOURCE, of networks that settle. Values change by rounding only. Over the axes of the node:

    d = x - max x;   log Softmax(x) = d - log Σ exp d;   Softmax(x) = exp(d - log Σ exp d)

1. `LogSoftmax`:  → ReduceMax, Sub, Exp, ReduceSum, Log, Sub;
2. `Softmax`:  → the same and Exp.

Softmax does not depend on what is subtracted from all x; with their maximum every exp d lies in (0, 1], the sum between
1 and their number, its logarithm between 0 and that of their number, whatever the sample: so every one of them has a
range that its levels share out, and none overflows or is lost beside those of other samples. The logarithm shares
out its levels evenly over all sums, small ones and large ones; a reciprocal would lose those of large sums.

A mask adds -1e4 or less (-inf) to some x or puts it in their place, the same for all samples, such as a causal one.
With m = 0 there and 1 elsewhere, and in the place of such x the first one of the row that is seen,

    Softmax(x) = m·exp(d - log Σ m·exp d)

Before opset 13 a Softmax runs over all axes from its own to the last.

Left alone: behind the last layer, where it works on decoded values; over the samples of a batch; masks that leave
nothing of a row.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import activation_inputs, sample_shape, sort_topologically
from snnc.ir.masks import Mask, mask_of
from snnc.ir.names import Names, names_in
from snnc.ir.writer import Writer
from snnc.methods import METHODS
from snnc.operators import tail_nodes
from snnc.operators.tail import is_activation

_OVER_ONE_AXIS = 13  # opset
_NOTHING_SEEN = ("a mask hides all that it compares in some places", "let the mask leave something of every row")


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    if not METHODS[conversion.options.method].settles:
        return
    tail, names = tail_nodes(graph), Names(names_in(graph.nodes))
    for node in list(graph.nodes):
        if node.op in ("Softmax", "LogSoftmax") and node.name not in tail:
            axes = _axes(node, graph.opset)
            if axes and not _is_seen(node, axes):
                conversion.declined[node.name] = _NOTHING_SEEN
            elif axes:
                _write(graph, node, axes, names)
    sort_topologically(graph)


def _is_seen(node: gs.Node, axes: list[int]) -> bool:
    """Whether a mask, if there is one, leaves something of every row."""
    mask = mask_of(node.inputs[0])
    return mask is None or bool(mask.seen.any(tuple(axes)).all())


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
    seen = None
    if node.op == "Softmax" and len(axes) == 1 and (found := mask_of(source)) is not None:
        source, seen = _without_mask(writer, found, axes[0]), found.seen.astype(np.float32)
    largest = writer.reduced("ReduceMax", "largest", source, axes)
    below = writer.add("Sub", "below", [source, largest], shape)
    weights = writer.add("Exp", "exp", [below], shape)
    if seen is not None:
        weights = writer.add("Mul", "seen", [weights, seen], shape)
    total = writer.reduced("ReduceSum", "sum", weights, axes)
    logarithm = writer.add("Log", "log", [total], sample_shape(total))
    result = writer.add("Sub", "share", [below, logarithm], shape)
    if node.op == "Softmax":
        result = writer.add("Exp", "exp_share", [result], shape)
    writer.end(result if seen is None else writer.add("Mul", "seen_share", [result, seen], shape))


def _without_mask(writer: Writer, mask: Mask, axis: int) -> gs.Variable:
    """What is compared, with the first element of a row that is seen in the place of those that are not."""
    shape = mask.seen.shape
    source = mask.source
    if mask.addend.any():
        source = writer.add("Add", "addend", [source, mask.addend], shape)
    places = np.arange(mask.seen.size).reshape(shape)
    first = np.take_along_axis(places, mask.seen.argmax(axis, keepdims=True), axis)
    flat = writer.add("Reshape", "flat", [source, np.array([-1, places.size], np.int64)], [places.size])
    chosen = np.where(mask.seen, places, first).ravel()
    picked = writer.add("Gather", "seen_places", [flat, chosen], [places.size], axis=1)
    return writer.add("Reshape", "compared", [picked, np.array([-1, *shape], np.int64)], shape)


PASS = Pass("softmaxes", Level.SOURCE, Level.SOURCE, run)
