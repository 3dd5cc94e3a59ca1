"""Bring everything that only reshapes a sample to one form: `Reshape` with the constant shape `[-1, dims...]`.

Takes and gives level SOURCE. With the batch first in the input's and the output's shape, and as many elements per
sample in both:

1. `Flatten`, `Squeeze`, `Unsqueeze`, and `Reshape` (whatever computes its shape) → `Reshape(x, [-1, dims...])`;
2. a `Reshape` that changes nothing is bypassed.

Left alone: operators that move elements between samples, which `validate` reports.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import bypass, sample_shape
from snnc.ir.names import own

_SHAPING = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    for node in graph.nodes:
        if node.op in _SHAPING and _keeps_samples(node):
            dims = sample_shape(node.outputs[0])
            shape = gs.Constant(own(f"{node.name}/shape"), np.array([-1, *dims], np.int64))
            node.op, node.domain, node.attrs = "Reshape", "", {}
            node.inputs = [node.inputs[0], shape]
            if dims == sample_shape(node.inputs[0]):
                bypass(graph, node)
    graph.cleanup()


def _keeps_samples(node: gs.Node) -> bool:
    source, result = node.inputs[0], node.outputs[0]
    if not isinstance(source, gs.Variable) or not source.shape or not result.shape:
        return False
    batch_first = isinstance(source.shape[0], str) and isinstance(result.shape[0], str)
    return batch_first and len(result.shape) >= 2 and math.prod(source.shape[1:]) == math.prod(result.shape[1:])


PASS = Pass("reshapes", Level.SOURCE, Level.SOURCE, run)
