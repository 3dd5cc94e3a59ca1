"""Attributes at which onnxruntime dies, in its version of today or in an older one: strides of 0, negative pads, text
that is none; and inputs that are left out where an operator takes any number of them.

They are looked at before anything runs. What is only wrong, onnxruntime says itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import onnx

from snnc.diagnostics import Diagnostics
from snnc.reading.protos import DEFAULT_DOMAINS, subgraphs

_HINT = "the file is damaged: export the network again"
_LARGEST = 2**31 - 1
# What the windows of convolutions and pools have for each of their axes, and the least of each.
_WINDOWS = {"kernel_shape": 1, "strides": 1, "dilations": 1, "output_padding": 0, "pads": 0}
_RANGES = {
    ("Conv", "group"): (1, _LARGEST),
    ("ConvTranspose", "group"): (1, _LARGEST),
    ("DepthToSpace", "blocksize"): (1, 2**15),  # its square is computed in 32 bits
    ("SpaceToDepth", "blocksize"): (1, 2**15),
    ("GatherND", "batch_dims"): (0, 31),
    ("RoiAlign", "sampling_ratio"): (0, 2**15),
}


def check_attributes(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` itself; SNN103 for every node that has such an attribute, or such a gap."""
    found = Diagnostics()
    _check_graph(model.graph, {}, found)
    found.raise_errors()
    return model


def _check_graph(graph: onnx.GraphProto, outside: Mapping[str, int], found: Diagnostics) -> None:
    """`outside`: how many axes the constants have that the graph may read from around it."""
    ranks = {**outside, **{tensor.name: len(tensor.dims) for tensor in graph.initializer}}
    for node in graph.node:
        for fault in _faults(node, ranks):
            found.report("SNN103", fault, node=node.name or node.op_type, op=node.op_type, hint=_HINT)
        for inner in subgraphs(node):
            _check_graph(inner, ranks, found)


def _faults(node: onnx.NodeProto, ranks: Mapping[str, int]) -> Iterator[str]:
    for attribute in node.attribute:
        least, most = _RANGES.get((node.op_type, attribute.name), (attribute.i, attribute.i))
        if not least <= attribute.i <= most:
            yield f"its {attribute.name} is {attribute.i}, which cannot be"
        if node.domain in DEFAULT_DOMAINS and not all(map(_is_text, (attribute.s, *attribute.strings))):
            yield f"its {attribute.name} is not valid UTF-8"
    gaps = [place for place, name in enumerate(node.input) if not name]
    if gaps and gaps[-1] >= _first_of_any_number(node):
        yield f"its input {gaps[-1] + 1} is left out, and every one of its {len(node.input)} inputs is needed"
    if "Conv" in node.op_type or "Pool" in node.op_type or node.op_type == "Col2Im":
        yield from _window_faults(node, ranks)
    if node.op_type == "GatherND":
        depth = next((attribute.i for attribute in node.attribute if attribute.name == "batch_dims"), 0)
        if len(node.input) > 1 and depth >= ranks.get(node.input[1], depth + 1):
            yield f"its batch_dims is {depth}, and its indices have {ranks[node.input[1]]} axes"


def _is_text(value: bytes) -> bool:
    return value.decode(errors="replace").encode() == value


def _first_of_any_number(node: onnx.NodeProto) -> int:
    """The place from which on an operator of ONNX takes inputs in any number; behind the last one where it does not."""
    if node.domain not in DEFAULT_DOMAINS or not onnx.defs.has(node.op_type):
        return len(node.input)
    declared = onnx.defs.get_schema(node.op_type).inputs
    any_number = bool(declared) and declared[-1].option == onnx.defs.OpSchema.FormalParameterOption.Variadic
    return len(declared) - 1 if any_number else len(node.input)


def _window_faults(node: onnx.NodeProto, ranks: Mapping[str, int]) -> Iterator[str]:
    windows = {each.name: list(each.ints) for each in node.attribute if each.name in _WINDOWS and each.ints}
    for name, values in windows.items():
        if not all(_WINDOWS[name] <= value <= _LARGEST for value in values):
            yield f"its {name} are {values}, which cannot be"
    axes = {len(values) / (2 if name == "pads" else 1) for name, values in windows.items()}
    axes |= _axes_of_weight(node.op_type, [ranks.get(name) for name in node.input])
    if len(axes) > 1:
        yield f"its attributes are of windows of {' and '.join(f'{count:g}' for count in sorted(axes))} axes"


def _axes_of_weight(op: str, ranks: Sequence[int | None]) -> set[float]:
    """The axes of the plane of a convolution, from its weight; none where that is not known."""
    rank = ranks[1] if op in ("Conv", "ConvTranspose") and len(ranks) > 1 else None
    return set() if rank is None else {rank - 2}
