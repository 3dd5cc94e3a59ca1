"""Trees of a spiking graph: the linear operators between spike sources and the neuron or readout that they feed."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_graphsurgeon as gs

from snnc.ir.graph import NEURONS, SOURCES, activation_inputs, producer
from snnc.operators import is_linear


def is_source(tensor: gs.Tensor) -> bool:
    """Whether spikes come out of here (an encoder or a neuron)."""
    node = producer(tensor)
    return node is not None and node.op in SOURCES


def targets(graph: gs.Graph) -> list[gs.Node]:
    """Neurons and readouts, in order of the graph: the roots of the trees of linear ops."""
    return [node for node in graph.nodes if node.op in NEURONS or node.op == "SpikeReadout"]


def tree(root: gs.Tensor) -> Iterator[gs.Node]:
    """The linear nodes between spike sources and `root`, inputs before their consumers."""
    node = producer(root)
    if node is None or not is_linear(node):
        return
    for tensor in activation_inputs(node):
        yield from tree(tensor)
    yield node


def leaves(root: gs.Tensor) -> Iterator[gs.Tensor]:
    """The spike tensors that a tree starts from, left to right, each occurrence once."""
    node = producer(root)
    if node is None or not is_linear(node):
        yield root
        return
    for tensor in activation_inputs(node):
        yield from leaves(tensor)
