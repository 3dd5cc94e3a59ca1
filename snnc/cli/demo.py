"""`snnc demo`: soft against hard reset on handwritten digits, in well under a minute."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnc.cli import options, reports
from snnc.cli.cells import SweepProgress, cell_label
from snnc.cli.console import Console

if TYPE_CHECKING:
    from snnc.data import DataSet

CELLS: tuple[dict[str, Any], ...] = ({"reset": "soft", "alpha": 0.6}, {"reset": "hard", "alpha": 1.0})
STEPS = [1, 2, 4, 8, 16, 32, 64, 128, 256]
CALIBRATION: dict[str, Any] = {"calib_samples": 128, "calib_steps": 128, "steps": 64}

#: What a reader of the demonstration goes on with, in the folder of `--keep`.
COMMANDS = """\
snnc check net.onnx
snnc convert net.onnx --calib digits.npz:train
snnc eval net.snn.onnx --ann net.onnx --data digits.npz:test --plot curve.png
snnc compare net.snn.onnx --ann net.onnx --data digits.npz:test --samples 100
snnc run net.snn.onnx --input digits.npz:test --steps 16 -o scores.npy
snnc convert net.onnx --method exact --calib digits.npz:train -o exact.snn.onnx
snnc verify exact.snn.onnx --data digits.npz:test
"""


@click.command(short_help="Convert a small network for digits and plot the results.")
@click.option(
    "--plot", type=options.OUTPUT, default="snnc-demo.png", show_default=True, metavar="FILE.png", help="The picture."
)
@reports.dark
@click.option(
    "--keep",
    type=click.Path(file_okay=False),
    metavar="DIR",
    help="Leave the network, the data and commands to go on with in this folder.",
)
@options.verbosity
@click.pass_obj
def demo(console: Console, plot: str, dark: bool, keep: str | None) -> None:
    """Convert the network that comes with snnc, with soft and with hard reset, and measure both on 500 digits that
    neither training nor calibration has seen.

    \b
    snnc demo --keep demo
    """
    import snnc
    from snnc import api
    from snnc.data import load
    from snnc.measure.output_lines import curve_lines
    from snnc.measure.pictures import picture_format
    from snnc.measure.plot import draw_curves
    from snnc.measure.report import curve_notes, curve_table
    from snnc.methods.defaults import make_options
    from snnc.simulate.ann import load_model

    reports.check_outputs(console, None, kept_files(keep), pictures=[plot])
    network = Path(snnc.__file__).parent / "demo" / "digits.onnx"
    ann = load_model(network)
    calibration, test = load("digits:train", (1, 8, 8)), load("digits:test", (1, 8, 8))
    console.result(f"{len(test)} digits of 8x8 pixels; three convolutions and a linear layer")
    labels = [cell_label(**cell) for cell in CELLS]
    progress = SweepProgress(console, labels, [make_options(**CALIBRATION, **cell) for cell in CELLS])
    curves = api.sweep(ann, calibration, test, CELLS, at_steps=STEPS, progress=progress, **CALIBRATION)
    for cell, curve in zip(CELLS, curves, strict=True):
        console.result(f"\n{cell['reset']} reset, alpha {cell['alpha']:g}")
        console.result(curve_table([curve]))
        console.lines(curve_lines(curve))
    console.result()
    console.result(curve_notes(curves[-1:]))
    drawn = {label: [curve] for label, curve in zip(labels, curves, strict=True)}
    console.write(
        plot,
        draw_curves(drawn, title="snnc demo: 8x8 digits", form=picture_format(plot), theme=reports.theme(dark, plot)),
    )
    if keep:
        Path(keep).mkdir(exist_ok=True)
        contents = (network.read_bytes(), packed_digits(calibration, test), COMMANDS.encode())
        for path, content in zip(kept_files(keep), contents, strict=True):
            console.write(path, content)
    console.report({})
    if keep:
        console.result(f"\nto go on, in {keep} (commands.sh has the same):\n\n{COMMANDS.rstrip()}")


def kept_files(folder: str | None) -> list[Path]:
    """Network, data and commands in the folder of `--keep`, which need not be there yet; SNN401 where it cannot be."""
    if folder is None:
        return []
    from snnc.files import check_writable

    if not Path(folder).exists():
        check_writable(folder)
        return []
    return [Path(folder) / name for name in ("net.onnx", "digits.npz", "commands.sh")]


def packed_digits(train: DataSet, test: DataSet) -> bytes:
    """An `.npz` with the splits `train` and `test`, float32 images `[N, 1, 8, 8]` from 0 to 1 and labels."""
    import numpy as np

    splits = {"train": train, "test": test}
    arrays: dict[str, np.ndarray] = {f"x_{name}": split.images for name, split in splits.items()}
    arrays |= {f"y_{name}": split.labels for name, split in splits.items() if split.labels is not None}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # numpy 2 takes a flag among the arrays' names
    return buffer.getvalue()
