"""Put identity neurons where sums would follow sums, so that integers stay small and nothing is computed twice.

Takes and gives level SOURCE. Left alone: methods whose networks do not settle, as only these have neurons that go below
0. `Relay` is a node that computes y = x, and becomes a neuron:

1. Conv or Gemm that reads a current (what another Conv or Gemm gives, or sums of it): between the two, in front of what
   only moves elements (linear bottlenecks);
2. a current that several layers read: behind it (residual sums without a ReLU);
3. MaxPool of a current or of the input: in front of it, as it pools counts;
4. a current that a product reads: behind it, in front of what only moves elements, as it multiplies counts. Of the
   input, which others read in its own units: in front of the product alone. What a product gives is a current. A factor
   needs no neuron: (a·x)·y = a·(x·y), a `Scale` behind the product.
"""

from __future__ import annotations

from collections.abc import Container

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import NEURONS, PRODUCT, RELAY, activation_inputs, producer, replace_uses, sort_topologically
from snnc.ir.names import Names, names_in
from snnc.methods import METHODS
from snnc.operators import BY_ANN_NAME, POOLS, WeightedOperator, before_layers
from snnc.operators.scale import Scale


def run(conversion: Conversion) -> None:
    if not METHODS[conversion.options.method].settles:
        return
    graph = conversion.graph
    names = Names(names_in(graph.nodes))
    for node in [node for node in graph.nodes if node.op == PRODUCT]:
        for index in range(len(node.inputs)):
            _move_factor_behind(graph, node, index, names)
    graph.cleanup()
    sort_topologically(graph)
    in_layers = before_layers(graph)
    for node in list(graph.nodes):
        if node.name not in in_layers:
            continue
        if node.op in POOLS and not _counts(node.inputs[0]):
            _relay(graph, node.inputs[0], in_layers, names)
        elif node.op == PRODUCT:
            for index in range(len(node.inputs)):  # a relay of the first operand may be that of the second too
                _relay_factor(graph, node, node.inputs[index], in_layers, names)
        elif _is_weighted(node):
            for tensor in filter(_is_current, _behind_moves(node.inputs[0])):
                _relay(graph, tensor, in_layers, names)
    for node in list(graph.nodes):
        for tensor in node.outputs:
            readers = {reader.name for reader in tensor.outputs if reader.name in in_layers}
            if len(readers) > 1 and _is_current(tensor) and tensor.inputs[0].name in in_layers:
                _relay(graph, tensor, in_layers, names)
    sort_topologically(graph)


def _move_factor_behind(graph: gs.Graph, product: gs.Node, index: int, names: Names) -> None:
    """Let the product read what a `Scale` without a shift reads, and scale what it gives."""
    scale = producer(product.inputs[index])
    if scale is None or scale.op != Scale.name or len(scale.inputs) > 2:
        return
    result = product.outputs[0]
    unscaled = gs.Variable(names.unique(f"{result.name}/unscaled"), np.float32, result.shape)
    product.inputs[index] = scale.inputs[0]
    product.outputs.clear()
    product.outputs.append(unscaled)
    name = names.unique(f"{product.name}/factor_{index}")
    graph.nodes.append(gs.Node(Scale.name, name, {}, [unscaled, scale.inputs[1]], [result], Scale.domain))


def _relay_factor(
    graph: gs.Graph, product: gs.Node, operand: gs.Tensor, in_layers: Container[str], names: Names
) -> None:
    found = _behind_moves(operand)
    if any(producer(tensor) is None for tensor in found):
        _relay(graph, operand, {product.name}, names)
        return
    for tensor in found:
        if not _counts(tensor):
            _relay(graph, tensor, in_layers, names)


def _is_weighted(node: gs.Node) -> bool:
    """A `Scale` does not count: the layer in front of it or behind it takes its factor (pass `scales`)."""
    return node.op != Scale.name and isinstance(BY_ANN_NAME.get(node.op), WeightedOperator)


def _is_current(tensor: gs.Tensor) -> bool:
    """Whether weighted sums or products arrive here that no neuron has read yet."""
    node = producer(tensor)
    if node is not None and node.op == PRODUCT:
        return True
    if node is None or node.op not in BY_ANN_NAME:
        return False
    return _is_weighted(node) or any(_is_current(operand) for operand in activation_inputs(node))


def _counts(tensor: gs.Tensor) -> bool:
    """Whether `tensor` has the counts of neurons or pools, only moved."""
    found = [producer(behind) for behind in _behind_moves(tensor)]
    return all(node is not None and (node.op in NEURONS or node.op in POOLS) for node in found)


def _behind_moves(tensor: gs.Tensor) -> list[gs.Tensor]:
    """The tensors whose elements `tensor` has at other places."""
    node = producer(tensor)
    if node is None or node.op not in BY_ANN_NAME or not BY_ANN_NAME[node.op].only_moves:
        return [tensor]
    return [behind for operand in activation_inputs(node) for behind in _behind_moves(operand)]


def _relay(graph: gs.Graph, tensor: gs.Tensor, readers: Container[str], names: Names) -> None:
    """Let those nodes that read `tensor` read what an identity neuron makes of it."""
    relayed = gs.Variable(names.unique(f"{tensor.name}/relayed"), np.float32, tensor.shape)
    replace_uses(tensor, relayed, readers=readers)
    node = gs.Node(RELAY, names.unique(f"{tensor.name}/relay"), {}, [tensor], [relayed])
    graph.nodes.append(node)


PASS = Pass("relays", Level.SOURCE, Level.SOURCE, run)
