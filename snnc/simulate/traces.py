"""What one form of a converted network did, spike by spike, and where two forms part.

Three forms of one network are traced: the file as it was written (`written_trace`), its blocks with the states outside,
through which the compiler measures (`block_traces`), and the reference simulator (`reference_trace`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import TensorProto, helper

from snnc.diagnostics import InternalError
from snnc.files import ConvertedFile
from snnc.ir.domain import BLOCK_STEPS
from snnc.ir.graph import NEURONS, SOURCES
from snnc.runtime.session import SpikingSession
from snnc.simulate.block_runner import Snapshot, StreamRunner, unpack_words
from snnc.simulate.reference import simulate

_EXPOSED = "schedule/spikes/"


@dataclass(frozen=True)
class Trace:
    """What a form of a network did with N samples in `steps` steps.

    `spikes` gives the train of a spike source, int8 `[steps, N, ...]` (the encoder's is signed); it is unpacked when it
    is asked for, because a train takes up to eight times the memory of its words. `values` are the results by what
    they are, such as `spike total of 'relu'`, each `[N, ...]`.
    """

    steps: int
    spikes: Callable[[str], np.ndarray]
    values: dict[str, np.ndarray]

    def of_first(self, samples: int) -> Trace:
        """The trace of the first samples alone."""
        values = {what: value[:samples] for what, value in self.values.items()}
        return Trace(self.steps, lambda name: self.spikes(name)[:, :samples], values)


class Names:
    """What the spike words and the membrane potentials of a graph are called in the files made from it."""

    def __init__(self, graph: gs.Graph) -> None:
        self.sources = [node.name for node in graph.nodes if node.op in SOURCES]
        self.integrators = [node.name for node in graph.nodes if node.op in (*NEURONS, "SpikeReadout")]
        self.words: dict[str, list[str]] = {}
        for node in graph.nodes:
            tensor = node.outputs[0].name
            if node.op == "SpikeEncode":
                self.words[node.name] = [f"{tensor}/plus", f"{tensor}/minus"]
            elif node.op in NEURONS:
                self.words[node.name] = [tensor]

    @property
    def all_words(self) -> list[str]:
        """The names of all spike words."""
        return [name for names in self.words.values() for name in names]


def difference(one: Trace, other: Trace, sources: Sequence[str], first_sample: int = 0) -> str | None:
    """Where two traces of the same samples part, in words; None where they are the same.

    Of spikes the first step that differs, there the first layer, there the first sample: what differs behind it may
    follow from it. Steps and samples are counted from 0, samples from `first_sample`. Results are compared where both
    traces have them.
    """
    if one.steps != other.steps:
        return f"one has {one.steps} steps, the other {other.steps}"
    return _different_spikes(one, other, sources, first_sample) or _different_values(one, other, first_sample)


def _different_spikes(one: Trace, other: Trace, sources: Sequence[str], first_sample: int) -> str | None:
    earliest: tuple[int, str] | None = None
    for name in sources:
        left, right = one.spikes(name), other.spikes(name)
        if left.shape != right.shape:
            return f"the spikes of {name!r} have shapes {left.shape} and {right.shape}"
        wrong = (left != right).reshape(len(left), left.shape[1], -1).any(2)
        if wrong.any():
            step, sample = (int(index) for index in np.argwhere(wrong)[0])
            if earliest is None or step < earliest[0]:
                earliest = step, f"the spikes of {name!r} differ at step {step} of sample {first_sample + sample}"
    return None if earliest is None else earliest[1]


def _different_values(one: Trace, other: Trace, first_sample: int) -> str | None:
    for what, left in one.values.items():
        right = other.values.get(what)
        if right is None or np.array_equal(left, right, equal_nan=left.dtype.kind == "f"):
            continue
        if left.shape != right.shape:
            return f"the {what} has shapes {left.shape} and {right.shape}"
        same = (left == right) | ((left != left) & (right != right))
        sample = int(np.argmin(same.reshape(len(left), -1).all(1)))
        return f"the {what} differs after {one.steps} steps of sample {first_sample + sample}"
    return None


def block_traces(
    file: ConvertedFile, names: Names, images: np.ndarray, cuts: Sequence[int], *, seed: int, first_sample: int
) -> dict[int, Trace]:
    """The blocks of a file with the states outside, up to each step count in `cuts`, where blocks end."""
    runner = StreamRunner(file.block, expose=names.all_words)
    snapshots = list(runner.run(images, cuts, seed=seed, first_sample=first_sample))
    ends = {snapshot.step: index for index, snapshot in enumerate(snapshots)}
    return {cut: _snapshot_trace(snapshots[: ends[cut] + 1], names) for cut in cuts}


def written_trace(
    file: ConvertedFile, names: Names, images: np.ndarray, steps: int, *, seed: int, first_sample: int
) -> Trace:
    """The file as it was written, in blocks of 64 steps: by the session that a user runs it with, or block by block.

    InternalError: the file runs another number of blocks.
    """
    probe = _with_spikes(file.model, names)
    if file.options["schedule"] == "stream":
        runner = StreamRunner(file.block, expose=names.all_words, model=probe)
        return _snapshot_trace(list(runner.run(images, [steps], seed=seed, first_sample=first_sample)), names)
    session = SpikingSession(probe.SerializeToString())
    # Clipping is reported by the pass that verifies.
    result = session.run(images, steps, seed=seed, first_sample=first_sample, batch_size=len(images), warn=False)
    counts = [min(BLOCK_STEPS, steps - start) for start in range(0, steps, BLOCK_STEPS)]
    words = {name: list(result.outputs[_EXPOSED + name]) for name in names.all_words}
    for name, blocks in words.items():
        if len(blocks) != len(counts):
            raise InternalError("verify", f"the file ran {len(blocks)} blocks of {name!r} for {steps} steps")
    potentials = {name: result.outputs[f"final/v/{name}"] for name in names.integrators}
    outputs = {value.name: result.outputs[value.name] for value in file.block.outputs}
    values = _values(names, outputs, result.spike_totals, result.synaptic_operations, potentials)
    return Trace(steps, lambda name: _train([words[part] for part in names.words[name]], counts), values)


def reference_trace(
    graph: gs.Graph, names: Names, images: np.ndarray, steps: int, *, seed: int, first_sample: int
) -> Trace:
    """The independent reference simulator. ValueError, OverflowError: as `snnc.simulate.reference.simulate`."""
    simulated = simulate(graph, images, steps, seed=seed, first_sample=first_sample, record=True)
    values = {f"spike total of {name!r}": simulated.totals[name] for name in names.sources}
    values |= {f"membrane potential of {name!r}": simulated.membranes[name] for name in names.integrators}
    with np.errstate(over="ignore"):
        values |= {f"output {name!r}": value.astype(np.float32) for name, value in simulated.outputs.items()}
    return Trace(steps, lambda name: simulated.spikes[name], values)


def _snapshot_trace(snapshots: Sequence[Snapshot], names: Names) -> Trace:
    last = snapshots[-1]
    potentials = {name: last.states[f"v/{name}"] for name in names.integrators}
    values = _values(names, last.outputs, last.spike_totals, last.synaptic_operations, potentials)

    def spikes(name: str) -> np.ndarray:
        words = [[snapshot.words[part] for snapshot in snapshots] for part in names.words[name]]
        return _train(words, [snapshot.count for snapshot in snapshots])

    return Trace(last.step, spikes, values)


def _train(words: Sequence[Sequence[np.ndarray]], counts: Sequence[int]) -> np.ndarray:
    """Words of each block `[N, ...]` (of the spikes alone, or of the positive and of the negative ones) as a train."""
    parts = [
        np.concatenate([unpack_words(block, count) for block, count in zip(blocks, counts, strict=True)])
        for blocks in words
    ]
    plus = parts[0].astype(np.int8)
    return plus if len(parts) == 1 else plus - parts[1]


def _values(
    names: Names,
    outputs: dict[str, np.ndarray],
    totals: np.ndarray,
    operations: np.ndarray,
    potentials: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:
    values = {f"spike total of {name!r}": totals[:, column] for column, name in enumerate(names.sources)}
    for column, name in enumerate(names.sources):
        values[f"number of synaptic operations of {name!r}"] = operations[:, column]
    values |= {f"membrane potential of {name!r}": value for name, value in potentials.items()}
    return values | {f"output {name!r}": value for name, value in outputs.items()}


def _with_spikes(model: onnx.ModelProto, names: Names) -> onnx.ModelProto:
    """A copy of a converted model that also gives spike words, `[N, ...]`, and membrane potentials.

    Of a Loop: the words of every block, `[blocks, N, ...]`, with a prefix to their names, and the last potentials.
    """
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    words = [helper.make_tensor_value_info(name, TensorProto.UINT64, None) for name in names.all_words]
    loop = next((node for node in probe.graph.node if node.op_type == "Loop"), None)
    if loop is None:
        probe.graph.output.extend(words)
        return probe
    loop.attribute[0].g.output.extend(words)
    for value in words:
        value.name = _EXPOSED + value.name
        loop.output.append(value.name)
    probe.graph.output.extend(words)
    for name in names.integrators:
        probe.graph.output.append(helper.make_tensor_value_info(f"final/v/{name}", TensorProto.INT32, None))
    return probe
