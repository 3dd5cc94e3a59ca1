"""`snnc demo`: soft against hard reset on handwritten digits, in well under a minute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from snnc.cli import options, reports
from snnc.cli.cells import CellProgress, cell_label, measure_cell
from snnc.cli.console import Console

CELLS: tuple[dict[str, Any], ...] = ({"reset": "soft", "alpha": 0.6}, {"reset": "hard", "alpha": 1.0})
STEPS = [1, 2, 4, 8, 16, 32, 64, 128, 256]
CALIBRATION = {"calib_samples": 128, "calib_steps": 128, "steps": 64}


@click.command(short_help="Convert a small network for digits and plot the results.")
@click.option(
    "--plot", type=options.OUTPUT, default="snnc-demo.png", show_default=True, metavar="FILE.png", help="The picture."
)
@options.verbosity
@click.pass_obj
def demo(console: Console, plot: str) -> None:
    """Convert the network that comes with snnc, with soft and with hard reset, and measure both on 500 digits that
    neither training nor calibration has seen.
    """
    import snnc
    from snnc.data import load
    from snnc.measure.output_lines import curve_lines
    from snnc.measure.pictures import picture_format
    from snnc.measure.plot import draw_curves
    from snnc.measure.report import curve_notes, curve_table
    from snnc.simulate.ann import load_model

    reports.check_outputs(console, None, pictures=[plot])
    ann = load_model(Path(snnc.__file__).parent / "demo" / "digits.onnx")
    calibration, test = load("digits:train", (1, 8, 8)), load("digits:test", (1, 8, 8))
    console.result(f"{len(test)} digits of 8x8 pixels; three convolutions and a linear layer")
    curves = {}
    for index, cell in enumerate(CELLS):
        label = cell_label(**cell)
        progress = CellProgress(console, label, index, len(CELLS))
        curves[label] = measure_cell(ann, calibration, test, STEPS, progress, {**CALIBRATION, **cell})
        console.result(f"\n{cell['reset']} reset, alpha {cell['alpha']:g}")
        console.result(curve_table([curves[label]]))
        console.lines(curve_lines(curves[label]))
    console.result()
    console.result(curve_notes([curves[label]]))
    drawn = {label: [curve] for label, curve in curves.items()}
    console.write(plot, draw_curves(drawn, title="snnc demo: 8x8 digits", form=picture_format(plot)))
    console.report({})
