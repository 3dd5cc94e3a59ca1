"""Put the neuron in front of the max-pooling that it follows, so that spikes are pooled and not currents.

Takes and gives level SOURCE. Values are unchanged where f never falls, as ReLU does not, clipped or not:

    f(MaxPool(x)) = MaxPool(f(x))

1. `MaxPool` whose only reader is a `Relu` or a monotone `Region`, and which is no output: swapped. The neuron gets a
   name of its own, since it gives something that the ANN does not have;
2. anything else: left alone. What pools no spikes is reported by `validate`.
"""

from __future__ import annotations

import onnx_graphsurgeon as gs

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import REGION, sort_topologically
from snnc.ir.names import PREFIX, Names, names_in


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    names = Names(names_in(graph.nodes))
    for node in reversed(list(graph.nodes)):  # of several pools in a row the last one first
        if node.op == "MaxPool" and len(node.outputs) == 1:
            readers = node.outputs[0].outputs
            is_output = any(node.outputs[0] is output for output in graph.outputs)
            if len(readers) == 1 and _commutes(readers[0]) and not is_output:
                _swap(node, readers[0], names)
    sort_topologically(graph)


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
