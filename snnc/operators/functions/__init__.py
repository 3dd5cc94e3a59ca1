"""The operators of domain `ai.snnc` as model-local functions in standard ONNX operators (docs/ops.md).

Every converted file carries these, so that it runs wherever ONNX runs; where the native library is registered,
onnxruntime uses its kernels instead. Both compute the same integers.

Five facts shape the bodies: int64 `Add` and `Mul` wrap, so unsigned 32x32-bit products are taken in int64 and cast to
uint64 before they are shifted; `Loop` instead of `Scan`, because a `Scan` whose state has no static shape fails inside
a `Loop`; integer `ReduceSum` of onnxruntime 1.31 is exact below 2^53 only, so the 64 bits of a word are summed in
halves; `Reshape` with an explicit size instead of -1 where an axis can be empty; and reductions over axes counted from
the front, because onnxruntime 1.20 leaves an empty tensor unreduced where they are negative. A formal parameter that a
node omits may only be handed on to an optional input of a standard operator.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import onnx

from snnc.ir.domain import DOMAIN, DOMAIN_VERSION, OPSET
from snnc.operators.functions import encoding, graded, layers, pooling, products, staircase, words

__all__ = ["functions", "functions_used_by", "opsets_for", "parse_functions"]

# Every domain of a plug-in has this version: its functions travel with the file.
PLUGIN_VERSION = 1


def parse_functions(texts: Iterable[str], domain: str = DOMAIN) -> list[onnx.FunctionProto]:
    """Functions of `domain` from ONNX text without a header; they may call each other and those of `ai.snnc`.

    Raises:
        ValueError: a plug-in brings functions for a domain that is not its own, or a text cannot be parsed.
    """
    texts = tuple(texts)
    if texts and domain == "":
        raise ValueError("its functions need a domain of their own")
    versions = {"": OPSET, DOMAIN: DOMAIN_VERSION, domain: DOMAIN_VERSION if domain == DOMAIN else PLUGIN_VERSION}
    imports = ", ".join(f'"{name}": {version}' for name, version in versions.items())
    header = f'<domain: "{domain}", opset_import: [{imports}]>\n'
    try:
        return [onnx.parser.parse_function(header + text.strip()) for text in texts]
    except onnx.parser.ParseError as error:
        raise ValueError(f"a function of domain {domain}: {error}") from error


@cache
def _all_functions() -> tuple[onnx.FunctionProto, ...]:
    modules = (words, encoding, staircase, layers, pooling, products, graded)
    return tuple(parse_functions(text for module in modules for text in module.FUNCTIONS))


def functions() -> list[onnx.FunctionProto]:
    """All `ai.snnc` functions, called ones before their callers."""
    copies = []
    for function in _all_functions():
        copy = onnx.FunctionProto()
        copy.CopyFrom(function)
        copies.append(copy)
    return copies


def functions_used_by(graph: onnx.GraphProto, carried: Iterable[onnx.FunctionProto] = ()) -> list[onnx.FunctionProto]:
    """The functions that `graph` and its subgraphs need, with the functions these call.

    Those of other domains are the `carried` ones (of the file that the graph comes from), else those of plug-ins.
    """
    known = {(function.domain, function.name): function for function in (*functions(), *_of_plugins(), *carried)}
    needed: set[tuple[str, str]] = set()

    def visit(nodes: list[onnx.NodeProto]) -> None:
        for node in nodes:
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.GRAPH:
                    visit(list(attribute.g.node))
            key = (node.domain, node.op_type)
            assert key in known or node.domain != DOMAIN, f"{node.op_type} has no function"
            if key in known and key not in needed:
                needed.add(key)
                visit(list(known[key].node))

    visit(list(graph.node))
    return [function for key, function in known.items() if key in needed]


def opsets_for(functions: Iterable[onnx.FunctionProto]) -> list[onnx.OperatorSetIdProto]:
    """What a model that carries these functions imports."""
    versions = {"": OPSET, DOMAIN: DOMAIN_VERSION}
    for function in functions:
        versions.setdefault(function.domain, PLUGIN_VERSION)
    return [onnx.helper.make_opsetid(domain, version) for domain, version in versions.items()]


def _of_plugins() -> list[onnx.FunctionProto]:
    """The functions of the operators that plug-ins have brought so far."""
    from snnc.operators import OPERATORS

    return [function for room in OPERATORS.plugged for function in parse_functions(room.functions, room.domain)]
