"""Running a network on the frames of streams, with onnxruntime and numpy alone: a frame costs what it changes.

    U ← U + W·(n - n₋),  S = g(U):  the same U and S as of a run on n alone, whatever came before

A network of the method `exact` takes its input as charge, and its neurons take back what they fired too early. So the
states stay from frame to frame, the change of the input integers n enters, and the network runs until it is quiet. It
settles at the counts and potentials of a fresh run, integer for integer, after any number of frames (docs/streams.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike

import numpy as np

from snnc.runtime.blocks import BoundBlocks
from snnc.runtime.frames import ENTERED, SPIKE_TOTALS, SYNAPTIC_OPERATIONS, Arrays, FrameSession, joined
from snnc.runtime.session import GRADED, largest_batch
from snnc.runtime.states import LONGEST_BLOCK, State

# To start another block costs about as much as ten steps of a large network and seventy of a small one (measured on
# ResNet-20 and LeNet), so blocks are long enough for most frames, the first one included, and never very short.
_FIRST_BLOCK, _SHORTEST_BLOCK = 16, 4
_STEPS_USED = "steps_used"


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


class StreamSession(FrameSession[BoundBlocks, Frame]):
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
        super().__init__(model, streams=streams, native=native, threads=threads)
        self._grouped(largest_batch(self.layers, native=native), self._blocks_of)
        self._length = _FIRST_BLOCK

    def _blocks_of(self, streams: int) -> BoundBlocks:
        return BoundBlocks(self.session, self._kept, self._of_frame, self._decoded, streams)

    def _check_file(self, states: Sequence[State]) -> None:
        """ValueError unless a frame can be the change of the one before it."""
        if self.options.schedule == GRADED:
            raise ValueError("the file is the graded form of a network: GradedSession runs it")
        outputs, whats = {state.output for state in states}, {state.what for state in states}
        if ENTERED not in whats or _STEPS_USED not in outputs:
            raise ValueError(
                f"the file was converted by the method {self.options.method!r}, whose spikes depend on time: only "
                "networks of the method 'exact' settle, so that the next frame can go on from where the last one ended"
            )
        if self.options.schedule != "stream":
            raise ValueError(
                f"StreamSession runs the schedule stream, the file has {self.options.schedule!r}: convert the ANN with "
                "--schedule stream"
            )

    def _run(self, frames: np.ndarray) -> Frame:
        longest = max(self._settle(frames[group], blocks) for group, blocks in self._groups)
        # As long as the last frames needed: it rises at once and falls by one, since a second block is dear.
        self._length = min(max(longest + 1, self._length - 1, _SHORTEST_BLOCK), LONGEST_BLOCK)
        found = joined([blocks.outputs() for _, blocks in self._groups])
        outputs = {name: found[name] for name in self._decoded}
        frame = Frame(
            logits=outputs[self._decoded[0]],
            outputs=outputs,
            steps=found[_STEPS_USED],
            spikes=found[SPIKE_TOTALS],
            synaptic_operations=found[SYNAPTIC_OPERATIONS],
            changed=self._changed(),
            clipped=self._beyond_limit(frames),
        )
        self._end()
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
