"""Running a network until every sample is decided, with onnxruntime and numpy alone: easy samples take fewer steps.

    lead(t) = y₁(t) - y₂(t)      the largest of the outputs after t steps over the second largest

A sample is decided, and leaves, at the first multiple of `every` steps at which its lead reaches the margin; at the
latest after all steps or, in a network that settles, when it is quiet. Samples do not know of each other: what one
gives is, number for number, what a run of as many steps gives.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from os import PathLike, fspath
from typing import Any

import numpy as np

from snnc.runtime.session import Result, check_images, input_limit, largest_batch, make_session, read_metadata
from snnc.runtime.states import LONGEST_BLOCK, read_states

Arrays = dict[str, np.ndarray]

# Between two looks at the outputs go a sixteenth of the steps; of networks that settle, which need few, as many as
# these (the bound on their steps says nothing of what they take).
_LOOKS, _WHERE_IT_SETTLES = 16, 4
_STEPS_USED = "steps_used"


def default_interval(steps: int, *, settles: bool) -> int:
    """Steps between two looks at the outputs."""
    return _WHERE_IT_SETTLES if settles else min(LONGEST_BLOCK, math.ceil(steps / _LOOKS))


def lead(output: np.ndarray) -> np.ndarray:
    """What the largest value of each sample is above the second largest, float64 `[N]`, of scores `[N, classes, 1...]`;
    NaN where one is not finite."""
    scores = output.reshape(len(output), output.shape[1]).astype(np.float64)
    two = np.partition(scores, -2, axis=1)[:, -2:]
    found: np.ndarray = np.where(np.isfinite(scores).all(1), two[:, 1] - two[:, 0], np.nan)
    return found


class EarlyExitSession:
    """A converted network that runs until every sample is decided. Thread-safe as onnxruntime sessions are.

    Args:
        model: path of a `.snn.onnx` file of the schedule `stream`, or its bytes.
        native: use the native operators (default) or the functions inside the file.
        threads: intra-op threads; None leaves it to onnxruntime.

    Raises:
        ValueError: the file was not converted by snnc, has a newer format or another schedule, or its first output is
            no scores of classes. What onnxruntime raises where it cannot read the file goes through.
    """

    def __init__(self, model: str | PathLike[str] | bytes, *, native: bool = True, threads: int | None = None) -> None:
        source = model if isinstance(model, bytes) else fspath(model)
        self._native = native
        self.session = make_session(source, native=native, threads=threads)
        self.options, self.layers = read_metadata(self.session)
        if self.options.schedule != "stream":
            raise ValueError(
                f"EarlyExitSession runs the schedule stream, the file has {self.options.schedule!r}: convert the ANN "
                "with --schedule stream"
            )
        self._states = read_states(self.session)
        self._settles = any(state.output == _STEPS_USED for state in self._states)
        self._input, first = self.session.get_inputs()[0], self.session.get_outputs()[0]
        self._names = [value.name for value in self.session.get_outputs()]
        carried = {state.next for state in self._states}
        self._decoded = [name for name in self._names if name not in carried]
        if first.type != "tensor(float)" or len(first.shape) < 2 or first.shape[1] < 2 or set(first.shape[2:]) - {1}:
            raise ValueError(f"a lead is one of scores of classes, and the first output {first.name!r} has none")

    @property
    def input_dims(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return tuple(self._input.shape[1:])

    def run(
        self,
        images: Any,
        margin: float,
        steps: int | None = None,
        *,
        every: int | None = None,
        seed: int | None = None,
        first_sample: int = 0,
        batch_size: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Result:
        """Simulate `images` (`[N, ...]`, any real dtype) for `steps` steps, each until it is decided.

        The `margin` is a lead in the units of the first output, above 0; it is looked at after `every` steps, up to 64
        (None: a sixteenth of `steps`; 4 in networks that settle). The other arguments are those of
        `SpikingSession.run`. `sample_steps` of the result are the steps that each sample took.
        """
        array = check_images(images, self.input_dims)
        steps = self.options.steps if steps is None else int(steps)
        if not 1 <= steps <= self.options.max_steps:
            raise ValueError(f"steps is {steps}, must be from 1 to {self.options.max_steps} (the file's max_steps)")
        every = default_interval(steps, settles=self._settles) if every is None else int(every)
        if not 1 <= every <= LONGEST_BLOCK:
            raise ValueError(f"every is {every}, must be from 1 to {LONGEST_BLOCK}")
        if not margin > 0:
            raise ValueError(f"the margin is {margin}, must be above 0")
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, must be at least 1")
        size = batch_size or largest_batch(self.layers, native=self._native)
        seed = self.options.seed if seed is None else int(seed)
        parts = []
        for start in range(0, max(1, len(array)), size):
            batch = array[start : start + size]
            parts.append(self._run_batch(batch, float(margin), steps, every, seed, first_sample + start))
            if progress is not None:
                progress(start + len(batch), len(array))
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return self._result(array, joined)

    def _run_batch(
        self, images: np.ndarray, margin: float, steps: int, every: int, seed: int, first_sample: int
    ) -> Arrays:
        """The outputs of one batch by name, and `sample_steps`."""
        running = np.arange(len(images))
        states = {state.name: state.start(len(images)) for state in self._states}
        ended: Arrays = {}
        for first_step in range(0, steps, every):
            count = min(every, steps - first_step)
            controls = {"seed": seed, "first_step": first_step, "count": count}
            results = self._run_block(images, running, states, controls, first_sample)
            taken = np.full(len(running), first_step + count)
            leaves = lead(results[self._decoded[0]]) >= margin
            if self._settles:
                quiet = results[_STEPS_USED] < first_step + count
                taken, leaves = np.where(quiet, results[_STEPS_USED], taken), leaves | quiet
            if first_step + count == steps:
                leaves[:] = True
            outputs = {**{name: results[name] for name in self._outputs}, "sample_steps": taken}
            for name, value in outputs.items():
                kept = ended.setdefault(name, np.zeros((len(images), *value.shape[1:]), value.dtype))
                kept[running[leaves]] = value[leaves]
            running = running[~leaves]
            if not len(running):
                break
            states = {state.name: results[state.next][~leaves] for state in self._states}
        return ended

    @property
    def _outputs(self) -> list[str]:
        return [*self._decoded, "spike_totals", "synaptic_operations"]

    def _run_block(
        self, images: np.ndarray, running: np.ndarray, states: Arrays, controls: dict[str, int], first_sample: int
    ) -> Arrays:
        """The results of one block for the samples that are `running`, which `states` has alone."""
        parts = []
        for group in self._groups(running):
            scalars = {**controls, "first_sample": first_sample + (int(running[group][0]) if len(running) else 0)}
            feeds = {name: np.array(value, np.int64) for name, value in scalars.items()}
            chosen = {name: value[group] for name, value in states.items()}
            parts.append(self.session.run(self._names, {self._input.name: images[running[group]], **feeds, **chosen}))
        if len(parts) == 1:
            return dict(zip(self._names, parts[0], strict=True))
        joined = (np.concatenate(column) for column in zip(*parts, strict=True))
        return dict(zip(self._names, joined, strict=True))

    def _groups(self, running: np.ndarray) -> Iterator[slice]:
        """What goes into one call: all of them, but where the input is random neighbours alone, as a sample draws the
        numbers of its place in the batch."""
        breaks = []
        if self.options.coding == "poisson":
            breaks = (np.flatnonzero(np.diff(running) > 1) + 1).tolist()
        for start, end in itertools.pairwise([0, *breaks, len(running)]):
            yield slice(start, end)

    def _result(self, images: np.ndarray, found: Arrays) -> Result:
        outputs = {name: found[name] for name in self._decoded}
        totals, taken = found["spike_totals"], found["sample_steps"]
        steps = max(1, int(taken.sum()))
        rates = {
            layer.name: float(totals[:, column].sum() / layer.neurons / steps)
            for column, layer in enumerate(self.layers)
        }
        return Result(
            logits=outputs[self._decoded[0]],
            outputs=outputs,
            spike_totals=totals,
            synaptic_operations=found["synaptic_operations"],
            spike_rates=rates,
            steps_used=int(max(1, taken.max(initial=0))),
            clipped=float((np.abs(images) > input_limit(self.layers)).mean()) if images.size else 0.0,
            sample_steps=taken,
        )
