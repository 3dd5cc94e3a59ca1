"""Put the neuron in front of the max-pooling that it follows, so that spikes are pooled and not currents.

Takes and gives level SOURCE. Values are unchanged where f never falls, as ReLU does not, clipped or not:

    f(MaxPool(x)) = MaxPool(f(x))

    MaxPool(a·x + b) = a·MaxPool(x) + b,  a ≥ 0

1. `MaxPool` whose only reader is a `Relu` or a monotone `Region`, and which is no output: swapped. The neuron gets a
   name of its own, since it gives something that the ANN does not have;
2. `MaxPool` that alone reads a `Scale` of spikes or of the input, with factors that are not negative: swapped, so that
   it pools these;
3. anything else: left alone. What pools no spikes is reported by `validate`.
"""

from __future__ import annotations

import onnx_graphsurgeon as gs

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import NEURONS, REGION, constant, producer, sort_topologically
from snnc.ir.names import PREFIX, Names, names_in
from snnc.operators import POOLS, behind_moves
from snnc.operators.scale import Scale


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    names = Names(names_in(graph.nodes))
    for node in reversed(list(graph.nodes)):  # of several pools in a row the last one first
        if node.op == "MaxPool" and len(node.outputs) == 1:
            readers = node.outputs[0].outputs
            is_output = any(node.outputs[0] is output for output in graph.outputs)
            if len(readers) == 1 and _commutes(readers[0]) and not is_output:
                _swap(node, readers[0], names)
    for node in list(graph.nodes):
        if node.op == "MaxPool" and _pools_scaled_spikes(graph, node):
            _pool_first(node)
    sort_topologically(graph)


def _pools_scaled_spikes(graph: gs.Graph, pool: gs.Node) -> bool:
    scale = producer(pool.inputs[0])
    factor = constant(scale, 1) if scale is not None and scale.op == Scale.name else None
    if scale is None or factor is None or (factor < 0).any() or len(pool.outputs) > 1:
        return False
    if len(scale.outputs[0].outputs) > 1 or any(scale.outputs[0] is output for output in graph.outputs):
        return False
    source = producer(behind_moves(scale.inputs[0]))
    return source is None or source.op in NEURONS or source.op in POOLS


def _pool_first(pool: gs.Node) -> None:
    scale = pool.inputs[0].inputs[0]
    scaled, result, source = scale.outputs[0], pool.outputs[0], scale.inputs[0]
    scale.outputs.clear()
    pool.outputs.clear()
    pool.inputs[0] = source
    scaled.shape = result.shape
    pool.outputs.append(scaled)
    scale.inputs[0] = scaled
    scale.outputs.append(result)


def _commutes(node: gs.Node) -> bool:
    return bool(node.op == "Relu" or (node.op == REGION and node.attrs["kind"].monotone))


def _swap(pool: gs.Node, neuron: gs.Node, names: Names) -> None:
    pooled, result, source = pool.outputs[0], neuron.outputs[0], pool.inputs[0]
    activated = gs.Variable(names.unique(f"{pooled.name}/activated"), source.dtype, source.shape)
    pool.outputs.clear()
    neuron.outputs.clear()
    neuron.inputs[0] = source
    neuron.outputs.append(activated)
    if not neuron.name.startswith(PREFIX):
        neuron.name = names.unique(f"{neuron.name}/in_front_of_the_pool")
    pool.inputs[0] = activated
    pool.outputs.append(result)


PASS = Pass("pools", Level.SOURCE, Level.SOURCE, run)
