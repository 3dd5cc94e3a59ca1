"""Round every layer to its integer grid and give every neuron its threshold, layer by layer.

Takes level SPIKING, gives CALIBRATED. For l = 1..L, with the layers before l frozen:

    weights of l → integers (snnc.grid)
    vmax  (RMP-SNN, section 4.1, after Sengupta et al. 2019):  V_th = max over neurons, steps, samples of Σ w·s
    model (Diehl et al. 2015): V_th = max over neurons of the sum of positive weights (of |w| for signed input)
    θ = even integer nearest to V_th on the grid,  λ_l = σ·θ

α scales every threshold. `during`: before the next layer is measured. `after` (the paper's way): when all are known;
then λ_l = α^l·Π V_th, and everything that depends on the ratios of λ (junctions, biases) is rounded anew.

λ₀, the input scale, is the option, else the largest |x| of the calibration data, else 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import PurePath

import numpy as np
import onnx_graphsurgeon as gs

from snnc.conversion import Conversion, LayerReport, Level, Pass
from snnc.diagnostics import fail
from snnc.fanout import count_macs
from snnc.graph import NEURONS, constant, leaves, sample_shape, targets, tree
from snnc.grid import Rounded, TreeWeights, round_tree, rounding_error, write_weights
from snnc.holdback import calibration_split
from snnc.levels import EXACT_FLOAT32, INT32
from snnc.ops import BLOCK_STEPS
from snnc.segments import Measurement, SpikeTrains

LARGEST_ROUNDING_ERROR = 1 / 32
HOPELESS_ROUNDING_ERROR = 1 / 2


def run(conversion: Conversion) -> None:
    options, graph = conversion.options, conversion.graph
    method = options.threshold or ("model" if conversion.data is None else "vmax")
    if method == "vmax" and conversion.data is None:
        fail("SNN405", "thresholds from statistics (vmax) need calibration data", hint="pass `--calib DATA`")
    if method == "model":
        conversion.diagnostics.report("SNN501", "the threshold of a layer is the largest sum its inputs can have")
    images = None if conversion.data is None else calibration_split(conversion.data, options.calib_samples)[0].images
    encoder = next(node for node in graph.nodes if node.op == "SpikeEncode")
    encoder.attrs["scale"] = _input_scale(conversion)
    layers = _Layers(conversion, float(encoder.attrs["scale"]), encoder)
    trains = None
    if method == "vmax":
        assert images is not None
        trains = SpikeTrains(images, options.calib_steps, options.seed, _largest_layer(graph))
        trains.encode(encoder)
    first_alpha = options.alpha if options.alpha_when == "during" else 1.0
    measurements = _estimate(conversion, layers, trains, first_alpha)
    if first_alpha != options.alpha:
        for target in targets(graph):
            layers.finish(target, options.alpha)
    conversion.report.layers = _report_layers(conversion, layers, measurements)
    conversion.report.calibration = {
        "threshold": method,
        "samples": 0 if images is None else len(images),
        "steps": options.calib_steps if trains is not None else 0,
        "data": None if conversion.data is None else PurePath(conversion.data.name).name,
        "sha256": None if conversion.data is None else conversion.data.content_hash(),
        "input_scale": encoder.attrs["scale"],
    }


class _Layers:
    """Rounds layers and sets thresholds in graph order; knows λ of the spikes so far."""

    def __init__(self, conversion: Conversion, input_scale: float, encoder: gs.Node) -> None:
        self.max_steps = conversion.options.max_steps
        self.diagnostics = conversion.diagnostics
        self.scales = {encoder.outputs[0].name: input_scale}
        self.weights = {
            target.name: TreeWeights.of(list(tree(target.inputs[0]))) for target in targets(conversion.graph)
        }
        self.rounded: dict[str, Rounded] = {}
        self.unit_thresholds: dict[str, float] = {}

    def round(self, target: gs.Node) -> Rounded:
        """Put the tree of `target` on its grid."""
        limit = min((INT32 - 1) / (self.max_steps + 2), EXACT_FLOAT32)
        if target.op == "SpikeReadout":
            limit = min(limit, EXACT_FLOAT32 / BLOCK_STEPS)
        rounded = round_tree(target.inputs[0], self.weights[target.name], self.scales, limit)
        if rounded is None:
            fail(
                "SNN406",
                f"no integer grid keeps its sums below {limit:.0f}: its weights are too large, or too many layers "
                "follow each other without a Relu",
                node=target.name,
                op=target.op,
            )
        lost = rounding_error(target.inputs[0], rounded, self.weights[target.name])
        if lost > HOPELESS_ROUNDING_ERROR:
            fail(
                "SNN406",
                f"its weights would be rounded to within {lost:.0%} only",
                node=target.name,
                op=target.op,
            )
        if lost > LARGEST_ROUNDING_ERROR:
            self.diagnostics.report(
                "SNN509", f"its weights are rounded to within {lost:.0%} only", node=target.name, op=target.op
            )
        write_weights(list(tree(target.inputs[0])), rounded)
        self.rounded[target.name] = rounded
        return rounded

    def finish(self, target: gs.Node, alpha: float) -> None:
        """Round `target` and set its threshold to α times the estimated one; λ of its spikes follows."""
        rounded = self.round(target)
        if target.op == "SpikeReadout":
            target.attrs["scale"] = rounded.scale
            return
        exact = alpha * self.unit_thresholds[target.name] * rounded.main_scale / rounded.scale
        threshold = np.array(max(2, 2 * round(exact / 2)), np.int32)
        target.inputs = target.inputs[:1]
        target.inputs.append(gs.Constant(f"{target.name}/threshold", threshold))
        target.attrs["scale"] = rounded.scale * float(threshold)
        self.scales[target.outputs[0].name] = target.attrs["scale"]


def _estimate(
    conversion: Conversion, layers: _Layers, trains: SpikeTrains | None, alpha: float
) -> dict[str, Measurement]:
    order = targets(conversion.graph)
    last_use = {leaf.name: index for index, target in enumerate(order) for leaf in leaves(target.inputs[0])}
    read_by_neurons = {
        leaf.name for target in order if target.op in NEURONS for leaf in leaves(target.inputs[0])
    }
    measurements: dict[str, Measurement] = {}

    def report(stage: str, done: float) -> Callable[[float], None]:
        return lambda share: conversion.progress(stage, done + share / 2)

    for index, target in enumerate(order):
        stage = f"calibrating layer {index + 1} of {len(order)}"
        conversion.progress(stage, 0.0)
        if target.op in NEURONS:
            rounded = layers.round(target)
            largest = float(rounded.high.max())
            if trains is not None:
                found = trains.measure(target, report(stage, 0.0))
                measurements[target.name] = found
                if found.maximum > 0:
                    largest = float(found.maximum)
                else:
                    conversion.diagnostics.report(
                        "SNN504",
                        "no weighted input sum was ever positive on the calibration data; the threshold comes from the "
                        "weights",
                        node=target.name,
                        op=target.op,
                    )
            if largest <= 0:
                fail("SNN208", "no input can ever make it fire", node=target.name, op=target.op)
            layers.unit_thresholds[target.name] = largest * rounded.scale / rounded.main_scale
        layers.finish(target, alpha)
        if trains is not None:
            if target.op in NEURONS and target.outputs[0].name in read_by_neurons:
                trains.fire(target, report(stage, 0.5))
            for name, last in last_use.items():
                if last == index:
                    trains.forget(name)
    return measurements


def _input_scale(conversion: Conversion) -> float:
    if conversion.options.input_scale is not None:
        return float(np.float32(conversion.options.input_scale))
    if conversion.data is None:
        return 1.0
    images = conversion.data.images
    largest = float(max(images.max(), -images.min()))
    if largest == 0:
        fail("SNN306", "the calibration data is all zero")
    return largest


def _largest_layer(graph: gs.Graph) -> int:
    return max(
        math.prod(sample_shape(tensor))
        for node in graph.nodes
        for tensor in node.outputs
        if tensor.shape is not None and len(tensor.shape) > 1
    )


def _report_layers(
    conversion: Conversion, layers: _Layers, measurements: dict[str, Measurement]
) -> list[LayerReport]:
    reports = []
    for node in conversion.graph.nodes:
        if node.op == "SpikeEncode":
            shape = sample_shape(node.outputs[0])
            reports.append(
                LayerReport(node.inputs[0].name, "input", node.op, shape, math.prod(shape), node.attrs["scale"])
            )
        elif node.op in NEURONS or node.op == "SpikeReadout":
            reports.append(_report_layer(node, layers.rounded[node.name], measurements.get(node.name)))
    return reports


def _report_layer(node: gs.Node, rounded: Rounded, found: Measurement | None) -> LayerReport:
    shape = sample_shape(node.outputs[0])
    largest_weight = max(float(np.abs(weight).max()) for weight, _ in rounded.weights.values())
    report = LayerReport(
        name=node.name,
        kind="readout" if node.op == "SpikeReadout" else "neuron",
        op=node.op,
        shape=shape,
        neurons=math.prod(shape),
        scale=float(node.attrs["scale"]),
        fan_in=_fan_in(node.inputs[0]),
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
        report.f_in = found.positive_share
        report.v_in = found.positive_mean * rounded.scale / rounded.main_scale
    return report


def _fan_in(root: gs.Tensor) -> int:
    """Synapses of one neuron (inside, away from borders)."""
    total = 0
    for node in tree(root):
        weight = constant(node, 1)
        if node.op == "Conv" and weight is not None:
            total += int(np.prod(weight.shape[1:]))
        elif node.op == "Gemm" and weight is not None:
            total += int(weight.shape[0])
        elif node.op == "Scale":
            total += 1
    return total


PASS = Pass("calibrate", Level.SPIKING, Level.CALIBRATED, run)
