"""One page of HTML for a conversion or a measurement: tables and pictures, with everything in it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from snnc.diagnostics import fail
from snnc.measure.budget_report import budget_notes, draw_budget
from snnc.measure.figures import draw_confusion, draw_energy, draw_layers, draw_potentials, draw_scatter
from snnc.measure.output_lines import curve_lines
from snnc.measure.pictures import DARK, LIGHT, Theme, compact, theme_of
from snnc.measure.plot import draw_curves, draw_raster
from snnc.measure.report import curve_grid, curve_notes, layer_grid
from snnc.measure.shown import paragraphs, report_notes

if TYPE_CHECKING:
    from snnc.api.gathering import Gathered

Draw = Callable[["Gathered", str, Theme], "bytes | None"]

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
img { max-width: 100%; height: auto; } pre { overflow-x: auto; }
"""


def _curves(found: Gathered, form: str, theme: Theme) -> bytes | None:
    return None if found.curves is None else draw_curves({found.data: found.curves}, form=form, theme=theme)


def _energy(found: Gathered, form: str, theme: Theme) -> bytes | None:
    curve = None if found.curves is None else found.curves[0]
    known = curve is not None and (curve.points[-1].accuracy is not None or curve.points[-1].agreement is not None)
    return draw_energy(curve, form=form, theme=theme) if curve is not None and known else None


def _layers(found: Gathered, form: str, theme: Theme) -> bytes | None:
    return draw_layers(found.model.report.layers, form=form, theme=theme)


def _scatter(found: Gathered, form: str, theme: Theme) -> bytes | None:
    return draw_scatter(found.layers, form=form, theme=theme) if found.layers else None


def _potentials(found: Gathered, form: str, theme: Theme) -> bytes | None:
    recording = found.recording
    if not recording or not recording.potentials:
        return None
    tables = {layer.name for layer in found.model.report.layers if layer.threshold is None}
    return draw_potentials(recording.potentials, without_threshold=tables, form=form, theme=theme)


def _budget(found: Gathered, form: str, theme: Theme) -> bytes | None:
    return None if found.budget is None else draw_budget(found.budget, form=form, theme=theme)


def _confusion(found: Gathered, form: str, theme: Theme) -> bytes | None:
    if found.confusion is None:
        return None
    return draw_confusion(found.confusion, against_ann=found.against_ann, form=form, theme=theme)


def _raster(found: Gathered, form: str, theme: Theme) -> bytes | None:
    """Of the first layer behind the input, of one sample; of a network that settles up to its last spike."""
    if not found.recording:
        return None
    layers = [layer.name for layer in found.model.report.layers if layer.kind == "neuron"]
    name = next(name for name in (*layers, *found.recording) if name in found.recording)
    spikes = found.recording[name][:, 0]
    if found.model.certificate is not None:
        spikes = spikes[: max(map(_steps_used, found.recording.values()))]
    return draw_raster(spikes, title=name, form=form, theme=theme)


def _steps_used(spikes: np.ndarray) -> int:
    """Steps of `[T, N, ...]` up to the last spike of the first sample, at least one."""
    fired = np.flatnonzero(spikes[:, 0].reshape(len(spikes), -1).any(1))
    return int(fired[-1]) + 1 if len(fired) else 1


class Picture(NamedTuple):
    """A picture of a page and of `snnc plot`.

    Attributes:
        title: its heading.
        what: what has to be gathered for it.
        draw: None where the data or a missing ANN do not allow it.
        needs: what to do then.
    """

    title: str
    what: str
    draw: Draw
    needs: str


_ANN = "give the ANN with `--ann`"
_CLASSES = "give data with labels, or the ANN with `--ann`"
_ROOM = "take a smaller network: one sample in the first steps of this one has no room"

#: Every picture by its name.
PICTURES = {
    "curve": Picture("Accuracy and spike rate against steps", "curves", _curves, _ANN),
    "energy": Picture("Accuracy against energy", "curves", _energy, _CLASSES),
    "layers": Picture("Rates and thresholds of the layers", "", _layers, _ANN),
    "scatter": Picture("ANN against spiking network, neuron by neuron", "layers", _scatter, _ANN),
    "potentials": Picture("Membrane potentials", "recording", _potentials, _ROOM),
    "budget": Picture("What every layer loses, and to what", "budget", _budget, _ANN),
    "confusion": Picture("Classes", "confusion", _confusion, f"{_CLASSES}; a regression has no classes"),
    "raster": Picture("Spikes of one sample", "recording", _raster, _ROOM),
}


def picture(name: str, found: Gathered, form: str, *, dark: bool = False) -> bytes:
    """The picture of this name; SNN405 where the data or a missing ANN do not allow it."""
    content = PICTURES[name].draw(found, form, theme_of(dark=dark))
    if content is None:
        fail("SNN405", f"there is no picture {name} of this network on this data", hint=PICTURES[name].needs)
    return content


def page(found: Gathered, title: str) -> bytes:
    """The page, UTF-8: what was found in words, the tables, then every picture that there is, light and dark."""
    report = found.model.report
    parts = [f"<h1>{escape(title)}</h1>", f"<p>measured on {escape(found.data)}</p>"]
    parts += ["<h2>Layers</h2>", f'<div class="scroll">{layer_grid(report.layers).html()}</div>']
    parts.append(paragraphs(report_notes(report)))
    if found.curves is not None:
        parts += ["<h2>Against steps</h2>", f'<div class="scroll">{curve_grid(found.curves).html()}</div>']
        parts.append(paragraphs([*curve_lines(found.curves[0]), curve_notes(found.curves)]))
    missing = []
    for name, each in PICTURES.items():
        contents = [each.draw(found, "png", theme) for theme in (LIGHT, DARK)]
        light, dark = (None if content is None else compact(content) for content in contents)
        if light is None or dark is None:
            missing.append(f"{each.title} (snnc plot {name}): {each.needs}.")
            continue
        parts += [f"<h2>{each.title}</h2>", _in_both(light, dark, each.title), paragraphs(_notes(each, found))]
    if missing:
        parts += ["<h2>Not on this page</h2>", paragraphs(missing)]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return f'<!doctype html><html lang="en"><head>{head}{view}</head><body>{"".join(parts)}</body></html>\n'.encode()


def _in_both(light: bytes, dark: bytes, words: str) -> str:
    """An element that shows the picture which fits the reader's colours."""
    light_source, dark_source = (f"data:image/png;base64,{base64.b64encode(png).decode()}" for png in (light, dark))
    source = f'<source media="(prefers-color-scheme: dark)" srcset="{dark_source}">'
    return f'<picture>{source}<img src="{light_source}" alt="{words}"></picture>'


def _notes(shown: Picture, found: Gathered) -> list[str]:
    """What stands below a picture."""
    if shown.what == "budget" and found.budget is not None:
        return [budget_notes(found.budget)]
    if shown.what == "recording" and found.recording:
        steps, samples, *_ = next(iter(found.recording.values())).shape
        several = "" if samples == 1 else f" of {samples} samples"
        return [f"The first {steps:,} steps{several}." if shown.draw is _potentials else f"The first {steps:,} steps."]
    return []
