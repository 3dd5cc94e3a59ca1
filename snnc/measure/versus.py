"""A spiking network and what it is compared with, timed in turn on the same samples in one run.

All run batch after batch, one after the other, so that what else the machine does meets them all; which goes first
alternates. Ratios are taken within each turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from snnc.files import ConvertedFile
from snnc.measure.opponents import Answer, Opponent
from snnc.measure.outputs import predictions
from snnc.measure.runner import Ran, make_runner


@dataclass(frozen=True)
class Quartiles:
    """Of all turns."""

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
    """Somebody who ran: milliseconds per sample, and on the samples that were timed the accuracy (where there are
    labels) and the agreement with the float ANN (where there are classes)."""

    name: str
    milliseconds: Quartiles
    accuracy: float | None
    agreement: float | None


@dataclass(frozen=True)
class Spikes:
    """The spikes of another simulator beside those of the network: on how many samples every layer has as many, and the
    sum of what the numbers of a sample's layers differ by over the sum of all."""

    equal_samples: int
    difference: float


@dataclass(frozen=True)
class Duel:
    """An opponent: `made` says how it was made, `ratio` is the time of the spiking network over its time. `break_even`
    are the synaptic operations per sample at which the spiking network would take as long, at the speed that it has
    here; None, and `spikes` known, where the opponent is the same network."""

    opponent: Side
    title: str
    made: str
    ratio: Quartiles
    break_even: float | None
    spikes: Spikes | None


@dataclass(frozen=True)
class Versus:
    """What was found in so many `turns`, each with all of them, on `samples` samples, `batch` at a time.

    `operations` are the spiking network's synaptic operations per sample, `ann_macs` the multiply-accumulates of the
    ANN.
    """

    samples: int
    batch: int
    steps: int
    threads: int
    turns: int
    spiking: Side
    duels: list[Duel]
    operations: float
    ann_macs: int


def compare(
    file: ConvertedFile,
    opponents: Sequence[Opponent],
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
    """Run all `images` `repeats` times on each, in batches of `batch`, after one batch that does not count.

    `len(images)` is a multiple of `batch`; `ann_output` is the first output of the float ANN.
    """
    run = make_runner(file, steps=steps, seed=seed, threads=threads)
    starts = range(0, len(images), batch)
    progress("warming up", 0.0)
    run(images[:batch], 0)
    for opponent in opponents:
        opponent.prepare(images[:batch], 0)()
    seconds: list[list[float]] = []
    for index, (first, start) in enumerate(_turns(starts, repeats, 1 + len(opponents))):
        progress("measuring", index / (repeats * len(starts)))
        chosen = images[start : start + batch]
        calls: list[Callable[[], object]] = [partial(run, chosen, start)]
        calls += [opponent.prepare(chosen, start) for opponent in opponents]
        seconds.append(_time(calls, first))
    progress("comparing", 1.0)
    batches = [(images[start : start + batch], start) for start in starts]
    ran = [run(*each) for each in batches]
    times = 1000 * np.array(seconds) / batch
    found = np.concatenate([part.outputs[file.block.outputs[0].name] for part in ran])
    operations = float(sum(part.synaptic_operations.sum() for part in ran)) / len(images)
    duels = []
    for opponent, own in zip(opponents, times[:, 1:].T, strict=True):
        answers = [opponent.answer(*each) for each in batches]
        ratio, spikes = Quartiles.of(times[:, 0] / own), _spikes(ran, answers)
        output = _joined(answers, found if spikes is not None and spikes.equal_samples == len(images) else None)
        side = _side(opponent.name, own, output, labels, ann_output)
        break_even = operations / ratio.median if spikes is None else None
        duels.append(Duel(side, opponent.title, opponent.made, ratio, break_even, spikes))
    return Versus(
        samples=len(images),
        batch=batch,
        steps=steps,
        threads=threads,
        turns=len(seconds),
        spiking=_side("spiking", times[:, 0], found, labels, ann_output),
        duels=duels,
        operations=operations,
        ann_macs=sum(layer.macs for layer in file.layers),
    )


def _turns(starts: Sequence[int], repeats: int, sides: int) -> Iterator[tuple[int, int]]:
    """Every batch in every round, and which side goes first."""
    for turn in range(repeats):
        for index, start in enumerate(starts):
            yield (turn + index) % sides, start


def _time(calls: Sequence[Callable[[], object]], first: int) -> list[float]:
    """Seconds of each; `first` begins, the others follow in their order."""
    seconds = [0.0] * len(calls)
    for index in (*range(first, len(calls)), *range(first)):
        start = time.perf_counter()
        calls[index]()
        seconds[index] = time.perf_counter() - start
    return seconds


def _spikes(ran: Sequence[Ran], answers: Sequence[Answer]) -> Spikes | None:
    """The spikes of an opponent beside ours; None where it has none."""
    theirs = [answer.spike_totals for answer in answers if answer.spike_totals is not None]
    if not theirs:
        return None
    ours = np.concatenate([part.spike_totals for part in ran])
    differences = np.abs(np.concatenate(theirs) - ours)
    return Spikes(int((differences == 0).all(1).sum()), float(differences.sum() / max(1, ours.sum())))


def _joined(answers: Sequence[Answer], same: np.ndarray | None) -> np.ndarray | None:
    """The outputs of all batches; where they are not known `same`."""
    outputs = [answer.output for answer in answers if answer.output is not None]
    return np.concatenate(outputs) if outputs else same


def _side(
    name: str, milliseconds: np.ndarray, output: np.ndarray | None, labels: np.ndarray | None, ann_output: np.ndarray
) -> Side:
    found, expected = None if output is None else predictions(output), predictions(ann_output)
    return Side(
        name,
        Quartiles.of(milliseconds),
        None if found is None or labels is None else float((found == labels).mean()),
        None if found is None or expected is None else float((found == expected).mean()),
    )
