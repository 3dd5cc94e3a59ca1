"""Running the graded form of a network on the frames of streams: one sweep over the layers for each frame, with
onnxruntime and numpy alone (docs/graded.md).

The states after a frame are a function of that frame. So the native operators write them over those before it, and
where a frame fails, they are computed again from the last one that did not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike

import numpy as np

from snnc.runtime.blocks import BoundSweeps
from snnc.runtime.frames import SPIKE_TOTALS, SYNAPTIC_OPERATIONS, Arrays, FrameSession, joined
from snnc.runtime.session import GRADED, largest_batch
from snnc.runtime.states import State


@dataclass(frozen=True)
class GradedFrame:
    """What a frame gives, and what it cost.

    Attributes:
        logits: the network's first output, `[streams, ...]`, in ANN units.
        outputs: every output of the ANN by name.
        events: of this frame, by stream and layer (`GradedSession.layers`), int64 `[streams, L]`: how many neurons have
            another count.
        synaptic_operations: multiply-accumulates that these events cause, int64 `[streams, L]`. The first layer, which
            reads numbers, is not among them.
        changed: share of the input integers that changed, `[streams]`; against an input of zeros in the first frame.
        clipped: share of input elements beyond the input scale, `[streams]`; they are cut to it.
    """

    logits: np.ndarray
    outputs: Arrays
    events: np.ndarray
    synaptic_operations: np.ndarray
    changed: np.ndarray
    clipped: np.ndarray


@dataclass(frozen=True)
class _Origin:
    """What the states are a function of: the `frames` of the streams that were `fed` since they began, or states that
    were `given` and not followed by a frame. Replaced as a whole, so that no interrupt leaves half of one."""

    frames: np.ndarray
    fed: np.ndarray
    given: Arrays | None = None


class GradedSession(FrameSession[BoundSweeps, GradedFrame]):
    """One network on a fixed number of streams, frame by frame, each in one sweep over its layers.

    A session has the states of its streams, and one frame runs at a time: calls from several threads wait for each
    other, in no order. Counts, potentials and outputs are those of `StreamSession`; where the channels of a state are
    its last axis, `snnc.states` in the file says so.

    Args:
        model: path of a graded form (`snnc export --graded`), or its bytes.
        streams: how many streams are fed together.
        native: use the native operators (default) or the functions inside the file.
        threads: intra-op threads; None leaves it to onnxruntime.

    Raises:
        ValueError: the file is no graded form that snnc wrote, or has a newer format. What onnxruntime raises where it
            cannot read the file goes through.
    """

    def __init__(
        self,
        model: str | PathLike[str] | bytes,
        *,
        streams: int = 1,
        native: bool = True,
        threads: int | None = None,
    ) -> None:
        super().__init__(model, streams=streams, native=native, threads=threads)
        # Functions are other nodes, which may read a state behind the one that writes it.
        self._in_place = [state for state in self._kept if state.in_place and native]
        self._totals = (SPIKE_TOTALS, SYNAPTIC_OPERATIONS)
        self._grouped(largest_batch(self.layers, native=native), self._sweeps_of)
        self._origin = _Origin(np.zeros((streams, *self.input_dims), np.float32), np.zeros(streams, bool))
        self._lost = False

    def _sweeps_of(self, streams: int) -> BoundSweeps:
        return BoundSweeps(self.session, self._kept, self._decoded, streams, self._in_place)

    def _check_file(self, states: Sequence[State]) -> None:
        if self.options.schedule != GRADED:
            raise ValueError(
                "the file is not the graded form of a network: write it with `snnc export NET.snn.onnx --graded`"
            )

    def _run(self, frames: np.ndarray) -> GradedFrame:
        self._lost = True
        found = joined([sweeps.sweep(frames[group]) for group, sweeps in self._groups])
        outputs = {name: found[name] for name in self._decoded if name not in self._totals}
        frame = GradedFrame(
            logits=next(iter(outputs.values())),
            outputs=outputs,
            events=found[SPIKE_TOTALS],
            synaptic_operations=found[SYNAPTIC_OPERATIONS],
            changed=self._changed(),
            clipped=self._beyond_limit(frames),
        )
        self._end()
        self._origin = _Origin(frames.copy(), np.ones(self.streams, bool))
        self._lost = False
        return frame

    def _sound(self) -> None:
        """Where a frame failed, the states are those that it began with again."""
        if not self._lost:
            return
        origin = self._origin
        if origin.given is not None:
            super()._set(origin.given)
        else:
            super()._start(np.ones(self.streams, bool))
            for group, sweeps in self._groups:
                sweeps.sweep(origin.frames[group])
            self._end()
            super()._start(~origin.fed)
        self._lost = False

    def _set(self, states: Arrays) -> None:
        self._lost = True  # until all of them are set
        self._origin = _Origin(self._origin.frames, self._origin.fed, states)
        super()._set(states)
        self._lost = False

    def _start(self, mask: np.ndarray) -> None:
        frames, given = self._origin.frames, self._origin.given
        if given is not None:
            given = {name: value.copy() for name, value in given.items()}
            for state in self._kept:
                given[state.name][mask] = state.start(1)
        self._lost = True
        self._origin = _Origin(frames, self._origin.fed & ~mask, given)
        super()._start(mask)
        self._lost = False
