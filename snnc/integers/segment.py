"""One layer of a spiking network on one batch of samples, block by block: the work of a calibration.

What is found are integers, and means of them, which are the same wherever they are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime

from snnc.ir.names import COUNT, FIRST_SAMPLE, FIRST_STEP, SEED
from snnc.ir.state import State
from snnc.runtime.session import make_session
from snnc.workers import Progress, Work
from snnc.workers.contract import Arrays, Found

# Each takes memory for its currents, up to some 16 MiB at a time.
_MOST_AT_ONCE = 16
#: Of every block: the largest sum and the sum of the positive ones by channel `[C]`, and the share that is positive.
BlockSums = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Batch:
    """Some samples: the index of the first, how many, and the images, `[N, ...]`, where the layer reads them."""

    start: int
    samples: int
    images: np.ndarray | None


@dataclass(frozen=True)
class Segment:
    """A layer as a model of its own, which reads the tensors `names` (`reads_images`: the one that has the images), the
    numbers that say where a block is, and its states. Blocks are (first step, count)."""

    model: bytes
    names: tuple[str, ...]
    reads_images: bool
    states: tuple[State, ...]
    blocks: Sequence[tuple[int, int]]
    seed: int

    def session(self, threads: int | None) -> onnxruntime.InferenceSession:
        """The model in onnxruntime."""
        return make_session(self.model, threads=threads)

    def run(
        self, session: onnxruntime.InferenceSession, batch: Batch, kept: Sequence[Arrays], progress: Progress
    ) -> Iterator[list[np.ndarray]]:
        """The outputs of every block, in order; those behind the first one are the states."""
        values = [state.start(batch.samples) for state in self.states]
        for index, (first_step, count) in enumerate(self.blocks):
            controls = {COUNT: count}
            feeds: dict[str, np.ndarray] = {}
            if self.reads_images:
                assert batch.images is not None
                controls |= {SEED: self.seed, FIRST_SAMPLE: batch.start, FIRST_STEP: first_step}
                feeds[self.names[0]] = batch.images
            else:
                feeds = {name: train[index] for name, train in zip(self.names, kept, strict=True)}
            feeds |= {name: np.array(value, np.int64) for name, value in controls.items()}
            feeds |= {state.name: value for state, value in zip(self.states, values, strict=True)}
            outputs = session.run(None, feeds)
            values = outputs[1:] if self.states else []
            yield outputs
            progress((index + 1) / len(self.blocks))


class BatchWork(Work[Batch, Found]):
    """Work on a layer: batches are small (`largest_batch`), and several of them may be in work."""

    def at_once(self, threads: int) -> int:
        return min(threads, _MOST_AT_ONCE)


@dataclass(frozen=True)
class Fired(BatchWork[list[np.ndarray]]):
    """What a layer gives in every block."""

    segment: Segment

    def prepare(self, threads: int | None) -> Callable[[Batch, Sequence[Arrays], Progress], list[np.ndarray]]:
        session = self.segment.session(threads)

        def fire(batch: Batch, kept: Sequence[Arrays], progress: Progress) -> list[np.ndarray]:
            return [outputs[0] for outputs in self.segment.run(session, batch, kept, progress)]

        return fire


@dataclass(frozen=True)
class MeanCurrents(BatchWork[Any]):
    """What is left by `reduce` of the first state at the end times `factor`, which broadcasts against a sample."""

    segment: Segment
    factor: np.ndarray
    reduce: Callable[[np.ndarray], Any]

    def prepare(self, threads: int | None) -> Callable[[Batch, Sequence[Arrays], Progress], Any]:
        session = self.segment.session(threads)

        def measure(batch: Batch, kept: Sequence[Arrays], progress: Progress) -> Any:
            for outputs in self.segment.run(session, batch, kept, progress):
                total = outputs[1]
            return self.reduce(total * self.factor)

        return measure


@dataclass(frozen=True)
class MeasuredSums(BatchWork[list[BlockSums]]):
    """The three outputs of a model without states, for every block."""

    segment: Segment

    def prepare(self, threads: int | None) -> Callable[[Batch, Sequence[Arrays], Progress], list[BlockSums]]:
        session = self.segment.session(threads)

        def measure(batch: Batch, kept: Sequence[Arrays], progress: Progress) -> list[BlockSums]:
            return [(found[0], found[1], found[2]) for found in self.segment.run(session, batch, kept, progress)]

        return measure
