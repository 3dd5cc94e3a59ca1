"""Several conversions of one network beside each other: `sweep`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snnc.api.conversion import Estimates, convert
from snnc.api.measuring import evaluate
from snnc.api.model import Model, loaded
from snnc.integers.checkpoint import Checkpoint
from snnc.measure.evaluation import Curve
from snnc.workers import Workers, opened
from snnc.workers.journal import JournalFile

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from snnc.api.options import ConvertOptions

#: What the stage is called in which a cell is measured; the others are those of its conversion.
SIMULATING = "simulating"


@dataclass(frozen=True)
class SweepFiles:
    """What an interrupted sweep goes on from: `measured` in the file that the user names, `thresholds` beside it."""

    measured: JournalFile
    thresholds: Checkpoint


def thresholds_beside(path: str | PathLike[str]) -> str:
    """Where a sweep that keeps what it measures in `path` keeps its thresholds."""
    return f"{fspath(path)}.thresholds"


@contextmanager
def sweep_files(path: str | PathLike[str] | SweepFiles | None) -> Iterator[SweepFiles | None]:
    """The files of a sweep, from which what is of it is removed at the end; they stay as they are where the sweep was
    interrupted or failed. Those that are open stay so. SNN401 where one of them holds something else."""
    if path is None or isinstance(path, SweepFiles):
        yield path
        return
    files = SweepFiles(JournalFile(path), Checkpoint(Path(thresholds_beside(path))))
    yield files
    files.measured.remove()
    files.thresholds.remove()


def sweep(
    model: Model,
    calib: Any,
    data: Any,
    cells: Sequence[Mapping[str, Any]],
    *,
    at_steps: Sequence[int] | None = None,
    threads: int | None = None,
    on: str | Workers | None = None,
    checkpoint: str | PathLike[str] | SweepFiles | None = None,
    progress: Callable[[int, str, float], None] | None = None,
    **options: Unpack[ConvertOptions],
) -> list[Curve]:
    """Convert `model` with the options of every cell, however poor it gets, and measure each conversion on `data`.

    Args:
        model: as in `convert`.
        calib: calibration data, as in `convert`.
        data: samples to measure on, as in `evaluate`.
        cells: options of `convert` that differ, such as `[{"alpha": 1.0}, {"alpha": 0.6, "reset": "hard"}]`.
        at_steps: the numbers of steps to measure at, as `steps` of `evaluate`; the networks are made for the most.
        threads, on: as in `evaluate`.
        checkpoint: a file that keeps what has been measured while the sweep runs, as in `evaluate`; the thresholds lie
            beside it, in a file with `.thresholds` behind its name.
        progress: called as `progress(index of the cell, stage, share of the stage)`.
        **options: what all cells have.

    Returns:
        A curve for each cell. What cells have in common is calibrated once.
    """
    ann = loaded(model)
    estimates: Estimates = {}
    curves = []
    with opened(on, threads) as workers, sweep_files(checkpoint) as kept:
        for index, cell in enumerate(cells):

            def tell(stage: str, share: float, index: int = index) -> None:
                if progress is not None:
                    progress(index, stage, share)

            longest = {} if at_steps is None else {"steps": max(at_steps)}
            chosen: dict[str, Any] = {**longest, **options, **cell, "accept_poor": True}
            converted = convert(
                ann,
                calib=calib,
                progress=tell,
                estimates=estimates,
                on=workers,
                checkpoint=None if kept is None else kept.thresholds,
                **chosen,
            )
            curves.append(
                evaluate(
                    converted,
                    data,
                    ann=ann,
                    steps=at_steps,
                    threads=threads,
                    on=workers,
                    checkpoint=None if kept is None else kept.measured,
                    progress=lambda share, tell=tell: tell(SIMULATING, share),  # type: ignore[misc]
                )
            )
    return curves
