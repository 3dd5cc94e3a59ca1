"""`snnc bench --against`: a converted network timed in turn with its ANN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from snnc.cli import options
from snnc.cli.console import Console

if TYPE_CHECKING:
    import numpy as np

    from snnc.data import DataSet
    from snnc.files import ConvertedFile
    from snnc.measure.opponents import Name
    from snnc.measure.versus import Quartiles, Side, Versus


@dataclass(frozen=True)
class Contest:
    """What is asked for: the opponent, its file, and how both run."""

    against: Name
    ann: str
    batch: int
    steps: int
    seed: int
    threads: int
    repeats: int

    def run(self, console: Console, file: ConvertedFile, dataset: DataSet, calibration: np.ndarray) -> Versus:
        """Make the opponent, and time both on `dataset`."""
        from snnc import api
        from snnc.measure.opponents import make_opponent
        from snnc.measure.versus import compare
        from snnc.simulate.ann import Ann, load_model

        model = load_model(self.ann)
        api.require_same_network(file, model, self.ann)
        ann_output = Ann(model, self.threads).run(dataset.images)[file.block.outputs[0].name]
        console.progress(f"making the {self.against} ANN", 0.0)
        return compare(
            file,
            make_opponent(self.against, model, calibration, threads=self.threads),
            dataset.images,
            labels=dataset.labels,
            ann_output=ann_output,
            batch=self.batch,
            steps=self.steps,
            seed=self.seed,
            threads=self.threads,
            repeats=self.repeats,
            progress=console.progress,
        )


def choose_samples(
    console: Console, file: ConvertedFile, data: str, form: dict[str, Any], samples: int, batch: int
) -> tuple[DataSet, np.ndarray]:
    """Samples to time, evenly spread over DATA and as many as make full batches; and others to find the ranges of an
    int8 ANN, where there are any."""
    import numpy as np

    from snnc.measure.opponents import MOST_CALIBRATION_SAMPLES

    loaded = options.load_data_for(console, file, data, form)
    batch = min(batch, len(loaded))
    wanted = max(batch, min(samples, len(loaded)) // batch * batch)
    timed = np.linspace(0, len(loaded) - 1, wanted).round().astype(np.int64)
    others = np.setdiff1d(np.arange(len(loaded)), timed)
    if not len(others):
        console.note("an int8 ANN is calibrated on the samples that are timed, as there are no others")
        others = timed
    spread = np.linspace(0, len(others) - 1, min(MOST_CALIBRATION_SAMPLES, len(others))).round().astype(np.int64)
    return loaded.select(timed), loaded.images[others[spread]]


def versus_text(versus: Versus) -> str:
    """Both networks in a table, and where the spiking one would break even, in at most 80 columns."""
    import textwrap

    from snnc.measure.table import WIDTH, table

    headers = ["network", "ms/sample", "quartiles", "accuracy %", "agreement %"]
    rows = [_row(versus.spiking, f"spiking, T = {versus.steps}"), _row(versus.opponent, f"{versus.opponent.name} ANN")]
    ratio = versus.ratio
    verdict = f"takes {ratio.median:.3g} times as long as the {versus.opponent.name} ANN (quartiles {_ends(ratio)})"
    speed = versus.operations / versus.spiking.milliseconds.median / 1e6
    text = [
        f"The spiking network {verdict}: {versus.pairs} pairs in turn, {versus.samples} samples, batch {versus.batch}, "
        f"{versus.threads} thread{'' if versus.threads == 1 else 's'}.",
        f"At its {speed:.2f} GSOP/s it would break even at {versus.break_even:,.0f} SOPs per sample "
        f"({versus.break_even / max(1, versus.ann_macs):.2f} for every MAC of the ANN); it needs "
        f"{versus.operations:,.0f} ({versus.operations / max(1, versus.ann_macs):.2f}).",
        f"{versus.opponent.name} ANN: {versus.made}, in onnxruntime. Agreement is that with the float ANN.",
    ]
    return "\n".join([table(headers, rows), "", *(textwrap.fill(part, WIDTH) for part in text)])


def _row(side: Side, name: str) -> list[str]:
    times = side.milliseconds
    shares = ["" if share is None else f"{100 * share:.1f}" for share in (side.accuracy, side.agreement)]
    return [name, f"{times.median:.3f}", _ends(times), *shares]


def _ends(quartiles: Quartiles) -> str:
    return f"{quartiles.first:.3g} to {quartiles.third:.3g}"
