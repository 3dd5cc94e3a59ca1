"""Merge constant addends into the layer in front of them.

Takes and gives level SOURCE:

1. `Sum` of two inputs is `Add`; of more, a chain of them; `Mean` is the same, times one over their number;
2. `Add(Conv(x), c)` or `Add(Gemm(x), c)` with c constant per channel: the layer's bias grows by c, where no other node
   reads the layer's output; also where a `Transpose` stands between the two. The layer's name is kept;
   `Conversion.bias_origin` remembers the `Add` for diagnostics;
3. a bias of zeros is no bias.

Left alone, and reported by `validate`: addends that differ within a channel, addends of other operators.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import constant, merge_into_producer, producer, sort_topologically
from snnc.ir.names import Names, names_in, own


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    names = Names(names_in(graph.nodes))
    for node in list(graph.nodes):
        if node.op == "Mean" and len(node.inputs) > 1:
            _as_sum(graph, node, names)
        if node.op == "Sum":
            _as_additions(graph, node, names)
    for node in list(graph.nodes):
        if node.op == "Add":
            _merge_constant(conversion, node)
    for node in graph.nodes:
        bias = constant(node, 2)
        if node.op in ("Conv", "Gemm") and bias is not None and not bias.any():
            node.inputs = node.inputs[:2]
    graph.cleanup()
    sort_topologically(graph)


def _as_sum(graph: gs.Graph, node: gs.Node, names: Names) -> None:
    share = gs.Constant(names.unique(f"{node.name}/share"), np.array(1 / len(node.inputs), np.float32))
    result = node.outputs[0]
    total = gs.Variable(names.unique(f"{node.name}/sum"), result.dtype, result.shape)
    node.op, node.outputs = "Sum", [total]
    graph.nodes.append(gs.Node("Mul", names.unique(f"{node.name}/mean"), {}, [total, share], [result]))


def _as_additions(graph: gs.Graph, node: gs.Node, names: Names) -> None:
    terms, result = list(node.inputs), node.outputs[0]
    if len(terms) < 2:
        return
    total = terms[0]
    node.inputs.clear()
    node.outputs.clear()
    for index, term in enumerate(terms[1:], start=1):
        last = index == len(terms) - 1
        partial = result if last else gs.Variable(names.unique(f"{node.name}/sum_{index}"), result.dtype, result.shape)
        name = node.name if last else names.unique(f"{node.name}/add_{index}")
        graph.nodes.append(gs.Node("Add", name, {}, [total, term], [partial]))
        total = partial


def _merge_constant(conversion: Conversion, node: gs.Node) -> None:
    for layer_index in (0, 1):
        addend, tensor = constant(node, 1 - layer_index), node.inputs[layer_index]
        layer = producer(tensor)
        if addend is None or layer is None or addend.ndim > len(tensor.shape or []):
            continue
        addend = np.expand_dims(addend, tuple(range(len(tensor.shape) - addend.ndim)))
        private = _read_once(conversion.graph, tensor)
        if layer.op == "Transpose":  # layers of channels-last exporters: the addend moves in front of the Transpose
            addend = np.transpose(addend, np.argsort(layer.attrs.get("perm", range(addend.ndim)[::-1])))
            private = private and _read_once(conversion.graph, layer.inputs[0])
            layer = producer(layer.inputs[0])
        if layer is None or layer.op not in ("Conv", "Gemm") or not private:
            continue
        per_channel = _per_channel(addend, layer)
        if per_channel is None:
            continue
        old = constant(layer, 2)
        bias = per_channel if old is None else old + per_channel
        layer.inputs = layer.inputs[:2]
        layer.inputs.append(gs.Constant(own(f"{layer.name}/bias"), bias.astype(np.float32)))
        conversion.bias_origin[layer.name] = ("Add", node.name)
        merge_into_producer(node, tensor)
        return


def _read_once(graph: gs.Graph, tensor: gs.Tensor) -> bool:
    return len(tensor.outputs) == 1 and not any(tensor is output for output in graph.outputs)


def _per_channel(addend: np.ndarray, layer: gs.Node) -> np.ndarray | None:
    """`addend`, in the layer's rank, as one value per output channel, or None if it is not that."""
    weight = constant(layer, 1)
    if weight is None:
        return None
    channels = weight.shape[0] if layer.op == "Conv" else weight.shape[1]
    if addend.shape[0] != 1 or any(size != 1 for size in addend.shape[2:]) or addend.shape[1] not in (1, channels):
        return None
    return np.ascontiguousarray(np.broadcast_to(addend.reshape(-1), (channels,)))


PASS = Pass("biases", Level.SOURCE, Level.SOURCE, run)
