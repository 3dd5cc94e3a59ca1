"""Turn the ANN into a spiking network: encoder, neurons, synapses, readouts. Nothing is calibrated yet.

Takes level CANONICAL, gives SPIKING:

1. the input is encoded by the option `coding`: `x → PoissonEncode` into spikes, `DirectEncode` into numbers;
2. `Relu` → the neuron of the method, such as `RMP` (soft reset) or `IF` (hard reset): y = max(0, x) becomes the rate of
   a neuron (RMP-SNN, section 3.2); a `cap` stays with it: no rate is higher than a spike in every step, which must not
   be worth more; `leak`, if the option asks for one;
3. other operators take their spiking form (`become_spiking` of their rooms): `AveragePool` → `SumPool`, `MaxPool` →
   `SpikeMaxPool`, `Product` → `SpikeProduct`;
4. each output: `SpikeReadout` on the current of the last layer, which integrates and never fires; what follows (the
   tail) works on the decoded value. The bias of the last layer is added after decoding. An output taken at a neuron
   reads that neuron through a `Scale`. The option `delay` becomes an attribute of all of them;
5. a linear op that several layers read is cloned for each, so that every layer owns the trees that it reads;
6. a branch without a weight gets one: `Scale` by 1, the 1x1 synapse of an identity path (RMP-SNN, section 5). What is
   joined side by side needs one only where something else beside it has passed weights.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import (
    NEURONS,
    activation_inputs,
    constant,
    producer,
    replace_uses,
    sort_topologically,
    spiking_node,
)
from snnc.ir.names import Names, names_in, own
from snnc.ir.signal import Signal
from snnc.ir.trees import layers, leaves, source_signal, targets
from snnc.methods import METHODS
from snnc.operators import BY_ANN_NAME, LAYERS, READING_SPIKES, SOURCES, is_linear, tail_nodes, weighted
from snnc.operators.encoder import ENCODERS
from snnc.operators.readout import Readout


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    method = METHODS[conversion.options.method]
    tail, names = tail_nodes(graph), Names(names_in(graph.nodes))
    for node in graph.nodes:
        if node.name in tail:
            continue
        if node.op in NEURONS:
            method.place_neuron(node, conversion.options)
        elif node.op in BY_ANN_NAME:
            BY_ANN_NAME[node.op].become_spiking(node)
        elif node.op in READING_SPIKES:
            READING_SPIKES[node.op].become_spiking(node)
    _encode_input(graph, names, ENCODERS[conversion.options.coding])
    _read_outputs(graph, tail, names)
    if conversion.options.delay:
        for node in graph.nodes:
            if node.op == Readout.name:
                node.attrs["delay"] = conversion.options.delay
    sort_topologically(graph)
    for node in layers(graph):
        for index, tensor in enumerate(node.inputs):
            node.inputs[index] = _own_tree(graph, tensor, node.name, names)
    for junction in [node for node in graph.nodes if node.op in ("Add", "Concat") and node.name not in tail]:
        weightless = [index for index, operand in enumerate(junction.inputs) if not _has_weight(operand)]
        if junction.op == "Concat" and not any(map(_meets_a_weight, junction.inputs)):
            continue  # spikes beside spikes
        for index in weightless:
            junction.inputs[index] = _scaled(graph, junction.inputs[index], f"{junction.name}/{index}", names)
    for node in targets(graph):
        if not _has_weight(node.inputs[0]):
            node.inputs[0] = _scaled(graph, node.inputs[0], node.name, names)
    graph.cleanup()
    sort_topologically(graph)
    connect_spikes(graph)


def connect_spikes(graph: gs.Graph) -> None:
    """Tell the layers that read spikes, not currents, what these are like."""
    for node in layers(graph):
        if node.op in SOURCES and not LAYERS[node.op].integrates:
            SOURCES[node.op].connect(node, [_read_signal(tensor) for tensor in activation_inputs(node)])


def _read_signal(tensor: gs.Tensor) -> Signal:
    """Of spikes that are only moved: with signs where some of them have."""
    signals = [source_signal(leaf) for leaf in leaves(tensor)]
    return next((signal for signal in signals if signal.signed), signals[0])


def _encode_input(graph: gs.Graph, names: Names, encoder: str) -> None:
    pixels = graph.inputs[0]
    spikes = gs.Variable(names.unique(f"{pixels.name}/spikes"), np.float32, pixels.shape)
    replace_uses(pixels, spikes)
    graph.nodes.insert(0, spiking_node(encoder, names.unique(f"{pixels.name}/encode"), [pixels], [spikes]))


def _read_outputs(graph: gs.Graph, tail: set[str], names: Names) -> None:
    """Put a readout on every tensor that the outside or the tail reads."""
    for output in graph.outputs:
        before = producer(output)
        if before is None or before.name in tail:
            continue
        current = gs.Variable(names.unique(f"{output.name}/current"), output.dtype, output.shape)
        before.outputs[next(i for i, tensor in enumerate(before.outputs) if tensor is output)] = current
        replace_uses(output, current, readers={consumer.name for consumer in output.outputs} - tail)
        _read(graph, current, output, names)
    for node in [node for node in graph.nodes if node.name in tail]:
        for tensor in activation_inputs(node):
            before = producer(tensor)
            if before is None or before.name in tail or before.op == Readout.name:
                continue
            decoded = gs.Variable(names.unique(f"{tensor.name}/decoded"), tensor.dtype, tensor.shape)
            replace_uses(tensor, decoded, readers=tail)
            _read(graph, tensor, decoded, names)


def _read(graph: gs.Graph, current: gs.Variable, decoded: gs.Variable, names: Names) -> None:
    inputs: list[gs.Tensor] = [current]
    layer = producer(current)
    if layer is not None and layer.op in ("Conv", "Gemm") and len(current.outputs) == 0:
        bias = constant(layer, 2)
        if bias is not None:
            per_element = bias.reshape((-1, *[1] * (len(current.shape) - 2)))
            layer.inputs = layer.inputs[:2]
            inputs.append(gs.Constant(own(f"{decoded.name}/bias"), np.ascontiguousarray(per_element)))
    graph.nodes.append(spiking_node("SpikeReadout", names.unique(f"{decoded.name}/readout"), inputs, [decoded]))


def _own_tree(graph: gs.Graph, tensor: gs.Tensor, owner: str, names: Names) -> gs.Tensor:
    """`tensor`, with every linear node above it read by one consumer only (clones where there were more)."""
    node = producer(tensor)
    if node is None or not is_linear(node):
        return tensor
    if len(tensor.outputs) > 1:
        clone_output = gs.Variable(names.unique(f"{tensor.name}/{owner}"), tensor.dtype, tensor.shape)
        name = names.unique(f"{node.name}/{owner}")
        node = gs.Node(node.op, name, dict(node.attrs), list(node.inputs), [clone_output], node.domain)
        graph.nodes.append(node)
        tensor = clone_output
    for index, operand in enumerate(node.inputs):
        if isinstance(operand, gs.Variable):
            node.inputs[index] = _own_tree(graph, operand, owner, names)
    return tensor


def _has_weight(tensor: gs.Tensor) -> bool:
    """Whether every path from a spike source to `tensor` crosses a weight."""
    node = producer(tensor)
    if node is None or not is_linear(node):
        return False
    if weighted(node) is not None:
        return True
    return all(_has_weight(operand) for operand in activation_inputs(node))


def _meets_a_weight(tensor: gs.Tensor) -> bool:
    """Whether some path from a spike source to `tensor` crosses a weight."""
    node = producer(tensor)
    if node is None or not is_linear(node):
        return False
    return weighted(node) is not None or any(map(_meets_a_weight, activation_inputs(node)))


def _scaled(graph: gs.Graph, tensor: gs.Tensor, owner: str, names: Names) -> gs.Variable:
    result = gs.Variable(names.unique(f"{owner}/identity_current"), np.float32, tensor.shape)
    weight = gs.Constant(own(f"{owner}/identity_weight"), np.ones((), np.float32))
    graph.nodes.append(spiking_node("Scale", names.unique(f"{owner}/identity"), [tensor, weight], [result]))
    return result


PASS = Pass("spike", Level.CANONICAL, Level.SPIKING, run)
