"""Report everything that cannot be converted, all at once.

Takes level SOURCE, gives CANONICAL or raises. The graph is not changed. What keeps a linear operator from being
converted its room knows (`snnc.operators`); what nothing objects to is convertible. Nodes behind the last layer that
are functions of the decoded output (the *tail*: Softmax, LogSoftmax, ArgMax, Sigmoid) are accepted there and nowhere
else.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_graphsurgeon as gs

from snnc.diagnostics import DiagnosticError, sort_by_node_order
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.domain import DOMAIN
from snnc.ir.graph import NEURONS, TAIL, activation_inputs, describe
from snnc.methods import METHODS
from snnc.operators import BY_ANN_NAME, READING_SPIKES, accepted, before_layers
from snnc.operators.contract import Finding
from snnc.simulate.ann import node_names

MOST_PATHS = 64
MOST_DEPTH = 256


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    in_layers = before_layers(graph)
    _report_linear_mazes(conversion)
    for node in graph.nodes:
        for rule, message, hint in _findings(conversion, node, in_tail=node.name not in in_layers):
            name, op = node.name, node.op
            if rule == "SNN201" and node.name in conversion.bias_origin:
                op, name = conversion.bias_origin[node.name]
            shape = describe(node.outputs[0]) if node.outputs else ""
            conversion.diagnostics.report(rule, message, node=name, op=op, shape=shape, hint=hint)
    if not any(node.op in NEURONS for node in graph.nodes) and not conversion.diagnostics.errors:
        conversion.diagnostics.report("SNN205", "there is nothing that could become a spiking neuron")
    for output in graph.outputs:
        if not isinstance(output, gs.Variable) or not output.inputs:
            conversion.diagnostics.report("SNN207", f"output {output.name!r} does not depend on the input")
    errors = conversion.diagnostics.errors
    if errors:
        raise DiagnosticError(sort_by_node_order(errors, node_names(conversion.ann)))


def _report_linear_mazes(conversion: Conversion) -> None:
    """Bound what a single neuron sums: every path of linear operators to it becomes a synapse of its own."""
    paths: dict[str, int] = {}
    depths: dict[str, int] = {}
    for node in conversion.graph.nodes:
        operands = [tensor.name for tensor in activation_inputs(node)]
        linear = node.op not in (*NEURONS, *READING_SPIKES, *TAIL)
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
        yield "SNN204", f"operator of the domain {node.domain!r}", ""
    elif in_tail and node.op in TAIL:
        yield from _tail(conversion, node)
    elif node.op == "BatchNormalization":
        if conversion.options.batchnorm == "fold":
            yield (
                "SNN202",
                "it cannot be folded: it does not directly follow a Conv or Gemm of its own",
                ("move it directly behind the convolution or dense layer, or train without"),
            )
        else:
            yield "SNN202", "batch normalization has no spiking counterpart", ""
    elif (accepted(node) or node.op == "MatMul") and not all(map(_has_batch, activation_inputs(node))):
        return  # reported where the batch axis was lost
    elif node.op == "MatMul" and len(activation_inputs(node)) == 2:
        yield "SNN206", "it multiplies two activations", ""
    elif node.op == "Mul" and len(activation_inputs(node)) == 2:
        settles = METHODS[conversion.options.method].settles
        axes = "give both the same axes, with sizes that are equal or 1"
        hint = axes if settles else "pass `--method exact`, which takes products"
        yield "SNN204", conversion.declined.get(node.name, "it multiplies two activations"), hint
    elif not accepted(node):
        reason = "it is only accepted at the end of the network" if node.op in TAIL else "it is not supported"
        reason = conversion.declined.get(node.name, reason)
        yield "SNN204", reason, ""
    else:
        yield from _shapes(node)
        if node.op in BY_ANN_NAME:
            yield from BY_ANN_NAME[node.op].check(node, conversion.options)
        elif node.op in READING_SPIKES:
            yield from READING_SPIKES[node.op].check(node, conversion.options)


def _shapes(node: gs.Node) -> Iterator[Finding]:
    for tensor in node.outputs:
        if not _has_batch(tensor):
            yield (
                "SNN207",
                f"the first axis of {tensor.name!r} {describe(tensor)} is not the batch",
                ("keep the batch as the first axis of every activation, with at least one axis behind it"),
            )
        elif tensor.dtype != np.float32:
            yield "SNN207", f"{tensor.name!r} is {tensor.dtype}, must be float32", "export in float32"


def _has_batch(tensor: gs.Tensor) -> bool:
    return tensor.shape is not None and len(tensor.shape) >= 2 and isinstance(tensor.shape[0], str)


def _tail(conversion: Conversion, node: gs.Node) -> Iterator[Finding]:
    opset = conversion.graph.opset
    rank = len(node.inputs[0].shape or [])
    over_last_axis = node.attrs.get("axis", 1) in (rank - 1, -1)
    if node.op in ("Softmax", "LogSoftmax") and opset < 13 and rank > 2 and not over_last_axis:
        yield "SNN207", "softmax over several axes at once (before opset 13)", "export with opset 13 or newer"
    default_axis = {"ArgMax": 0, "Sigmoid": 1}.get(node.op, 1 if opset < 13 else -1)
    if rank == 0 or node.attrs.get("axis", default_axis) % rank == 0:
        yield "SNN207", "it works across the samples of a batch", "give it the axis of the classes"


PASS = Pass("validate", Level.SOURCE, Level.CANONICAL, run)
