"""How results look where they are the last value of a cell or of a prompt: text, and HTML for notebooks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from snnc.measure.output_lines import curve_lines
from snnc.measure.report import certificate_lines, curve_grid, curve_notes, layer_grid, verify_lines
from snnc.measure.table import percent

# A line below the headers of a table; a line that continues the one before it is indented.
_RULE, _GOES_ON = "──", re.compile(r"\n +")

if TYPE_CHECKING:
    from snnc.ir.conversion import Report
    from snnc.measure.evaluation import Curve


def report_notes(report: Report) -> list[str]:
    """What was found of the network as a whole."""
    notes = [] if report.verification is None else [verify_lines(report.verification)]
    return notes if report.certificate is None else [*notes, certificate_lines(report.certificate)]


def report_text(report: Report) -> str:
    """The table of the layers and what was found, as the command prints them."""
    return "\n".join([layer_grid(report.layers).text(), *report_notes(report)])


def report_html(report: Report) -> str:
    """The same for a notebook."""
    return layer_grid(report.layers).html() + paragraphs(report_notes(report))


def report_summary(report: Report) -> str:
    """A few words: layers, and how well the network follows the ANN."""
    layers = sum(layer.kind == "neuron" for layer in report.layers)
    words = [f"{layers} layer{'' if layers == 1 else 's'} of neurons"]
    found = report.verification
    if found is not None:
        words.append(f"{found.steps:,} steps")
        if found.agreement is not None:
            words.append(f"agreement with the ANN {percent(found.agreement)} on {found.samples:,} samples")
    return ", ".join(words)


def curve_text(curve: Curve) -> str:
    """The table by steps and the notes, as the command prints them."""
    return "\n".join([curve_grid([curve]).text(), *curve_lines(curve), curve_notes([curve])])


def curve_html(curve: Curve) -> str:
    """The same for a notebook."""
    return curve_grid([curve]).html() + paragraphs([*curve_lines(curve), curve_notes([curve])])


def curve_summary(curve: Curve) -> str:
    """A few words: steps, samples, and what is known at the most steps."""
    last = curve.points[-1]
    known = [
        f"{name} {percent(share)}"
        for name, share in (("accuracy", last.accuracy), ("agreement", last.agreement))
        if share is not None
    ]
    end = f"; {', '.join(known)} at T = {last.steps:,}" if known else ""
    return f"{len(curve.points)} points up to {last.steps:,} steps, {curve.samples:,} samples{end}"


def paragraphs(texts: Iterable[str]) -> str:
    """Every text as a paragraph that keeps its lines, but those that only go on where 80 columns were full; a table as
    it is."""
    return "".join(
        f"<pre>{escape(text)}</pre>"
        if _RULE in text
        else f'<p style="white-space:pre-line">{escape(_GOES_ON.sub(" ", text))}</p>'
        for text in texts
    )
