"""Running a network on the frames of streams, with onnxruntime and numpy alone: a frame costs what it changes.

    U ← U + W·(n - n₋),  S = g(U):  the same U and S as of a run on n alone, whatever came before

A network of the method `exact` takes its input as charge, and its neurons take back what they fired too early. So the
states stay from frame to frame, the change of the input integers n enters, and the network runs until it is quiet. It
settles at the counts and potentials of a fresh run, integer for integer, after any number of frames (docs/streams.md).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any

import numpy as np

from snnc.runtime.blocks import BoundBlocks
from snnc.runtime.session import (
    beyond_limit,
    check_images,
    input_limit,
    largest_batch,
    make_session,
    read_metadata,
    whole,
)
from snnc.runtime.states import LONGEST_BLOCK, State, read_states

log = logging.getLogger("snnc.runtime")

Arrays = dict[str, np.ndarray]

# To start another block costs about as much as ten steps of a large network and seventy of a small one (measured on
# ResNet-20 and LeNet), so blocks are long enough for most frames, the first one included, and never very short.
_FIRST_BLOCK, _SHORTEST_BLOCK = 16, 4
_ENTERED, _STEPS_USED = "entered charge", "steps_used"
_TOTALS = ("spike_totals", "synaptic_operations")


@dataclass(frozen=True)
class Frame:
    """What a frame gives, and what it cost.

    Attributes:
        logits: the network's first output, `[streams, ...]`, in ANN units.
        outputs: every output of the ANN by name.
        steps: until the last spike of each stream, int64 `[streams]`; 0 where nothing fired.
        spikes: of this frame, by stream and layer (`StreamSession.layers`), int64 `[streams, L]`.
        synaptic_operations: accumulations that these spikes cause, int64 `[streams, L]`. The first layer, which reads
            numbers, is not among them: it costs its multiply-accumulates in every block.
        changed: share of the input integers that changed, `[streams]`; against an input of zeros in the first frame.
        clipped: share of input elements beyond the input scale, `[streams]`; they are cut to it.
    """

    logits: np.ndarray
    outputs: Arrays
    steps: np.ndarray
    spikes: np.ndarray
    synaptic_operations: np.ndarray
    changed: np.ndarray
    clipped: np.ndarray


class StreamSession:
    """One network on a fixed number of streams, frame by frame.

    A session has the states of its streams, and one frame runs at a time: calls from several threads wait for each
    other, in no order. Independent streams belong into one session (`streams`), or into sessions of their own.

    Args:
        model: path of a `.snn.onnx` file of the method `exact` and the schedule `stream`, or its bytes.
        streams: how many streams are fed together.
        native: use the native operators (default) or the functions inside the file.
        threads: intra-op threads; None leaves it to onnxruntime.

    Raises:
        ValueError: the file was not converted by snnc, has a newer format, another method or another schedule. What
            onnxruntime raises where it cannot read the file goes through.
    """

    def __init__(
        self,
        model: str | PathLike[str] | bytes,
        *,
        streams: int = 1,
        native: bool = True,
        threads: int | None = None,
    ) -> None:
        if whole("streams", streams) < 1:
            raise ValueError(f"streams is {streams}, must be at least 1")
        self.session = make_session(
            model if isinstance(model, bytes) else fspath(model), native=native, threads=threads
        )
        self.options, self.layers = read_metadata(self.session)
        states = read_states(self.session)
        self._check_file(states)
        self.streams = streams
        self._kept = [state for state in states if not state.output]
        self._of_frame = [state for state in states if state.output]
        (self._entered,) = (state for state in self._kept if state.what == _ENTERED)
        self._input = self.session.get_inputs()[0]
        names = [value.name for value in self.session.get_outputs()]
        self._decoded = [name for name in names if name not in {state.next for state in states}]
        size = largest_batch(self.layers, native=native)
        groups = [slice(start, min(start + size, streams)) for start in range(0, streams, size)]
        self._groups = [(group, self._blocks_of(group)) for group in groups]
        self._length = _FIRST_BLOCK
        self._warned = False
        self._lock = threading.Lock()

    def _blocks_of(self, group: slice) -> BoundBlocks:
        return BoundBlocks(self.session, self._kept, self._of_frame, self._decoded, group.stop - group.start)

    def _check_file(self, states: list[State]) -> None:
        """ValueError unless a frame can be the change of the one before it."""
        outputs, whats = {state.output for state in states}, {state.what for state in states}
        if _ENTERED not in whats or _STEPS_USED not in outputs:
            raise ValueError(
                f"the file was converted by the method {self.options.method!r}, whose spikes depend on time: only "
                "networks of the method 'exact' settle, so that the next frame can go on from where the last one ended"
            )
        if self.options.schedule != "stream":
            raise ValueError(
                f"StreamSession runs the schedule stream, the file has {self.options.schedule!r}: convert the ANN with "
                "--schedule stream"
            )

    @property
    def input_dims(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return tuple(self._input.shape[1:])

    @property
    def state(self) -> Arrays:
        """A copy of the states of all streams by name, each `[streams, ...]`: counts, potentials, charge that has
        entered."""
        with self._lock:
            return _joined([blocks.states for _, blocks in self._groups])

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a `state` of this network and this number of streams; ValueError, and nothing changes, where it is
        of another one."""
        expected = {entry.name: ((self.streams, *entry.dims), np.dtype(entry.dtype)) for entry in self._kept}
        found = {name: (np.shape(value), np.asarray(value).dtype) for name, value in state.items()}
        if found != expected:
            raise ValueError("this is no state of this network, or one of another number of streams")
        copies = {name: np.array(value, order="C") for name, value in state.items()}
        with self._lock:
            for group, blocks in self._groups:
                blocks.set({name: value[group] for name, value in copies.items()}, slice(None))

    def reset(self, streams: Any = None) -> None:
        """Let the chosen streams start anew: `streams` is a mask, bool `[streams]`; None resets all.

        Raises:
            ValueError: it is no such mask.
        """
        mask = np.ones(self.streams, bool) if streams is None else np.asarray(streams)
        if mask.dtype != bool or mask.shape != (self.streams,):
            raise ValueError(f"the mask has dtype {mask.dtype} and shape {mask.shape}, must be bool [{self.streams}]")
        started = {state.name: state.start(1) for state in self._kept}
        with self._lock:
            for group, blocks in self._groups:
                blocks.set(started, mask[group])

    def feed(self, frames: Any, *, warn: bool = True) -> Frame:
        """The next frame of every stream, `[streams, ...]` of any real dtype; of one stream also without that axis.

        The first frame with elements beyond the input scale is logged where `warn` is set.

        Raises:
            ValueError, TypeError: another shape, NaN, infinities, or uint8 (scale frames as the network was trained).
                The states are as they were, and so they are after any other exception.
        """
        array = self._checked(frames)
        with self._lock:
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

    def _run(self, frames: np.ndarray) -> Frame:
        longest = max(self._settle(frames[group], blocks) for group, blocks in self._groups)
        # As long as the last frames needed: it rises at once and falls by one, since a second block is dear.
        self._length = min(max(longest + 1, self._length - 1, _SHORTEST_BLOCK), LONGEST_BLOCK)
        joined = _joined([blocks.outputs() for _, blocks in self._groups])
        entered = self._entered
        changed = [_share(blocks.states[entered.name] != blocks.reached(entered)) for _, blocks in self._groups]
        outputs = {name: joined[name] for name in self._decoded}
        spikes, operations = (joined[name] for name in _TOTALS)
        frame = Frame(
            logits=outputs[self._decoded[0]],
            outputs=outputs,
            steps=joined[_STEPS_USED],
            spikes=spikes,
            synaptic_operations=operations,
            changed=np.concatenate(changed),
            clipped=_share(beyond_limit(self.layers, frames)),
        )
        for _, blocks in self._groups:
            blocks.end()
        return frame

    def _settle(self, frames: np.ndarray, blocks: BoundBlocks) -> int:
        """Run these streams until all of them are quiet; the steps of the slowest one."""
        blocks.begin(frames)
        step, length = 0, self._length
        while step < self.options.max_steps:
            count = min(length, self.options.max_steps - step)
            used = blocks.run(step, count)[_STEPS_USED]
            step += count
            if (used < step).all():
                return int(used.max())
            length = min(2 * length, LONGEST_BLOCK)
        raise AssertionError(f"not quiet after {step} steps, which the conversion proved enough: please report")

    def _warn_of_clipping(self, frame: Frame) -> None:
        """Once for a session."""
        if self._warned or not frame.clipped.any():
            return
        self._warned = True
        share, limit = 100 * frame.clipped.mean(), input_limit(self.layers)
        log.warning("%.2f%% of the input elements exceed the input scale %g and are clipped to it", share, limit)


def _joined(parts: list[Arrays]) -> Arrays:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _share(where: np.ndarray) -> np.ndarray:
    """Share of the elements of each stream, float64 `[streams]`."""
    share: np.ndarray = where.reshape(len(where), -1).mean(1)
    return share
