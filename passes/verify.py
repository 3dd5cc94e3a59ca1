"""Run the emitted file against the ANN, the reference simulator and itself.

Takes and gives level EMITTED. On the samples held back from calibration (without data: seeded uniform inputs):

1. the file, the same blocks with the states outside, and the independent reference simulator give the same spikes (the
   reference within a budget of work); anything else is our error;
2. agreement with the ANN and error of the outputs against steps go into the report and into the file, with a number of
   steps to use;
3. poor agreement is a warning (SNN503), with the likely reason per layer: silent, saturated, clipped input.
"""

from __future__ import annotations

import json

import numpy as np

from snnc.ann import Ann
from snnc.conversion import Conversion, Level, Pass
from snnc.curves import Curve, Point, measure_curve
from snnc.diagnostics import InternalError
from snnc.files import ConvertedFile, set_metadata
from snnc.graph import NEURONS, SOURCES
from snnc.holdback import calibration_split
from snnc.reference import simulate
from snnc.runtime.session import SpikingSession
from snnc.stream import StreamRunner, default_cuts

POOR_AGREEMENT = 0.95
POOR_ERROR = 0.25
_RANDOM_SAMPLES = 64
_LEAST_SAMPLES = 8
_BUDGET = 4e11  # multiply-accumulates of the simulation; about ten seconds
_REFERENCE_BUDGET = 2e8  # and of the reference; about a second
_SATURATED_SHARE = 0.01


def run(conversion: Conversion) -> None:
    assert conversion.emitted is not None
    file = ConvertedFile(conversion.emitted, "the emitted file")
    macs = max(1, sum(layer["macs"] for layer in file.layers))
    images = _images(conversion, macs)
    conversion.progress("verifying", 0.0)
    _check_forms(conversion, file, images[:4], macs)
    steps, seed = conversion.options.steps, conversion.options.seed
    ann_outputs = Ann(conversion.ann).run(images)
    curve = measure_curve(
        file.block,
        file.layers,
        images,
        default_cuts(steps),
        ann_outputs=ann_outputs,
        seed=seed,
        progress=lambda share: conversion.progress("verifying", share),
    )
    points = curve.points
    if _is_poor(points[-1]):
        points = points + _longer_runs(conversion, file, images, ann_outputs)
    saturated = _saturated_shares(conversion, file, images[:16])
    last = curve.points[-1]
    for layer in conversion.report.layers:
        layer.rate = last.layer_rates.get(layer.name)
    conversion.report.verification = {
        "samples": len(images),
        "data": conversion.report.calibration["data"] or "random uniform",
        "steps": last.steps,
        "agreement": last.agreement,
        "error": last.error,
        "clipped": curve.clipped,
        "saturated": saturated,
        "recommended_steps": _recommended_steps(points),
        "curve": [[point.steps, point.agreement, point.error] for point in points],
    }
    _warn(conversion, curve, saturated)
    report = conversion.report.to_json()
    set_metadata(conversion.emitted, "snnc.layers", json.dumps(report["layers"]))
    set_metadata(conversion.emitted, "snnc.verification", json.dumps(report["verification"]))


def _images(conversion: Conversion, macs: int) -> np.ndarray:
    """The samples to verify on: fewer for a network that is expensive to simulate."""
    options = conversion.options
    affordable = max(_LEAST_SAMPLES, int(_BUDGET // (macs * options.steps)))
    if conversion.data is not None:
        return calibration_split(conversion.data, options.calib_samples)[1].images[:affordable]
    shape = (min(_RANDOM_SAMPLES, affordable), *conversion.graph.inputs[0].shape[1:])
    scale = conversion.report.calibration["input_scale"]
    uniform = np.random.default_rng(options.seed & 0xFFFF_FFFF).random(shape)
    return np.asarray(uniform * scale, np.float32)


def _check_forms(conversion: Conversion, file: ConvertedFile, images: np.ndarray, macs: int) -> None:
    """File, stream form and reference must agree spike for spike."""
    options = conversion.options
    runner = StreamRunner(file.block)
    if options.schedule == "loop" and options.controls != "fixed":
        steps = min(options.steps, 70)  # more than one block
        streamed = list(runner.run(images, [min(3, steps), steps], seed=options.seed))[-1]
        session = SpikingSession(file.model.SerializeToString())
        result = session.run(images, steps, seed=options.seed, warn=False)  # clipping is reported below
        same = np.array_equal(result.spike_totals, streamed.spike_totals) and all(
            np.array_equal(result.outputs[name], value, equal_nan=True) for name, value in streamed.outputs.items()
        )
        if not same:
            raise InternalError("verify", "the file and its stream form differ")
    steps = int(min(options.steps, 32, _REFERENCE_BUDGET // macs))
    if steps < 1:
        return
    simulated = simulate(conversion.graph, images[:1], steps, seed=options.seed)
    runtime = list(runner.run(images[:1], [steps], seed=options.seed))[-1]
    sources = [node.name for node in conversion.graph.nodes if node.op in SOURCES]
    expected = np.stack([simulated.totals[name] for name in sources], axis=1)
    if not np.array_equal(expected, runtime.spike_totals):
        raise InternalError("verify", f"spike totals {runtime.spike_totals} differ from the reference {expected}")


def _saturated_shares(conversion: Conversion, file: ConvertedFile, images: np.ndarray) -> dict[str, float]:
    """Share of neurons (over samples) of each layer that fired at every step."""
    words = {node.name: node.outputs[0].name for node in conversion.graph.nodes if node.op in NEURONS}
    runner = StreamRunner(file.block, expose=list(words.values()))
    always: dict[str, np.ndarray] = {}
    for snapshot in runner.run(images, [conversion.options.steps], seed=conversion.options.seed):
        full = np.uint64(2**snapshot.count - 1)
        for name, tensor in words.items():
            every_step = snapshot.words[tensor] == full
            always[name] = always[name] & every_step if name in always else every_step
    return {name: float(fired.mean()) for name, fired in always.items()}


def _is_poor(point: Point) -> bool:
    if point.agreement is not None:
        return point.agreement < POOR_AGREEMENT
    return point.error is None or point.error > POOR_ERROR


def _longer_runs(
    conversion: Conversion, file: ConvertedFile, images: np.ndarray, ann_outputs: dict[str, np.ndarray]
) -> list[Point]:
    """What twice and four times the steps would give, on a few samples."""
    options, few = conversion.options, min(32, max(_LEAST_SAMPLES, len(images) // 4))
    cuts = [steps for steps in (2 * options.steps, 4 * options.steps) if steps <= options.max_steps]
    if not cuts:
        return []
    outputs = {name: value[:few] for name, value in ann_outputs.items()}
    return measure_curve(
        file.block, file.layers, images[:few], cuts, ann_outputs=outputs, seed=options.seed
    ).points


def _recommended_steps(points: list[Point]) -> int | None:
    """The fewest steps that are not poor and within a point of the best agreement; None if all are poor."""
    best = max((point.agreement or 0.0) for point in points)
    for point in points:
        if not _is_poor(point) and (point.agreement is None or point.agreement >= best - 0.01):
            return point.steps
    return None


def _warn(conversion: Conversion, curve: Curve, saturated: dict[str, float]) -> None:
    report, last = conversion.diagnostics.report, curve.points[-1]
    verification = conversion.report.verification
    if conversion.data is None:
        report("SNN507", f"agreement is measured on {curve.samples} random inputs")
    if curve.clipped > 0:
        report("SNN502", f"{curve.clipped:.2%} of the input elements exceed the input scale")
    if conversion.options.reset == "hard":
        report("SNN508", "hard reset drops the potential above threshold")
    poor = _is_poor(last)
    for layer in conversion.report.layers:
        if layer.kind != "neuron":
            continue
        if layer.rate == 0:
            report("SNN504", f"no neuron fired in {last.steps} steps", node=layer.name, op=layer.op)
        elif poor and saturated[layer.name] > _SATURATED_SHARE:
            share = saturated[layer.name]
            report("SNN505", f"{share:.1%} of its neurons fired at every step", node=layer.name, op=layer.op)
    if poor:
        error = "error not finite" if last.error is None else f"error {last.error:.3f}"
        found = error if last.agreement is None else f"agreement {last.agreement:.1%}"
        steps, tried = verification["recommended_steps"], verification["curve"][-1][0]
        advice = f"try {steps} steps" if steps else f"not even {tried} steps are enough"
        report("SNN503", f"{found} after {last.steps} steps; {advice}")


PASS = Pass("verify", Level.EMITTED, Level.EMITTED, run)
