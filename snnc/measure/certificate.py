"""Whether a spiking network settles at its quantised ANN: the counts and potentials of every layer, as integers.

The spiking network runs block by block until it is quiet; the quantised ANN (`snnc.emit.quantised`) computes every
layer once. They share the weights and nothing else: no operator, no kernel, no notion of time.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape

import numpy as np
import onnx
import onnxruntime

from snnc.data.rows import Rows
from snnc.diagnostics import fail
from snnc.emit.block import Block
from snnc.emit.quantised import COUNTS, POTENTIALS
from snnc.ir.state import State
from snnc.runtime.session import make_session
from snnc.simulate.block_runner import Snapshot, StreamRunner


@dataclass(repr=False)
class Equality:
    """What was compared, and what was not equal.

    `steps` are those that each sample took until it was quiet; `spikes` those of all samples; `layers` how many layers
    were compared. `differences` say where the two part, empty where they never do. `outputs` are those of the spiking
    network, by name.
    """

    steps: np.ndarray
    spikes: int
    operations: int
    layers: int
    differences: list[str] = field(default_factory=list)
    outputs: dict[str, np.ndarray] = field(default_factory=dict)

    def __repr__(self) -> str:
        samples, wrong = len(self.steps), len(self.differences)
        words = [f"{self.layers} layers on {samples:,} sample{'' if samples == 1 else 's'}"]
        words.append(f"{wrong:,} differences, first: {self.differences[0]}" if wrong else "no differences")
        if samples:
            words.append(f"last spike after {self.steps.mean():.1f} steps on average, {self.steps.max()} at most")
        return f"Equality({'; '.join(words)})"

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>"


def compare_with_quantised(
    block: Block,
    quantised: onnx.ModelProto,
    images: np.ndarray | Rows,
    *,
    most_steps: int,
    batch: int,
    threads: int | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Equality:
    """Run both on `images` `[S, ...]`, `batch` at a time; what is not quiet after `most_steps` is different."""
    runner = StreamRunner(block, threads=threads)
    opponent = _Opponent(quantised, block.states, threads)
    parts: list[Equality] = []
    for start in range(0, len(images), batch):
        chosen = images[start : start + batch]
        last = runner.run_until_quiet(chosen, most_steps)
        parts.append(_compare(last, opponent, chosen, block, start))
        progress((start + len(chosen)) / len(images))
    names = parts[0].outputs if parts else {}
    return Equality(
        steps=np.concatenate([part.steps for part in parts]) if parts else np.zeros(0, np.int64),
        spikes=sum(part.spikes for part in parts),
        operations=sum(part.operations for part in parts),
        layers=opponent.layers,
        differences=[difference for part in parts for difference in part.differences],
        outputs={name: np.concatenate([part.outputs[name] for part in parts]) for name in names},
    )


class _Opponent:
    """The quantised ANN, and which of its outputs each state of the block has to equal."""

    def __init__(self, model: onnx.ModelProto, states: list[State], threads: int | None) -> None:
        metadata = {
            entry.key: json.loads(entry.value) for entry in model.metadata_props if entry.key in (POTENTIALS, COUNTS)
        }
        if len(metadata) < 2:
            fail("SNN402", "the network to compare with is no quantised ANN that snnc wrote")
        by_what = {"membrane potential": metadata[POTENTIALS], "spike count": metadata[COUNTS]}
        self.expected = {state.name: by_what[state.what][state.layer] for state in states if state.what in by_what}
        self.layers = len({state.layer for state in states if state.name in self.expected})
        self._session: onnxruntime.InferenceSession = make_session(
            model.SerializeToString(), threads=threads, frugal=True
        )
        self._input = self._session.get_inputs()[0].name
        self._names = [value.name for value in self._session.get_outputs()]

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(self._names, self._session.run(None, {self._input: images}), strict=True))


def _compare(last: Snapshot, opponent: _Opponent, images: np.ndarray, block: Block, first_sample: int) -> Equality:
    expected = opponent.run(images)
    assert last.steps_used is not None
    found = Equality(
        last.steps_used, int(last.spike_totals.sum()), int(last.synaptic_operations.sum()), opponent.layers
    )
    found.outputs = last.outputs
    restless = np.flatnonzero(last.steps_used >= last.step)
    if len(restless):
        found.differences.append(f"sample {first_sample + restless[0]} is not quiet after {last.step} steps")
    for state in block.states:
        if state.name in opponent.expected:
            what = f"the {state.what} of {state.layer!r}"
            found.differences += difference(
                what, last.states[state.name], expected[opponent.expected[state.name]], first_sample
            )
    for name, value in last.outputs.items():
        found.differences += difference(f"the output {name!r}", value, expected[name], first_sample)
    return found


def difference(what: str, found: np.ndarray, expected: np.ndarray, first_sample: int) -> list[str]:
    """Where `found` is not `expected`, both `[N, ...]`, in a sentence; empty where they are equal."""
    if found.shape != expected.shape:
        return [f"{what} has shapes {found.shape} and {expected.shape}"]
    wrong = (found != expected) & ((found == found) | (expected == expected))  # NaN equals NaN here
    if not wrong.any():
        return []
    place = tuple(int(index) for index in np.argwhere(wrong)[0])
    values = f"{found[place]} instead of {expected[place]}"
    return [f"{what} is {values} in sample {first_sample + place[0]}, element {list(place[1:])}; {wrong.sum()} differ"]
