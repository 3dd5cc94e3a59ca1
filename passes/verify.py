"""Run the emitted file against the ANN, the reference simulator and itself.

Takes and gives level EMITTED. On the samples held back from calibration (without data: seeded uniform inputs):

1. the file, the same blocks with the states outside, and the independent reference simulator give the same spikes (the
   reference within a budget of work) — anything else is our error;
2. agreement with the ANN and error of the outputs against steps go into the report, with a number of steps to use;
3. poor agreement is a warning (SNN503), with the likely reason per layer: silent, saturated, clipped input.
"""

from __future__ import annotations

import numpy as np

from snnc.ann import Ann
from snnc.conversion import Conversion, Level, Pass
from snnc.curves import Curve, count_macs, measure_curve
from snnc.diagnostics import InternalError
from snnc.holdback import calibration_split
from snnc.reference import simulate
from snnc.runtime.session import SpikingSession
from snnc.schedules import describe_states, read_block
from snnc.stream import StreamRunner

RANDOM_SAMPLES = 64
POOR_AGREEMENT = 0.95
POOR_ERROR = 0.25
_REFERENCE_BUDGET = 2e8
_SATURATED_SHARE = 0.01


def run(conversion: Conversion) -> None:
    model = conversion.emitted
    assert model is not None
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    block = read_block(model, metadata["snnc.states"])
    if describe_states(block) != metadata["snnc.states"]:
        raise InternalError("verify", "the states of the file cannot be read back")
    images = _images(conversion)
    conversion.progress("verifying", 0.0)
    _check_forms(conversion, images[:4])
    options = conversion.options
    layers = conversion.report.to_json()["layers"]
    ann_outputs = Ann(conversion.ann).run(images)
    cuts = [2**power for power in range(options.steps.bit_length()) if 2**power < options.steps] + [options.steps]
    curve = measure_curve(
        block,
        layers,
        images,
        cuts,
        ann_outputs=ann_outputs,
        seed=options.seed,
        progress=lambda share: conversion.progress("verifying", share),
    )
    last = curve.points[-1]
    for layer in conversion.report.layers:
        layer.rate = last.layer_rates.get(layer.name)
    saturated = _saturated_shares(conversion, images)
    conversion.report.verification = {
        "samples": len(images),
        "data": conversion.report.calibration["data"] or "random uniform",
        "steps": last.steps,
        "agreement": last.agreement,
        "error": last.error,
        "clipped": curve.clipped,
        "saturated": saturated,
        "recommended_steps": _recommended_steps(conversion, curve, images, ann_outputs),
        "curve": [[point.steps, point.agreement, point.error] for point in curve.points],
    }
    _warn(conversion, curve, saturated)


def _images(conversion: Conversion) -> np.ndarray:
    options = conversion.options
    if conversion.data is not None:
        return calibration_split(conversion.data, options.calib_samples)[1].images
    shape = (RANDOM_SAMPLES, *conversion.graph.inputs[0].shape[1:])
    scale = conversion.report.calibration["input_scale"]
    uniform = np.random.default_rng(options.seed & 0xFFFF_FFFF).random(shape)
    return np.asarray(uniform * scale, np.float32)


def _check_forms(conversion: Conversion, images: np.ndarray) -> None:
    """File, stream form and reference must agree spike for spike."""
    model, options = conversion.emitted, conversion.options
    assert model is not None
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    block = read_block(model, metadata["snnc.states"])
    steps = min(options.steps, 70)  # more than one block
    streamed = list(StreamRunner(block).run(images, [3, steps], seed=options.seed))[-1]
    if options.schedule == "loop" and options.controls != "fixed":
        result = SpikingSession(model.SerializeToString()).run(images, steps, seed=options.seed)
        same = np.array_equal(result.spike_totals, streamed.spike_totals) and all(
            np.array_equal(result.outputs[name], value, equal_nan=True) for name, value in streamed.outputs.items()
        )
        if not same:
            raise InternalError("verify", "the file and its stream form differ")
    affordable = int(_REFERENCE_BUDGET // max(1, count_macs(block)))
    if affordable < 1:
        return
    steps = min(steps, affordable, 32)
    simulated = simulate(conversion.graph, images[:1], steps, seed=options.seed)
    runtime = list(StreamRunner(block).run(images[:1], [steps], seed=options.seed))[-1]
    expected = np.stack([simulated.totals[node] for node in _source_nodes(conversion)], axis=1)
    if not np.array_equal(expected, runtime.spike_totals):
        raise InternalError("verify", f"spike totals {runtime.spike_totals} differ from the reference {expected}")


def _source_nodes(conversion: Conversion) -> list[str]:
    return [node.name for node in conversion.graph.nodes if node.op in ("SpikeEncode", "RMP", "IF")]


def _saturated_shares(conversion: Conversion, images: np.ndarray) -> dict[str, float]:
    """Share of neurons (over samples) of each layer that fired at every step."""
    model, options = conversion.emitted, conversion.options
    assert model is not None
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    block = read_block(model, metadata["snnc.states"])
    spikes = {node.name: node.outputs[0].name for node in conversion.graph.nodes if node.op in ("RMP", "IF")}
    runner = StreamRunner(block, expose=list(spikes.values()))
    always = {name: np.ones((1,), bool) for name in spikes}
    few = images[:16]
    for snapshot in runner.run(few, [options.steps], seed=options.seed):
        full = np.uint64(2**snapshot.count - 1)
        for name, words in spikes.items():
            always[name] = always[name] & (snapshot.words[words] == full)
    return {name: float(fired.mean()) for name, fired in always.items()}


def _is_poor(agreement: float | None, error: float | None) -> bool:
    if agreement is not None:
        return agreement < POOR_AGREEMENT
    return error is not None and error > POOR_ERROR


def _recommended_steps(
    conversion: Conversion, curve: Curve, images: np.ndarray, ann_outputs: dict[str, np.ndarray]
) -> int | None:
    """The fewest steps after which agreement (without classes: error) is within a point of the best, or None."""
    options, last = conversion.options, curve.points[-1]
    points = curve.points
    longer = [steps for steps in (2 * options.steps, 4 * options.steps) if steps <= options.max_steps]
    if _is_poor(last.agreement, last.error) and longer:
        model = conversion.emitted
        assert model is not None
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        few = images[:32]
        more = measure_curve(
            read_block(model, metadata["snnc.states"]),
            conversion.report.to_json()["layers"],
            few,
            longer,
            ann_outputs={name: value[:32] for name, value in ann_outputs.items()},
            seed=options.seed,
        )
        points = points + more.points
    for point in points:
        if not _is_poor(point.agreement, point.error) and (
            point.agreement is None or point.agreement >= (last.agreement or 0) - 0.01
        ):
            return point.steps
    return None


def _warn(conversion: Conversion, curve: Curve, saturated: dict[str, float]) -> None:
    report, last = conversion.diagnostics.report, curve.points[-1]
    if conversion.data is None:
        report("SNN507", f"agreement is measured on {curve.samples} random inputs")
    if curve.clipped > 0:
        report("SNN502", f"{curve.clipped:.2%} of the input elements exceed the input scale")
    if conversion.options.reset == "hard":
        report("SNN508", "hard reset drops the potential above threshold")
    poor = _is_poor(last.agreement, last.error)
    for layer in conversion.report.layers:
        if layer.kind != "neuron":
            continue
        if layer.rate == 0:
            report("SNN504", f"no neuron fired in {last.steps} steps", node=layer.name, op=layer.op)
        elif poor and saturated[layer.name] > _SATURATED_SHARE:
            share = saturated[layer.name]
            report("SNN505", f"{share:.1%} of its neurons fired at every step", node=layer.name, op=layer.op)
    if poor:
        found = f"error {last.error:.3f}" if last.agreement is None else f"agreement {last.agreement:.1%}"
        steps = conversion.report.verification["recommended_steps"]
        advice = f"try {steps} steps" if steps else f"not even {4 * last.steps} steps are enough"
        report("SNN503", f"{found} after {last.steps} steps; {advice}")


PASS = Pass("verify", Level.EMITTED, Level.EMITTED, run)
