"""The levels: what a graph has to satisfy between the passes, as short lists of checks.

A check returns the problems it finds. A problem after a pass is a bug of that pass (`InternalError`), because
everything a user can cause has been reported by `ingest` and `validate` before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import onnx_graphsurgeon as gs

from snnc.diagnostics import DiagnosticError, InternalError
from snnc.emit.layer_operators import LAYER_OPERATORS, PLAIN
from snnc.integers.limits import EXACT_FLOAT32, EXACT_FLOAT64, INT32, INT64, reach
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.domain import BLOCK_STEPS
from snnc.ir.graph import activation_inputs, constant
from snnc.ir.trees import is_source, layers, signal_of, sources_of, targets, tree
from snnc.memory import give_back
from snnc.operators import LAYERS, SOURCES, accepted, is_linear, tail_nodes, weighted


def run_pass(step: Pass, conversion: Conversion) -> None:
    """Run one pass between the checks of the levels it declares."""
    if conversion.level != step.takes:
        raise InternalError(step.name, f"takes level {step.takes.name}, got {conversion.level.name}")
    try:
        # What overflows has a rule: weights are finite, and their rounding is judged.
        with np.errstate(all="ignore"), conversion.diagnostics.together():
            step.run(conversion)
    except DiagnosticError as error:
        raise DiagnosticError([conversion.diagnostics.completed(found) for found in error.diagnostics]) from error
    conversion.level = step.gives
    give_back()
    for problem in problems(conversion):
        raise InternalError(step.name, problem)


def problems(conversion: Conversion) -> Iterator[str]:
    """Everything in which the conversion falls short of its level."""
    for check in _CHECKS[conversion.level]:
        yield from check(conversion)


def _names_unique(conversion: Conversion) -> Iterator[str]:
    names = [node.name for node in conversion.graph.nodes]
    if len(set(names)) != len(names):
        yield "node names are not unique"
    outputs = [tensor.name for node in conversion.graph.nodes for tensor in node.outputs if tensor.name]
    if len(set(outputs)) != len(outputs):
        yield "a tensor is computed twice"


def _topological(conversion: Conversion) -> Iterator[str]:
    known = {tensor.name for tensor in conversion.graph.inputs}
    for node in conversion.graph.nodes:
        for tensor in activation_inputs(node):
            if tensor.name not in known:
                yield f"{node.name!r} reads {tensor.name!r} before it is computed"
        known.update(tensor.name for tensor in node.outputs)


def _canonical_ops(conversion: Conversion) -> Iterator[str]:
    tail = tail_nodes(conversion.graph)
    for node in conversion.graph.nodes:
        if node.name in tail:
            continue
        if not accepted(node):
            yield f"operator {node.op} of {node.name!r} is not canonical"
        if weighted(node) is not None and constant(node, 1) is None:
            yield f"{node.name!r} has no constant weight"


def _trees(conversion: Conversion) -> Iterator[str]:
    encoders = [node for node in conversion.graph.nodes if node.op in SOURCES and SOURCES[node.op].kind == "input"]
    if len(encoders) != 1:
        yield f"there are {len(encoders)} encoders"
    owned: set[str] = set()
    for target in layers(conversion.graph):
        for leaf in sources_of(target):
            if not is_source(leaf):
                yield f"the tree of {target.name!r} starts at {leaf.name!r}, which is no spike source"
        for node in (node for root in activation_inputs(target) for node in tree(root)):
            if node.name in owned:
                yield f"{node.name!r} belongs to two trees"
            owned.add(node.name)
    behind = _behind_readouts(conversion.graph)
    for node in conversion.graph.nodes:
        if is_linear(node) and node.name not in owned and node.name not in behind:
            yield f"{node.name!r} belongs to no tree"


_READOUTS = [name for name, room in LAYERS.items() if room.kind == "readout"]


def _behind_readouts(graph: gs.Graph) -> set[str]:
    """Names of the nodes that work on decoded values."""
    found: set[str] = set()
    for node in graph.nodes:
        before = [tensor.inputs[0] for tensor in activation_inputs(node) if tensor.inputs]
        if any(each.op in _READOUTS or each.name in found for each in before):
            found.add(node.name)
    return found


def _integers(conversion: Conversion) -> Iterator[str]:
    for target in targets(conversion.graph):
        for node in tree(target.inputs[0]):
            values = [constant(node, index) for index in (1, 2)] if weighted(node) is not None else []
            for value in values:
                if value is not None and not np.array_equal(value, np.rint(value)):
                    yield f"{node.name!r} has weights off the integer grid"


def _calibrated(conversion: Conversion) -> Iterator[str]:
    for node in conversion.graph.nodes:
        if node.op in LAYERS:
            yield from LAYERS[node.op].problems(node)


def _no_overflow(conversion: Conversion) -> Iterator[str]:
    for target in targets(conversion.graph):
        readout = target.op not in SOURCES
        for node in tree(target.inputs[0]):
            exact = EXACT_FLOAT64 / BLOCK_STEPS if readout else EXACT_FLOAT32
            if signal_of(node.outputs[0]).magnitude >= exact:
                yield f"sums of {target.name!r} leave the exact integers of floats in {node.name!r}"
        start = max(float(np.abs(state.initial).max()) for state in LAYERS[target.op].states(target))
        bound = signal_of(target.inputs[0]).magnitude
        currents = reach(target.inputs[0], conversion.options.max_steps)
        if start + currents * bound >= (INT64 if readout else INT32):
            yield f"the membrane potential of {target.name!r} can overflow"


def _fused(conversion: Conversion) -> Iterator[str]:
    for target in targets(conversion.graph):
        if target.attrs.get("fused") not in (*LAYER_OPERATORS, PLAIN):
            yield f"nothing is noted on {target.name!r} about the operator that runs it"


def _emitted(conversion: Conversion) -> Iterator[str]:
    if conversion.emitted is None:
        yield "nothing was emitted"


_Check = Callable[[Conversion], Iterator[str]]
_CALIBRATED: list[_Check] = [_names_unique, _topological, _trees, _integers, _calibrated, _no_overflow]
_CHECKS: dict[Level, list[_Check]] = {
    Level.SOURCE: [_names_unique],
    Level.CANONICAL: [_names_unique, _topological, _canonical_ops],
    Level.SPIKING: [_names_unique, _topological, _trees],
    Level.CALIBRATED: _CALIBRATED,
    Level.FUSED: [*_CALIBRATED, _fused],
    Level.EMITTED: [_emitted],
}
