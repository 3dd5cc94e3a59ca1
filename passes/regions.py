"""Take elementwise nodes for the function that they compute, whatever the exporter made of it.

Takes and gives level SOURCE. A region is a maximal set of elementwise nodes that depend on one tensor
(`snnc.ir.elementwise`). Each of its results that is read outside is a function f of that tensor, known by its values
(`snnc.ir.function_kind`):

1. f = max(x, 0):  → `Relu`;
2. f = min(max(x, 0), cap), with a layer behind it:  → `Relu` with the attribute `cap`, a number or one by channel;
3. f = a·x + b, each a number or one by channel, if the method takes such:  → `Scale` of the domain `ai.snnc`, with a
   and, where that is not 0, b as constants. With a layer behind it or in front of it, so that a factor of the output
   is one too;
4. a·f + b or f(a·x + b) with a simpler f: both of them, if the method takes `Scale`s; and several such in a row, such
   as a ReLU of an affine function of a ReLU, where it takes no other functions; of up to 32 nodes;
5. any other f with a layer behind it, if the method makes neurons of its kind (`Method.takes`):  → `Region` of the
   domain `ai.snnc`, with the attributes `region` (snnc.ir.region) and `kind`.

The node that gave the result becomes it, and keeps its name; what nothing reads any more goes, and so does a quantiser
of values that have its steps already. A quantiser may be the last layer too.

Left alone: nothing but `Relu`s; functions of the network's input that are neither of the first three kinds nor a
quantiser; operators of plug-ins; what lies behind the last layer, where it works on decoded values; what the method
cannot use; nodes that mean something else in opset 18. `validate` reports those of them that it does not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.domain import DOMAIN
from snnc.ir.elementwise import roots
from snnc.ir.function_kind import Affine, ClippedRelu, Identity, Kind, Other, Quantiser, Relu, kind_of
from snnc.ir.graph import REGION, activation_inputs, bypass, producer, sort_topologically
from snnc.ir.names import own
from snnc.ir.options import Options
from snnc.ir.region import NotARegion, Region, region_between
from snnc.methods import METHODS
from snnc.methods.contract import Method
from snnc.operators import BY_ANN_NAME, POOLS, before_layers, behind_moves
from snnc.operators.refusals import PREPARATION
from snnc.operators.scale import Scale

_ANY_AFFINE = Affine(factor=2.0, shift=0.0)
# Functions of more nodes are taken as a whole, or not at all.
_LONGEST = 32
_NO_REGION = "write it with operators of opset 18"


@dataclass(frozen=True)
class _Function:
    """A result of a region and the nodes that compute it from `source`, in order."""

    source: gs.Variable
    result: gs.Variable
    nodes: list[gs.Node]
    before_layer: bool
    behind_layer: bool


@dataclass(frozen=True)
class _Known(_Function):
    """A function of which it is known what it is."""

    region: Region
    kind: Kind


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    method = METHODS[conversion.options.method]
    search = _Search(graph, method)
    taken: list[_Known] = []
    for function in _functions(graph):
        if all(node.op == "Relu" for node in function.nodes) or _is_rejected(function, conversion.options):
            continue
        if any(node.op in BY_ANN_NAME and node.op not in BY_ANN_NAME.own for node in function.nodes):
            continue  # a plug-in has an operator for it
        try:
            parts = search.parts(search.known(function))
        except NotARegion as reason:
            if method.takes(Other()) and function.before_layer:
                conversion.declined[function.nodes[-1].name] = (str(reason), _NO_REGION)
            continue
        prepares = any(parts[0].source is tensor for tensor in graph.inputs) and isinstance(parts[0].kind, Other)
        if method.takes(parts[0].kind) and prepares:
            conversion.declined[function.nodes[-1].name] = PREPARATION
            continue
        if all(_is_taken(part, method) for part in parts):
            taken += parts
    for known in taken:
        _become_operator(known)
    graph.cleanup()
    for node in [node for node in graph.nodes if node.op == REGION]:
        if _has_steps_already(node):
            bypass(graph, node)
    for node in list(graph.nodes):
        if node.op == Scale.name or (node.op == REGION and _rounds(node.attrs["kind"])):
            _to_the_input(node, graph)
    graph.cleanup()
    sort_topologically(graph)


def _is_rejected(function: _Function, options: Options) -> bool:
    """Whether `validate` is to report a batch normalization in it."""
    return options.batchnorm == "reject" and any(node.op == "BatchNormalization" for node in function.nodes)


@dataclass(frozen=True)
class _Search:
    """What functions of a graph are made of, for a method. What a function is, by its source and its result, is found
    once: it is tried out, and the ways to cut a row in two and those in two again are more than its pieces."""

    graph: gs.Graph
    method: Method
    _found: dict[tuple[str, str], tuple[Region, Kind] | NotARegion] = field(default_factory=dict)
    _made_of: dict[tuple[str, str, bool], list[_Known]] = field(default_factory=dict)

    def known(self, function: _Function) -> _Known:
        """NotARegion where it cannot be told."""
        key = function.source.name, function.result.name
        if key not in self._found:
            try:
                region = region_between(function.source, function.result, function.nodes, self.graph.opset)
                self._found[key] = region, kind_of(region)
            except NotARegion as reason:
                self._found[key] = reason
        found = self._found[key]
        if isinstance(found, NotARegion):
            raise found
        given = {each.name: getattr(function, each.name) for each in fields(_Function)}
        return _Known(**given, region=found[0], kind=found[1])

    def parts(self, whole: _Known) -> list[_Known]:
        """The function as what it is made of, where it begins or ends with an affine one and the rest is simpler."""
        key = whole.source.name, whole.result.name, whole.before_layer
        if key not in self._made_of:
            self._made_of[key] = self._parts(whole)
        return self._made_of[key]

    def _parts(self, whole: _Known) -> list[_Known]:
        if isinstance(whole.kind, (Affine, Identity)) or _is_simple(whole.kind) or not self.method.takes(_ANY_AFFINE):
            return [whole]
        cuts = [node.outputs[0] for node in whole.nodes[:-1] if _is_activation(node.outputs[0])]
        cuts = cuts if len(whole.nodes) <= _LONGEST else []
        for cut in reversed(cuts):
            front, behind = self._cut(whole, cut)
            if front and behind and isinstance(front.kind, Affine) and _is_simple(behind.kind):
                return [front, behind]
        for cut in cuts if isinstance(whole.kind, Other) else []:
            front, behind = self._cut(whole, cut)
            if front and behind and isinstance(behind.kind, Affine):
                parts = [*self.parts(front), behind]
                if whole.before_layer or all(isinstance(part.kind, (Relu, ClippedRelu, Affine)) for part in parts):
                    return parts
        return [whole] if self.method.takes(whole.kind) else self._in_a_row(whole, cuts)

    def _in_a_row(self, whole: _Known, cuts: list[gs.Variable]) -> list[_Known]:
        """A function that the method has no neuron for as several in a row that it has, if it can be cut so."""
        for cut in reversed(cuts):
            front, behind = self._cut(whole, cut)
            if front and behind and (isinstance(behind.kind, Affine) or _is_simple(behind.kind)):
                parts = [*self.parts(front), behind]
                if all(_is_taken(part, self.method) for part in parts):
                    return parts
        return [whole]

    def _cut(self, whole: _Known, cut: gs.Variable) -> tuple[_Known, _Known] | tuple[None, None]:
        """The function of `cut`, and what is made of that; None where the result needs something else too."""
        behind = _between(self.graph, cut, whole.result)
        if any(tensor is whole.source for node in behind for tensor in activation_inputs(node)):
            return None, None  # then it has walked on to what computes the source
        in_front = _between(self.graph, whole.source, cut)
        try:
            first = self.known(_Function(whole.source, cut, in_front, True, whole.behind_layer))
            return first, self.known(_Function(cut, whole.result, behind, whole.before_layer, True))
        except NotARegion:
            return None, None


def _is_simple(kind: Kind) -> bool:
    return isinstance(kind, (Relu, ClippedRelu)) or _rounds(kind)


def _rounds(kind: Kind) -> bool:
    return isinstance(kind, Quantiser) and kind.nearest


def _is_taken(function: _Known, method: Method) -> bool:
    """Whether it becomes an operator where it stands."""
    kind = function.kind
    if isinstance(kind, Relu):
        return True
    if isinstance(kind, ClippedRelu):
        return function.before_layer
    if not method.takes(kind):
        return False
    return function.before_layer or (function.behind_layer and (_is_affine(kind) or _rounds(kind)))


def _become_operator(function: _Known) -> None:
    kind = function.kind
    if isinstance(kind, Relu):
        _become(function, "Relu")
    elif isinstance(kind, ClippedRelu):
        _become(function, "Relu", cap=kind.cap)
    elif isinstance(kind, (Affine, Identity)):
        _become_scale(function, kind)
    else:
        _become(function, REGION, DOMAIN, region=function.region, kind=kind)


def _is_affine(kind: Kind) -> bool:
    return isinstance(kind, (Affine, Identity))


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
            before = producer(behind_moves(source))
            behind_layer = before is not None and before.name in in_layers
            yield _Function(source, result, _between(graph, source, result), before_layer, behind_layer)


def _is_activation(tensor: gs.Tensor) -> bool:
    return isinstance(tensor.shape[0], str) and tensor.dtype == np.float32


def _source_of(node: gs.Node, sources: dict[str, gs.Variable]) -> gs.Variable | None:
    return sources.get(node.outputs[0].name) if node.outputs else None


def _between(graph: gs.Graph, source: gs.Variable, result: gs.Variable) -> list[gs.Node]:
    """The nodes that `result` needs, up to `source`."""
    needed: set[str] = set()
    pending = [result]
    while pending:
        node = producer(pending.pop())
        if node is not None and node.name not in needed:
            needed.add(node.name)
            pending += [tensor for tensor in activation_inputs(node) if tensor is not source]
    return [node for node in graph.nodes if node.name in needed]


def _has_steps_already(node: gs.Node) -> bool:
    """Whether a quantiser reads values that another one of the same steps has given, moved or the largest of some."""
    before = producer(behind_moves(node.inputs[0]))
    while before is not None and before.op in POOLS:
        before = producer(behind_moves(before.inputs[0]))
    if before is None or before.op != REGION:
        return False
    mine, other = node.attrs["kind"], before.attrs["kind"]
    if not (_rounds(mine) and _rounds(other)):
        return False
    return np.array_equal(mine.step, other.step) and bool(mine.low <= other.low and other.high <= mine.high)


def _to_the_input(node: gs.Node, graph: gs.Graph) -> None:
    """Put what does the same to all elements in front of what only moves those of the input: the encoder can do it."""
    if behind_moves(node.inputs[0]) is not graph.inputs[0]:
        return
    if node.op == REGION and node.attrs["region"].channels > 1:
        return
    if any(np.size(tensor.values) > 1 for tensor in node.inputs[1:]):
        return
    while (move := producer(node.inputs[0])) is not None and len(move.outputs[0].outputs) == 1:
        moved, result, source = move.outputs[0], node.outputs[0], move.inputs[0]
        move.outputs.clear()
        node.outputs.clear()
        moved.shape = source.shape
        node.inputs[0], move.inputs[0] = source, moved
        node.outputs.append(moved)
        move.outputs.append(result)
    if node.op == REGION:
        node.attrs["region"] = replace(node.attrs["region"], rank=len(node.inputs[0].shape))


def _become(function: _Function, op: str, domain: str = "", **attrs: object) -> None:
    """Let the node of the result compute it from the source."""
    last = function.nodes[-1]
    last.op, last.domain, last.attrs, last.inputs = op, domain, attrs, [function.source]


def _become_scale(function: _Function, kind: Affine | Identity) -> None:
    """Let the node of the result multiply by a factor, and add a shift where there is one."""
    factor, shift = (kind.factor, kind.shift) if isinstance(kind, Affine) else (1.0, 0.0)
    _become(function, Scale.name, Scale.domain)
    numbers = {"weight": factor, "bias": shift} if np.any(shift) else {"weight": factor}
    for name, value in numbers.items():
        constant = gs.Constant(own(f"{function.nodes[-1].name}/{name}"), np.asarray(value, np.float32))
        function.nodes[-1].inputs.append(constant)


PASS = Pass("regions", Level.SOURCE, Level.SOURCE, run)
