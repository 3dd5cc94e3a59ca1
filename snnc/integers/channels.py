"""Whether the layers of a graph can work with spikes that are worth something else in every channel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.graph import activation_inputs, producer, sample_shape
from snnc.ir.signal import FloatArray
from snnc.ir.trees import is_source, sources_of, tree
from snnc.operators import LAYERS, SOURCES, operator_of, weighted


def carries_channels(source: gs.Tensor, layers: Sequence[gs.Node]) -> bool:
    """Whether those of the `layers` of a graph that read `source` can work with another λ for every channel of it, and
    so can what they pass it on to."""
    shape = sample_shape(source)
    probe = np.arange(1.0, 1.0 + shape[0]).reshape(shape[0], *[1] * (len(shape) - 1))
    return _is_taken(source, probe, layers)


def _is_taken(source: gs.Tensor, probe: FloatArray, layers: Sequence[gs.Node]) -> bool:
    """Whether all that read `source` can work with `probe` as what it is worth."""
    readers = [layer for layer in layers if any(leaf is source for leaf in sources_of(layer))]
    return all(_takes(layer, source, probe, layers) for layer in readers)


def _takes(layer: gs.Node, source: gs.Tensor, probe: FloatArray, layers: Sequence[gs.Node]) -> bool:
    operands = activation_inputs(layer)
    if not all(_carried(node, source, probe) for root in operands for node in tree(root)):
        return False
    seen = [_seen_from(root, source, probe) for root in operands]
    values = [value for value in seen if value is not None]
    if len(values) < len(seen):
        return False
    if LAYERS[layer.op].integrates:
        return True
    passed_on = SOURCES[layer.op].passed_on(layer, values)
    return passed_on is not None and _is_taken(layer.outputs[0], passed_on, layers)


def _carried(node: gs.Node, source: gs.Tensor, probe: FloatArray) -> bool:
    """Whether a weight can read what `source` becomes in front of it."""
    heavy = weighted(node)
    if heavy is None:
        return True
    values = _seen_from(activation_inputs(node)[0], source, probe)
    return values is not None and heavy.takes(node, values)


def _seen_from(tensor: gs.Tensor, source: gs.Tensor, probe: FloatArray) -> FloatArray | None:
    """`probe` of `source` carried to `tensor`; a constant where a weight or another source stands between."""
    node = producer(tensor)
    if tensor is source:
        return probe
    if is_source(tensor) or node is None or weighted(node) is not None:
        return np.ones((1,) * len(sample_shape(tensor)))
    before = [_seen_from(operand, source, probe) for operand in activation_inputs(node)]
    known = [values for values in before if values is not None]
    return operator_of(node).carry(node, known) if len(known) == len(before) else None
