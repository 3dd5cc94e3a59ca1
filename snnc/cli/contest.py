"""`snnc bench --against`: a converted network timed in turn with others."""

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
    from snnc.measure.versus import Duel, Quartiles, Side, Versus


@dataclass(frozen=True)
class Contest:
    """What is asked for: the opponents, the file of the ANN, and how all run."""

    against: list[Name]
    ann: str
    batch: int
    steps: int
    seed: int
    threads: int
    repeats: int

    def run(self, console: Console, file: ConvertedFile, dataset: DataSet, calibration: np.ndarray) -> Versus:
        """Make the opponents, and time all on `dataset`."""
        from snnc import api
        from snnc.measure.opponents import make_opponent
        from snnc.measure.versus import compare
        from snnc.simulate.ann import Ann, load_model

        model = load_model(self.ann)
        api.require_same_network(file, model, self.ann)
        ann_output = Ann(model, self.threads).run(dataset.images)[file.block.outputs[0].name]
        controls = {"steps": self.steps, "seed": self.seed, "threads": self.threads}
        opponents = []
        for name in self.against:
            console.progress(f"making {name}", 0.0)
            opponents.append(make_opponent(name, file, model, calibration, **controls))
        return compare(
            file,
            opponents,
            dataset.images,
            labels=dataset.labels,
            ann_output=ann_output,
            batch=self.batch,
            repeats=self.repeats,
            progress=console.progress,
            **controls,
        )


def choose_samples(
    console: Console, file: ConvertedFile, data: str, form: dict[str, Any], samples: int, batch: int
) -> tuple[DataSet, np.ndarray]:
    """Samples to time, evenly spread over DATA and as many as make full batches; and others to find the ranges of an
    int8 ANN, where there are any."""
    import numpy as np

    from snnc.measure.int8 import MOST_CALIBRATION_SAMPLES

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
    """All networks in a table, and what becomes of each opponent, in at most 80 columns."""
    import textwrap

    from snnc.measure.table import WIDTH, table

    headers = ["network", "ms/sample", "quartiles", "ratio", "accuracy %", "agreement %"]
    rows = [_row(versus.spiking, f"spiking, T = {versus.steps}", "")]
    rows += [_row(duel.opponent, duel.title, f"{duel.ratio.median:.3g}") for duel in versus.duels]
    text = [
        f"{versus.turns} turns with all of them, {versus.samples} samples, batch {versus.batch}, {versus.threads} "
        f"thread{'' if versus.threads == 1 else 's'}. Ratio: time of the spiking network over that of the other. "
        "Agreement is that with the float ANN.",
        *(_duel_text(duel, versus) for duel in versus.duels),
    ]
    return "\n".join([table(headers, rows), *("\n" + textwrap.fill(part, WIDTH) for part in text)])


def _duel_text(duel: Duel, versus: Versus) -> str:
    """What an opponent is, how it stands, and where the spiking network would break even."""
    ratio, title, macs = duel.ratio, duel.title, max(1, versus.ann_macs)
    parts = [f"{title}: {duel.made}."]
    if ratio.median < 1:
        faster = f"{1 / ratio.median:.3g} times as fast (quartiles {1 / ratio.third:.3g} to {1 / ratio.first:.3g})"
        parts.append(f"The spiking network is {faster}.")
    else:
        parts.append(f"The spiking network takes {ratio.median:.3g} times as long (quartiles {_ends(ratio)}).")
    if duel.break_even is not None:
        speed = versus.operations / versus.spiking.milliseconds.median / 1e6
        parts.append(
            f"At its {speed:.2f} GSOP/s it would break even at {duel.break_even:,.0f} SOPs per sample "
            f"({duel.break_even / macs:.2f} for every MAC of the ANN); it needs {versus.operations:,.0f} "
            f"({versus.operations / macs:.2f})."
        )
    if duel.spikes is not None:
        equal, share = duel.spikes.equal_samples, duel.spikes.difference
        differ = "" if equal == versus.samples else f"; the numbers differ by {100 * share:.2g} % of all spikes"
        parts.append(f"Every layer has as many spikes there on {equal} of {versus.samples} samples{differ}.")
    return " ".join(parts)


def _row(side: Side, name: str, ratio: str) -> list[str]:
    times = side.milliseconds
    shares = ["" if share is None else f"{100 * share:.1f}" for share in (side.accuracy, side.agreement)]
    return [name, f"{times.median:.3f}", _ends(times), ratio, *shares]


def _ends(quartiles: Quartiles) -> str:
    return f"{quartiles.first:.3g} to {quartiles.third:.3g}"
