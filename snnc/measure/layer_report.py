"""What the compiler knows of every layer once its thresholds are set."""

from __future__ import annotations

import math

import numpy as np
import onnx_graphsurgeon as gs

from snnc.integers.grid import Rounded
from snnc.ir.conversion import LayerReport
from snnc.ir.graph import NEURONS, constant, sample_shape
from snnc.ir.trees import tree
from snnc.measure.fanout import count_macs
from snnc.operators import operator_of
from snnc.thresholds import Estimate


def report_layers(graph: gs.Graph, rounded: dict[str, Rounded], estimates: dict[str, Estimate]) -> list[LayerReport]:
    """A report of the encoder and of every neuron and readout, in order of the graph."""
    reports = []
    for node in graph.nodes:
        if node.op == "SpikeEncode":
            shape = sample_shape(node.outputs[0])
            reports.append(
                LayerReport(node.inputs[0].name, "input", node.op, shape, math.prod(shape), node.attrs["scale"])
            )
        elif node.op in NEURONS or node.op == "SpikeReadout":
            reports.append(_report_layer(node, rounded[node.name], estimates.get(node.name)))
    return reports


def _report_layer(node: gs.Node, rounded: Rounded, found: Estimate | None) -> LayerReport:
    shape = sample_shape(node.outputs[0])
    largest_weight = max(float(np.abs(weights.weight).max()) for weights in rounded.weights.values())
    report = LayerReport(
        name=node.name,
        kind="readout" if node.op == "SpikeReadout" else "neuron",
        op=node.op,
        shape=shape,
        neurons=math.prod(shape),
        scale=float(node.attrs["scale"]),
        fan_in=sum(operator_of(linear).fan_in(linear) for linear in tree(node.inputs[0])),
        macs=count_macs(node.inputs[0]),
        weight_bits=math.ceil(math.log2(largest_weight + 1)) if largest_weight else 0,
    )
    if node.op in NEURONS:
        threshold = constant(node, 1)
        assert threshold is not None
        report.threshold_integer = int(threshold.max())
        report.threshold = float(threshold.max()) * rounded.scale / rounded.main_scale
        report.v_init = int(report.threshold_integer * node.attrs["v_init"])
    if found is not None:
        report.f_in, report.v_in = found.f_in, found.v_in
    return report
