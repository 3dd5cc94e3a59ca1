"""Report everything that cannot be converted, all at once.

Takes level SOURCE, gives CANONICAL or raises. The graph is not changed. What keeps a linear operator from being
converted its room knows (`snnc.operators`); what nothing objects to is convertible. Nodes behind the last layer, which
work on decoded values (the *tail*), are accepted there and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import onnx_graphsurgeon as gs

from snnc.diagnostics import Diagnostic, DiagnosticError, sort_by_node_order
from snnc.ir.batchnorm import objection
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.domain import DOMAIN
from snnc.ir.elementwise import is_elementwise
from snnc.ir.graph import NEURONS, activation_inputs, describe
from snnc.operators import BY_ANN_NAME, READING_SPIKES, accepted, tail_nodes
from snnc.operators.contract import Finding
from snnc.operators.refusals import hint_of_domain, no_batch, product_of_matrices, refusal
from snnc.reading.structure import node_names

_MOVE_IT = "move it directly behind a convolution or dense layer, or train without"
_CONSTANT_OUTPUT = (
    "take it from the outputs of the model: it is the same for every sample, so nothing has to compute it"
)
MOST_PATHS = 64
MOST_DEPTH = 256
# What follows from a lost batch axis, which `ingest` has reported.
_OF_SHAPES = ("SNN204", "SNN207")
# What all layers of a kind have in common is said once.
_TOGETHER = ("SNN203",)
_MOST_NAMED = 12


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    tail = tail_nodes(graph)
    _report_linear_mazes(conversion, tail)
    known = {found.node for found in conversion.diagnostics.errors if found.node}
    for node in graph.nodes:
        for rule, message, hint in _findings(conversion, node, in_tail=node.name in tail):
            if node.name in known and rule in _OF_SHAPES:
                continue
            name, op = node.name, node.op
            if rule == "SNN201" and node.name in conversion.bias_origin:
                op, name = conversion.bias_origin[node.name]
            shape = describe(node.outputs[0]) if node.outputs else ""
            conversion.diagnostics.report(rule, message, node=name, op=op, shape=shape, hint=hint)
    if not any(node.op in NEURONS for node in graph.nodes) and not conversion.diagnostics.errors:
        conversion.diagnostics.report("SNN205", "there is nothing that could become a spiking neuron")
    for output in graph.outputs:
        if not isinstance(output, gs.Variable) or not output.inputs:
            message = f"output {output.name!r} does not depend on the input"
            conversion.diagnostics.report("SNN207", message, hint=_CONSTANT_OUTPUT)
    errors = conversion.diagnostics.errors
    if errors:
        raise DiagnosticError(_together(sort_by_node_order(errors, node_names(conversion.ann))))


def _together(errors: Sequence[Diagnostic]) -> list[Diagnostic]:
    """One finding for all nodes with the same cause, of rules that a network breaks in every layer: at the first node,
    with the names of the others."""
    found: list[Diagnostic] = []
    others: dict[tuple[str, str], list[str]] = {}
    for error in errors:
        cause = (error.rule.code, error.hint)
        if error.rule.code not in _TOGETHER or cause not in others:
            others[cause] = []
            found.append(error)
        else:
            others[cause].append(repr(error.node))
    return [_with_others(error, others[error.rule.code, error.hint]) for error in found]


def _with_others(error: Diagnostic, names: Sequence[str]) -> Diagnostic:
    if not names:
        return error
    rest = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return replace(error, message=f"{error.message}; the same at {', '.join(names[:_MOST_NAMED])}{rest}")


def _report_linear_mazes(conversion: Conversion, tail: set[str]) -> None:
    """Bound what a single neuron sums: every path of linear operators to it becomes a synapse of its own."""
    paths: dict[str, int] = {}
    depths: dict[str, int] = {}
    for node in conversion.graph.nodes:
        operands = [tensor.name for tensor in activation_inputs(node)]
        linear = node.op not in (*NEURONS, *READING_SPIKES) and node.name not in tail
        count = sum(paths.get(name, 1) for name in operands) if linear else 1
        depth = 1 + max((depths.get(name, 0) for name in operands), default=0) if linear else 0
        for tensor in node.outputs:
            paths[tensor.name], depths[tensor.name] = max(1, count), depth
        if count > MOST_PATHS or depth > MOST_DEPTH:
            conversion.diagnostics.report(
                "SNN207",
                f"{count} linear branches, {depth} operators deep, meet in it without a Relu between",
                node=node.name,
                op=node.op,
                hint="put a Relu between the junctions",
            )
            return


def _findings(conversion: Conversion, node: gs.Node, in_tail: bool) -> Iterator[Finding]:
    if node.domain not in ("", "ai.onnx", None, DOMAIN):
        yield "SNN204", f"operator of the domain {node.domain!r}", hint_of_domain(node.domain)
    elif in_tail:
        return  # the pass `tail` has seen to it
    elif node.op == "BatchNormalization":
        yield from _batch_normalization(conversion, node)
    elif (accepted(node) or node.op == "MatMul") and not all(map(_has_batch, activation_inputs(node))):
        return  # reported where the batch axis was lost
    elif node.op == "MatMul" and len(activation_inputs(node)) == 2:
        yield "SNN206", *conversion.declined.get(node.name, product_of_matrices(conversion.options.method))
    elif not accepted(node) or _is_function(node):
        reason, hint = refusal(conversion.graph, node, conversion.options.method)
        yield "SNN204", *conversion.declined.get(node.name, (reason, hint))
    else:
        yield from _shapes(node)
        if node.op in BY_ANN_NAME:
            yield from BY_ANN_NAME[node.op].check(node, conversion.options)
        elif node.op in READING_SPIKES:
            yield from READING_SPIKES[node.op].check(node, conversion.options)


def _is_function(node: gs.Node) -> bool:
    """Whether an `Add` is a part of a function of one tensor that has not been taken: of constants by channel."""
    return node.op == "Add" and len(activation_inputs(node)) == 1 and is_elementwise(node)


def _batch_normalization(conversion: Conversion, node: gs.Node) -> Iterator[Finding]:
    found = objection(node)
    if found is not None:
        yield found.rule, found.message, found.hint
    elif conversion.options.batchnorm == "reject":
        yield "SNN202", "batch normalization has no spiking counterpart", ""
    else:
        yield "SNN202", "no layer is in front of it or behind it", _MOVE_IT


def _shapes(node: gs.Node) -> Iterator[Finding]:
    for tensor in node.outputs:
        if not _has_batch(tensor):
            yield "SNN207", *no_batch(tensor)
        elif tensor.dtype != np.float32:
            yield "SNN207", f"{tensor.name!r} is {tensor.dtype}, must be float32", "export in float32"


def _has_batch(tensor: gs.Tensor) -> bool:
    return tensor.shape is not None and len(tensor.shape) >= 2 and isinstance(tensor.shape[0], str)


PASS = Pass("validate", Level.SOURCE, Level.CANONICAL, run)
