"""Results as text of at most 80 columns."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from snnc.measure.energy import break_even
from snnc.measure.output_lines import verdict_lines
from snnc.measure.table import Grid, filled, percent, table

if TYPE_CHECKING:
    from snnc.ir.conversion import LayerReport
    from snnc.ir.report import Calibration, Certificate, Target, Verification
    from snnc.measure.early_exit import ChosenMargin, Exits
    from snnc.measure.energy import BreakEven, Standing
    from snnc.measure.evaluation import Curve, Point

_FEW_LAYERS = 4

ENERGY_NOTE = (
    "Energy: arithmetic of synapses only, 45 nm (Horowitz, ISSCC 2014), in the table\n"
    "in 32-bit floats: 0.9 pJ per SOP, 4.6 pJ per MAC. No neuron updates, no memory\n"
    "traffic: that favours the spiking network. An ANN quantised to ceil(log2(T+1))\n"
    "bits carries as much as T steps: {bits} bits at T = {steps}."
)
_OPPONENTS = {
    "float32": "the float ANN (32-bit floats: {accumulate:g} pJ per SOP, {ann_mac:g} pJ per MAC)",
    "int8": "an int8 ANN (integers: {accumulate:g} pJ per SOP, {ann_mac:g} pJ per MAC of 8 bits)",
}


def layer_table(layers: Sequence[LayerReport], *, fused: bool = False) -> str:
    """`layer_grid` as text."""
    return layer_grid(layers, fused=fused).text()


def layer_grid(layers: Sequence[LayerReport], *, fused: bool = False) -> Grid:
    """One row for each spike source and readout.

    `V_th` is in units of the layer's input spikes, `bits` are those of its weights (in brackets by how much rounding
    them changes its current), `rate` is in spikes per neuron and step on the samples held back. `fused` shows the
    operator that runs the layer (`plain`: several) in place of what the layer is, and where V_th stands towards the
    range of RMP-SNN. Networks that settle have `levels` instead, the limits of counts.
    """
    headers = ["layer", "runs as" if fused else "op", "neurons", "fan-in", "V_th", "bits", "rate"]
    settles = any(layer.counts is not None for layer in layers)
    rows = []
    for layer in layers:
        rows.append(
            [
                layer.name,
                layer.fused or layer.op if fused else layer.op,
                f"{layer.neurons:,}",
                f"{layer.fan_in:,}" if layer.fan_in else "",
                _optional(_largest(layer.threshold), "{:.4g}"),
                _optional(layer.weight_bits, "{}") + _optional(layer.rounding, " ({:.1%})"),
                _optional(layer.rate, "{:.4f}"),
            ]
        )
        if settles:
            rows[-1].insert(4, _counts(layer.counts))
        elif fused:
            rows[-1].insert(5, layer.place or "")
    if settles:
        headers.insert(4, "levels")
    elif fused:
        headers.insert(5, "range")
    return Grid(headers, rows, text_columns=2)


def verify_lines(verification: Verification) -> str:
    """How well the spiking network follows the ANN on samples that calibrated nothing."""
    samples, steps = verification.samples, verification.steps
    name = f"{samples:,} held-back sample{'' if samples == 1 else 's'} of {verification.data}"
    found = []
    if verification.agreement is not None and verification.agreement_interval is not None:
        low, high = (100 * end for end in verification.agreement_interval)
        found.append(f"agreement with the ANN {percent(verification.agreement)} ({low:.0f} to {high:.0f} %)")
    if verification.error is not None:
        found.append(f"output error {verification.error:.3f}{_of_spread(verification)}")
    lines = [f"verified on {name}, {_steps(steps)}:", ", ".join(found) or "no output is finite"]
    if verification.agreement is not None and verification.commonest_class and verification.judged_by != "classes":
        share = percent(verification.commonest_class)
        lines.append(f"the ANN puts {share} of them into one class, so agreement tells little")
    lines += verdict_lines(verification)
    enough = verification.recommended_steps
    if enough is not None:
        lines.append(f"{_steps(enough)} {'is' if enough == 1 else 'are'} enough to follow the ANN")
    elif verification.missed is None and not any(found.missed for found in verification.outputs.values()):
        lines.append("these samples do not show how many steps are enough to follow the ANN")
    return "\n".join([*lines, *_potentials(verification)])


def _of_spread(verification: Verification) -> str:
    """The error of a first output that is no classes over its spread."""
    first = next(iter(verification.outputs.values()), None)
    if first is None or first.agreement is not None or first.spread_error is None:
        return ""
    return f" ({first.spread_error:.3f} of the spread)"


def certificate_lines(certificate: Certificate) -> str:
    """What a network of the method `exact` was certified on."""
    samples = f"{certificate.samples:,} sample{'' if certificate.samples == 1 else 's'}"
    opponent = "your quantised network" if certificate.own else "the quantised ANN"
    text = (
        f"certificate: all counts and potentials of {certificate.layers} layers equal those of {opponent}"
        f"{_levels(certificate.levels)} on {samples} of {certificate.data}; last spike after "
        f"{certificate.mean_steps:.1f} steps on average, {certificate.steps} at most (after no more than "
        f"{certificate.most_steps - 1} for any input)"
    )
    return filled(text, len("certificate: "))


def _levels(levels: Mapping[str, int]) -> str:
    """` of 16 levels`, of a few layers with others by name."""
    if not levels:
        return ""
    common = statistics.mode(levels.values())
    others = [f"{layer}: {own}" for layer, own in levels.items() if own != common]
    if len(others) > _FEW_LAYERS:
        return f" of {min(levels.values())} to {max(levels.values())} levels"
    named = f" ({', '.join(others)})" if others else ""
    return f" of {common} level{'' if common == 1 else 's'}{named}"


def alpha_lines(calibration: Calibration) -> str:
    """What every alpha that was tried gave after the most steps."""
    parts = []
    for alpha, rows in calibration.alphas.items():
        _, agreement, error = rows[-1]
        found = [] if agreement is None else [percent(agreement)]
        found += [] if error is None else [f"error {error:.3f}"]
        parts.append(f"{alpha}: {', '.join(found) or 'nothing finite'}")
    steps = next(iter(calibration.alphas.values()))[-1][0]
    text = f"alpha        {calibration.alpha:g} was best at {_steps(steps)}; {'; '.join(parts)}"
    return filled(text, 13)


def given_lines(calibration: Calibration) -> str:
    """How many layers have thresholds that are the network's own."""
    layers = f"{calibration.given} layer{'' if calibration.given == 1 else 's'}"
    rest = "" if calibration.samples else ": all of them, no data was needed for any"
    return f"thresholds   of {layers} are those that the network was trained with{rest}"


def target_lines(target: Target) -> str:
    """What was shown of every number of steps, or of levels, that was tried, and how it was counted."""
    last = target.chosen
    drop, bound = f"{100 * target.drop:.3g} %", f"{100 * last.bound:.2g} %"
    if last.gained is None:
        counted = f"{last.lost} in another class than the ANN's"
    else:
        counted = f"{last.lost} lost against the ANN, {last.gained} gained"
    met = "the fewest" if target.met else "not shown; the least bound"
    what = "levels" if last.steps is None else "steps"
    parts = [f"{getattr(found, what)}: {100 * found.bound:.2g} %" for found in target.tried]
    text = (
        f"target drop  {drop}: {met} with {last.what}, at most {bound} ({100 * target.confidence:.0f} % "
        f"confidence; of {last.samples:,} samples {counted}); bounds by {what} {', '.join(parts)}"
    )
    return filled(text, 13)


def compared_lines(verification: Verification) -> str:
    """Which forms of the network were found to be the same, on how many samples × steps, and what was not compared."""
    parts = []
    for entry in verification.compared:
        extent = f"{entry.samples} × {_steps(entry.steps)}"
        found = extent if entry.skipped is None else f"not compared: {entry.skipped}"
        parts.append(f"{' = '.join(entry.forms)} ({found})")
    text = f"same spikes  {'; '.join(parts) or '(not noted)'}"
    return filled(text, 13)


def _potentials(verification: Verification) -> list[str]:
    """What each initial potential needs, the one of the file first, in a line; none where both get nowhere."""
    names = {"0": "0", "0.5": "θ/2"}
    chosen = f"{verification.v_init:g}"
    trials = verification.initial_potentials
    goal = trials[chosen].goal
    if goal is None:
        return []
    what = percent(goal) if verification.judged_by == "classes" else f"an error of {goal:.3f}"
    needs = {v_init: "more steps" if trial.steps is None else _steps(trial.steps) for v_init, trial in trials.items()}
    (other,) = [v_init for v_init in trials if v_init != chosen] or [chosen]
    if other == chosen:
        return []
    need = f"{what} with {needs[chosen]}, at {names[other]} with {needs[other]}"
    return [f"potentials that start at {names[chosen]} reach {need}"]


def curve_table(curves: Sequence[Curve]) -> str:
    """`curve_grid` as text."""
    return curve_grid(curves).text()


def curve_grid(curves: Sequence[Curve]) -> Grid:
    """Accuracy, agreement, spike rate, operations and energy against steps; mean ± standard deviation over seeds."""
    points = list(zip(*(curve.points for curve in curves), strict=True))
    first = curves[0].points[0]
    headers, columns = ["steps"], [[f"{column[0].steps}" for column in points]]
    shares: list[tuple[str, str]] = []
    if first.accuracy is not None:
        shares.append(("accuracy %", "accuracy"))
    if first.agreement is not None:
        shares.append(("agreement %", "agreement"))
    for header, name in shares:
        headers.append(header)
        columns.append([_spread([100 * getattr(point, name) for point in column], "{:.2f}") for column in points])
    if first.error is not None and first.agreement is None:
        headers.append("error")
        errors = [[math.inf if point.error is None else point.error for point in column] for column in points]
        columns.append([_spread(column, "{:.3f}") for column in errors])
    headers += ["rate R %", "SOPs/sample", "energy µJ"]
    columns.append([_spread([point.spike_rate for point in column], "{:.1f}") for column in points])
    columns.append([f"{_mean(column, 'operations'):,.0f}" for column in points])
    columns.append([f"{_mean(column, 'energy_uj'):.3g}" for column in points])
    return Grid(headers, list(zip(*columns, strict=True)), text_columns=0)


def curve_notes(curves: Sequence[Curve]) -> str:
    """The ANN beside the table of `curve_table`, and what its numbers assume."""
    curve = curves[0]
    steps = curve.points[-1].steps
    accuracy = "" if curve.ann_accuracy is None else f"accuracy {percent(curve.ann_accuracy)}, "
    lines = [f"ANN: {accuracy}{curve.ann_macs:,} MACs/sample, {curve.ann_energy_uj:.3g} µJ"]
    if len(curves) > 1:
        lines.append(f"± is the standard deviation over {len(curves)} seeds.")
    lines.append("R (RMP-SNN, equation 8): spikes per step of 100 neurons, input and output apart.")
    lines += _settled(curves)
    lines += break_even_lines(break_even(curves))
    lines.append(ENERGY_NOTE.format(bits=steps.bit_length(), steps=steps))
    if curve.clipped:
        lines.append(f"{curve.clipped:.2%} of the input elements exceed the input scale and were clipped.")
    return "\n".join(lines)


def exit_lines(exits: Exits) -> str:
    """The steps that samples take and what they give, for every margin; the run to the end first."""
    headers = ["margin", "mean steps", "median", "95 %", "early %"]
    shares = [("accuracy %", "accuracy"), ("agreement %", "agreement"), ("same %", "same")]
    shares = [(header, name) for header, name in shares if getattr(exits.points[0], name) is not None]
    rows = [
        [
            "none" if point.margin is None else f"{point.margin:.4g}",
            f"{point.mean_steps:.1f}",
            f"{point.median_steps:g}",
            f"{point.steps_95:.4g}",
            f"{100 * point.decided:.1f}",
            *(f"{100 * getattr(point, name):.2f}" for _, name in shares),
            f"{point.operations:,.0f}",
        ]
        for point in exits.points
    ]
    found = table([*headers, *(header for header, _ in shares), "SOPs"], rows, text_columns=0)
    notes = (
        f"Leaving early: steps that {exits.samples:,} samples used, looked at every {_steps(exits.every)}; the share "
        f"that left before the end, and that in the same class as there. A margin is a lead in units of the output, "
        f"whose median at the end is {exits.lead:,.4g}. Choose it on calibration data, not on test data."
    )
    lines = [found, filled(notes, 0)]
    return "\n".join(lines if exits.chosen is None else [*lines, _chosen_margin(exits.chosen, exits.samples)])


def _chosen_margin(chosen: ChosenMargin, samples: int) -> str:
    """Which margin was chosen, and what was shown of it."""
    if chosen.gained is None:
        counted = f"{chosen.lost} in another class than at the end"
    else:
        counted = f"{chosen.lost} lost against the end, {chosen.gained} gained"
    met = "the smallest margin" if chosen.met else "not shown; the least bound has margin"
    text = (
        f"target drop  {100 * chosen.drop:.3g} %: {met} {chosen.margin:.4g}, at most {100 * chosen.bound:.2g} % "
        f"({100 * chosen.confidence:.0f} % confidence; of {samples:,} samples {counted})"
    )
    return filled(text, 13)


def break_even_lines(lines: Mapping[str, BreakEven]) -> list[str]:
    """At how many synaptic operations the network costs what its ANN does, and what it does cost."""
    texts = [
        f"Break-even with {_OPPONENTS[name].format(**asdict(line.prices))}: {_where(line)}. {_verdict(line.last)}."
        for name, line in lines.items()
    ]
    return [filled(text, 2) for text in texts]


def _where(line: BreakEven) -> str:
    if line.operations is None:
        return "nowhere, as the spiking network's own MACs alone cost more"
    return f"{line.operations:,.0f} SOPs/sample"


def _verdict(last: Standing) -> str:
    macs = f" and {last.macs:,.0f} MACs" if last.macs else ""
    text = f"At T = {last.steps} it takes {last.operations:,.0f} SOPs{macs}, {last.ratio:.2f} times the ANN's energy"
    return f"{text}: the spiking network costs more" if last.ratio > 1 else text


def _settled(curves: Sequence[Curve]) -> list[str]:
    """When the last spikes came, of a network that settles."""
    steps = [step for curve in curves for step in curve.settled or []]
    if not steps:
        return []
    spikes = statistics.fmean(curve.points[-1].spikes_per_neuron for curve in curves)
    text = (
        f"Settled: last spike after {statistics.fmean(steps):.1f} steps on average, {max(steps)} at most; "
        f"{spikes:.2f} spikes per neuron."
    )
    return [filled(text, 2)]


def sweep_table(curves: dict[str, Curve], name: str) -> str:
    """One row for each cell of a sweep, one column for each number of steps: `name` is a field of `Point`, in %."""
    factor = 1 if name == "spike_rate" else 100
    steps = [point.steps for point in next(iter(curves.values())).points]
    rows = [
        [label, *(_optional(getattr(point, name), "{:.2f}", factor) for point in curve.points)]
        for label, curve in curves.items()
    ]
    return table(["T =", *(f"{step:>5}" for step in steps)], rows)


def levels_table(levels: Sequence[int], curves: Sequence[Curve]) -> str:
    """One row for each number of levels: the last point of its curve, where the network has settled."""
    headers, rows = ["levels"], [[f"{count:,}"] for count in levels]
    lasts = [curve.points[-1] for curve in curves]
    for header, name in (("accuracy %", "accuracy"), ("agreement %", "agreement")):
        if getattr(lasts[0], name) is not None:
            headers.append(header)
            for row, point in zip(rows, lasts, strict=True):
                row.append(_optional(getattr(point, name), "{:.2f}", 100))
    headers += ["error", "steps", "most", "spikes/neuron", "SOPs"]
    for row, curve, point in zip(rows, curves, lasts, strict=True):
        settled = curve.settled or [point.steps]
        row += [_optional(point.error, "{:.3f}"), f"{statistics.fmean(settled):.1f}", f"{max(settled)}"]
        row += [f"{point.spikes_per_neuron:.2f}", f"{point.operations:,.0f}"]
    return table(headers, rows, text_columns=0)


def summary(curves: Sequence[Curve]) -> list[dict[str, Any]]:
    """Mean and standard deviation over seeds for every number of steps (None where there is nothing to tell)."""
    names = ("accuracy", "agreement", "error", "spike_rate", "operations", "macs", "energy_uj")
    rows = []
    for column in zip(*(curve.points for curve in curves), strict=True):
        row: dict[str, Any] = {"steps": column[0].steps}
        for name in names:
            values = [getattr(point, name) for point in column]
            known = [value for value in values if value is not None]
            row[name] = statistics.fmean(known) if known else None
            row[f"{name}_std"] = statistics.stdev(known) if len(known) > 1 else None
        rows.append(row)
    return rows


def _steps(count: int) -> str:
    return f"{count:,} step{'' if count == 1 else 's'}"


def _largest(value: float | list[float] | None) -> float | None:
    """The largest of the channels."""
    return max(value) if isinstance(value, list) else value


def _counts(limits: tuple[int, int] | None) -> str:
    """Limits of a count: `16` from 0 up, `±16`, or both."""
    if limits is None:
        return ""
    low, high = limits
    return str(high) if low == 0 else f"±{high}" if low == -high else f"{low}..{high}"


def _optional(value: float | None, form: str, factor: float = 1) -> str:
    return "" if value is None else form.format(value * factor if factor != 1 else value)


def _mean(points: Sequence[Point], name: str) -> float:
    return statistics.fmean(getattr(point, name) for point in points)


def _spread(values: Sequence[float], form: str) -> str:
    mean = form.format(statistics.fmean(values))
    return mean if len(values) == 1 else f"{mean} ± {form.format(statistics.stdev(values))}"
