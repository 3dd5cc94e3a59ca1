"""Simulating samples part by part, on any workers, and what is taken stock of at every number of steps.

What parts give are integers, but for the squared errors of outputs. It is the same wherever a part was simulated, and
as JSON it stays what it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from snnc.emit.block import Block
from snnc.ir.conversion import LayerReport
from snnc.measure.outputs import OutputKind, OutputPart, Truth, output_kinds, predictions
from snnc.runtime.session import beyond_limit, bytes_per_sample, largest_batch
from snnc.simulate.block_runner import Snapshot
from snnc.simulate.cut_runner import CutRunner
from snnc.workers import Part, Progress, Work, Workers
from snnc.workers.contract import Arrays
from snnc.workers.journal import Journal

# Larger parts are not faster, and there are fewer of them to go round.
_MOST_SAMPLES = 32
# What parts that are simulated at once may take together.
_BYTES_AT_ONCE = 2**30


@dataclass(frozen=True)
class Samples:
    """A part: `images` `[N, ...]`, the index of its first sample among all, and what is known of them: labels `[N]`,
    what the ANN gives by output."""

    images: np.ndarray
    first_sample: int
    labels: np.ndarray | None
    ann_outputs: dict[str, np.ndarray] | None


@dataclass(frozen=True)
class CutPart:
    """A part after some steps: samples that are `correct`, and those that are `lost` and `gained` beside the ANN;
    spikes by layer, and synaptic operations. `classified`: the first output has classes."""

    classified: bool
    correct: int
    lost: int
    gained: int
    spikes: list[int]
    operations: int
    outputs: dict[str, OutputPart]


@dataclass(frozen=True)
class PartFound:
    """A part by the number of steps; the steps until the last spike of each sample where the network settles; how
    many input elements are clipped."""

    cuts: dict[int, CutPart]
    settled: list[int]
    clipped: int

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {**asdict(self), "cuts": [[cut, asdict(found)] for cut, found in self.cuts.items()]}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> PartFound:
        """What `to_json` was called of."""
        return cls(**{**found, "cuts": {int(cut): _cut_from(part) for cut, part in found["cuts"]}})


@dataclass(frozen=True)
class Simulation(Work[Samples, PartFound]):
    """Simulates a part once, and takes stock at every step count in `cuts` (sorted)."""

    block: Block
    sources: Sequence[LayerReport]
    cuts: Sequence[int]
    seed: int

    def at_once(self, threads: int) -> int:
        part = samples_in_part(self.sources) * bytes_per_sample(self.sources)
        return max(1, min(threads, _BYTES_AT_ONCE // part))

    def prepare(self, threads: int | None) -> Callable[[Samples, Sequence[Arrays], Progress], PartFound]:
        runner, kinds = CutRunner(self.block, threads=threads), output_kinds(self.block)

        def simulate(part: Samples, _: Sequence[Arrays], progress: Progress) -> PartFound:
            return self._simulate(runner, kinds, part, progress)

        return simulate

    def _simulate(
        self, runner: CutRunner, kinds: dict[str, OutputKind], part: Samples, progress: Progress
    ) -> PartFound:
        truths = [Truth(kinds[name], values) for name, values in (part.ann_outputs or {}).items()]
        found: dict[int, CutPart] = {}
        settled: list[int] = []
        for snapshot in runner.run(part.images, self.cuts, seed=self.seed, first_sample=part.first_sample):
            # What is quiet stays as it is.
            reached = [cut for cut in self.cuts if cut == snapshot.step or (snapshot.quiet and cut > snapshot.step)]
            found |= dict.fromkeys(reached, _stock(snapshot, truths, part.labels)) if reached else {}
            settled = [] if snapshot.steps_used is None else snapshot.steps_used.tolist()
            progress(snapshot.step / self.cuts[-1])
            if snapshot.quiet:
                break
        clipped = int(np.count_nonzero(beyond_limit(self.sources, part.images)))
        return PartFound(found, settled, clipped)


def samples_in_part(layers: Sequence[LayerReport]) -> int:
    """How many samples of a network with these layers are simulated together."""
    return min(_MOST_SAMPLES, largest_batch([layer for layer in layers if layer.kind != "readout"]))


def simulated(
    workers: Workers,
    work: Simulation,
    indices: Iterable[int],
    part: Callable[[int], Part[Samples]],
    journal: Journal | None,
    progress: Progress,
) -> Iterator[tuple[int, PartFound]]:
    """What the journal knows of the parts, then what the workers find of the others, which goes into the journal."""
    entries = {} if journal is None else journal.known
    known = {index: PartFound.from_json(found) for index, found in entries.items()}
    yield from known.items()
    missing = [index for index in indices if index not in known]
    total = len(known) + len(missing)
    parts = (part(index) for index in missing)

    def tell(share: float) -> None:
        progress((len(known) + share * len(missing)) / total)

    for index, found in workers.run(work, parts, len(missing), tell):
        if journal is not None:
            journal.keep(index, found.to_json())
        yield index, found


def _stock(snapshot: Snapshot, truths: Sequence[Truth], labels: np.ndarray | None) -> CutPart:
    """What there is after the steps of a snapshot."""
    classes = predictions(next(iter(snapshot.outputs.values())))
    correct = lost = gained = 0
    if classes is not None and labels is not None:
        right = classes == labels
        correct = int(right.sum())
        ann_classes = predictions(truths[0].values) if truths else None
        if ann_classes is not None:
            right_in_ann = ann_classes == labels
            lost, gained = int((right_in_ann & ~right).sum()), int((right & ~right_in_ann).sum())
    return CutPart(
        classified=classes is not None,
        correct=correct,
        lost=lost,
        gained=gained,
        spikes=snapshot.spike_totals.sum(0).tolist(),
        operations=int(snapshot.synaptic_operations.sum()),
        outputs={truth.kind.name: truth.compared(snapshot.outputs[truth.kind.name]) for truth in truths},
    )


def _cut_from(found: dict[str, Any]) -> CutPart:
    return CutPart(**{**found, "outputs": {name: OutputPart(**part) for name, part in found["outputs"].items()}})
