"""A spiking network and an ANN, timed in turn on the same samples in one run.

Both run batch after batch, first the one, then the other, so that what else the machine does meets both; which goes
first alternates. The ratio is taken within each pair.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from snnc.files import ConvertedFile
from snnc.measure.opponents import Opponent
from snnc.measure.outputs import predictions
from snnc.measure.runner import make_runner


@dataclass(frozen=True)
class Quartiles:
    """Of all pairs."""

    median: float
    first: float
    third: float

    @staticmethod
    def of(values: np.ndarray) -> Quartiles:
        """The quartiles of `values`."""
        first, median, third = (float(value) for value in np.percentile(values, (25, 50, 75)))
        return Quartiles(median, first, third)


@dataclass(frozen=True)
class Side:
    """One of the two: time per sample, and on the samples that were timed the accuracy (where there are labels) and the
    agreement with the float ANN (where there are classes)."""

    name: str
    milliseconds: Quartiles
    accuracy: float | None
    agreement: float | None


@dataclass(frozen=True)
class Versus:
    """What was found in `pairs` pairs of runs on `samples` samples, `batch` at a time.

    `ratio` is the time of the spiking network over that of the opponent. `operations` are the spiking network's
    synaptic operations per sample, `break_even` those at which it would take as long as the opponent, at the speed that
    it has here; `ann_macs` the multiply-accumulates of the ANN.
    """

    samples: int
    batch: int
    steps: int
    threads: int
    pairs: int
    spiking: Side
    opponent: Side
    made: str
    ratio: Quartiles
    operations: float
    break_even: float
    ann_macs: int


def compare(
    file: ConvertedFile,
    opponent: Opponent,
    images: np.ndarray,
    *,
    labels: np.ndarray | None,
    ann_output: np.ndarray,
    batch: int,
    steps: int,
    seed: int,
    threads: int,
    repeats: int,
    progress: Callable[[str, float], None] = lambda stage, share: None,
) -> Versus:
    """Run all `images` `repeats` times on both, in batches of `batch`, after one batch that does not count.

    `len(images)` is a multiple of `batch`; `ann_output` is the first output of the float ANN.
    """
    run = make_runner(file, steps=steps, seed=seed, threads=threads)
    output = file.block.outputs[0].name
    starts = range(0, len(images), batch)
    progress("warming up", 0.0)
    run(images[:batch], 0)
    opponent.ann.run(images[:batch])
    seconds: list[tuple[float, float]] = []
    for index, (spiking_first, start) in enumerate(_turns(starts, repeats)):
        progress("measuring", index / (repeats * len(starts)))
        chosen = images[start : start + batch]
        seconds.append(_time_pair(partial(run, chosen, start), partial(opponent.ann.run, chosen), spiking_first))
    ran = [run(images[start : start + batch], start) for start in starts]
    found = np.concatenate([part.outputs[output] for part in ran])
    answer = opponent.ann.run(images)[output]
    times = 1000 * np.array(seconds) / batch
    ratio = Quartiles.of(times[:, 0] / times[:, 1])
    operations = float(sum(part.synaptic_operations.sum() for part in ran)) / len(images)
    return Versus(
        samples=len(images),
        batch=batch,
        steps=steps,
        threads=threads,
        pairs=len(seconds),
        spiking=_side("spiking", times[:, 0], found, labels, ann_output),
        opponent=_side(opponent.name, times[:, 1], answer, labels, ann_output),
        made=opponent.made,
        ratio=ratio,
        operations=operations,
        break_even=operations / ratio.median,
        ann_macs=sum(layer.macs for layer in file.layers),
    )


def _turns(starts: Sequence[int], repeats: int) -> Iterator[tuple[bool, int]]:
    """Every batch in every round, and whether the spiking network goes first."""
    for turn in range(repeats):
        for index, start in enumerate(starts):
            yield (turn + index) % 2 == 0, start


def _time_pair(spiking: Callable[[], object], other: Callable[[], object], spiking_first: bool) -> tuple[float, float]:
    """Seconds of both."""
    first, second = (spiking, other) if spiking_first else (other, spiking)
    times = []
    for call in (first, second):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return (times[0], times[1]) if spiking_first else (times[1], times[0])


def _side(
    name: str, milliseconds: np.ndarray, output: np.ndarray, labels: np.ndarray | None, ann_output: np.ndarray
) -> Side:
    found, expected = predictions(output), predictions(ann_output)
    return Side(
        name,
        Quartiles.of(milliseconds),
        None if found is None or labels is None else float((found == labels).mean()),
        None if found is None or expected is None else float((found == expected).mean()),
    )
