"""Frames of streams through a network that settles: what each costs, and whether it ends where a fresh run does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from snnc.diagnostics import fail
from snnc.files import ConvertedFile
from snnc.measure.certificate import difference
from snnc.measure.table import table
from snnc.runtime.session import largest_batch
from snnc.runtime.stream import Frame, StreamSession
from snnc.simulate.block_runner import StreamRunner


@dataclass(frozen=True)
class Costs:
    """Of frames, stream by stream, `[K, streams]`: steps until the last spike, spikes and synaptic operations of all
    layers."""

    steps: np.ndarray
    spikes: np.ndarray
    operations: np.ndarray


@dataclass(frozen=True)
class Course:
    """T frames of each stream: every output by name `[T, streams, ...]`, steps and the share of input integers that
    changed `[T, streams]`, spikes and synaptic operations by layer `[T, streams, L]`.

    `cold` is what frames cost that begin at the initial states: the first one, or all that were `checked`.
    """

    outputs: dict[str, np.ndarray]
    steps: np.ndarray
    changed: np.ndarray
    spikes: np.ndarray
    operations: np.ndarray
    cold: Costs
    checked: int

    @property
    def warm(self) -> Costs:
        """Of the frames behind the first one."""
        return Costs(self.steps[1:], self.spikes[1:].sum(2), self.operations[1:].sum(2))


def follow(
    file: ConvertedFile,
    frames: np.ndarray,
    *,
    check: int = 0,
    threads: int | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Course:
    """Feed `frames` `[T, streams, ...]`; every `check`-th of them, the first included, also runs from the initial
    states (0: none).

    Raises:
        ValueError: the network does not settle.
        DiagnosticError: SNN411 where a frame that was checked ended elsewhere.
    """
    model = file.stream_form().SerializeToString()
    session = StreamSession(model, streams=frames.shape[1], threads=threads)
    fresh = _FreshRuns(file, threads) if check else None
    found: list[Frame] = []
    cold: list[Costs] = []
    for index, frame in enumerate(frames):
        found.append(session.feed(frame, warn=False))
        if fresh is not None and index % check == 0:
            cold.append(fresh.compare(frame, session.state, found[-1], index))
        progress((index + 1) / len(frames))
    costs = cold or [Costs(found[0].steps, found[0].spikes.sum(1), found[0].synaptic_operations.sum(1))]
    return Course(
        outputs={name: np.stack([frame.outputs[name] for frame in found]) for name in found[0].outputs},
        steps=np.stack([frame.steps for frame in found]),
        changed=np.stack([frame.changed for frame in found]),
        spikes=np.stack([frame.spikes for frame in found]),
        operations=np.stack([frame.synaptic_operations for frame in found]),
        cold=Costs(*(np.stack([getattr(cost, name) for cost in costs]) for name in ("steps", "spikes", "operations"))),
        checked=len(cold),
    )


class _FreshRuns:
    """Runs from the initial states, in blocks of 64 steps."""

    def __init__(self, file: ConvertedFile, threads: int | None) -> None:
        self._runner = StreamRunner(file.block, threads=threads)
        self._bound = file.options.max_steps
        self._batch = largest_batch([layer for layer in file.layers if layer.kind != "readout"])
        self._what = {state.name: f"the {state.what} of {state.layer!r}" for state in file.block.states}

    def compare(self, images: np.ndarray, states: dict[str, np.ndarray], frame: Frame, index: int) -> Costs:
        """What a frame costs from the start; SNN411 unless it ends at these `states` and outputs."""
        parts = []
        for first in range(0, len(images), self._batch):
            chosen = slice(first, first + self._batch)
            last = self._runner.run_until_quiet(images[chosen], self._bound)
            pairs = [(self._what[name], value, last.states[name]) for name, value in states.items()]
            pairs += [(f"the output {name!r}", value, last.outputs[name]) for name, value in frame.outputs.items()]
            for what, found, expected in pairs:
                for text in difference(what, found[chosen], expected, first):
                    fail("SNN411", f"frame {index}, samples are streams: {text}")
            assert last.steps_used is not None
            parts.append((last.steps_used, last.spike_totals.sum(1), last.synaptic_operations.sum(1)))
        return Costs(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def course_table(course: Course) -> str:
    """What frames cost behind the first one, beside a cold frame."""
    rows = [["changed %", "", *_spread(100 * course.changed[1:], "{:.2f}"), ""]]
    for name, form in (("steps", "{:.1f}"), ("spikes", "{:,.0f}"), ("SOPs", "{:,.0f}")):
        field = "operations" if name == "SOPs" else name
        warm, cold = getattr(course.warm, field), float(getattr(course.cold, field).mean())
        share = f"{100 * warm.mean() / cold:.1f} %" if warm.size and cold else ""
        rows.append([name, form.format(cold), *_spread(warm, form), share])
    return table(["per frame", "cold frame", "mean", "median", "95 %", "most", "mean/cold"], rows)


def _spread(values: np.ndarray, form: str) -> Iterator[str]:
    """Mean, median, 95th percentile and maximum."""
    if not values.size:
        return iter([""] * 4)
    found = (values.mean(), np.median(values), np.percentile(values, 95), values.max())
    return (form.format(float(value)) for value in found)
