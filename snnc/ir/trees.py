"""Trees of a spiking graph: the linear operators between spike sources and the layer that reads their current."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_graphsurgeon as gs

from snnc.ir.graph import activation_inputs, producer
from snnc.ir.signal import Signal
from snnc.operators import LAYERS, SOURCES, is_linear, operator_of, weighted


def is_source(tensor: gs.Tensor) -> bool:
    """Whether spikes come out of here (an encoder, a neuron, whatever fires)."""
    node = producer(tensor)
    return node is not None and node.op in SOURCES


def source_nodes(graph: gs.Graph) -> list[gs.Node]:
    """Everything that fires, in order of the graph."""
    return [node for node in graph.nodes if node.op in SOURCES]


def neurons(graph: gs.Graph) -> list[gs.Node]:
    """What stands for functions of the ANN, in order of the graph."""
    return [node for node in source_nodes(graph) if SOURCES[node.op].kind == "neuron"]


def layers(graph: gs.Graph) -> list[gs.Node]:
    """Everything that reads spikes and keeps a state, in order of the graph: neurons, pools, readouts."""
    return [node for node in graph.nodes if node.op in LAYERS and LAYERS[node.op].kind != "input"]


def targets(graph: gs.Graph) -> list[gs.Node]:
    """The layers that integrate the current of a tree of linear operators: neurons and readouts."""
    return [node for node in layers(graph) if LAYERS[node.op].integrates]


def depth(graph: gs.Graph) -> int:
    """How many layers that integrate follow one another at most; 0 where there are none."""
    depths: dict[str, int] = {}
    for layer in layers(graph):
        before = max((depths.get(source.name, 0) for source in sources_of(layer)), default=0)
        depths[layer.outputs[0].name] = before + LAYERS[layer.op].integrates
    return max(depths.values(), default=0)


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


def sources_of(layer: gs.Node) -> Iterator[gs.Tensor]:
    """The spike tensors that a layer reads, through the trees of all its inputs; what an encoder reads."""
    for tensor in activation_inputs(layer):
        yield from leaves(tensor)


def source_signal(tensor: gs.Tensor) -> Signal:
    """The signal of a spike source."""
    node = producer(tensor)
    assert node is not None
    return SOURCES[node.op].signal(node)


def largest_total(root: gs.Tensor) -> int | None:
    """What the currents of all steps so far can add up to at `root`, in currents of one step at its largest; None where
    that grows with time."""
    totals = [_total_of(leaf) for leaf in leaves(root)]
    bounded = [total for total in totals if total is not None]
    return max(bounded) if len(bounded) == len(totals) else None


def _total_of(source: gs.Tensor) -> int | None:
    node = producer(source)
    assert node is not None
    if SOURCES[node.op].kind == "pool":  # the largest count of a window is a count of its input
        return largest_total(node.inputs[0])
    return SOURCES[node.op].largest_total(node)


def signal_of(tensor: gs.Tensor) -> Signal:
    """What flows along an edge of a tree whose weights are integers already."""
    if is_source(tensor):
        return source_signal(tensor)
    node = producer(tensor)
    assert node is not None
    heavy, room = weighted(node), operator_of(node)
    operands = [signal_of(operand) for operand in activation_inputs(node)]
    return room.signal(node, operands, None if heavy is None else heavy.weights(node))


def copies_of(tensor: gs.Tensor) -> int | None:
    """In how many copies spikes reach `tensor` when they are only moved; None if they do not."""
    if is_source(tensor):
        return source_signal(tensor).copies
    node = producer(tensor)
    if node is None or not is_linear(node):
        return None
    operands = [copies_of(operand) for operand in activation_inputs(node)]
    known = [copies for copies in operands if copies is not None]
    return operator_of(node).copies(node, known) if len(known) == len(operands) else None
