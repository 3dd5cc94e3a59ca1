"""What the compiler knows of every layer once its thresholds are set."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from snnc.integers.grid import Rounded
from snnc.integers.weight_bits import rounding_error
from snnc.ir.conversion import LayerReport
from snnc.ir.graph import activation_inputs, constant, sample_shape
from snnc.ir.signal import collapsed
from snnc.ir.trees import leaves, source_signal, tree
from snnc.measure.fanout import count_macs
from snnc.operators import LAYERS, SOURCES, operator_of
from snnc.operators.graded_encoder import preparation
from snnc.operators.layer import initial_potential, scale_of
from snnc.thresholds import Estimate


def report_layers(graph: gs.Graph, rounded: dict[str, Rounded], estimates: dict[str, Estimate]) -> list[LayerReport]:
    """A report of every layer, in order of the graph."""
    reports = []
    for node in graph.nodes:
        if node.op in LAYERS:
            report = _report_of(node)
            if node.name in rounded:
                _add_synapses(report, node, rounded[node.name])
            if node.name in estimates:
                report.f_in, report.v_in = estimates[node.name].f_in, estimates[node.name].v_in
            reports.append(report)
    return reports


def _report_of(node: gs.Node) -> LayerReport:
    shape, room = sample_shape(node.outputs[0]), LAYERS[node.op]
    name = node.inputs[0].name if room.kind == "input" else node.name
    report = LayerReport(name, room.kind, node.op, shape, math.prod(shape), _plain(scale_of(node)))
    if node.op in SOURCES:
        signal = SOURCES[node.op].signal(node)
        report.signed = signal.signed
        report.levels = SOURCES[node.op].levels(node)
        if room.kind == "neuron" and "high" in node.attrs:
            report.counts = int(node.attrs["low"]), int(node.attrs["high"])
    if room.kind == "input":
        report.factor, report.origin = map(_plain, preparation(node))
        report.own_grid = "unit" in node.attrs
    return report


def _add_synapses(report: LayerReport, node: gs.Node, rounded: Rounded) -> None:
    largest_weight = max(float(np.abs(weights.weight).max()) for weights in rounded.weights.values())
    report.fan_in = sum(operator_of(linear).fan_in(linear) for linear in tree(node.inputs[0]))
    report.macs = count_macs(node.inputs[0])
    report.macs_on_numbers = _macs_where(node.inputs[0], _reads_numbers)
    report.macs_on_currents = _macs_where(node.inputs[0], _reads_currents)
    report.weight_bits = math.ceil(math.log2(largest_weight + 1)) if largest_weight else 0
    report.rounding = rounding_error(rounded)
    report.own_grid = rounded.own
    threshold = constant(node, 1) if "v_init" in node.attrs else None
    if threshold is not None:
        report.threshold_integer = _plain(threshold)
        report.threshold = _plain(threshold * rounded.unit)
        report.v_init = potentials(node)


def _macs_where(root: gs.Tensor, condition: Callable[[gs.Node], bool]) -> int:
    """Multiply-accumulates of those linear operators under `root`."""
    return sum(operator_of(linear).macs(linear) for linear in tree(root) if condition(linear))


def _reads_numbers(linear: gs.Node) -> bool:
    """Whether what comes in (or some of it) is an input that is not coded into spikes."""
    return any(source_signal(leaf).copies is None for leaf in leaves(linear.outputs[0]))


def _reads_currents(linear: gs.Node) -> bool:
    """Whether it reads sums of weighted spikes: they are numbers, and others in every step."""
    before = (node for operand in activation_inputs(linear) for node in tree(operand))
    return not _reads_numbers(linear) and any(operator_of(node).macs(node) for node in before)


def potentials(node: gs.Node) -> int | list[int]:
    """V(0) of a neuron in units of the grid."""
    threshold = constant(node, 1)
    assert threshold is not None
    found: int | list[int] = _plain(np.asarray(initial_potential(node, threshold), np.int64))
    return found


def _plain(values: np.ndarray) -> Any:
    """One number where all are equal, else a list."""
    numbers = collapsed(values).reshape(-1).tolist()
    return numbers[0] if len(numbers) == 1 else numbers
