"""Running a network block by block with the states outside: calibration, verification, evaluation and recording."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from snnc.emit.block import Block
from snnc.emit.schedules import as_stream
from snnc.ir.domain import BLOCK_STEPS
from snnc.ir.names import COUNT, FIRST_SAMPLE, FIRST_STEP, SEED, SPIKE_TOTALS, STEPS_USED, SYNAPTIC_OPERATIONS
from snnc.runtime.session import make_session


@dataclass(frozen=True)
class Snapshot:
    """State of a simulation after `step` steps.

    `outputs` in ANN units by name; `spike_totals` and `synaptic_operations` int64 `[N, L]` since step 0; `words` the
    exposed spike words of the last block, which had `count` steps; `states` the states of the block (membrane
    potentials and counts) after it, by their names. `steps_used` int64 `[N]` are the steps until the last spike of each
    sample, in networks that settle.
    """

    step: int
    count: int
    outputs: dict[str, np.ndarray]
    spike_totals: np.ndarray
    synaptic_operations: np.ndarray
    words: dict[str, np.ndarray]
    states: dict[str, np.ndarray]
    steps_used: np.ndarray | None = None

    @property
    def quiet(self) -> bool:
        """Whether nothing will happen any more: the last step went by without a spike, in a network that settles."""
        return self.steps_used is not None and bool((self.steps_used < self.step).all())


class StreamRunner:
    """The stream form of a block in an onnxruntime session.

    `expose` names the spike words that snapshots have. `model` is the stream form where it is there already (with the
    exposed words among its outputs).
    """

    def __init__(
        self,
        block: Block,
        *,
        expose: Sequence[str] = (),
        native: bool = True,
        threads: int | None = None,
        model: onnx.ModelProto | None = None,
    ) -> None:
        self.block = block
        self.expose = tuple(expose)
        self.model: onnx.ModelProto = as_stream(block, self.expose) if model is None else model
        self.session = make_session(self.model.SerializeToString(), native=native, threads=threads)
        self._names = [value.name for value in self.session.get_outputs()]

    def run(
        self, images: np.ndarray, cuts: Sequence[int], *, seed: int = 0, first_sample: int = 0
    ) -> Iterator[Snapshot]:
        """Simulate one batch up to the last of `cuts` (step counts), yielding after every block.

        Blocks end at every cut and have at most 64 steps. The step counts that are no cut are yielded too.
        """
        states = {state.name: state.start(len(images)) for state in self.block.states}
        for first_step, count in blocks(cuts):
            last = self.step(images, states, first_step, count, seed, first_sample)
            yield last
            states = last.states

    def step(
        self,
        images: np.ndarray,
        states: dict[str, np.ndarray],
        first_step: int,
        count: int,
        seed: int,
        first_sample: int,
        *,
        with_words: bool = True,
    ) -> Snapshot:
        """One block of `count` steps (up to 64) behind `states`; the exposed words are left out unless asked for."""
        controls = {SEED: seed, FIRST_SAMPLE: first_sample, FIRST_STEP: first_step, COUNT: count}
        feeds = {name: np.array(value, np.int64) for name, value in controls.items()}
        exposed = self.expose if with_words else ()
        names = [name for name in self._names if with_words or name not in self.expose]
        values = self.session.run(names, {self.block.input_name: images, **feeds, **states})
        results: dict[str, np.ndarray] = dict(zip(names, values, strict=True))
        return Snapshot(
            step=first_step + count,
            count=count,
            outputs={value.name: results[value.name] for value in self.block.outputs},
            spike_totals=results[SPIKE_TOTALS],
            synaptic_operations=results[SYNAPTIC_OPERATIONS],
            words={name: results[name] for name in exposed},
            states={state.name: results[state.output or state.next_name] for state in self.block.states},
            steps_used=results.get(STEPS_USED),
        )

    def run_until_quiet(self, images: np.ndarray, most_steps: int, *, seed: int = 0, first_sample: int = 0) -> Snapshot:
        """The state of one batch once it has settled, or after `most_steps`."""
        last: Snapshot | None = None
        for last in self.run(images, [most_steps], seed=seed, first_sample=first_sample):
            if last.quiet:
                break
        assert last is not None
        return last

    def run_to_end(self, images: np.ndarray, steps: int, *, batch: int, seed: int = 0) -> Snapshot:
        """The state of all `images` after `steps` steps, simulated `batch` at a time; without words and states. What is
        quiet earlier stays as it is, and is not simulated any longer."""
        parts = [
            self.run_until_quiet(images[start : start + batch], steps, seed=seed, first_sample=start)
            for start in range(0, len(images), batch)
        ]
        return Snapshot(
            step=steps,
            count=parts[-1].count,
            outputs={name: np.concatenate([part.outputs[name] for part in parts]) for name in parts[0].outputs},
            spike_totals=np.concatenate([part.spike_totals for part in parts]),
            synaptic_operations=np.concatenate([part.synaptic_operations for part in parts]),
            words={},
            states={},
        )


def blocks(cuts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(first step, count) of the blocks that cover 0..max(cuts), ending at each cut and after at most 64 steps."""
    first = 0
    for cut in sorted(set(cuts)):
        while first < cut:
            count = min(BLOCK_STEPS, cut - first)
            yield first, count
            first += count


def default_cuts(steps: int, delay: int = 0) -> list[int]:
    """1, 2, 4, ... and `steps`, without the first `delay` steps."""
    return [2**power for power in range(steps.bit_length()) if delay < 2**power < steps] + [steps]
