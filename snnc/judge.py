"""What to say of a conversion that follows its ANN poorly, and when to refuse it.

Below `GOOD` (snnc.quality) a conversion gets warning SNN503, below `USABLE` beyond doubt it is refused (SNN408) unless
`accept_poor` is set. Either names the layer where the signal is lost first, and remedies that were measured to help:
more steps and the other initial potential are known from verification; before a refusal, other thresholds are tried
too.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from snnc import pipeline
from snnc.conversion import Conversion, Level, Options, Report
from snnc.curves import Point
from snnc.diagnostics import Diagnostic, DiagnosticError, Diagnostics
from snnc.quality import GOOD, USABLE, interval
from snnc.rules import RULES

_HELPS_AGREEMENT = 0.05
_HELPS_ERROR = 0.8


@dataclasses.dataclass(frozen=True)
class Remedy:
    """What to do, in options, and what it gave on the held-back samples."""

    what: str
    agreement: float | None
    error: float | None

    def __str__(self) -> str:
        return f"{self.what} gave {found(self.agreement, self.error)}"


def judge(conversion: Conversion) -> None:
    """Warn of a poor conversion, or raise `DiagnosticError`."""
    values = conversion.options.reset == "soft"
    assert conversion.options.v_init is not None
    curve = conversion.trials[conversion.options.v_init]
    last = curve.points[-1]
    if GOOD.is_met(last, values=values):
        return
    refused = not conversion.options.accept_poor and not USABLE.is_met(_at_best(last, curve.samples), values=values)
    remedies = _measured(conversion, last) + (_other_thresholds(conversion, last) if refused else [])
    message = f"{found(last.agreement, last.error)} after {last.steps} steps{_reason(conversion)}"
    advice = "; ".join(map(str, remedies)) or "neither more steps nor another V(0) helps"
    if refused:
        bar = f"{USABLE.agreement:.0%} agreement" if last.agreement is not None else f"an error of {USABLE.error:g}"
        hint = f"{advice}; `--accept-poor` writes it all the same"
        raise DiagnosticError([Diagnostic(RULES["SNN408"], f"{message}; the bar is {bar}", hint=hint)])
    conversion.diagnostics.report("SNN503", message, hint=advice)


def found(agreement: float | None, error: float | None) -> str:
    """`agreement 90.2 %, output error 0.310`."""
    parts = [] if agreement is None else [f"agreement {agreement:.1%}".replace("%", " %")]
    return ", ".join([*parts, "output error not finite" if error is None else f"output error {error:.3f}"])


def _at_best(point: Point, samples: int) -> Point:
    """The point with the upper end of its confidence interval: only what is certain is refused."""
    if point.agreement is None:
        return point
    return dataclasses.replace(point, agreement=interval(point.agreement, samples)[1])


def _reason(conversion: Conversion) -> str:
    weak = conversion.report.verification["first_weak_layer"]
    if weak is None:
        return ""
    neurons = [layer.name for layer in conversion.report.layers if layer.kind == "neuron"]
    place = f"layer {neurons.index(weak['layer']) + 1} of {len(neurons)}, {weak['op']} {weak['layer']!r}"
    if weak["why"] == "saturates":
        return f"; the first layer to saturate is {place}: {weak['share']:.0%} of its neurons fire at every step"
    return f"; the first layer whose rates vanish is {place}: it carries {weak['share']:.0%} of the ANN's activation"


def _measured(conversion: Conversion, last: Point) -> list[Remedy]:
    """More steps, and the other V(0), where they help."""
    verification = conversion.report.verification
    candidates = [Remedy(f"`--steps {steps}`", agreement, error) for steps, agreement, error in verification["longer"]]
    for v_init, curve in conversion.trials.items():
        if v_init != conversion.options.v_init:
            point = curve.points[-1]
            candidates.append(Remedy(f"`--v-init {v_init:g}`", point.agreement, point.error))
    return [remedy for remedy in candidates if _helps(remedy, last)]


def _other_thresholds(conversion: Conversion, last: Point) -> list[Remedy]:
    """Convert again with options that may do better, and measure."""
    remedies = []
    for what, change in _alternatives(conversion.options):
        other = Conversion(
            conversion.ann,
            dataclasses.replace(conversion.options, **change),
            data=conversion.data,
            report=Report(diagnostics=Diagnostics(logged=False)),
            progress=conversion.progress,
        )
        try:
            pipeline.run(other, [step for step in pipeline.PASSES if step.gives < Level.EMITTED])
        except DiagnosticError:
            continue  # these options do not even convert it
        assert other.options.v_init is not None
        point = other.trials[other.options.v_init].points[-1]
        remedies.append(Remedy(what, point.agreement, point.error))
    return [remedy for remedy in remedies if _helps(remedy, last)]


def _alternatives(options: Options) -> list[tuple[str, dict[str, Any]]]:
    """What to write on the command line, and the options it stands for."""
    rate = {"threshold": "rate", "alpha": 1.0, "alpha_when": "during", "v_init": None}
    if options.reset == "hard":
        return [("`--reset soft` without `--alpha`", {**rate, "reset": "soft"})]
    if options.threshold == "rate":
        return [("`--rate-quantile 1`", {"rate_quantile": 1.0, "v_init": None})]
    return [("`--threshold rate` without `--alpha`", rate)]


def _helps(remedy: Remedy, last: Point) -> bool:
    if remedy.agreement is not None and last.agreement is not None and remedy.agreement != last.agreement:
        return remedy.agreement >= last.agreement + _HELPS_AGREEMENT
    if remedy.error is None or last.error is None:
        return remedy.error is not None
    return remedy.error <= _HELPS_ERROR * last.error
