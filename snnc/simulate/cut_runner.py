"""Running a network in whole blocks, and taking stock at any step: evaluations, and leaving early.

A block of one step costs nearly as much as one of a dozen: potentials and words are moved once for each. So blocks do
not end where stock is taken; what there is after some of their steps is read from their spikes (`snnc.emit.reading`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from snnc.emit.block import Block
from snnc.emit.reading import MASK, as_reading
from snnc.ir.domain import BLOCK_STEPS
from snnc.ir.names import COUNT, FIRST_SAMPLE, FIRST_STEP, SEED, SPIKE_TOTALS, STEPS_USED, SYNAPTIC_OPERATIONS
from snnc.runtime.session import make_session
from snnc.simulate.block_runner import Snapshot, StreamRunner


class CutRunner:
    """A block in onnxruntime, with the same results at every step count as a `StreamRunner` that stops there.

    Batches may run in several threads at once.
    """

    def __init__(self, block: Block, *, threads: int | None = None) -> None:
        self.block = block
        reading = as_reading(block)
        self._words = reading.words
        self._blocks = StreamRunner(block, expose=tuple(self._words), threads=threads)
        self._reading = make_session(reading.model.SerializeToString(), threads=threads)
        self._reads = {value.name for value in self._reading.get_inputs()}
        self._names = [value.name for value in self._reading.get_outputs()]

    def run(
        self, images: np.ndarray, cuts: Sequence[int], *, seed: int = 0, first_sample: int = 0
    ) -> Iterator[Snapshot]:
        """Simulate one batch up to the last of `cuts` (step counts), yielding at each of them and after every block.
        Snapshots have no words, and at cuts within a block no states."""
        wanted = sorted(set(cuts))
        states = {state.name: state.start(len(images)) for state in self.block.states}
        for first_step, count in whole_blocks(wanted, settles=bool(self.block.quiet)):
            within = [cut for cut in wanted if first_step < cut < first_step + count]
            last = self._blocks.step(images, states, first_step, count, seed, first_sample, with_words=bool(within))
            for cut in within:
                yield self._read(images, states, last.words, (first_step, cut - first_step), seed, first_sample)
            last.words.clear()
            yield last
            states = last.states

    def _read(
        self,
        images: np.ndarray,
        states: dict[str, np.ndarray],
        words: dict[str, np.ndarray],
        where: tuple[int, int],
        seed: int,
        first_sample: int,
    ) -> Snapshot:
        """What there is `where`, after some of the first steps of a block: its first step, and how many steps of it."""
        first_step, count = where
        controls = {SEED: seed, FIRST_SAMPLE: first_sample, FIRST_STEP: first_step, COUNT: count}
        feeds = {self.block.input_name: images, **states, MASK: np.array((1 << count) - 1, np.uint64)}
        feeds |= {name: np.array(value, np.int64) for name, value in controls.items()}
        feeds |= {given: words[name] for name, given in self._words.items()}
        values = self._reading.run(None, {name: value for name, value in feeds.items() if name in self._reads})
        found: dict[str, np.ndarray] = dict(zip(self._names, values, strict=True))
        return Snapshot(
            step=first_step + count,
            count=count,
            outputs={value.name: found[value.name] for value in self.block.outputs},
            spike_totals=found[SPIKE_TOTALS],
            synaptic_operations=found[SYNAPTIC_OPERATIONS],
            words={},
            states={},
            steps_used=found.get(STEPS_USED),
        )


def whole_blocks(cuts: Sequence[int], *, settles: bool) -> Iterator[tuple[int, int]]:
    """(first step, count) of the blocks that cover 0..max(cuts), as long as they can be. A network that settles may be
    quiet at any cut: its blocks end at the last cut that they can reach."""
    first, end = 0, max(cuts)
    while first < end:
        reached = [cut for cut in cuts if first < cut <= first + BLOCK_STEPS]
        last = max(reached) if settles and reached else min(first + BLOCK_STEPS, end)
        yield first, last - first
        first = last
