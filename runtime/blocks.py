"""Blocks of a file of the schedule `stream`, and sweeps of the graded form, run from memory to memory: states are
neither allocated nor copied. onnxruntime reads and writes these arrays themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import onnxruntime

from snnc.runtime.states import State

_CONTROLS = ("seed", "first_sample", "first_step", "count")
_TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


class _Bound:
    """The states of some streams in several sets: a run reads one of them and writes another.

    Args:
        session: of the file.
        kept: states that go from frame to frame.
        of_frame: states that begin anew with each frame.
        decoded: names of the outputs that are no states.
        streams: how many.
        sets: of states. Those in `shared` have one array in all of them.
        controls: names of the scalar inputs.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        kept: Sequence[State],
        of_frame: Sequence[State],
        decoded: Sequence[str],
        streams: int,
        sets: int,
        shared: Sequence[State] = (),
        controls: Sequence[str] = (),
    ) -> None:
        self._session, self._kept, self._of_frame, self._decoded = session, kept, of_frame, decoded
        own = [state for state in (*kept, *of_frame) if state not in shared]
        of_all = {state.name: state.start(streams) for state in shared}
        self._sets = [{state.name: state.start(streams) for state in own} | of_all for _ in range(sets)]
        first = session.get_inputs()[0]
        self._frames = np.zeros((streams, *first.shape[1:]), np.float32)
        self._read = {first.name: self._frames} | {name: np.zeros((), np.int64) for name in controls}
        self._written = _arrays_of(session, decoded, streams)
        self._bindings: dict[tuple[int, int], onnxruntime.IOBinding] = {}
        self._begin, self._before, self._now = 0, 0, 0  # numbers of sets

    @property
    def states(self) -> dict[str, np.ndarray]:
        """The kept states between frames, the arrays themselves: `[streams, ...]` by name."""
        return {state.name: self._sets[self._begin][state.name] for state in self._kept}

    def set(self, states: Mapping[str, np.ndarray], streams: np.ndarray | slice) -> None:
        """Set the kept states of the chosen streams to `states`, `[chosen streams, ...]` by name."""
        for name, array in self.states.items():
            array[streams] = states[name]

    def reached(self, state: State) -> np.ndarray:
        """What a kept state has become in the runs of the frame so far."""
        return self._sets[self._now][state.name]

    def end(self) -> None:
        """The frame is done: the next one goes on from its states."""
        self._begin = self._now

    def _run(self, after: int) -> None:
        """From the set that is now to another one."""
        self._session.run_with_iobinding(self._binding(self._now, after))
        self._before, self._now = self._now, after

    def _outputs(self) -> dict[str, np.ndarray]:
        """The outputs of the last run that are no states, as copies."""
        found = {name: array.copy() for name, array in self._written.items()}
        if len(found) < len(self._decoded):
            values = self._binding(self._before, self._now).get_outputs()[-len(self._decoded) :]
            pairs = zip(self._decoded, values, strict=True)
            found |= {name: np.array(value.numpy()) for name, value in pairs if name not in found}
        return {name: found[name] for name in self._decoded}

    def _binding(self, before: int, after: int) -> onnxruntime.IOBinding:
        key = before, after
        if key not in self._bindings:
            binding = self._session.io_binding()
            _bind(binding.bind_input, (self._read | self._sets[before]).items())
            states = (*self._kept, *self._of_frame)
            _bind(binding.bind_output, ((state.next, self._sets[after][state.name]) for state in states))
            for name in self._decoded:
                if name in self._written:
                    _bind(binding.bind_output, [(name, self._written[name])])
                else:
                    binding.bind_output(name, "cpu")
            self._bindings[key] = binding
        return self._bindings[key]


class BoundBlocks(_Bound):
    """The states of some streams and the blocks that they go through.

    There are three sets of states. A frame runs from one of them to the other two in turn, so that the states it began
    with are there until it is done.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        kept: Sequence[State],
        of_frame: Sequence[State],
        decoded: Sequence[str],
        streams: int,
    ) -> None:
        super().__init__(session, kept, of_frame, decoded, streams, sets=3, controls=_CONTROLS)

    def begin(self, frames: np.ndarray) -> None:
        """A frame begins; one that has not ended is forgotten."""
        self._frames[...] = frames
        self._now = self._begin
        for state in self._of_frame:
            self._sets[self._now][state.name][...] = np.asarray(state.initial, state.dtype)

    def run(self, first_step: int, count: int) -> dict[str, np.ndarray]:
        """The next block of the frame; the states of the frame after it by the names of their outputs, the arrays
        themselves."""
        self._read["first_step"][...] = first_step
        self._read["count"][...] = count
        following = next(number for number in range(len(self._sets)) if number not in (self._begin, self._now))
        self._run(following)
        return {state.output: self._sets[following][state.name] for state in self._of_frame}

    def outputs(self) -> dict[str, np.ndarray]:
        """The outputs after the last block, and the states of the frame, as copies."""
        return self._outputs() | {state.output: self._sets[self._now][state.name].copy() for state in self._of_frame}


class BoundSweeps(_Bound):
    """The states of some streams and the sweeps that they go through, one for each frame.

    States `in_place` are written over, so a sweep that fails leaves them anywhere; the others have two arrays in turn.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        kept: Sequence[State],
        decoded: Sequence[str],
        streams: int,
        in_place: Sequence[State],
    ) -> None:
        super().__init__(session, kept, (), decoded, streams, sets=2, shared=in_place)

    def sweep(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """The next frame: the outputs, as copies."""
        self._frames[...] = frames
        self._now = self._begin
        self._run(1 - self._begin)
        return self._outputs()


def _arrays_of(session: onnxruntime.InferenceSession, names: Sequence[str], streams: int) -> dict[str, np.ndarray]:
    """Arrays for those outputs `[streams, ...]` of which the file says how large they are."""
    found = {}
    for value in session.get_outputs():
        batch, *dims = value.shape or [0]
        if (
            value.name in names
            and value.type in _TYPES
            and isinstance(batch, str)
            and all(isinstance(dim, int) for dim in dims)
        ):
            found[value.name] = np.zeros((streams, *dims), _TYPES[value.type])
    return found


def _bind(bind: Callable[..., None], arrays: Iterable[tuple[str, np.ndarray]]) -> None:
    for name, array in arrays:
        bind(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
