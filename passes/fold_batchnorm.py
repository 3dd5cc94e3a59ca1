"""Fold batch normalization into the layer in front of it.

Takes and gives level SOURCE. With `--batchnorm fold` only; otherwise `validate` reports every node.

    BN(z) = γ·(z - μ)/√(σ² + ε) + β,   z = W·x + b
    W' = W·γ/√(σ² + ε)   (per output channel),   b' = β + (b - μ)·γ/√(σ² + ε)

1. `BatchNormalization` behind `Conv` or `Gemm` whose output nothing else reads: folded;
2. anywhere else: left to the pass `regions`, for which it is an affine function;
3. in training mode, with parameters that are computed or a negative variance: left alone, and reported by `validate`.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.batchnorm import factor_and_shift, objection
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import constant, merge_into_producer, producer
from snnc.ir.names import own


def run(conversion: Conversion) -> None:
    if conversion.options.batchnorm != "fold":
        return
    graph = conversion.graph
    for node in list(graph.nodes):
        if node.op == "BatchNormalization":
            _fold(conversion, node)
    graph.cleanup()


def _fold(conversion: Conversion, node: gs.Node) -> None:
    layer = producer(node.inputs[0])
    if layer is None or layer.op not in ("Conv", "Gemm") or len(node.inputs[0].outputs) != 1:
        return
    if layer.op == "Gemm" and layer.attrs:  # not brought to the plain form; `validate` reports it
        return
    weight = constant(layer, 1)
    if weight is None or objection(node) is not None:
        return
    if any(node.inputs[0] is output for output in conversion.graph.outputs):
        return
    factor, shift = factor_and_shift(node)
    bias = constant(layer, 2)
    new_bias = shift if bias is None else shift + bias.astype(np.float64) * factor
    by_channel = factor.reshape((-1, *[1] * (weight.ndim - 1))) if layer.op == "Conv" else factor[None, :]
    layer.inputs[1] = gs.Constant(own(f"{layer.name}/weight"), (weight * by_channel).astype(np.float32))
    layer.inputs = layer.inputs[:2]
    if new_bias.any():
        layer.inputs.append(gs.Constant(own(f"{layer.name}/bias"), new_bias.astype(np.float32)))
        conversion.bias_origin[layer.name] = ("BatchNormalization", node.name)
    merge_into_producer(node, node.inputs[0])


PASS = Pass("fold_batchnorm", Level.SOURCE, Level.SOURCE, run)
