"""Round every layer to its integer grid and give every neuron its threshold, layer by layer.

Takes level SPIKING, gives CALIBRATED. For l = 1..L, with the layers before l frozen and spiking:

    weights of l → integers (snnc.integers.grid)
    V_th ← the rule of `--threshold` (snnc.integers.thresholds) on the calibration samples
    θ = even integer nearest to α·V_th on the grid, at least 2;  λ_l = σ·θ

α scales every threshold. `during`: before the next layer is measured, so that every layer is measured at the rates it
will get. `after`: when all are known; then λ_l = α^l·Π V_th compounds over the layers, and everything that depends on
the ratios of λ (junctions, biases) is rounded anew. What is estimated does not depend on α then, so that conversions
that share their `estimates` (a sweep) measure once.

While thresholds are estimated, every neuron starts from V(0) = 0; in the end from the option `v_init`.

λ₀, the input scale, is the option, else the largest |x| of the samples or, where they are synthetic, of their range.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import PurePath

import numpy as np
import onnx_graphsurgeon as gs

from snnc.diagnostics import fail
from snnc.integers.calibration_split import calibration_split
from snnc.integers.grid import Rounded, round_tree, rounding_error, weights_of, write_weights
from snnc.integers.layer_simulation import SpikeTrains
from snnc.integers.limits import largest_sum
from snnc.integers.thresholds import dependencies, estimate
from snnc.ir.conversion import Conversion, Estimate, Level, Pass
from snnc.ir.graph import NEURONS, sample_shape
from snnc.ir.names import own
from snnc.ir.report import Calibration
from snnc.ir.trees import leaves, targets, tree
from snnc.measure.layer_report import report_layers
from snnc.measure.trials import start_from

LARGEST_ROUNDING_ERROR = 1 / 32
HOPELESS_ROUNDING_ERROR = 1 / 2


def run(conversion: Conversion) -> None:
    options, graph = conversion.options, conversion.graph
    assert conversion.data is not None
    samples = calibration_split(conversion.data, options.calib_samples)[0]
    encoder = next(node for node in graph.nodes if node.op == "SpikeEncode")
    encoder.attrs["scale"] = _input_scale(conversion)
    layers = _Layers(conversion, float(encoder.attrs["scale"]), encoder)
    if options.threshold == "model":
        conversion.diagnostics.report("SNN501", "the threshold of a layer is the largest sum its inputs can have")
    data_hash = conversion.data.content_hash()
    shared = {} if conversion.estimates is None else conversion.estimates
    key = None if conversion.estimates is None else dependencies(conversion, data_hash)
    if key in shared:
        layers.estimates = shared[key]
        for target in targets(graph):
            layers.finish(target, options.alpha)
    else:
        _measure(conversion, layers, encoder, samples.images)
        shared[key] = layers.estimates
    _warn_of_unexcited(conversion, layers)
    conversion.report.layers = report_layers(graph, layers.rounded, layers.estimates)
    start_from(conversion, options.v_init or 0.0)
    measured = options.threshold != "model"
    conversion.report.calibration = Calibration(
        threshold=options.threshold,
        samples=len(samples) if measured else 0,
        steps=options.calib_steps if measured else 0,
        data=PurePath(samples.name).name,
        sha256=data_hash,
        synthetic=samples.value_range is not None,
        input_scale=encoder.attrs["scale"],
    )


class _Layers:
    """Rounds layers and sets thresholds in graph order; knows λ of the spikes so far."""

    def __init__(self, conversion: Conversion, input_scale: float, encoder: gs.Node) -> None:
        self.max_steps = conversion.options.max_steps
        self.diagnostics = conversion.diagnostics
        self.scales = {encoder.outputs[0].name: input_scale}
        self.weights = {target.name: weights_of(tree(target.inputs[0])) for target in targets(conversion.graph)}
        self.rounded: dict[str, Rounded] = {}
        self.estimates: dict[str, Estimate] = {}

    def round(self, target: gs.Node) -> Rounded:
        """Put the tree of `target` on its grid."""
        limit = largest_sum(self.max_steps, readout=target.op == "SpikeReadout")
        rounded = round_tree(target.inputs[0], self.weights[target.name], self.scales, limit)
        if rounded is None:
            fail(
                "SNN406",
                f"no integer grid keeps its sums below {limit:.0f}: its weights are too large, or too many layers "
                "follow each other without a Relu",
                node=target.name,
                op=target.op,
            )
        lost = rounding_error(rounded, self.weights[target.name])
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
        write_weights(target.inputs[0], rounded)
        self.rounded[target.name] = rounded
        return rounded

    def finish(self, target: gs.Node, alpha: float) -> None:
        """Round `target` and set its threshold to α times the estimated one; λ of its spikes follows."""
        rounded = self.round(target)
        if target.op == "SpikeReadout":
            target.attrs["scale"] = rounded.scale
            return
        exact = alpha * self.estimates[target.name].threshold * rounded.main_scale / rounded.scale
        threshold = np.array(max(2, 2 * round(exact / 2)), np.int32)
        target.inputs = target.inputs[:1]
        target.inputs.append(gs.Constant(own(f"{target.name}/threshold"), threshold))
        target.attrs["scale"] = rounded.scale * float(threshold)
        self.scales[target.outputs[0].name] = target.attrs["scale"]


def _measure(conversion: Conversion, layers: _Layers, encoder: gs.Node, images: np.ndarray) -> None:
    """Estimate and set the thresholds, in order of the graph."""
    options, order = conversion.options, targets(conversion.graph)
    trains = None
    if options.threshold != "model":
        trains = SpikeTrains(images, options.calib_steps, options.seed, _largest_layer(conversion.graph))
        trains.encode(encoder)
    alpha = options.alpha if options.alpha_when == "during" else 1.0
    last_use = {leaf.name: index for index, target in enumerate(order) for leaf in leaves(target.inputs[0])}
    read_by_neurons = {leaf.name for target in order if target.op in NEURONS for leaf in leaves(target.inputs[0])}

    def part(stage: str, done: float) -> Callable[[float], None]:
        return lambda share: conversion.progress(stage, done + share / 2)

    for index, target in enumerate(order):
        stage = f"calibrating layer {index + 1} of {len(order)}"
        conversion.progress(stage, 0.0)
        if target.op in NEURONS:
            rounded = layers.round(target)
            found = estimate(target, rounded, trains, options, part(stage, 0.0))
            layers.estimates[target.name] = found if found.threshold > 0 else _from_weights(target, rounded)
        layers.finish(target, alpha)
        if trains is None:
            continue
        if target.op in NEURONS and target.outputs[0].name in read_by_neurons:
            trains.fire(target, part(stage, 0.5))
        for name in [name for name, last in last_use.items() if last == index]:
            trains.forget(name)
    if alpha != options.alpha:
        for target in order:
            layers.finish(target, options.alpha)


def _from_weights(target: gs.Node, rounded: Rounded) -> Estimate:
    """The threshold of neurons that no sample ever excited: the largest sum that the weights allow."""
    largest = float(rounded.bounds.high.max())
    if largest <= 0:
        fail("SNN208", "no input can ever make it fire", node=target.name, op=target.op)
    return Estimate(largest * rounded.scale / rounded.main_scale, from_weights=True)


def _warn_of_unexcited(conversion: Conversion, layers: _Layers) -> None:
    for target in targets(conversion.graph):
        if target.name in layers.estimates and layers.estimates[target.name].from_weights:
            conversion.diagnostics.report(
                "SNN504",
                "no weighted input sum was ever positive on the calibration samples; the threshold comes from the "
                "weights",
                node=target.name,
                op=target.op,
            )


def _input_scale(conversion: Conversion) -> float:
    if conversion.options.input_scale is not None:
        return float(np.float32(conversion.options.input_scale))
    assert conversion.data is not None
    if conversion.data.value_range is not None:
        return float(np.float32(max(map(abs, conversion.data.value_range))))
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


PASS = Pass("calibrate", Level.SPIKING, Level.CALIBRATED, run)
