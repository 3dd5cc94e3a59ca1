"""Bring everything that only moves, repeats or leaves out elements to few operators.

Takes and gives level SOURCE. Values are unchanged. Nearest-neighbour `Resize` and `Upsample`, `Expand`, `Tile`,
`GatherND`, `GatherElements`, `SpaceToDepth`, and `Slice`, `Pad`, `Gather`, `Transpose` or `Reshape` whose parameters
are computed or that move the batch: alone, or in a row until the batch is first again. What they do is found by running
them (`snnc.ir.moved`), whatever the exporter wrote:

1. the same along every axis for itself: → `Gather` along each axis that changes;
2. elements in the same order: → `Reshape`;
3. `SpaceToDepth`: → `Reshape`, `Transpose`, `Reshape`;
4. any other choice of elements: → `Reshape` to one axis, `Gather`, `Reshape`.

Left alone: what computes elements from several (linear interpolation), or puts zeros or anything else beside them;
what the pass `picks` understands.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.alone import NotAlone, with_parameters
from snnc.ir.chain import Chain
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import sample_shape, sort_topologically
from snnc.ir.moved import Elements, along_axes, elements_of
from snnc.ir.names import Names, names_in
from snnc.ir.picks import ZERO, pick

_MOVING = ("Expand", "GatherElements", "GatherND", "Resize", "SpaceToDepth", "Tile", "Upsample")
_PICKING = ("Gather", "Pad", "Slice")
_SHAPING = ("Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
_LONGEST = 12


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    names = Names(names_in(graph.nodes))
    for node in list(graph.nodes):
        if node.outputs and node.inputs and _begins(node):
            _rewrite_row(graph, node, names)
    graph.cleanup()
    sort_topologically(graph)


def _begins(node: gs.Node) -> bool:
    """Whether a row may begin with `node`: it moves elements of samples, in a form that nothing else understands."""
    source = node.inputs[0]
    if not isinstance(source, gs.Variable) or source.dtype != np.float32 or not _by_sample(source):
        return False
    if node.op in _PICKING:
        return pick(node) is None
    return node.op in _MOVING or (node.op in _SHAPING and not _keeps_batch_first(node))


def _by_sample(tensor: gs.Variable) -> bool:
    shape = tensor.shape or []
    return len(shape) > 1 and isinstance(shape[0], str) and all(isinstance(size, int) for size in shape[1:])


def _keeps_batch_first(node: gs.Node) -> bool:
    if node.op == "Transpose":
        return bool(node.attrs.get("perm", [1])[0] == 0)
    return _by_sample(node.outputs[0])


def _rewrite_row(graph: gs.Graph, first: gs.Node, names: Names) -> None:
    """Replace the shortest row from `first` on behind which samples are whole again."""
    row, source = [first], first.inputs[0]
    while len(row) <= _LONGEST and len(row[-1].outputs) == 1:
        result = row[-1].outputs[0]
        if _by_sample(result):
            try:
                elements = elements_of(source, result, with_parameters(row, source), graph.opset)
            except NotAlone:
                return
            if elements is not None and elements.shape == sample_shape(result):
                if ZERO not in elements:
                    _write(Chain(graph, row[-1], names, source), row, elements)
                return
        readers = list(result.outputs)
        if len(readers) != 1 or readers[0].op not in (*_MOVING, *_PICKING, *_SHAPING):
            return
        if readers[0].inputs[0] is not result or any(result is output for output in graph.outputs):
            return
        row.append(readers[0])


def _write(chain: Chain, row: list[gs.Node], elements: Elements) -> None:
    picks = along_axes(elements, chain.shape)
    size = math.prod(chain.shape)
    if picks is not None:
        for axis, picked in enumerate(picks):
            chain.gather(axis, picked)
    elif np.array_equal(elements.ravel(), np.arange(size)):
        chain.reshape(elements.shape)
    elif len(row) == 1 and row[0].op == "SpaceToDepth":
        _space_to_depth(chain, int(row[0].attrs["blocksize"]))
    else:
        chain.reshape([size])
        chain.gather(0, elements.ravel())
        chain.reshape(elements.shape)
    chain.end()


def _space_to_depth(chain: Chain, block: int) -> None:
    channels, height, width = chain.shape
    chain.reshape([channels, height // block, block, width // block, block])
    chain.transpose([2, 4, 0, 1, 3])
    chain.reshape([channels * block * block, height // block, width // block])


PASS = Pass("moves", Level.SOURCE, Level.SOURCE, run)
