"""Run the emitted file against itself and the reference simulator, and say how the network follows the ANN.

Takes and gives level EMITTED. On the samples held back from calibration:

1. the file as it is written, its blocks with the states outside, and the independent reference simulator give the same
   spike trains, counts, potentials and outputs on a few samples (each within a budget of work; what was compared, and
   what was not and why, goes into the report; SNN511 where a plug-in's operator is unknown to the reference); anything
   else is our error;
2. of every output the agreement with the ANN with its confidence where it is classes (of maps in every place), and its
   error; with labels the accuracy of both, and the interval of their difference on the same samples; what the other
   initial potential would need, and the number of steps that the samples support go into the report and into the file;
3. for every layer the share of the ANN's mean activation that its spikes carry: in a deep network rates vanish or
   saturate layer by layer, and the first layer where they do is the one to look at;
4. which channels of each layer never fire or always do;
5. warnings: clipped input (SNN502), silent layers (SNN504) and channels (SNN521), input features that vary by less than
   the coding tells apart (SNN522), values lost to hard reset or a leak (SNN508).

What follows from a poor result is up to `snnc.measure.judge`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np

from snnc.emit.schedules import MOST_UNROLLED_BLOCKS
from snnc.files import ConvertedFile, set_metadata
from snnc.ir.conversion import Conversion, LayerReport, Level, Pass
from snnc.ir.domain import BLOCK_STEPS
from snnc.ir.report import Channels, HiddenInputs, InitialPotential, OutputVerdict, Verification, WeakLayer
from snnc.ir.trees import neurons
from snnc.measure.activity import channels_of, hidden_inputs, named
from snnc.measure.comparison import compare_forms
from snnc.measure.evaluation import Curve, Point, rows_of
from snnc.measure.offset import input_offset, worst_spread_error
from snnc.measure.quality import GOOD, Yardstick, steps_to_reach, supported_steps
from snnc.measure.trials import held_back_images, simulate_against
from snnc.operators import SOURCES
from snnc.operators.layer import scale_of
from snnc.runtime.session import largest_batch
from snnc.simulate.ann import Ann, layer_probe
from snnc.simulate.block_runner import StreamRunner
from snnc.simulate.word_trains import count_spikes
from snnc.thresholds import RULES

_FEW = 16
SATURATED_SHARE = 0.01
SILENT_SHARE = 0.01
_ALMOST_EVERY = 0.95  # neurons behind others start a few steps late
VANISHED_SHARE = 0.5
AMPLIFIED_SHARE = 2.0
_AROUND_ZERO = "where these lay around 0, pass "
_OFFSET_REMAINS = "the mean and the std that were given do not bring them around 0: look at these"


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
    saturated = {name: float(layer.saturated.mean()) for name, layer in fired.items()}
    activations = _activations(conversion, fired, images[:_FEW])
    carried = _carried_shares(fired, activations)
    channels = {
        name: channels_of(layer.counts, layer.saturated, activations.get(name)) for name, layer in fired.items()
    }
    hidden = hidden_inputs(report.layers[0], images, last.steps)
    for layer in report.layers:
        layer.rate = last.layer_rates.get(layer.name) if layer.levels == 1 else None
    verdicts = _verdicts(conversion, curve)
    if any(verdict.missed for verdict in verdicts.values()):
        conversion.longer = _longer_runs(conversion, images)
    report.verification = Verification(
        compared=compared,
        samples=len(images),
        data="" if report.calibration is None else report.calibration.data,
        steps=last.steps,
        v_init=conversion.options.v_init,
        agreement=last.agreement,
        agreement_interval=last.agreement_interval,
        error=last.error,
        commonest_class=curve.commonest_class,
        judged_by=yardstick.judged_by,
        missed=yardstick.missed(last, GOOD),
        clipped=curve.clipped,
        saturated=saturated,
        carried=carried,
        first_weak_layer=_first_weak_layer(report.layers, saturated, carried),
        recommended_steps=_recommended_steps(conversion, curve),
        curve=rows_of(curve.points),
        longer=[] if conversion.longer is None else rows_of(conversion.longer.points),
        initial_potentials=_initial_potentials(conversion, yardstick),
        outputs=verdicts,
        accuracy=last.accuracy,
        accuracy_interval=last.accuracy_interval,
        ann_accuracy=curve.ann_accuracy,
        drop_interval=last.drop_interval,
        channels=channels,
        hidden_inputs=hidden,
    )
    _warn(conversion, last, curve.clipped)
    _warn_of_channels(conversion, channels)
    _warn_of_inputs(conversion, hidden, last.steps)
    _warn_of_offset(conversion, last, images)
    document = report.to_json()
    set_metadata(conversion.emitted, "snnc.layers", json.dumps(document["layers"]))
    set_metadata(conversion.emitted, "snnc.verification", json.dumps(document["verification"]))


def _verdicts(conversion: Conversion, curve: Curve) -> dict[str, OutputVerdict]:
    """Every output by name, in order."""
    found = {}
    for name, facts in curve.outputs.items():
        yardstick = Yardstick.of(curve, conversion.options.reset, conversion.options.leak, name)
        point = curve.points[-1].outputs[name]
        found[name] = OutputVerdict(
            **asdict(facts), **asdict(point), judged_by=yardstick.judged_by, missed=yardstick.missed(point, GOOD)
        )
    return found


def _recommended_steps(conversion: Conversion, curve: Curve) -> int | None:
    """The fewest that the samples support for every output."""
    options, found = conversion.options, []
    for name in curve.outputs:
        yardstick = Yardstick.of(curve, options.reset, options.leak, name)
        found.append(supported_steps(curve.points, yardstick, name))
    enough = [steps for steps in found if steps is not None]
    return max(enough) if len(enough) == len(found) else None


@dataclass(frozen=True)
class _Fired:
    """Of the neurons of a layer over samples, `[N, C, ...]`: the spikes (with signs), and which neurons fired in
    (almost) every step or, where networks settle, have their highest count; and the mean per sample of what all spikes
    of a step (there: all together) are worth."""

    counts: np.ndarray
    saturated: np.ndarray
    worth: float


def _fired(conversion: Conversion, file: ConvertedFile, images: np.ndarray) -> dict[str, _Fired]:
    """What the neurons of each layer did."""
    firing = neurons(conversion.graph)
    words = {node.name: node.outputs[0].name for node in firing}
    steps = conversion.options.steps
    # Of a network that settles the counts themselves stand for values.
    per = 1 if file.settles else steps
    parts: dict[str, list[np.ndarray]] = {name: [] for name in words}
    runner = StreamRunner(file.block, expose=list(words.values()))
    size = largest_batch([layer for layer in conversion.report.layers if layer.kind != "readout"])
    for start in range(0, len(images), size):
        for name, counted in _counts(runner, words, images[start : start + size], start, conversion).items():
            parts[name].append(counted)
    found = {}
    for node in firing:
        count = np.concatenate(parts[node.name])
        if SOURCES[node.op].signal(node).signed:
            plus, minus = np.split(count, 2, axis=1)
            count = plus - minus
        worth = float((count * scale_of(node)).sum()) / (per * len(images))
        most = node.attrs.get("high", steps) if file.settles else _ALMOST_EVERY * steps
        found[node.name] = _Fired(count, count >= most, worth)
    return found


def _counts(
    runner: StreamRunner, words: dict[str, str], images: np.ndarray, first_sample: int, conversion: Conversion
) -> dict[str, np.ndarray]:
    """The spikes of each neuron by layer, `[N, ...]`; `words` are the tensors with the layers' words."""
    counts: dict[str, np.ndarray] = {}
    options = conversion.options
    for snapshot in runner.run(images, [options.steps], seed=options.seed, first_sample=first_sample):
        for name, tensor in words.items():
            spikes = count_spikes(snapshot.words[tensor], snapshot.count)
            counts[name] = counts.get(name, np.int64(0)) + spikes
        if snapshot.quiet:
            break
    return counts


def _activations(conversion: Conversion, fired: dict[str, _Fired], images: np.ndarray) -> dict[str, np.ndarray]:
    """The activations of the ANN by layer, without layers that it does not have."""
    probe, tensors = layer_probe(conversion.ann, fired)
    outputs = probe.run(images)
    return {name: outputs[tensor] for name, tensor in tensors.items()}


def _carried_shares(fired: dict[str, _Fired], activations: dict[str, np.ndarray]) -> dict[str, float]:
    """What the spikes of each layer are worth over the mean activation of the ANN there, on the same samples; without
    layers that the ANN leaves at zero."""
    sums = {name: float(np.maximum(values, 0, dtype=np.float64).sum()) for name, values in activations.items()}
    return {name: fired[name].worth * len(activations[name]) / total for name, total in sums.items() if total > 0}


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


def _longer_runs(conversion: Conversion, images: np.ndarray) -> Curve | None:
    """What twice and four times the steps would give, on a few samples, behind what the steps give on the same; nothing
    where more steps would come with other thresholds."""
    options = conversion.options
    most = options.max_steps
    if options.schedule == "unrolled":
        most = min(most, MOST_UNROLLED_BLOCKS * BLOCK_STEPS)
    cuts = [steps for steps in (2 * options.steps, 4 * options.steps) if steps <= most]
    if not cuts or RULES[options.threshold].by_steps:
        return None
    few = images[: 2 * _FEW]
    return simulate_against(conversion, few, Ann(conversion.ann).run(few), [options.steps, *cuts])


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


def _warn_of_channels(conversion: Conversion, channels: dict[str, Channels]) -> None:
    """Channels that never fire where the ANN's have activations to speak of."""
    for layer in conversion.report.layers:
        found = channels.get(layer.name)
        if found is None or not 0 < found.silent < found.channels or (found.silent_share or 0) < SILENT_SHARE:
            continue
        share = f"{100 * (found.silent_share or 0):.1f} % of the ANN's activation there"
        which = named(found.silent_channels, found.silent)
        message = f"{found.silent} of {found.channels} channels never fired ({which}), which have {share}"
        conversion.diagnostics.report("SNN521", message, node=layer.name, op=layer.op)


def _warn_of_inputs(conversion: Conversion, hidden: HiddenInputs | None, steps: int) -> None:
    if hidden is None:
        return
    layer = conversion.report.layers[0]
    unit = "a unit of the input" if layer.levels > 1 else f"one spike in {steps} steps"
    which = named(hidden.hidden_features, hidden.hidden)
    conversion.diagnostics.report(
        "SNN522",
        f"{hidden.hidden} of {hidden.features} input features ({which}) vary by at most {hidden.widest:.3g}, "
        f"and {unit} stands for {hidden.resolution:.3g}",
        node=layer.name,
        op=layer.op,
    )


def _warn_of_offset(conversion: Conversion, last: Point, images: np.ndarray) -> None:
    """Inputs far from 0 that hardly vary, where the outputs show it."""
    calibration, options = conversion.report.calibration, conversion.options
    if calibration is None or calibration.synthetic or options.reset == "hard" or options.leak:
        return  # values are not decoded, or no data were given
    lost = worst_spread_error(last.outputs.values())
    offset = input_offset(conversion.report.layers[0], images) if lost is not None else None
    if offset is None:
        return
    message = f"the inputs are {offset}, and the error of the outputs is {lost:.3g} times what these vary by"
    given = calibration.preparation
    told = given is not None and (given.mean is not None or given.std is not None)
    hint = _OFFSET_REMAINS if told else f"give samples as the network was trained on: {_AROUND_ZERO}`{offset.remedy}`"
    conversion.diagnostics.report("SNN523", message, hint=hint)


PASS = Pass("verify", Level.EMITTED, Level.EMITTED, run)
