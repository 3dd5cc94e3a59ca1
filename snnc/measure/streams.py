"""Frames of streams through a network that settles: what each costs, and whether it ends where a fresh run does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from snnc.diagnostics import fail
from snnc.files import ConvertedFile
from snnc.measure.certificate import difference
from snnc.measure.table import table
from snnc.runtime.graded import GradedSession
from snnc.runtime.session import largest_batch
from snnc.runtime.stream import StreamSession
from snnc.simulate.block_runner import StreamRunner


@dataclass(frozen=True)
class Costs:
    """Of frames, stream by stream, `[K, streams]`: steps until the last spike, spikes and synaptic operations of all
    layers. In one sweep there are no steps (None), and spikes are events."""

    steps: np.ndarray | None
    spikes: np.ndarray
    operations: np.ndarray


@dataclass(frozen=True)
class Course:
    """T frames of each stream: every output by name `[T, streams, ...]`, steps and the share of input integers that
    changed `[T, streams]`, spikes and synaptic operations by layer `[T, streams, L]`. In one sweep there are no steps
    (None), and spikes are events.

    `cold` is what frames cost that begin at the initial states: the first one, or in steps all that were `checked`.
    """

    outputs: dict[str, np.ndarray]
    steps: np.ndarray | None
    changed: np.ndarray
    spikes: np.ndarray
    operations: np.ndarray
    cold: Costs
    checked: int

    @property
    def warm(self) -> Costs:
        """Of the frames behind the first one."""
        steps = None if self.steps is None else self.steps[1:]
        return Costs(steps, self.spikes[1:].sum(2), self.operations[1:].sum(2))


def follow(
    file: ConvertedFile,
    frames: np.ndarray,
    *,
    graded: bool = False,
    check: int = 0,
    threads: int | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Course:
    """Feed `frames` `[T, streams, ...]`, in steps or, `graded`, each in one sweep; every `check`-th of them, the first
    included, also runs from the initial states in steps (0: none).

    Raises:
        ValueError: the network does not settle.
        DiagnosticError: SNN411 where a frame that was checked ended elsewhere; SNN405, graded: the network does not
            settle.
    """
    feeding = _Sweeps(file, frames.shape[1], threads) if graded else _Steps(file, frames.shape[1], threads)
    fresh = _FreshRuns(file, threads) if check else None
    found: list[_Fed] = []
    cold: list[Costs] = []
    for index, frame in enumerate(frames):
        found.append(feeding.feed(frame))
        if fresh is not None and index % check == 0:
            cold.append(fresh.compare(frame, feeding.states(), found[-1].outputs, index))
        progress((index + 1) / len(frames))
    checked = len(cold)
    if graded or not cold:
        first = found[0]
        cold = [Costs(first.steps, first.spikes.sum(1), first.operations.sum(1))]
    return Course(
        outputs={name: np.stack([frame.outputs[name] for frame in found]) for name in found[0].outputs},
        steps=_stacked([frame.steps for frame in found]),
        changed=np.stack([frame.changed for frame in found]),
        spikes=np.stack([frame.spikes for frame in found]),
        operations=np.stack([frame.operations for frame in found]),
        cold=Costs(
            _stacked([cost.steps for cost in cold]),
            np.stack([cost.spikes for cost in cold]),
            np.stack([cost.operations for cost in cold]),
        ),
        checked=checked,
    )


def _stacked(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    known = [part for part in parts if part is not None]
    return np.stack(known) if known else None


@dataclass(frozen=True)
class _Fed:
    """What one frame gave and cost."""

    outputs: dict[str, np.ndarray]
    steps: np.ndarray | None
    changed: np.ndarray
    spikes: np.ndarray
    operations: np.ndarray


class _Steps:
    """The network in steps."""

    def __init__(self, file: ConvertedFile, streams: int, threads: int | None) -> None:
        self._session = StreamSession(file.stream_form().SerializeToString(), streams=streams, threads=threads)

    def feed(self, frames: np.ndarray) -> _Fed:
        frame = self._session.feed(frames, warn=False)
        return _Fed(frame.outputs, frame.steps, frame.changed, frame.spikes, frame.synaptic_operations)

    def states(self) -> dict[str, np.ndarray]:
        """By the names and in the shapes of the network in steps."""
        return self._session.state


class _Sweeps:
    """The graded form of the network."""

    def __init__(self, file: ConvertedFile, streams: int, threads: int | None) -> None:
        model = file.graded_form()
        self._session = GradedSession(model.SerializeToString(), streams=streams, threads=threads)
        in_steps = {(state.layer, state.what): state.name for state in file.block.states if state.layer}
        told = json.loads(next(entry.value for entry in model.metadata_props if entry.key == "snnc.states"))
        names = {entry["name"]: in_steps.get((entry["layer"], entry["what"])) for entry in told}
        self._names = {name: known for name, known in names.items() if known is not None}
        self._channels_last = {entry["name"] for entry in told if entry.get("channels_last")}

    def feed(self, frames: np.ndarray) -> _Fed:
        frame = self._session.feed(frames, warn=False)
        return _Fed(frame.outputs, None, frame.changed, frame.events, frame.synaptic_operations)

    def states(self) -> dict[str, np.ndarray]:
        """Those that the network in steps has too, by its names and in its shapes."""
        state = self._session.state
        return {
            known: np.moveaxis(state[name], -1, 1) if name in self._channels_last else state[name]
            for name, known in self._names.items()
        }


class _FreshRuns:
    """Runs from the initial states, in blocks of 64 steps."""

    def __init__(self, file: ConvertedFile, threads: int | None) -> None:
        self._runner = StreamRunner(file.block, threads=threads)
        self._bound = file.options.max_steps
        self._batch = largest_batch([layer for layer in file.layers if layer.kind != "readout"])
        self._what = {state.name: f"the {state.what} of {state.layer!r}" for state in file.block.states}

    def compare(
        self, images: np.ndarray, states: dict[str, np.ndarray], outputs: dict[str, np.ndarray], index: int
    ) -> Costs:
        """What a frame costs from the start; SNN411 unless it ends at these `states` and `outputs`."""
        parts = []
        for first in range(0, len(images), self._batch):
            chosen = slice(first, first + self._batch)
            last = self._runner.run_until_quiet(images[chosen], self._bound)
            pairs = [(self._what[name], value, last.states[name]) for name, value in states.items()]
            pairs += [(f"the output {name!r}", value, last.outputs[name]) for name, value in outputs.items()]
            for what, found, expected in pairs:
                for text in difference(what, found[chosen], expected, first):
                    fail("SNN411", f"frame {index}, samples are streams: {text}")
            assert last.steps_used is not None
            parts.append((last.steps_used, last.spike_totals.sum(1), last.synaptic_operations.sum(1)))
        return Costs(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def course_table(course: Course) -> str:
    """What frames cost behind the first one, beside a cold frame."""
    rows = [["changed %", "", *_spread(100 * course.changed[1:], "{:.2f}"), ""]]
    warm, cold = course.warm, course.cold
    measures = [
        ("steps", "{:.1f}", warm.steps, cold.steps),
        ("spikes" if course.steps is not None else "events", "{:,.0f}", warm.spikes, cold.spikes),
        ("SOPs", "{:,.0f}", warm.operations, cold.operations),
    ]
    for name, form, of_warm, of_cold in measures:
        if of_warm is not None and of_cold is not None:
            mean = float(of_cold.mean())
            share = f"{100 * of_warm.mean() / mean:.1f} %" if of_warm.size and mean else ""
            rows.append([name, form.format(mean), *_spread(of_warm, form), share])
    return table(["per frame", "cold frame", "mean", "median", "95 %", "most", "mean/cold"], rows)


def _spread(values: np.ndarray, form: str) -> Iterator[str]:
    """Mean, median, 95th percentile and maximum."""
    if not values.size:
        return iter([""] * 4)
    found = (values.mean(), np.median(values), np.percentile(values, 95), values.max())
    return (form.format(float(value)) for value in found)
