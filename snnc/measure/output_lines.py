"""Accuracies, every output beside the ANN's, and what channels do, as text of at most 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from snnc.measure.activity import named
from snnc.measure.table import filled, percent, shorten, table

if TYPE_CHECKING:
    from snnc.ir.report import Channels, Verification
    from snnc.measure.evaluation import Curve
    from snnc.measure.intervals import Interval
    from snnc.measure.quality import Judged


#: Where nothing was said of data that the ANN may want normalised.
UNPREPARED = "if the ANN usually gets more right, its data need --mean and --std, or --scale"


class Facts(Protocol):
    """What an output stands for (`snnc.measure.outputs`)."""

    @property
    def meaning(self) -> str: ...

    @property
    def places(self) -> int: ...


def accuracy_line(accuracy: float, interval: Interval | None, ann: float | None, drop: Interval | None) -> str:
    """Both accuracies, and what their difference is with 95 % confidence; `drop` is the interval of the ANN's minus
    that of the network."""
    line = f"accuracy {percent(accuracy)}{_ends(interval)}"
    if ann is None:
        return line
    line += f", ANN {percent(ann)}"
    if drop is None:
        return line
    lost, (low, high) = ann - accuracy, drop
    if lost < 0:
        return f"{line}: {100 * -lost:.1f} points gained ({100 * -high:.1f} to {100 * -low:.1f})"
    return f"{line}: {100 * lost:.1f} points lost ({100 * low:.1f} to {100 * high:.1f})"


def curve_lines(curve: Curve) -> list[str]:
    """The last point of a curve: accuracies, and all outputs where the table by steps does not tell everything."""
    last, lines = curve.points[-1], []
    if last.accuracy is not None:
        line = accuracy_line(last.accuracy, last.accuracy_interval, curve.ann_accuracy, last.drop_interval)
        lines.append(filled(f"At T = {last.steps}: {line}", indent=2))
    elif last.agreement is not None:
        lines.append(f"At T = {last.steps}: agreement {percent(last.agreement)}{_ends(last.agreement_interval)}")
    if len(curve.outputs) > 1 or any(facts.places > 1 for facts in curve.outputs.values()):
        rows = ((name, facts, last.outputs[name]) for name, facts in curve.outputs.items())
        lines.append(output_table(rows))
    return lines


def verdict_lines(verification: Verification) -> list[str]:
    """Accuracies where there were labels, and a table where there are several outputs."""
    lines = []
    if verification.accuracy is not None:
        interval, drop = verification.accuracy_interval, verification.drop_interval
        lines.append(accuracy_line(verification.accuracy, interval, verification.ann_accuracy, drop))
    if len(verification.outputs) > 1:
        lines.append(output_table((name, found, found) for name, found in verification.outputs.items()))
    return lines


def output_table(outputs: Iterable[tuple[str, Facts, Judged]]) -> str:
    """One row for each output; `of spread` is its error over the spread of the ANN's values."""
    rows = []
    for name, facts, point in outputs:
        agreement, ends = "", ""
        if point.agreement is not None and point.agreement_interval is not None:
            agreement = f"{100 * point.agreement:.1f}"
            ends = " to ".join(f"{100 * end:.1f}" for end in point.agreement_interval)
        errors = ["" if error is None else f"{error:.3f}" for error in (point.error, point.spread_error)]
        rows.append([name, _meaning(facts), agreement, ends, *errors])
    return table(["output", "stands for", "agreement %", "95 %", "error", "of spread"], rows, text_columns=2)


def channel_lines(channels: Mapping[str, Channels]) -> str:
    """Which channels of each layer never fired, or fired as often as they can; empty where there are none."""
    lines = []
    for name, found in channels.items():
        parts = []
        if found.silent:
            share = "" if found.silent_share is None else f", {100 * found.silent_share:.2g} % of the ANN's activation"
            which = named(found.silent_channels, found.silent)
            parts.append(f"{found.silent} of {found.channels} silent ({which}{share})")
        if found.saturated:
            which = named(found.saturated_channels, found.saturated)
            parts.append(f"{found.saturated} of {found.channels} saturated ({which})")
        if parts:
            lines.append(filled(f"channels     {shorten(name, 24)}: {'; '.join(parts)}", indent=13))
    return "\n".join(lines)


def _meaning(facts: Facts) -> str:
    return facts.meaning if facts.meaning == "values" or facts.places == 1 else f"{facts.meaning} of {facts.places:,}"


def _ends(interval: Interval | None) -> str:
    if interval is None:
        return ""
    low, high = interval
    return f" ({100 * low:.1f} to {100 * high:.1f} %)"
