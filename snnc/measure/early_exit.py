"""What leaving early saves and costs, for several margins: the steps that samples take, and their accuracy.

One simulation to the end, with a look at the outputs at every multiple of `every` steps: where a sample leaves for a
given margin (`snnc.runtime.early_exit`) follows from its leads, as samples do not know of each other.

A margin is chosen by the accuracy that it may cost, as steps and levels are (`snnc.measure.drop`): the smallest of
`CANDIDATES`, in median leads of the run to the end, for which a bound on the drop against that run is small enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from snnc.emit.block import Block
from snnc.ir.conversion import LayerReport
from snnc.measure.drop import CONFIDENCE, Pairs, smallest
from snnc.measure.outputs import predictions
from snnc.runtime.early_exit import default_interval, lead
from snnc.runtime.session import largest_batch
from snnc.simulate.block_runner import Snapshot, StreamRunner
from snnc.simulate.cut_runner import CutRunner

#: Margins to choose from, in median leads at the end: two for each power of two.
CANDIDATES = tuple(2.0 ** (power / 2) for power in range(-8, 9))


@dataclass(frozen=True)
class Exit:
    """All samples with one margin (None: nobody leaves early).

    The `steps` of samples are those at which they were decided, and all others run to the end: in a network that
    settles to their last spike. `decided` is the share that left early, `same` the share in the class that the run to
    the end gives; `agreement` is that with the ANN, `operations` are synaptic operations per sample.
    """

    margin: float | None
    mean_steps: float
    median_steps: float
    steps_95: float
    decided: float
    accuracy: float | None
    agreement: float | None
    same: float
    operations: float


@dataclass(frozen=True)
class ChosenMargin:
    """The smallest `margin` that loses no more than `drop` against the run to the end, or where none `met` that the one
    with the least bound. Of all samples `lost` are classified rightly by the run to the end alone, `gained` by the
    early one alone (None without labels: then `lost` are those in different classes). The drop is at most `bound`, with
    this `confidence` for all candidates together."""

    drop: float
    met: bool
    confidence: float
    margin: float
    lost: int
    gained: int | None
    bound: float


@dataclass(frozen=True)
class Exits:
    """By margin, the run to the end first. `lead` is the median lead there, in the units of the first output; `chosen`
    says how the last margin was chosen, where it was."""

    points: list[Exit]
    samples: int
    steps: int
    every: int
    lead: float
    chosen: ChosenMargin | None = None

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values, documented in docs/cli.md."""
        return asdict(self)


@dataclass(frozen=True)
class _Looks:
    """What was seen at every look, `[looks, N]`: steps taken so far, lead, class and synaptic operations; and whether
    a sample had come to its end (all steps, or quiet)."""

    steps: np.ndarray
    leads: np.ndarray
    classes: np.ndarray
    operations: np.ndarray
    ended: np.ndarray


def measure_exits(
    block: Block,
    layers: Sequence[LayerReport],
    images: np.ndarray,
    margins: Sequence[float],
    *,
    target_drop: float | None = None,
    steps: int,
    every: int | None = None,
    labels: np.ndarray | None = None,
    ann_outputs: dict[str, np.ndarray] | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Exits:
    """Simulate `images` for `steps` steps, and see where samples leave for each of `margins`.

    `layers` are the file's; the first output has scores of classes. With a `target_drop` a margin is chosen, and
    `margins` are not looked at.
    """
    every = default_interval(steps, settles=bool(block.quiet)) if every is None else every
    # One that settles is looked at every few steps: that many readings cost more than short blocks.
    runner = StreamRunner(block, threads=threads) if block.quiet else CutRunner(block, threads=threads)
    batch = largest_batch([layer for layer in layers if layer.kind != "readout"])
    cuts = [*range(every, steps, every), steps]
    parts = []
    for start in range(0, len(images), batch):
        some = images[start : start + batch]
        parts.append(_looks(runner, some, cuts, seed, start))
        progress((start + len(some)) / len(images))
    looks = _joined(parts)
    scale = float(np.nanmedian(looks.leads[-1]))
    chosen = None
    if target_drop is not None:
        found, chosen = _choose(looks, scale, target_drop, labels)
        margins = sorted(found)
    expected = None if ann_outputs is None else predictions(ann_outputs[block.outputs[0].name])
    points = [_exit(looks, margin, labels, expected) for margin in (None, *margins)]
    return Exits(points, len(images), steps, every, scale, chosen)


def _choose(
    looks: _Looks, scale: float, target: float, labels: np.ndarray | None
) -> tuple[list[float], ChosenMargin | None]:
    """The margins that were tried, and the chosen one; none where there is no lead to choose by."""
    if not scale > 0:
        return [], None
    margins = [float(share * scale) for share in CANDIDATES]
    nothing = Pairs(0, 0, None if labels is None else 0)

    def evaluate(index: int, hopeless: Callable[[Pairs, int], bool]) -> Pairs:
        place = _leaving(looks, margins[index])
        return nothing.with_more(looks.classes[place], looks.classes[-1], labels)

    search = smallest(range(len(margins)), target, evaluate)
    best = search.chosen
    tried = [margins[one.candidate] for one in search.tried]
    pairs = best.pairs
    return tried, ChosenMargin(
        target, search.met, CONFIDENCE, margins[best.candidate], pairs.lost, pairs.gained, best.bound
    )


def _looks(
    runner: StreamRunner | CutRunner, images: np.ndarray, cuts: Sequence[int], seed: int, first_sample: int
) -> _Looks:
    output = runner.block.outputs[0].name
    rows = []
    for snapshot in runner.run(images, cuts, seed=seed, first_sample=first_sample):
        if snapshot.step not in cuts:  # the end of a block
            continue
        classes = predictions(snapshot.outputs[output])
        assert classes is not None
        taken, ended = _taken(snapshot, len(images), cuts[-1])
        leads = lead(snapshot.outputs[output])
        rows.append((taken, leads, classes, snapshot.synaptic_operations.sum(1), ended))
        if snapshot.quiet:
            break
    return _Looks(*(np.stack(column) for column in zip(*rows, strict=True)))


def _taken(snapshot: Snapshot, samples: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The steps that each sample has taken, and whether these are all."""
    taken = np.full(samples, snapshot.step)
    if snapshot.steps_used is None:
        return taken, np.full(samples, snapshot.step == steps)
    quiet = snapshot.steps_used < snapshot.step
    return np.where(quiet, snapshot.steps_used, taken), quiet | (snapshot.step == steps)


def _joined(parts: Sequence[_Looks]) -> _Looks:
    """Batches beside each other: what was quiet early stays as it is."""
    most = max(len(part.steps) for part in parts)

    def column(name: str) -> np.ndarray:
        arrays = [getattr(part, name) for part in parts]
        padded = [np.concatenate([array, np.repeat(array[-1:], most - len(array), axis=0)]) for array in arrays]
        return np.concatenate(padded, axis=1)

    return _Looks(*(column(name) for name in ("steps", "leads", "classes", "operations", "ended")))


def _leaving(looks: _Looks, margin: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Where samples leave: the look and the sample, for every sample."""
    leaves = (looks.leads >= (math.inf if margin is None else margin)) | looks.ended
    return leaves.argmax(0), np.arange(leaves.shape[1])


def _exit(looks: _Looks, margin: float | None, labels: np.ndarray | None, expected: np.ndarray | None) -> Exit:
    place = _leaving(looks, margin)
    steps, classes = looks.steps[place], looks.classes[place]
    return Exit(
        margin=margin,
        mean_steps=float(steps.mean()),
        median_steps=float(np.median(steps)),
        steps_95=float(np.percentile(steps, 95)),
        decided=float((~looks.ended[place]).mean()),
        accuracy=None if labels is None else float((classes == labels).mean()),
        agreement=None if expected is None else float((classes == expected).mean()),
        same=float((classes == looks.classes[-1]).mean()),
        operations=float(looks.operations[place].mean()),
    )
