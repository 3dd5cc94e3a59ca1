"""Take elementwise nodes for the function that they compute, whatever the exporter made of it.

Takes and gives level SOURCE. A region is a maximal set of elementwise nodes that depend on one tensor
(`snnc.ir.elementwise`). Each of its results that is read outside is a function f of that tensor, known by its values
(`snnc.ir.function_kind`):

1. f = max(x, 0):  → `Relu`;
2. f = min(max(x, 0), cap), with a layer behind it:  → `Relu` with the attribute `cap`, a number or one by channel;
3. any other f with a layer behind it, if the method makes neurons of its kind (`Method.takes`):  → `Region` of the
   domain `ai.snnc`, with the attributes `region` (snnc.ir.region) and `kind`.

The node that gave the result becomes it, and keeps its name; what nothing reads any more goes.

Left alone: nothing but `Relu`s; functions of the network's input that are neither a ReLU nor a quantiser; what lies
behind the last layer, where it works on decoded values; what the method cannot use; nodes that mean something else in
opset 18. `validate` reports those of them that it does not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.domain import DOMAIN
from snnc.ir.elementwise import roots
from snnc.ir.function_kind import ClippedRelu, Identity, Kind, Other, Relu, kind_of
from snnc.ir.graph import REGION, activation_inputs, sort_topologically
from snnc.ir.region import NotARegion, Region, region_between
from snnc.methods import METHODS
from snnc.operators import before_layers

# A neuron would round the input to its levels.
_PREPARING = (Identity, Other)
_PREPARATION = "it prepares the input: export the network without it, and give it prepared samples"


@dataclass
class _Function:
    """A result of a region and the nodes that compute it from `source`, in order."""

    source: gs.Variable
    result: gs.Variable
    nodes: list[gs.Node]
    before_layer: bool


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    method = METHODS[conversion.options.method]
    taken: list[tuple[_Function, Region, Kind]] = []
    for function in _functions(graph):
        if all(node.op == "Relu" for node in function.nodes):
            continue
        try:
            region = region_between(function.source, function.result, function.nodes, graph.opset)
        except NotARegion as reason:
            if method.takes(Other()) and function.before_layer:
                conversion.declined[function.nodes[-1].name] = str(reason)
            continue
        kind = kind_of(region)
        prepares = any(function.source is tensor for tensor in graph.inputs) and isinstance(kind, _PREPARING)
        if method.takes(kind) and prepares:
            conversion.declined[function.nodes[-1].name] = _PREPARATION
            continue
        taken.append((function, region, kind))
    for function, region, kind in taken:
        if isinstance(kind, Relu):
            _become(function, "Relu")
        elif isinstance(kind, ClippedRelu) and function.before_layer:
            _become(function, "Relu", cap=kind.cap)
        elif method.takes(kind) and function.before_layer:
            _become(function, REGION, DOMAIN, region=region, kind=kind)
    graph.cleanup()
    sort_topologically(graph)


def _functions(graph: gs.Graph) -> Iterator[_Function]:
    """The results of regions that are read outside."""
    sources, in_layers = roots(graph), before_layers(graph)
    for node in graph.nodes:
        source = _source_of(node, sources)
        if source is None or not (_is_activation(source) and _is_activation(node.outputs[0])):
            continue
        result = node.outputs[0]
        outside = [reader for reader in result.outputs if _source_of(reader, sources) is not source]
        if outside or any(result is output for output in graph.outputs):
            before_layer = any(reader.name in in_layers for reader in outside)
            yield _Function(source, result, _between(graph, source, result), before_layer)


def _is_activation(tensor: gs.Tensor) -> bool:
    return isinstance(tensor.shape[0], str) and tensor.dtype == np.float32


def _source_of(node: gs.Node, sources: dict[str, gs.Variable]) -> gs.Variable | None:
    return sources.get(node.outputs[0].name) if node.outputs else None


def _between(graph: gs.Graph, source: gs.Variable, result: gs.Variable) -> list[gs.Node]:
    """The nodes that `result` needs, up to `source`."""
    needed: set[str] = set()
    pending = [result]
    while pending:
        node = pending.pop().inputs[0]
        if node.name not in needed:
            needed.add(node.name)
            pending += [tensor for tensor in activation_inputs(node) if tensor is not source]
    return [node for node in graph.nodes if node.name in needed]


def _become(function: _Function, op: str, domain: str = "", **attrs: object) -> None:
    """Let the node of the result compute it from the source."""
    last = function.nodes[-1]
    last.op, last.domain, last.attrs, last.inputs = op, domain, attrs, [function.source]


PASS = Pass("regions", Level.SOURCE, Level.SOURCE, run)
