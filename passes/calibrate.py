"""Round every layer to its integer grid and give every neuron its threshold, layer by layer.

Takes level SPIKING, gives CALIBRATED. For l = 1..L, with the layers before l frozen and spiking if the rule wants that:

    weights of l → integers, every channel on its grid (snnc.integers.grid)
    V_th ← the rule of `--threshold` (snnc.thresholds) on the calibration samples
    θ = even integer nearest to α·V_th on the grid, at least 2;  λ_l = σ·θ (snnc.integers.calibration)

α scales every threshold. `during`: before the next layer is measured, so that every layer is measured at the rates it
will get. `after`: when all are known; then λ_l = α^l·Π V_th compounds over the layers, and everything that depends on
the ratios of λ (junctions, biases) is rounded anew. What is estimated does not depend on α then, so that conversions
that share their `estimates` (a sweep) measure once.

Where an interrupted conversion left estimates (`Conversion.checkpoint`), they are taken as they are: the layers that
have them only fire.

While thresholds are estimated, every neuron starts from V(0) = 0; in the end from the option `v_init`.

λ₀, the input scale, is the option, else the largest |x| of the samples or, where they are synthetic, of their range.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import PurePath

import numpy as np
import onnx_graphsurgeon as gs

from snnc.data import DataSet
from snnc.data.rows import Rows
from snnc.diagnostics import fail
from snnc.integers.activations import Activations, in_batches
from snnc.integers.calibration import Calibrator
from snnc.integers.layer_simulation import SpikeTrains
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import sample_shape
from snnc.ir.options import SMALLEST_INPUT
from snnc.ir.report import Calibration
from snnc.ir.trees import layers, neurons, sources_of
from snnc.measure.layer_report import report_layers
from snnc.measure.trials import samples_of, start_from
from snnc.operators import LAYERS, SOURCES
from snnc.operators.graded_encoder import preparation
from snnc.thresholds import RULES
from snnc.thresholds.sharing import dependencies

# Samples that are prepared at once.
_PIECE = 1024


def run(conversion: Conversion) -> None:
    options, graph = conversion.options, conversion.graph
    assert conversion.data is not None
    samples = samples_of(conversion)[0]
    input_scale = _input_scale(conversion)
    rule = RULES[options.threshold]
    if rule.caution is not None:
        conversion.diagnostics.report(*rule.caution)
    data_hash, checkpoint = conversion.data.content_hash(), conversion.checkpoint
    shared = {} if conversion.estimates is None else conversion.estimates
    key = None if conversion.estimates is None and checkpoint is None else dependencies(conversion, data_hash)
    complete = key in shared
    if not complete and checkpoint is not None:
        shared[key], complete = checkpoint.load(key, len(neurons(graph)))
    trains = network = None
    if rule.needs == "spikes" and not complete:
        trains = _trains(conversion, samples.stored)
    elif rule.needs == "activations" and not complete:
        network = conversion.activations or Activations(graph, in_batches(samples.stored, graph))
    calibrator = Calibrator(conversion, input_scale, trains, network)
    calibrator.estimates = shared.setdefault(key, calibrator.estimates)
    if checkpoint is not None:
        calibrator.found = lambda: checkpoint.keep(key, calibrator.estimates)
    _calibrate(conversion, calibrator)
    if checkpoint is not None and not complete:
        checkpoint.keep(key, calibrator.estimates, complete=True)
    calibrator.report_rounding()
    _warn_of_unexcited(conversion, calibrator)
    conversion.report.layers = report_layers(graph, calibrator.rounded, calibrator.estimates)
    start_from(conversion, options.v_init or 0.0)
    conversion.report.calibration = Calibration(
        threshold=options.threshold,
        samples=len(samples) if rule.needs != "nothing" and calibrator.estimates else 0,
        steps=options.calib_steps if rule.needs == "spikes" else 0,
        data=PurePath(samples.name).name,
        sha256=data_hash,
        synthetic=samples.value_range is not None,
        input_scale=input_scale,
        alpha=options.factor,
        alphas=conversion.alphas,
        target=conversion.target,
        given=sum("value" in node.attrs and node.name not in calibrator.estimates for node in neurons(graph)),
        preparation=conversion.data.preparation,
    )


def _trains(conversion: Conversion, images: np.ndarray | Rows) -> SpikeTrains:
    """Nothing so far, and room for all that is to come."""
    options, graph, data = conversion.options, conversion.graph, conversion.data
    assert data is not None
    kept = sum(4 * samples.size for samples in (data.stored, images) if isinstance(samples, np.ndarray))
    memory = conversion.calib_memory - kept
    size = _largest_layer(graph)
    trains = SpikeTrains(images, options.calib_steps, options.seed, size, memory, conversion.workers)
    trains.require_space(_lives(graph, trains))
    return trains


def _lives(graph: gs.Graph, trains: SpikeTrains) -> Iterator[tuple[str, int]]:
    """Which trains come and go, in order: (tensor, bytes), 0 where the last layer has read it."""
    kept, forgotten = _uses(graph)
    for node in graph.nodes:
        if node.op in LAYERS and LAYERS[node.op].kind == "input":
            yield node.outputs[0].name, trains.size_of(node.outputs[0])
    for node in layers(graph):
        if node.outputs[0].name in kept:
            yield node.outputs[0].name, trains.size_of(node.outputs[0])
        for name in forgotten[node.name]:
            yield name, 0


def _uses(graph: gs.Graph) -> tuple[set[str], dict[str, list[str]]]:
    """The sources whose spikes a later layer is measured with or simulated on, and by layer those that none reads
    behind it."""
    order = layers(graph)
    last_use = {leaf.name: node.name for node in order for leaf in sources_of(node)}
    forgotten: dict[str, list[str]] = {node.name: [] for node in order}
    for name, last in last_use.items():
        forgotten[last].append(name)
    return {leaf.name for node in order if node.op in SOURCES for leaf in sources_of(node)}, forgotten


def _calibrate(conversion: Conversion, calibrator: Calibrator) -> None:
    """Estimate and set the thresholds, in order of the graph; with `after` set them once more when all are known."""
    options = conversion.options
    calibrator.alpha = options.factor if options.alpha_when == "during" else 1.0
    for node in conversion.graph.nodes:
        if node.op in LAYERS and LAYERS[node.op].kind == "input":
            LAYERS[node.op].calibrate(node, calibrator)
            if calibrator.trains is not None:
                calibrator.trains.fire(node)
    order = layers(conversion.graph)
    kept, forgotten = _uses(conversion.graph)

    def part(stage: str, done: float) -> Callable[[float], None]:
        return lambda share: conversion.progress(stage, done + share / 2)

    for index, node in enumerate(order):
        stage = f"calibrating layer {index + 1} of {len(order)}"
        conversion.progress(stage, 0.0)
        calibrator.progress = part(stage, 0.0)
        LAYERS[node.op].calibrate(node, calibrator)
        if calibrator.trains is None:
            continue
        if node.op in SOURCES and node.outputs[0].name in kept:
            calibrator.trains.fire(node, part(stage, 0.5))
        for name in forgotten[node.name]:
            calibrator.trains.forget(name)
    if calibrator.alpha != options.factor:
        calibrator.alpha = options.factor
        for node in order:
            LAYERS[node.op].calibrate(node, calibrator)


def _warn_of_unexcited(conversion: Conversion, calibrator: Calibrator) -> None:
    for node in layers(conversion.graph):
        if node.name in calibrator.estimates and calibrator.estimates[node.name].from_weights:
            conversion.diagnostics.report(
                "SNN504",
                "no weighted input sum was ever positive on the calibration samples; the threshold comes from the "
                "weights",
                node=node.name,
                op=node.op,
            )


def _input_scale(conversion: Conversion) -> float:
    if conversion.options.input_scale is not None:
        return float(np.float32(conversion.options.input_scale))
    assert conversion.data is not None
    encoder = next(node for node in conversion.graph.nodes if node.op in LAYERS and LAYERS[node.op].kind == "input")
    largest = _largest_prepared(conversion.data, *preparation(encoder))
    if largest == 0:
        fail("SNN306", "the calibration data is all zero")
    if largest < SMALLEST_INPUT:
        message = f"no value of the calibration data exceeds {largest:.3g}, where float32 is no longer exact"
        fail("SNN306", message, hint="look at how the data were scaled")
    return largest


def _largest_prepared(data: DataSet, factor: np.ndarray, origin: np.ndarray) -> float:
    """The largest magnitude of the samples, or of the range they are drawn from, as the encoder prepares them."""
    if factor.ndim == 0 and factor == 1 and not origin.any():
        if data.value_range is not None:
            return float(np.float32(max(map(abs, data.value_range))))
        survey = data.survey()
        return max(survey.largest, -survey.smallest)
    if data.value_range is not None:
        limits = np.array(data.value_range, np.float32).reshape(2, *[1] * (data.stored.ndim - 1))
        return float(np.float32(np.abs((limits - origin) * factor).max()))
    pieces = (data.stored[start : start + _PIECE] for start in range(0, len(data), _PIECE))
    return float(np.float32(max(np.abs((piece - origin) * factor).max() for piece in pieces)))


def _largest_layer(graph: gs.Graph) -> int:
    return max(
        math.prod(sample_shape(tensor))
        for node in graph.nodes
        for tensor in node.outputs
        if tensor.shape is not None and len(tensor.shape) > 1
    )


PASS = Pass("calibrate", Level.SPIKING, Level.CALIBRATED, run)
