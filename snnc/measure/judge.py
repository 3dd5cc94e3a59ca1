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
from snnc.measure.evaluation import Curve
from snnc.measure.outputs import OutputPoint
from snnc.measure.quality import GOOD, USABLE, Judged, Yardstick
from snnc.methods import METHODS
from snnc.thresholds import RULES as THRESHOLD_RULES

# Multiply-accumulates of the ANN on the calibration samples: a few seconds.
_CHEAP = 1e10
_HELPS_AGREEMENT = 0.05
_HELPS_ERROR = 0.8
# Fewer samples than these, all of them gained and none lost, show nothing with 95 % confidence: 0.5^5 is 3 %.
_FEWEST_GAINED = 5
_NOT_FINITE = "mind what lies behind the last layer: decoded values can be 0 exactly, where something divides by them"


@dataclasses.dataclass(frozen=True)
class Result:
    """Agreement, of places that make up so many samples, and error of an output on held-back samples."""

    agreement: float | None
    error: float | None
    samples: int

    @staticmethod
    def of(point: Judged, samples: int) -> Result:
        """Of a point of a curve on so many samples, or of one of its outputs."""
        return Result(point.agreement, point.error, samples)

    def __str__(self) -> str:
        parts = [] if self.agreement is None else [f"agreement {100 * self.agreement:.1f} %"]
        if self.error is not None:
            parts.append(f"output error {self.error:.3f}")
        return ", ".join(parts) or "no finite output"

    def helps(self, before: Result) -> bool:
        """Clearly more agreement than `before`, on more samples than chance would give, or clearly less error at no
        less agreement."""
        gain = 0.0 if self.agreement is None or before.agreement is None else self.agreement - before.agreement
        if gain >= _HELPS_AGREEMENT and round(gain * self.samples) >= _FEWEST_GAINED:
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
    """Warn of a poor conversion, or raise `DiagnosticError`: the first output that misses a bar tells why."""
    assert conversion.options.v_init is not None
    curve = conversion.trials[conversion.options.v_init]
    others = _Others(conversion)
    for name in curve.outputs:
        _judge(conversion, curve, name, others)


def _judge(conversion: Conversion, curve: Curve, name: str, others: _Others) -> None:
    """The output `name`."""
    yardstick = Yardstick.of(curve, conversion.options.reset, conversion.options.leak, name)
    last = curve.points[-1].outputs[name]
    if last.error is None and curve.outputs[name].meaning != "class numbers":
        conversion.diagnostics.report("SNN503", f"output {name!r} has values that are not finite", hint=_NOT_FINITE)
    if yardstick.missed(last, GOOD) is None:
        return
    missed = None if conversion.options.accept_poor else yardstick.certainly_missed(last, USABLE)
    before = Result.of(last, curve.samples)
    trials = [*_verified(conversion, before, name), *_more_steps(conversion, before, name, others)]
    if missed is not None or (METHODS[conversion.options.method].settles and _is_cheap(conversion)):
        trials += _other_thresholds(conversion, before, name, others)
    steps = curve.points[-1].steps
    place = "" if len(curve.outputs) == 1 else f"output {name!r}: "
    what = f"{place}{before}{_confidence(last, curve.samples)} after {steps} step{'' if steps == 1 else 's'}"
    message = f"{what}{_reason(conversion)}"
    if missed is None:
        conversion.diagnostics.report("SNN503", message, hint=_advice(trials) or _untried(conversion))
        return
    hint = f"{_advice(trials) or 'nothing else to try'}; `--accept-poor` writes it all the same"
    raise DiagnosticError([Diagnostic(RULES["SNN408"], f"{message}; the bar is {missed}", hint=hint)])


def _confidence(last: OutputPoint, samples: int) -> str:
    """What the samples say of all samples."""
    if last.agreement_interval is None:
        return ""
    low, high = (100 * end for end in last.agreement_interval)
    return f" ({samples:,} sample{'' if samples == 1 else 's'}: {low:.0f} to {high:.0f} % agreement)"


def _advice(trials: list[Trial]) -> str:
    helpful = [f"{trial.what} gave {trial.result}" for trial in trials if trial.result.helps(trial.before)]
    if helpful:
        return "; ".join(helpful)
    return f"of no help: {', '.join(trial.what for trial in trials)}" if trials else ""


def _is_cheap(conversion: Conversion) -> bool:
    """Whether a warning alone is worth other conversions."""
    assert conversion.report.calibration is not None
    macs = sum(layer.macs for layer in conversion.report.layers)
    return macs * conversion.report.calibration.samples <= _CHEAP


def _untried(conversion: Conversion) -> str:
    """A warning alone is not worth another conversion where no steps are left to look at."""
    remedies = METHODS[conversion.options.method].remedies(conversion.options)
    return f"not tried: {', '.join(f'`{what}`' for what, _ in remedies)}" if remedies else "nothing else to try"


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


def _verified(conversion: Conversion, before: Result, name: str) -> list[Trial]:
    """More steps (the first point of `longer` is without), and the other V(0)."""
    trials, longer = [], conversion.longer
    if longer is not None:
        first, *more = (Result.of(point.outputs[name], longer.samples) for point in longer.points)
        steps = [point.steps for point in longer.points[1:]]
        trials = [Trial(f"`--steps {count}`", result, first) for count, result in zip(steps, more, strict=True)]
    for v_init, curve in conversion.trials.items():
        if v_init != conversion.options.v_init:
            trials.append(Trial(f"`--v-init {v_init:g}`", _end(curve, name), before))
    return trials


def _more_steps(conversion: Conversion, before: Result, name: str, others: _Others) -> list[Trial]:
    """Twice and four times the steps, with the thresholds for these, where the verification could not tell."""
    options = conversion.options
    given = options.target_drop is None and not METHODS[options.method].settles
    if not (given and THRESHOLD_RULES[options.threshold].by_steps):
        return []
    trials = []
    for steps in (2 * options.steps, 4 * options.steps):
        curve = others.converted({"steps": steps})[1] if steps <= options.max_steps else None
        if curve is not None:
            trials.append(Trial(f"`--steps {steps}`", _end(curve, name), before))
    return trials


def _other_thresholds(conversion: Conversion, before: Result, name: str, others: _Others) -> list[Trial]:
    """Convert again with options that may do better, and measure."""
    trials = []
    for what, change in METHODS[conversion.options.method].remedies(conversion.options):
        settles = METHODS[conversion.options.method].settles
        v_init, curve = others.converted(change if settles else {"v_init": None, **change})
        if curve is not None:
            words = what if "v_init" in METHODS[conversion.options.method].without else f"{what} --v-init {v_init:g}"
            trials.append(Trial(f"`{words}`", _end(curve, name), before))
    return trials


class _Others:
    """The network with other options, each measured once for all outputs."""

    def __init__(self, conversion: Conversion) -> None:
        self._conversion = conversion
        self._found: dict[str, tuple[float, Curve | None]] = {}

    def converted(self, change: dict[str, Any]) -> tuple[float, Curve | None]:
        """V(0) and the curve of the network with these options; None if they do not even convert it."""
        key = repr(sorted(change.items()))
        if key not in self._found:
            self._found[key] = _converted(self._conversion, change)
        return self._found[key]


def _end(curve: Curve, name: str) -> Result:
    return Result.of(curve.points[-1].outputs[name], curve.samples)


def _converted(conversion: Conversion, change: dict[str, Any]) -> tuple[float, Curve | None]:
    """V(0) and the curve of the network with other options; None if these do not even convert it."""
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
    return other.options.v_init, other.trials[other.options.v_init]
