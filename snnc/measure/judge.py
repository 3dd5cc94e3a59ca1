"""What to say of a conversion that follows its ANN poorly, and when to refuse it.

Below `GOOD` (snnc.measure.quality) a conversion gets warning SNN503, below `USABLE` beyond doubt it is refused
(SNN408) unless `accept_poor` is set. Either names the layer where the signal is lost first, and remedies that were
measured to help: more steps and the other initial potential are known from verification, but where thresholds depend
on the steps more of them are converted anew; before a refusal, other thresholds are tried too. A remedy is written so
that following it gives what was measured.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from snnc import pipeline
from snnc.diagnostics import Diagnostic, DiagnosticError, Diagnostics
from snnc.diagnostics.rules import RULES
from snnc.ir.conversion import Conversion, Level, Report
from snnc.measure.evaluation import Point
from snnc.measure.quality import GOOD, USABLE, Yardstick
from snnc.methods import METHODS
from snnc.thresholds import RULES as THRESHOLD_RULES

_HELPS_AGREEMENT = 0.05
_HELPS_ERROR = 0.8


@dataclasses.dataclass(frozen=True)
class Result:
    """Agreement and error on some held-back samples."""

    agreement: float | None
    error: float | None

    def __str__(self) -> str:
        parts = [] if self.agreement is None else [f"agreement {100 * self.agreement:.1f} %"]
        if self.error is not None:
            parts.append(f"output error {self.error:.3f}")
        return ", ".join(parts) or "no finite output"

    def helps(self, before: Result) -> bool:
        """Clearly more agreement than `before`, or clearly less error at no less agreement."""
        gain = 0.0 if self.agreement is None or before.agreement is None else self.agreement - before.agreement
        if gain >= _HELPS_AGREEMENT:
            return True
        if gain < 0 or self.error is None:
            return False
        return before.error is None or self.error <= _HELPS_ERROR * before.error


@dataclasses.dataclass(frozen=True)
class Trial:
    """What was tried instead: in options, with what result, and the result without it on the same samples."""

    what: str
    result: Result
    before: Result


def judge(conversion: Conversion) -> None:
    """Warn of a poor conversion, or raise `DiagnosticError`."""
    assert conversion.options.v_init is not None
    curve = conversion.trials[conversion.options.v_init]
    last, yardstick = curve.points[-1], Yardstick.of(curve, conversion.options.reset, conversion.options.leak)
    if yardstick.missed(last, GOOD) is None:
        return
    missed = None if conversion.options.accept_poor else yardstick.certainly_missed(last, USABLE)
    before = Result(last.agreement, last.error)
    trials = [*_verified(conversion, before), *_more_steps(conversion, before)]
    if missed is not None or METHODS[conversion.options.method].settles:
        trials += _other_thresholds(conversion, before)
    message = f"{before} after {last.steps} step{'' if last.steps == 1 else 's'}{_reason(conversion)}"
    if missed is None:
        conversion.diagnostics.report("SNN503", message, hint=_advice(trials))
        return
    hint = f"{_advice(trials)}; `--accept-poor` writes it all the same"
    raise DiagnosticError([Diagnostic(RULES["SNN408"], f"{message}; the bar is {missed}", hint=hint)])


def _advice(trials: list[Trial]) -> str:
    helpful = [f"{trial.what} gave {trial.result}" for trial in trials if trial.result.helps(trial.before)]
    if helpful:
        return "; ".join(helpful)
    return f"of no help: {', '.join(trial.what for trial in trials)}"


def _reason(conversion: Conversion) -> str:
    assert conversion.report.verification is not None
    weak = conversion.report.verification.first_weak_layer
    if weak is None:
        return ""
    neurons = [layer.name for layer in conversion.report.layers if layer.kind == "neuron"]
    place = f"layer {neurons.index(weak.layer) + 1} of {len(neurons)}, {weak.op} {weak.layer!r}"
    share = f"{100 * weak.share:.0f} %"
    if weak.why == "saturates":
        settles = METHODS[conversion.options.method].settles
        what = "have their highest count" if settles else "fire at every step"
        return f"; the first layer to saturate is {place}: {share} of its neurons {what}"
    what = "whose rates vanish" if weak.why == "vanishes" else "that fires too much"
    return f"; the first layer {what} is {place}: it carries {share} of the ANN's activation"


def _verified(conversion: Conversion, before: Result) -> list[Trial]:
    """More steps (the first row of `longer` is without), and the other V(0)."""
    assert conversion.report.verification is not None
    results = [(steps, Result(*rest)) for steps, *rest in conversion.report.verification.longer]
    trials = [Trial(f"`--steps {steps}`", result, results[0][1]) for steps, result in results[1:]]
    for v_init, curve in conversion.trials.items():
        if v_init != conversion.options.v_init:
            point = curve.points[-1]
            trials.append(Trial(f"`--v-init {v_init:g}`", Result(point.agreement, point.error), before))
    return trials


def _more_steps(conversion: Conversion, before: Result) -> list[Trial]:
    """Twice and four times the steps, with the thresholds for these, where the verification could not tell."""
    options = conversion.options
    given = options.target_drop is None and not METHODS[options.method].settles
    if not (given and THRESHOLD_RULES[options.threshold].by_steps):
        return []
    trials = []
    for steps in (2 * options.steps, 4 * options.steps):
        point = _converted(conversion, {"steps": steps})[1] if steps <= options.max_steps else None
        if point is not None:
            trials.append(Trial(f"`--steps {steps}`", Result(point.agreement, point.error), before))
    return trials


def _other_thresholds(conversion: Conversion, before: Result) -> list[Trial]:
    """Convert again with options that may do better, and measure."""
    trials = []
    for what, change in METHODS[conversion.options.method].remedies(conversion.options):
        settles = METHODS[conversion.options.method].settles
        v_init, point = _converted(conversion, change if settles else {"v_init": None, **change})
        if point is not None:
            words = what if "v_init" in METHODS[conversion.options.method].without else f"{what} --v-init {v_init:g}"
            trials.append(Trial(f"`{words}`", Result(point.agreement, point.error), before))
    return trials


def _converted(conversion: Conversion, change: dict[str, Any]) -> tuple[float, Point | None]:
    """V(0) and the end of the curve of the network with other options; None if these do not even convert it."""
    other = Conversion(
        conversion.ann,
        dataclasses.replace(conversion.options, **change),
        data=conversion.data,
        most_held_back=conversion.most_held_back,
        report=Report(diagnostics=Diagnostics(logged=False)),
        progress=conversion.progress,
    )
    try:
        pipeline.run(other, [step for step in pipeline.passes_of(other) if step.gives < Level.EMITTED])
    except DiagnosticError:
        return 0.0, None
    assert other.options.v_init is not None
    return other.options.v_init, other.trials[other.options.v_init].points[-1]
