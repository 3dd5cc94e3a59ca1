"""Turn what only picks values, or puts zeros between them, into a linear layer of zeros and ones.

Takes and gives level SOURCE. Values are unchanged. `Slice`, `Split`, `Pad` with zeros and `Gather` with constant
indices, alone or in a row, pick along every axis a value or a zero (snnc.ir.picks):

1. what they pick is everything, in order: bypassed;
2. any elements, and no zeros: → `Gather` along each axis that changes, which only moves what it reads;
3. zeros around the plane in front of a `Conv` alone: its pads;
4. `[N, K]`, any features and zeros: → `Gemm` with a matrix of zeros and ones;
5. `[N, C, d...]`, any channels and zeros, and along the other axes a start, a stride and zeros around: → `Conv` with
   one tap, depthwise where the channels stay as they are. The shortcut of a ResNet that drops every second pixel and
   appends channels of zeros (option A of He et al., 2016) is one.

Left alone: other values in pads, zeros around planes that are picked unevenly, parameters that are computed.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.chain import Chain
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import bypass, producer, sample_shape, sort_topologically
from snnc.ir.names import Names, names_in, own
from snnc.ir.picks import ZERO, Picks, Window, pick, window_of


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    names = Names(names_in(graph.nodes))
    for node in [node for node in graph.nodes if node.op == "Split"]:
        _as_slices(graph, node, names)
    sort_topologically(graph)
    for node in list(graph.nodes):
        found = _picked(graph, node)
        if found is None:
            continue
        source, picks = found
        sizes = sample_shape(source)
        if all(np.array_equal(picked, np.arange(size)) for picked, size in zip(picks, sizes, strict=True)):
            node.op, node.attrs, node.inputs = "Identity", {}, [source]
            bypass(graph, node)
        elif not any(ZERO in picked for picked in picks):
            _as_gathers(Chain(graph, node, names, source), picks)
        elif len(sizes) == 1:
            _as_dense(node, source, picks[0])
        elif not _as_pads(graph, node, source, picks):
            _as_convolution(node, source, picks)
    graph.cleanup()
    sort_topologically(graph)


def _as_slices(graph: gs.Graph, node: gs.Node, names: Names) -> None:
    """One `Slice` for each output."""
    source, axis = node.inputs[0], int(node.attrs.get("axis", 0))
    if any(tensor.shape is None for tensor in (source, *node.outputs)) or axis % len(source.shape) == 0:
        return
    start = 0
    for index, result in enumerate(list(node.outputs)):
        end = start + result.shape[axis]
        ranges = [
            gs.Constant(own(f"{node.name}/{index}/{what}"), np.array([value], np.int64))
            for what, value in (("start", start), ("end", end), ("axis", axis))
        ]
        result.inputs.clear()
        graph.nodes.append(gs.Node("Slice", names.unique(f"{node.name}/{index}"), {}, [source, *ranges], [result]))
        start = end
    graph.nodes.remove(node)
    node.inputs.clear()


def _picked(graph: gs.Graph, node: gs.Node) -> tuple[gs.Variable, Picks] | None:
    """From which tensor a row of such nodes that ends in `node` picks what; None if `node` is not the end of one."""
    if pick(node) is None:
        return None
    result = node.outputs[0]
    if not any(result is output for output in graph.outputs) and all(pick(reader) for reader in result.outputs):
        return None
    row = [node]
    while (before := producer(row[-1].inputs[0])) is not None and pick(before) is not None:
        row.append(before)
    picks: Picks | None = None
    for step in reversed(row):
        picks = pick(step, picks)
    assert picks is not None, f"pass picks: {node.name} picks nothing"
    return row[-1].inputs[0], picks


def _as_dense(node: gs.Node, source: gs.Variable, picked: np.ndarray) -> None:
    weight = _matrix(picked, sample_shape(source)[0]).T
    node.op, node.attrs = "Gemm", {}
    node.inputs = [source, gs.Constant(own(f"{node.name}/weight"), np.ascontiguousarray(weight))]


def _as_pads(graph: gs.Graph, node: gs.Node, source: gs.Variable, picks: Picks) -> bool:
    """Whether every reader is a convolution that could take the zeros as its own pads, and did."""
    channels, *planes = sample_shape(source)
    windows = [window_of(picked, size) for picked, size in zip(picks[1:], planes, strict=True)]
    result = node.outputs[0]
    if not np.array_equal(picks[0], np.arange(channels)) or any(result is output for output in graph.outputs):
        return False
    zeros_only = [window for window in windows if window is not None and window.kernel == window.stride == 1]
    readers = list(result.outputs)
    if len(zeros_only) < len(planes) or not all(_has_own_pads(reader, result) for reader in readers):
        return False
    wider = [window.begin for window in zeros_only] + [window.end for window in zeros_only]
    for reader in readers:
        own_pads = reader.attrs.get("pads", [0] * len(wider))
        reader.attrs.pop("auto_pad", None)
        reader.attrs["pads"] = [mine + more for mine, more in zip(own_pads, wider, strict=True)]
        reader.inputs[0] = source
    node.outputs.clear()
    return True


def _has_own_pads(reader: gs.Node, result: gs.Variable) -> bool:
    auto_pad = reader.attrs.get("auto_pad", "NOTSET")
    explicit = (auto_pad.decode() if isinstance(auto_pad, bytes) else auto_pad) in ("NOTSET", "VALID")
    return reader.op == "Conv" and reader.inputs[0] is result and explicit


def _as_gathers(chain: Chain, picks: Picks) -> None:
    for axis, picked in enumerate(picks):
        chain.gather(axis, picked)
    chain.end()


def _as_convolution(node: gs.Node, source: gs.Variable, picks: Picks) -> None:
    channels, *planes = sample_shape(source)
    windows: list[Window] = []
    for picked, size in zip(picks[1:], planes, strict=True):
        window = window_of(picked, size)
        if window is None:
            return
        windows.append(window)
    kernel, taps = [window.kernel for window in windows], tuple(window.tap for window in windows)
    depthwise = np.array_equal(picks[0], np.arange(channels))
    matrix = np.ones((channels, 1), np.float32) if depthwise else _matrix(picks[0], channels)
    weight = np.zeros((*matrix.shape, *kernel), np.float32)
    by_tap = weight.reshape(*matrix.shape, -1)  # a view
    by_tap[..., np.ravel_multi_index(taps, kernel)] = matrix
    node.op = "Conv"
    node.attrs = {
        "kernel_shape": kernel,
        "strides": [window.stride for window in windows],
        "dilations": [1] * len(kernel),
        "pads": [window.begin for window in windows] + [window.end for window in windows],
        "group": channels if depthwise else 1,
    }
    node.inputs = [source, gs.Constant(own(f"{node.name}/weight"), weight)]


def _matrix(picked: np.ndarray, size: int) -> np.ndarray:
    """Zeros and ones, float32 [len(picked), size]: which input each output is."""
    matrix = np.zeros((len(picked), size), np.float32)
    outputs = np.flatnonzero(picked != ZERO)
    matrix[outputs, picked[outputs]] = 1.0
    return matrix


PASS = Pass("picks", Level.SOURCE, Level.SOURCE, run)
