"""What every layer loses (`snnc.measure.budget`), as text of 80 columns and as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from snnc.measure.budget import PARTS, Budget
from snnc.measure.pictures import LIGHT, Theme, drawn, require_matplotlib
from snnc.measure.table import filled, shorten, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEADERS = ("inherited", "clipping", "quantised", "timing")
_LONGEST_NAME = 28
_ROW_INCHES = 0.32


def budget_table(budget: Budget) -> str:
    """One row for each layer: its error in % of the norm of the ANN's values, and what the parts contribute to it."""
    rows = []
    for layer in budget.layers:
        values = [] if layer.error is None else [layer.error, *(layer.parts[name].share for name in PARTS)]
        cells = [_percent(value) for value in values] or ["" for _ in range(1 + len(PARTS))]
        rows.append([layer.name, layer.op or layer.kind, *cells])
    return table(["layer", "op", "error %", *_HEADERS], rows, text_columns=2)


def budget_notes(budget: Budget) -> str:
    """What the numbers of the table are, and where most is lost."""
    steps = "until they were quiet" if budget.steps is None else f"{budget.steps:,} steps"
    samples = f"{budget.samples:,} sample{'' if budget.samples == 1 else 's'}"
    notes = [
        f"error: ‖spiking - ANN‖/‖ANN‖ over neurons and {samples}, {steps}. Its four parts add up to it; a negative "
        "one undoes some of the others. Inherited came with the layer's inputs, the rest is its own."
    ]
    own = [(part.share, name, layer.name) for layer in budget.layers for name, part in layer.own.items()]
    if own and max(own)[0] > 0:
        share, name, layer_name = max(own)
        notes.append(f"Most is lost by {name} in {layer_name}: {_percent(share)} %.")
    if budget.skipped:
        notes.append(
            f"Not compared, as the ANN does not have them in this form: {', '.join(budget.skipped)}. What they lose is "
            "in the parts of the layers behind them."
        )
    return "\n".join(filled(note, 2) for note in notes)


def draw_budget(budget: Budget, *, title: str = "", form: str = "png", theme: Theme = LIGHT) -> bytes:
    """A bar for each layer, made of the parts of its error; a dot is the error itself.

    Args:
        budget: what was measured.
        title: printed above.
        form: the format of the picture, such as png, svg or pdf.
        theme: its colours.
    """
    require_matplotlib()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    layers = [layer for layer in budget.layers if layer.error is not None]
    with mpl.rc_context(theme.style(axes__spines__right=False, hatch__linewidth=0.6)):
        height = 1.9 + _ROW_INCHES * max(1, len(layers))
        figure = Figure(figsize=(7, height), layout="constrained")
        axes = figure.add_subplot()
        lefts = [0.0]
        for row, layer in enumerate(layers):
            lefts.append(_draw_bar(axes, row, {name: 100 * layer.parts[name].share for name in PARTS}, theme))
        errors = [100 * layer.error for layer in layers if layer.error is not None]
        axes.plot(errors, range(len(layers)), "D", color=theme.text, markersize=4, label="error", linestyle="none")
        axes.axvline(0, color=theme.text, linewidth=0.8)
        axes.set_yticks(range(len(layers)), [shorten(layer.name, _LONGEST_NAME) for layer in layers])
        axes.set(
            ylim=(len(layers) - 0.4, -0.6), xlim=(1.1 * min(lefts), 1.05 * max([*errors, *axes.get_xlim()]) or 1.0)
        )
        axes.set(xlabel="share of the error (% of the norm of the ANN's values)")
        axes.grid(False, axis="y")
        handles, labels = axes.get_legend_handles_labels()
        named = dict(zip(labels, handles, strict=True))
        shown = [name for name in (*PARTS, "error") if name in named]
        figure.legend([named[name] for name in shown], shown, loc="outside lower center", ncols=len(shown))
        if title:
            figure.suptitle(title, fontweight="bold")
        return drawn(figure, form)


def _draw_bar(axes: Axes, row: int, shares: dict[str, float], theme: Theme) -> float:
    """Positive parts to the right of 0, negative ones to the left; where it begins there."""
    ends = {True: 0.0, False: 0.0}
    # What a layer inherits is nobody's own. Hatches tell the others apart without any colour.
    looks = {
        "inherited": (theme.muted, ""),
        "clipping": (theme.colours[1], "////"),
        "quantisation": (theme.colours[0], ""),
        "timing": (theme.colours[4], "...."),
    }
    for name, share in shares.items():
        colour, hatch = looks[name]
        side = share >= 0
        label = name if row == 0 else None
        look: Any = {"color": colour, "hatch": hatch, "edgecolor": theme.back, "linewidth": 0.5}
        axes.barh(row, share, left=ends[side], height=0.66, label=label, **look)
        ends[side] += share
    return ends[False]


def _percent(share: float) -> str:
    return f"{round(100 * share, 2) + 0.0:.2f}"  # no -0.00
