"""Write a constant beside activations in a Concat as a factor of 0 and a shift.

Takes and gives level SOURCE, in front of layers. Values are unchanged. With c the same for all samples, such as the
class token of a vision transformer:

    Concat(c, x) = Concat(0·z + c, x)

z is picked from what the layer in front of x reads, so that nothing is computed for it: `Reshape`, `Gather` and a
`Scale` of the domain `ai.snnc`. A constant is also what is computed from constants and from shapes alone, the size of
the batch among them: it is run for two samples.

Left alone: constants along the batch; what differs from sample to sample.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.alone import model_of, run_model
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.elementwise import is_elementwise
from snnc.ir.graph import activation_inputs, producer, sample_shape, sort_topologically
from snnc.ir.names import Names, names_in
from snnc.ir.writer import Writer
from snnc.operators import tail_nodes
from snnc.operators.scale import Scale
from snnc.operators.tail import is_activation

_SAMPLES = 2
_WEIGHTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    tail, names = tail_nodes(graph), Names(names_in(graph.nodes))
    for node in [node for node in graph.nodes if node.op == "Concat" and node.name not in tail]:
        axis = node.attrs["axis"] % len(node.outputs[0].shape or [1])
        if axis == 0 or not is_activation(node.outputs[0]):
            continue
        parts = [_constant(tensor, graph.opset) for tensor in node.inputs]
        varying = [tensor for tensor, value in zip(node.inputs, parts, strict=True) if value is None]
        if varying and all(map(is_activation, varying)):
            for index, value in enumerate(parts):
                if value is not None:
                    node.inputs[index] = _write(Writer(graph, node, names), value, _read_in_front(varying[0]))
    graph.cleanup()
    sort_topologically(graph)


def _constant(tensor: gs.Tensor, opset: int) -> np.ndarray | None:
    """What every sample has, without the axis of samples; None of what differs."""
    if isinstance(tensor, gs.Constant):
        value = np.asarray(tensor.values)
        return value[0] if value.ndim and len(value) == 1 else None
    nodes: list[gs.Node] = []
    sources: dict[str, gs.Variable] = {}
    if not is_activation(tensor) or not _collect(tensor, nodes, sources):
        return None
    values = {name: np.zeros((_SAMPLES, *source.shape[1:]), source.dtype) for name, source in sources.items()}
    try:
        (found,) = run_model(model_of(nodes, list(sources.values()), [tensor], opset), values)
    except Exception:  # onnxruntime raises several kinds, all about nodes that it cannot take
        return None
    alike = found.shape == (_SAMPLES, *sample_shape(tensor)) and (found == found[:1]).all()
    return found[0] if alike else None


def _collect(tensor: gs.Tensor, nodes: list[gs.Node], sources: dict[str, gs.Variable]) -> bool:
    """Whether `tensor` is computed from constants and the shapes of `sources` alone; the `nodes`, in order."""
    if isinstance(tensor, gs.Constant) or tensor.is_empty():
        return True
    node = producer(tensor)
    if node is None:
        return False
    if any(node is known for known in nodes):
        return True
    if node.op == "Shape":
        (source,) = node.inputs
        if not isinstance(source, gs.Variable) or not source.shape or not isinstance(source.shape[0], str):
            return False
        sources[source.name] = source
    elif not all(_collect(operand, nodes, sources) for operand in node.inputs):
        return False
    nodes.append(node)
    return True


def _write(writer: Writer, value: np.ndarray, source: gs.Variable) -> gs.Variable:
    """An activation that has `value` in every sample."""
    size = math.prod(sample_shape(source))
    flat = writer.add("Reshape", "any", [source, np.array([-1, size], np.int64)], [size])
    places = np.arange(value.size) % size
    picked = writer.add("Gather", "any_places", [flat, places], [value.size], axis=1)
    shaped = writer.add("Reshape", "any_shaped", [picked, np.array([-1, *value.shape], np.int64)], value.shape)
    return writer.add(Scale.name, "constant", [shaped, 0.0, value.astype(np.float32)], value.shape, Scale.domain)


def _read_in_front(tensor: gs.Variable) -> gs.Variable:
    """What the weights in front of `tensor` read, with only what moves or adds in between; else `tensor` itself."""
    node = producer(tensor)
    while node is not None and activation_inputs(node) and not is_elementwise(node):
        source = activation_inputs(node)[0]
        if node.op in _WEIGHTS and is_activation(source):
            return source
        node = producer(source)
    return tensor


PASS = Pass("joined_constants", Level.SOURCE, Level.SOURCE, run)
