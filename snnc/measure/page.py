"""One page of HTML for a conversion or a measurement: tables and pictures, with everything in it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

from snnc.diagnostics import fail
from snnc.measure.budget_report import budget_notes, draw_budget
from snnc.measure.figures import draw_confusion, draw_energy, draw_layers, draw_potentials, draw_scatter
from snnc.measure.output_lines import curve_lines
from snnc.measure.plot import draw_curves, draw_raster
from snnc.measure.report import curve_grid, curve_notes, layer_grid
from snnc.measure.shown import paragraphs, report_notes

if TYPE_CHECKING:
    from snnc.api.gathering import Gathered

Draw = Callable[["Gathered", str], "bytes | None"]

_STYLE = """
:root { color-scheme: light dark; --back: #ffffff; --text: #1c1c1c; --soft: #5c5c5c; --line: #dddddd; }
@media (prefers-color-scheme: dark) {
  :root { --back: #16181b; --text: #e8e8e8; --soft: #a8a8a8; --line: #3a3d42; }
}
body { background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 60rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin-top: 2.5rem; }
p { color: var(--soft); } .scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.9rem; }
th, td { padding: 0.2rem 0.8rem 0.2rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
img { background: #ffffff; border-radius: 6px; max-width: 100%; height: auto; padding: 0.5rem; box-sizing: border-box; }
"""


def _curves(found: Gathered, form: str) -> bytes | None:
    return None if found.curves is None else draw_curves({found.data: found.curves}, form=form)


def _energy(found: Gathered, form: str) -> bytes | None:
    curve = None if found.curves is None else found.curves[0]
    known = curve is not None and (curve.points[-1].accuracy is not None or curve.points[-1].agreement is not None)
    return draw_energy(curve, form=form) if curve is not None and known else None


def _layers(found: Gathered, form: str) -> bytes | None:
    return draw_layers(found.model.report.layers, form=form)


def _scatter(found: Gathered, form: str) -> bytes | None:
    return draw_scatter(found.layers, form=form) if found.layers else None


def _potentials(found: Gathered, form: str) -> bytes | None:
    recording = found.recording
    return draw_potentials(recording.potentials, form=form) if recording and recording.potentials else None


def _budget(found: Gathered, form: str) -> bytes | None:
    return None if found.budget is None else draw_budget(found.budget, form=form)


def _confusion(found: Gathered, form: str) -> bytes | None:
    if found.confusion is None:
        return None
    return draw_confusion(found.confusion, against_ann=found.against_ann, form=form)


def _raster(found: Gathered, form: str) -> bytes | None:
    """Of the first layer behind the input, of one sample."""
    if not found.recording:
        return None
    layers = [layer.name for layer in found.model.report.layers if layer.kind == "neuron"]
    name = next(name for name in (*layers, *found.recording) if name in found.recording)
    return draw_raster(found.recording[name][:, 0], title=name, form=form)


#: Every picture: its title, what has to be gathered for it, and how it is drawn (None: not from this data).
PICTURES: dict[str, tuple[str, str, Draw]] = {
    "curve": ("Accuracy and spike rate against steps", "curves", _curves),
    "energy": ("Accuracy against energy", "curves", _energy),
    "layers": ("Rates and thresholds of the layers", "", _layers),
    "scatter": ("ANN against spiking network, neuron by neuron", "layers", _scatter),
    "potentials": ("Membrane potentials", "recording", _potentials),
    "budget": ("What every layer loses, and to what", "budget", _budget),
    "confusion": ("Classes", "confusion", _confusion),
    "raster": ("Spikes of one sample", "recording", _raster),
}


def picture(name: str, found: Gathered, form: str) -> bytes:
    """The picture of this name; SNN405 where the data or a missing ANN do not allow it."""
    content = PICTURES[name][2](found, form)
    if content is None:
        fail("SNN405", f"there is no picture {name} of this network on this data", hint="give the ANN with `--ann`")
    return content


def page(found: Gathered, title: str) -> bytes:
    """The page, UTF-8: what was found in words, the tables, then every picture that there is."""
    report = found.model.report
    parts = [f"<h1>{escape(title)}</h1>", f"<p>measured on {escape(found.data)}</p>"]
    parts += ["<h2>Layers</h2>", f'<div class="scroll">{layer_grid(report.layers).html()}</div>']
    parts.append(paragraphs(report_notes(report)))
    if found.curves is not None:
        parts += ["<h2>Against steps</h2>", f'<div class="scroll">{curve_grid(found.curves).html()}</div>']
        parts.append(paragraphs([*curve_lines(found.curves[0]), curve_notes(found.curves)]))
    for heading, _, draw in PICTURES.values():
        content = draw(found, "png")
        if content is not None:
            source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
            parts.append(f'<h2>{heading}</h2><img src="{source}" alt="{heading}">')
            if draw is _budget and found.budget is not None:
                parts.append(paragraphs([budget_notes(found.budget)]))
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return f'<!doctype html><html lang="en"><head>{head}{view}</head><body>{"".join(parts)}</body></html>\n'.encode()
