"""One cell of a sweep: convert with some options, and measure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from snnc.cli.console import Console
from snnc.cli.progress import Overall, stages_of

if TYPE_CHECKING:
    import onnx

    from snnc.api import Estimates
    from snnc.data import DataSet
    from snnc.measure.evaluation import Curve


class CellProgress:
    """Progress of one cell as a part of the progress of all."""

    def __init__(self, console: Console, label: str, index: int, cells: int) -> None:
        self.console, self.label, self.index, self.cells = console, label, index, cells

    def __call__(self, stage: str, share: float) -> None:
        """`share` of this cell is done."""
        self.console.progress(f"{self.label}: {stage}", (self.index + share) / self.cells)


def cell_label(reset: str, alpha: float | None, rule: str = "") -> str:
    """`soft α=0.6`, or `soft rate`, the reset and the rule, where no alpha is given."""
    return f"{reset} {rule}" if alpha is None else f"{reset} α={alpha:g}"


def measure_cell(
    ann: onnx.ModelProto,
    calibration: DataSet | str,
    dataset: DataSet,
    steps: list[int] | None,
    progress: CellProgress,
    arguments: dict[str, Any],
    threads: int | None = None,
    estimates: Estimates | None = None,
) -> Curve:
    """Convert `ann` with the options in `arguments`, however poor it gets, and measure it on `dataset`.

    `steps` as in `snnc.evaluate`. The conversion counts as the first half of the work; cells that share `estimates`
    share calibrations.
    """
    from snnc import api
    from snnc.methods.defaults import make_options

    stages = stages_of(make_options(**arguments))
    model = api.convert(
        ann,
        calib=calibration,
        progress=Overall(lambda stage, share: progress(stage, share / 2), stages),
        estimates=estimates,
        accept_poor=True,
        **arguments,
    )
    return api.evaluate(
        model,
        dataset,
        ann=ann,
        steps=steps,
        threads=threads,
        progress=lambda share: progress("simulating", 0.5 + share / 2),
    )
