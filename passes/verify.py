"""Run the emitted file against itself and the reference simulator, and say how the network follows the ANN.

Takes and gives level EMITTED. On the samples held back from calibration:

1. the file as it is written, its blocks with the states outside, and the independent reference simulator give the same
   spike trains, counts, potentials and outputs on a few samples (each within a budget of work; what was compared, and
   what was not and why, goes into the report; SNN511 where a plug-in's operator is unknown to the reference); anything
   else is our error;
2. agreement with the ANN with its confidence, error of the outputs, what the other initial potential would need, and
   the number of steps that the samples support go into the report and into the file;
3. for every layer the share of the ANN's mean activation that its spikes carry: in a deep network rates vanish or
   saturate layer by layer, and the first layer where they do is the one to look at;
4. warnings: clipped input (SNN502), silent layers (SNN504), values lost to hard reset or a leak (SNN508).

What follows from a poor result is up to `snnc.measure.judge`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from snnc.emit.schedules import MOST_UNROLLED_BLOCKS
from snnc.files import ConvertedFile, set_metadata
from snnc.ir.conversion import Conversion, LayerReport, Level, Pass
from snnc.ir.domain import BLOCK_STEPS
from snnc.ir.report import InitialPotential, Verification, WeakLayer
from snnc.ir.trees import neurons
from snnc.measure.comparison import compare_forms
from snnc.measure.evaluation import Point, rows_of
from snnc.measure.quality import GOOD, Yardstick, interval, steps_to_reach, supported_steps
from snnc.measure.trials import held_back_images, simulate_against
from snnc.operators import SOURCES
from snnc.operators.layer import scale_of
from snnc.simulate.ann import Ann, layer_probe
from snnc.simulate.block_runner import StreamRunner, unpack_words
from snnc.thresholds import RULES

_FEW = 16
SATURATED_SHARE = 0.01
_ALMOST_EVERY = 0.95  # neurons behind others start a few steps late
VANISHED_SHARE = 0.5
AMPLIFIED_SHARE = 2.0


def run(conversion: Conversion) -> None:
    assert conversion.emitted is not None
    assert conversion.options.v_init is not None
    file = ConvertedFile(conversion.emitted, "the emitted file")
    images = held_back_images(conversion)
    conversion.progress("verifying", 0.0)
    compared = compare_forms(conversion, file, images)
    curve = conversion.trials[conversion.options.v_init]
    last, report = curve.points[-1], conversion.report
    yardstick = Yardstick.of(curve, conversion.options.reset, conversion.options.leak)
    conversion.progress("verifying", 0.5)
    fired = _fired(conversion, file, images[:_FEW])
    saturated = {name: layer.saturated for name, layer in fired.items()}
    carried = _carried_shares(conversion, fired, images[:_FEW])
    for layer in report.layers:
        layer.rate = last.layer_rates.get(layer.name) if layer.levels == 1 else None
    longer = _longer_runs(conversion, images) if yardstick.missed(last, GOOD) else []
    report.verification = Verification(
        compared=compared,
        samples=len(images),
        data="" if report.calibration is None else report.calibration.data,
        steps=last.steps,
        v_init=conversion.options.v_init,
        agreement=last.agreement,
        agreement_interval=None if last.agreement is None else interval(last.agreement, len(images)),
        error=last.error,
        commonest_class=curve.commonest_class,
        judged_by="classes" if yardstick.classes else "values" if yardstick.values else None,
        missed=yardstick.missed(last, GOOD),
        clipped=curve.clipped,
        saturated=saturated,
        carried=carried,
        first_weak_layer=_first_weak_layer(report.layers, saturated, carried),
        recommended_steps=supported_steps(curve.points, yardstick),
        curve=rows_of(curve.points),
        longer=rows_of(longer),
        initial_potentials=_initial_potentials(conversion, yardstick),
    )
    _warn(conversion, last, curve.clipped)
    document = report.to_json()
    set_metadata(conversion.emitted, "snnc.layers", json.dumps(document["layers"]))
    set_metadata(conversion.emitted, "snnc.verification", json.dumps(document["verification"]))


@dataclass(frozen=True)
class _Fired:
    """Of the neurons of a layer over samples: the share that fired in (almost) every step or, where networks settle,
    has its highest count; and the mean per sample of what all its spikes of a step (there: all together) are worth."""

    saturated: float
    worth: float


def _fired(conversion: Conversion, file: ConvertedFile, images: np.ndarray) -> dict[str, _Fired]:
    """What the neurons of each layer did."""
    firing = neurons(conversion.graph)
    words = {node.name: node.outputs[0].name for node in firing}
    steps = conversion.options.steps
    # Of a network that settles the counts themselves stand for values.
    per = 1 if file.settles else steps
    counts: dict[str, np.ndarray] = {}
    runner = StreamRunner(file.block, expose=list(words.values()))
    for snapshot in runner.run(images, [steps], seed=conversion.options.seed):
        for name, tensor in words.items():
            spikes = unpack_words(snapshot.words[tensor], snapshot.count).sum(0, dtype=np.int64)
            counts[name] = counts.get(name, np.int64(0)) + spikes
    found = {}
    for node in firing:
        count = counts[node.name]
        if SOURCES[node.op].signal(node).signed:
            plus, minus = np.split(count, 2, axis=1)
            count = plus - minus
        worth = float((count * scale_of(node)).sum()) / (per * len(images))
        most = node.attrs.get("high", steps) if file.settles else _ALMOST_EVERY * steps
        found[node.name] = _Fired(float((count >= most).mean()), worth)
    return found


def _carried_shares(conversion: Conversion, fired: dict[str, _Fired], images: np.ndarray) -> dict[str, float]:
    """What the spikes of each layer are worth over the mean activation of the ANN there, on the same samples; without
    layers that the ANN does not have or leaves at zero."""
    probe, tensors = layer_probe(conversion.ann, fired)
    outputs = probe.run(images)
    means = {name: float(np.maximum(outputs[tensor], 0, dtype=np.float64).sum()) for name, tensor in tensors.items()}
    return {name: fired[name].worth * len(images) / mean for name, mean in means.items() if mean > 0}


def _first_weak_layer(
    layers: list[LayerReport], saturated: dict[str, float], carried: dict[str, float]
) -> WeakLayer | None:
    """The first layer in order of the graph that loses its signal, and how."""
    for layer in layers:
        if saturated.get(layer.name, 0.0) > SATURATED_SHARE:
            return WeakLayer(layer.name, layer.op, "saturates", saturated[layer.name])
        share = carried.get(layer.name, 1.0)
        if not VANISHED_SHARE <= share <= AMPLIFIED_SHARE:
            return WeakLayer(layer.name, layer.op, "vanishes" if share < VANISHED_SHARE else "amplifies", share)
    return None


def _longer_runs(conversion: Conversion, images: np.ndarray) -> list[Point]:
    """What twice and four times the steps would give, on a few samples, behind what the steps give on the same; nothing
    where more steps would come with other thresholds."""
    options = conversion.options
    most = options.max_steps
    if options.schedule == "unrolled":
        most = min(most, MOST_UNROLLED_BLOCKS * BLOCK_STEPS)
    cuts = [steps for steps in (2 * options.steps, 4 * options.steps) if steps <= most]
    if not cuts or RULES[options.threshold].by_steps:
        return []
    few = images[: 2 * _FEW]
    return simulate_against(conversion, few, Ann(conversion.ann).run(few), [options.steps, *cuts]).points


def _initial_potentials(conversion: Conversion, yardstick: Yardstick) -> dict[str, InitialPotential]:
    """V(0) in thresholds → its curve, and the steps it needs for what both reach in the end: to within 2 points of
    agreement or, judged by values, a tenth of the error. No goal where an end is of no account."""
    ends = [curve.points[-1] for curve in conversion.trials.values()]
    if yardstick.classes:
        goal = min(point.agreement or 0.0 for point in ends) - 0.02
    else:
        errors = [point.error for point in ends if point.error is not None]
        goal = 1.1 * max(errors) if len(errors) == len(ends) else 0.0
    return {
        f"{v_init:g}": InitialPotential(
            curve=rows_of(curve.points),
            goal=goal if goal > 0 else None,
            steps=steps_to_reach(curve.points, goal, yardstick) if goal > 0 else None,
        )
        for v_init, curve in conversion.trials.items()
    }


def _warn(conversion: Conversion, last: Point, clipped: float) -> None:
    report = conversion.diagnostics.report
    if clipped > 0:
        report("SNN502", f"{clipped:.2%} of the input elements exceed the input scale")
    if conversion.options.reset == "hard":
        report("SNN508", "hard reset drops the potential above threshold")
    if conversion.options.leak:
        hint = "use a larger `--leak` (a slower one), or none, where the values matter"
        report("SNN508", f"in every step 1/{2**conversion.options.leak} of each potential leaks away", hint=hint)
    for layer in conversion.report.layers:
        if layer.kind == "neuron" and layer.rate == 0:
            steps = f"{last.steps} step{'' if last.steps == 1 else 's'}"
            report("SNN504", f"no neuron fired in {steps}", node=layer.name, op=layer.op)


PASS = Pass("verify", Level.EMITTED, Level.EMITTED, run)
