"""Bring dense layers to one form: `Gemm(x, W[, c])` with W `[K, M]`, c `[M]` and no attributes.

Takes and gives level SOURCE. Values change by rounding only:

1. `Gemm` with α, β, transB:    W' = α·W (transposed if transB), c' = β·c broadcast to `[M]`;
2. `MatMul(x, W)`, x `[N, K]`:  → `Gemm(x, W)`;
3. `MatMul(x, W)`, x `[N, d..., K]`: a 1x1 convolution over the axes d:
   `Transpose(x) → Conv(kernel 1) → Transpose`;
4. `MatMul(W, x)`, W `[M, K]`, x `[N, d..., K, L]`: the same, where the second axis from the end has the features;
   x `[N, K, L]` needs no `Transpose`.

W may have axes of size 1 in front; `MatMul(x, w)` with a vector w `[K]` gives one feature, without an axis for it.
Left alone, and reported by `validate`: weights that are not constant, transA, other weights for every axis d, products
of activations.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.chain import Chain
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import constant, sort_topologically
from snnc.ir.names import Names, names_in, own
from snnc.operators.tail import is_activation


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    names = Names(names_in(graph.nodes))
    for node in list(graph.nodes):
        if node.op == "Gemm":
            _plain_gemm(node)
        elif node.op == "MatMul":
            _plain_product(graph, node, names)
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


def _plain_product(graph: gs.Graph, node: gs.Node, names: Names) -> None:
    left = isinstance(node.inputs[0], gs.Constant)
    source, result = node.inputs[1 if left else 0], node.outputs[0]
    weight = constant(node, 0 if left else 1)
    if weight is None or not (is_activation(source) and is_activation(result)):
        return
    if not left and weight.ndim == 1:
        weight = weight[:, None]
    if weight.ndim < 2 or weight.size != weight.shape[-2] * weight.shape[-1]:
        return  # another one for every place
    weight = weight.reshape(weight.shape[-2:])
    rank = len(source.shape) - 1
    if left and rank < 2:
        return  # the batch would be the features
    if not left and rank == 1:
        node.op, node.inputs = "Gemm", [source, gs.Constant(own(f"{node.name}/weight"), np.ascontiguousarray(weight))]
        return
    _as_pointwise_convolution(
        Chain(graph, node, names, source), weight if left else weight.T, features=rank - 2 if left else rank - 1
    )


def _as_pointwise_convolution(chain: Chain, weight: np.ndarray, features: int) -> None:
    """Weights `[M, K]` on the axis `features` of a sample."""
    rank = len(chain.shape)
    others = [axis for axis in range(rank) if axis != features]
    chain.transpose([features, *others])
    chain.convolve(weight.reshape(*weight.shape, *[1] * len(others)))
    back = list(range(1, rank))
    back.insert(features, 0)
    chain.transpose(back)
    chain.reshape(chain.result_shape)
    chain.end()


PASS = Pass("dense", Level.SOURCE, Level.SOURCE, run)
