"""Bring means, sums and maxima over axes to pooling.

Takes and gives level SOURCE. Values change by rounding only. Axes as an attribute or as an input, with `keepdims` or
without, counted from either end:

1. `ReduceMean` and `ReduceMax` over axes of the plane, `[N, C, d...]`: → `AveragePool`, `MaxPool` with a kernel as
   long as these axes;
2. over channels too, or where these come last: `Transpose` first, so that the axes that stay come before those that go;
3. `ReduceSum`: the mean times the number of elements, `Mul`;
4. more than three axes of a plane: those that stay become one, and so do those that go;
5. `keepdims = 0`: a `Reshape` behind it.

Left alone: what runs over the samples of a batch, axes that are computed, results `[N]`, integers.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.chain import Chain
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import constant, sample_shape, sort_topologically
from snnc.ir.names import Names, names_in

_POOL_OF = {"ReduceMean": "AveragePool", "ReduceSum": "AveragePool", "ReduceMax": "MaxPool"}
_MOST_PLANE_AXES = 3  # of a pool in onnxruntime


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    names = Names(names_in(graph.nodes))
    for node in list(graph.nodes):
        axes = _axes(node) if node.op in _POOL_OF else None
        if axes:
            _as_pool(graph, node, axes, names)
    graph.cleanup()
    sort_topologically(graph)


def _axes(node: gs.Node) -> list[int] | None:
    """Which axes of a sample `node` runs over; None where it cannot be taken for a pool."""
    source, result = node.inputs[0], node.outputs[0]
    floats = source.dtype == np.float32 and isinstance(source, gs.Variable)
    if not floats or not all(len(tensor.shape or []) > 1 for tensor in (source, result)):
        return None
    if not all(isinstance(tensor.shape[0], str) for tensor in (source, result)):
        return None
    given = node.attrs.get("axes")
    if given is None and len(node.inputs) > 1 and not node.inputs[1].is_empty():
        given = constant(node, 1)
    if given is None:
        return None
    axes = sorted({int(axis) % len(source.shape) for axis in given})
    return [axis - 1 for axis in axes] if axes and axes[0] > 0 else None


def _as_pool(graph: gs.Graph, node: gs.Node, axes: list[int], names: Names) -> None:
    op, result = node.op, node.outputs[0]
    shape = sample_shape(node.inputs[0])
    chain = Chain(graph, node, names)
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    if not kept:
        chain.reshape((1, math.prod(shape)))
        axes = [1]
    elif 0 in axes:
        chain.transpose([*kept, *axes])
        axes = list(range(len(kept), len(shape)))
    _pool(chain, axes, _POOL_OF[op])
    if op == "ReduceSum":
        chain.multiply(math.prod(shape) / math.prod(sample_shape(result)))
    chain.reshape(sample_shape(result))
    chain.end()


def _pool(chain: Chain, plane: list[int], op: str) -> None:
    """The mean or the largest over some axes of the plane: each becomes an axis of size 1."""
    channels, *sizes = shape = chain.shape
    if len(sizes) <= _MOST_PLANE_AXES:
        chain.pool(op, [size if axis in plane else 1 for axis, size in enumerate(sizes, start=1)])
        return
    kept = [axis for axis in range(1, len(shape)) if axis not in plane]
    chain.transpose([0, *kept, *plane])
    together = math.prod(shape[axis] for axis in plane)
    chain.reshape((channels, math.prod(shape[axis] for axis in kept), together))
    chain.pool(op, [1, together])


PASS = Pass("reductions", Level.SOURCE, Level.SOURCE, run)
