"""Small questions about a graphsurgeon graph that several passes ask. Tensors are keyed by name."""

from __future__ import annotations

from collections.abc import Container

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.domain import DOMAIN
from snnc.ir.order import in_order

#: An elementwise function of any kind, of the domain `ai.snnc` (snnc.ir.region); y = x, put there by the pass `relays`.
REGION, RELAY = "Region", "Relay"
#: A product of two activations, put there by the pass `products`.
PRODUCT = "Product"
#: What becomes neurons.
NEURONS = ("Relu", REGION, RELAY)


def producer(tensor: gs.Tensor) -> gs.Node | None:
    """The node that computes `tensor`; None for graph inputs and constants."""
    return tensor.inputs[0] if tensor.inputs else None


def activation_inputs(node: gs.Node) -> list[gs.Variable]:
    """The inputs of `node` that are not constants (and not omitted)."""
    return [tensor for tensor in node.inputs if isinstance(tensor, gs.Variable) and not tensor.is_empty()]


def constant(node: gs.Node, index: int) -> np.ndarray | None:
    """Value of input `index`, or None if it is absent or not constant."""
    if index < len(node.inputs) and isinstance(node.inputs[index], gs.Constant):
        return np.asarray(node.inputs[index].values)
    return None


def sample_shape(tensor: gs.Tensor) -> tuple[int, ...]:
    """The static shape of one sample: the tensor's shape without the batch axis."""
    return tuple(int(size) for size in tensor.shape[1:])


def replace_uses(old: gs.Tensor, new: gs.Tensor, *, readers: Container[str] | None = None) -> None:
    """Let every node that reads `old` read `new`; only the nodes named in `readers`, where that is given."""
    for consumer in list(old.outputs):
        if readers is None or consumer.name in readers:
            for index, tensor in enumerate(consumer.inputs):
                if tensor is old:
                    consumer.inputs[index] = new


def merge_into_producer(node: gs.Node, source: gs.Tensor) -> None:
    """Let the node that computes `source`, an input of `node`, compute the output of `node` instead; `node` goes.

    Whatever else reads `source` reads the output of `node` then.
    """
    before, result = source.inputs[0], node.outputs[0]
    node.inputs.clear()
    node.outputs.clear()
    replace_uses(source, result)
    before.outputs[next(index for index, output in enumerate(before.outputs) if output is source)] = result


def bypass(graph: gs.Graph, node: gs.Node) -> bool:
    """Let what reads the output of `node` read its first input; an output of the graph keeps its name.

    False, and nothing done, where `node` is needed to give the graph's input, a constant or another output this name.
    """
    source, result = node.inputs[0], node.outputs[0]
    if not any(result is output for output in graph.outputs):
        replace_uses(result, source)
        node.outputs.clear()
        return True
    if producer(source) is None or any(source is output for output in graph.outputs):
        return False
    merge_into_producer(node, source)
    return True


def reaches(graph: gs.Graph, names: Container[str]) -> set[str]:
    """Names of the nodes from which a node of `names` can be reached (these included)."""
    reached: set[str] = set()
    for node in reversed(graph.nodes):
        readers = (reader.name for tensor in node.outputs for reader in tensor.outputs)
        if node.name in names or any(name in reached for name in readers):
            reached.add(node.name)
    return reached


def sort_topologically(graph: gs.Graph) -> None:
    """Order nodes so that inputs come first, keeping the given order where possible; no recursion."""
    known = {tensor.name for tensor in graph.inputs}
    needs = [{tensor.name for tensor in activation_inputs(node)} - known for node in graph.nodes]
    order = in_order(needs, [[tensor.name for tensor in node.outputs] for node in graph.nodes])
    assert len(order) == len(graph.nodes), "the graph has a cycle or an input that nothing computes"
    graph.nodes[:] = [graph.nodes[index] for index in order]


def describe(tensor: gs.Tensor) -> str:
    """The shape as printed in diagnostics, such as `[N, 16, 28, 28]`."""
    if tensor.shape is None:
        return ""
    return "[" + ", ".join(str(size) for size in tensor.shape) + "]"


def spiking_node(op: str, name: str, inputs: list[gs.Tensor], outputs: list[gs.Tensor], **attrs: object) -> gs.Node:
    """A node of domain `ai.snnc`."""
    return gs.Node(op=op, name=name, inputs=inputs, outputs=outputs, attrs=attrs, domain=DOMAIN)
