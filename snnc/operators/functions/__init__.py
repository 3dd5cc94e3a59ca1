"""The operators of domain `ai.snnc` as model-local functions in standard ONNX operators (docs/ops.md).

Every converted file carries these, so that it runs wherever ONNX runs; where the native library is registered,
onnxruntime uses its kernels instead. Both compute the same integers.

Four facts shape the bodies: int64 `Add` and `Mul` wrap, so unsigned 32x32-bit products are taken in int64 and cast to
uint64 before they are shifted; `Loop` instead of `Scan`, because a `Scan` whose state has no static shape fails inside
a `Loop`; integer `ReduceSum` of onnxruntime 1.31 is exact below 2^53 only, so the 64 bits of a word are summed in
halves; and `Reshape` with an explicit size instead of -1 where an axis can be empty. A formal parameter that a node
omits may only be handed on to an optional input of a standard operator.
"""

from __future__ import annotations

from functools import cache

import onnx

from snnc.ir.domain import DOMAIN, DOMAIN_VERSION, OPSET
from snnc.operators.functions import encoding, layers, staircase, words
from snnc.operators.functions.layers import NEURON_OPS

__all__ = ["NEURON_OPS", "functions", "functions_used_by"]

_HEADER = f'<domain: "{DOMAIN}", opset_import: ["": {OPSET}, "{DOMAIN}": {DOMAIN_VERSION}]>\n'


@cache
def _all_functions() -> tuple[onnx.FunctionProto, ...]:
    texts = (*encoding.FUNCTIONS, *words.FUNCTIONS, *staircase.FUNCTIONS, *layers.FUNCTIONS)
    return tuple(onnx.parser.parse_function(_HEADER + text.strip()) for text in texts)


def functions() -> list[onnx.FunctionProto]:
    """All `ai.snnc` functions, called ones before their callers."""
    copies = []
    for function in _all_functions():
        copy = onnx.FunctionProto()
        copy.CopyFrom(function)
        copies.append(copy)
    return copies


def functions_used_by(graph: onnx.GraphProto) -> list[onnx.FunctionProto]:
    """The functions that `graph` and its subgraphs need, with the functions these call."""
    by_name = {function.name: function for function in functions()}
    needed: set[str] = set()

    def visit(nodes: list[onnx.NodeProto]) -> None:
        for node in nodes:
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.GRAPH:
                    visit(list(attribute.g.node))
            if node.domain == DOMAIN and node.op_type not in needed:
                needed.add(node.op_type)
                visit(list(by_name[node.op_type].node))

    visit(list(graph.node))
    return [function for name, function in by_name.items() if name in needed]
