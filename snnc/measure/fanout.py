"""Synaptic operations: how many accumulations one spike of each neuron causes.

The fan-out of a neuron is counted through the trees that read it, borders included: a `Conv` or `Gemm` costs one
accumulation per output it reaches, whatever lies behind; a pooling window passes on what its output costs; a `Scale`,
the 1x1 synapse of an identity path, costs one (`LinearOperator.fanout`). A product costs what each of its elements
costs that changes (`SpikeSource.fanout`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.graph import activation_inputs, producer, sample_shape
from snnc.ir.trees import is_source, tree
from snnc.operators import SOURCES, operator_of


def fanouts(layers: Sequence[gs.Node]) -> dict[str, np.ndarray]:
    """Fan-out of every spike tensor that the `layers` of a graph read, which are in order of the graph.

    Gives int64 arrays of a sample's shape, with the leading axes reduced to 1 where the values do not depend on them.
    """
    total: dict[str, np.ndarray] = {}
    for layer in reversed(layers):
        for position, root in enumerate(activation_inputs(layer)):
            cost = np.ones(sample_shape(root), np.int64)
            if layer.op in SOURCES:
                nothing = np.zeros(sample_shape(layer.outputs[0]), np.int64)
                cost = SOURCES[layer.op].fanout(layer, position, total.get(layer.outputs[0].name, nothing))
            _spread(root, cost, total)
    return {name: _reduce_leading_axes(fanout) for name, fanout in total.items()}


def count_macs(root: gs.Tensor) -> int:
    """Multiply-accumulates of one inference of the ANN in the tree under `root`: connections of its layers.

    Taps outside the image are not counted. Pooling in front of a layer saves the ANN multiplications, while spikes pass
    through it one by one: this is not the sum of the fan-outs.
    """
    return sum(operator_of(node).macs(node) for node in tree(root))


def _spread(tensor: gs.Tensor, cost: np.ndarray, total: dict[str, np.ndarray]) -> None:
    """Add `cost` (per element of `tensor`) to the spike tensors behind it."""
    node = producer(tensor)
    if is_source(tensor):
        total[tensor.name] = total.get(tensor.name, np.zeros_like(cost)) + cost
        return
    assert node is not None
    for position, operand in enumerate(activation_inputs(node)):
        _spread(operand, operator_of(node).fanout(node, position, cost), total)


def _reduce_leading_axes(fanout: np.ndarray) -> np.ndarray:
    for axis in range(fanout.ndim):
        first = fanout.take([0], axis=axis)
        if not (fanout == first).all():
            break
        fanout = first
    return fanout
