"""Bring dense layers to one form: `Gemm(x, W[, c])` with W `[K, M]`, c `[M]` and no attributes.

Takes and gives level SOURCE. Values change by rounding only:

1. `Gemm` with α, β, transB:    W' = α·W (transposed if transB), c' = β·c broadcast to `[M]`;
2. `MatMul(x, W)`, x `[N, K]`:  → `Gemm(x, W)`;
3. `MatMul(x, W)`, x `[N, d..., K]`: a 1x1 convolution over the axes d:
   `Transpose(x) → Conv(kernel 1) → Transpose`.

Left alone, and reported by `validate`: weights that are not constant, transA, products of activations.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import constant, sort_topologically
from snnc.ir.names import Names, names_in, own


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    names = Names(names_in(graph.nodes))
    for node in list(graph.nodes):
        if node.op == "Gemm":
            _plain_gemm(node)
        elif node.op == "MatMul" and node.inputs[0].shape:
            weight = constant(node, 1)
            if weight is None or weight.ndim != 2 or not isinstance(node.inputs[0], gs.Variable):
                continue
            if len(node.inputs[0].shape) == 2:
                node.op = "Gemm"
            elif isinstance(node.inputs[0].shape[0], str):
                _as_pointwise_convolution(graph, node, weight, names)
    graph.cleanup()
    sort_topologically(graph)


def _plain_gemm(node: gs.Node) -> None:
    weight = constant(node, 1)
    has_addend = len(node.inputs) > 2 and not node.inputs[2].is_empty()
    addend = constant(node, 2)
    if weight is None or weight.ndim != 2 or node.attrs.get("transA", 0) or (has_addend and addend is None):
        return
    if node.attrs.get("transB", 0):
        weight = weight.T
    weight = np.ascontiguousarray(weight * np.float32(node.attrs.get("alpha", 1.0)), np.float32)
    inputs = [node.inputs[0], gs.Constant(own(f"{node.name}/weight"), weight)]
    if addend is not None:
        rows = np.atleast_2d(addend)
        if rows.shape[0] != 1:
            return  # one addend per sample: not a bias
        bias = np.broadcast_to(rows[0], (weight.shape[1],)) * np.float32(node.attrs.get("beta", 1.0))
        inputs.append(gs.Constant(own(f"{node.name}/bias"), np.ascontiguousarray(bias, np.float32)))
    node.inputs = inputs
    node.attrs = {}


def _as_pointwise_convolution(graph: gs.Graph, node: gs.Node, weight: np.ndarray, names: Names) -> None:
    source, result = node.inputs[0], node.outputs[0]
    batch, *dims, _ = source.shape
    rank = len(source.shape)
    features, outputs = weight.shape
    to_channels_first = [0, rank - 1, *range(1, rank - 1)]
    to_channels_last = [0, *range(2, rank), 1]
    first = gs.Variable(names.unique(f"{node.name}/channels_first"), np.float32, [batch, features, *dims])
    mixed = gs.Variable(names.unique(f"{node.name}/mixed"), np.float32, [batch, outputs, *dims])
    kernel = np.ascontiguousarray(weight.T.reshape(outputs, features, *[1] * len(dims)), np.float32)
    graph.nodes.append(
        gs.Node(
            "Transpose", names.unique(f"{node.name}/to_channels_first"), {"perm": to_channels_first}, [source], [first]
        )
    )
    node.outputs.clear()
    graph.nodes.append(
        gs.Node(
            "Transpose", names.unique(f"{node.name}/to_channels_last"), {"perm": to_channels_last}, [mixed], [result]
        )
    )
    node.op = "Conv"
    node.attrs = {
        "kernel_shape": [1] * len(dims),
        "strides": [1] * len(dims),
        "dilations": [1] * len(dims),
        "pads": [0] * (2 * len(dims)),
        "group": 1,
    }
    node.inputs = [first, gs.Constant(own(f"{node.name}/weight"), kernel)]
    node.outputs = [mixed]


PASS = Pass("dense", Level.SOURCE, Level.SOURCE, run)
