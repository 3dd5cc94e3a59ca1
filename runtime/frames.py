"""What sessions have in common whose states go from frame to frame: `StreamSession` and `GradedSession`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from os import PathLike, fspath
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from snnc.runtime.session import beyond_limit, check_images, input_limit, make_session, read_metadata, whole
from snnc.runtime.states import State, read_states

log = logging.getLogger("snnc.runtime")

Arrays = dict[str, np.ndarray]

#: What the state of the encoder is.
ENTERED = "entered charge"
SPIKE_TOTALS, SYNAPTIC_OPERATIONS = "spike_totals", "synaptic_operations"


class Bound(Protocol):
    """The states of a group of streams (`snnc.runtime.blocks`)."""

    @property
    def states(self) -> Arrays: ...

    def set(self, states: Mapping[str, np.ndarray], streams: np.ndarray | slice) -> None: ...

    def reached(self, state: State) -> np.ndarray: ...

    def end(self) -> None: ...


class Clipped(Protocol):
    """A frame of a session."""

    @property
    def clipped(self) -> np.ndarray: ...


Group = TypeVar("Group", bound=Bound)
Given = TypeVar("Given", bound=Clipped)


class FrameSession(Generic[Group, Given]):
    """The streams of a network, their states, and frames as they are checked. One frame runs at a time."""

    def __init__(self, model: str | PathLike[str] | bytes, *, streams: int, native: bool, threads: int | None) -> None:
        if whole("streams", streams) < 1:
            raise ValueError(f"streams is {streams}, must be at least 1")
        source = model if isinstance(model, bytes) else fspath(model)
        self.session = make_session(source, native=native, threads=threads)
        self.options, self.layers = read_metadata(self.session)
        states = read_states(self.session)
        self._check_file(states)
        self.streams = streams
        self._kept = [state for state in states if not state.output]
        self._of_frame = [state for state in states if state.output]
        (self._entered,) = (state for state in self._kept if state.what == ENTERED)
        self._input = self.session.get_inputs()[0]
        names = [value.name for value in self.session.get_outputs()]
        self._decoded = [name for name in names if name not in {state.next for state in states}]
        self._groups: list[tuple[slice, Group]] = []
        self._warned = False
        self._lock = threading.Lock()

    def _check_file(self, states: Sequence[State]) -> None:
        """ValueError where the file is none for this session."""
        raise NotImplementedError

    def _run(self, frames: np.ndarray) -> Given:
        """The next frame; where it raises, the states are as they were."""
        raise NotImplementedError

    def _sound(self) -> None:
        """The states are looked at or changed next."""

    def _grouped(self, size: int, bound: Callable[[int], Group]) -> None:
        """Streams in groups of `size`, which run together."""
        groups = [slice(start, min(start + size, self.streams)) for start in range(0, self.streams, size)]
        self._groups = [(group, bound(group.stop - group.start)) for group in groups]

    @property
    def input_dims(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return tuple(self._input.shape[1:])

    @property
    def state(self) -> Arrays:
        """A copy of the states of all streams by name, each `[streams, ...]`: counts, potentials, charge that has
        entered."""
        with self._lock:
            self._sound()
            return joined([bound.states for _, bound in self._groups])

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a `state` of this network and this number of streams; ValueError, and nothing changes, where it is
        of another one."""
        expected = {entry.name: ((self.streams, *entry.dims), np.dtype(entry.dtype)) for entry in self._kept}
        found = {name: (np.shape(value), np.asarray(value).dtype) for name, value in state.items()}
        if found != expected:
            raise ValueError("this is no state of this network, or one of another number of streams")
        copies = {name: np.array(value, order="C") for name, value in state.items()}
        with self._lock:
            self._set(copies)

    def _set(self, states: Arrays) -> None:
        for group, bound in self._groups:
            bound.set({name: value[group] for name, value in states.items()}, slice(None))

    def reset(self, streams: Any = None) -> None:
        """Let the chosen streams start anew: `streams` is a mask, bool `[streams]`; None resets all.

        Raises:
            ValueError: it is no such mask.
        """
        mask = np.ones(self.streams, bool) if streams is None else np.asarray(streams)
        if mask.dtype != bool or mask.shape != (self.streams,):
            raise ValueError(f"the mask has dtype {mask.dtype} and shape {mask.shape}, must be bool [{self.streams}]")
        with self._lock:
            self._sound()
            self._start(mask)

    def _start(self, mask: np.ndarray) -> None:
        started = {state.name: state.start(1) for state in self._kept}
        for group, bound in self._groups:
            bound.set(started, mask[group])

    def feed(self, frames: Any, *, warn: bool = True) -> Given:
        """The next frame of every stream, `[streams, ...]` of any real dtype; of one stream also without that axis.

        The first frame with elements beyond the input scale is logged where `warn` is set.

        Raises:
            ValueError, TypeError: another shape, NaN, infinities, or uint8 (scale frames as the network was trained).
                The states are as they were, and so they are after any other exception.
        """
        array = self._checked(frames)
        with self._lock:
            self._sound()
            frame = self._run(array)
        if warn:
            self._warn_of_clipping(frame)
        return frame

    def _checked(self, frames: Any) -> np.ndarray:
        array = np.asarray(frames)
        if self.streams == 1 and array.ndim == len(self.input_dims):
            array = array[None]
        array = check_images(array, self.input_dims, "frames")
        if len(array) != self.streams:
            raise ValueError(f"frames have shape {array.shape}, must be of {self.streams} streams")
        return array

    def _changed(self) -> np.ndarray:
        """Share of the input integers that the frame has changed, `[streams]`."""
        entered = self._entered
        parts = [share(bound.states[entered.name] != bound.reached(entered)) for _, bound in self._groups]
        return np.concatenate(parts)

    def _beyond_limit(self, frames: np.ndarray) -> np.ndarray:
        """Share of the input elements that are clipped, `[streams]`."""
        return share(beyond_limit(self.layers, frames))

    def _end(self) -> None:
        """The next frame goes on from the states of this one."""
        for _, bound in self._groups:
            bound.end()

    def _warn_of_clipping(self, frame: Given) -> None:
        """Once for a session."""
        if self._warned or not frame.clipped.any():
            return
        self._warned = True
        clipped, limit = 100 * frame.clipped.mean(), input_limit(self.layers)
        log.warning("%.2f%% of the input elements exceed the input scale %g and are clipped to it", clipped, limit)


def joined(parts: Sequence[Arrays]) -> Arrays:
    """Arrays of all streams by name, from those of the groups."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def share(where: np.ndarray) -> np.ndarray:
    """Share of the elements of each stream, float64 `[streams]`."""
    found: np.ndarray = where.reshape(len(where), -1).mean(1)
    return found
