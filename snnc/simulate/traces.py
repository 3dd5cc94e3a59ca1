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
from snnc.emit.block import Block
from snnc.emit.written import places_of
from snnc.files import ConvertedFile
from snnc.ir.domain import BLOCK_STEPS
from snnc.ir.names import PREFIX, SPIKE_TOTALS, STEPS_USED, SYNAPTIC_OPERATIONS
from snnc.ir.state import State
from snnc.ir.trees import source_nodes, source_signal
from snnc.operators import LAYERS
from snnc.runtime.session import Result, SpikingSession
from snnc.simulate.block_runner import Snapshot, StreamRunner
from snnc.simulate.reference import simulate
from snnc.simulate.word_trains import first_difference, join_blocks, pack_train

_EXPOSED = f"{PREFIX}spikes/"


@dataclass(frozen=True)
class Trace:
    """What a form of a network did with N samples in `steps` steps.

    `words` gives the spikes of a source in words of full blocks, uint64 `[steps/64, N, ...]`, where they are signed the
    negative ones behind the positive ones. `values` are the results by what they are, such as `spike total of 'relu'`,
    each `[N, ...]`.
    """

    steps: int
    words: Callable[[str], np.ndarray]
    values: dict[str, np.ndarray]

    def of_first(self, samples: int) -> Trace:
        """The trace of the first samples alone."""
        values = {what: value[:samples] for what, value in self.values.items()}
        return Trace(self.steps, lambda name: self.words(name)[:, :samples], values)


class Names:
    """What the layers of a graph have in the files made from it.

    `sources` are all that give spikes or numbers, `words` the tensors of spike words of those that spike, `signed`
    those whose words hold the negative spikes behind the positive ones; `states` says what the states of a layer are,
    in their order.
    """

    def __init__(self, graph: gs.Graph) -> None:
        firing = source_nodes(graph)
        self.sources = [node.name for node in firing]
        spiking = [node for node in firing if source_signal(node.outputs[0]).copies is not None]
        self.words = {node.name: node.outputs[0].name for node in spiking}
        self.signed = {node.name for node in spiking if source_signal(node.outputs[0]).signed}
        self.states = {
            node.name: [state.what for state in LAYERS[node.op].states(node)]
            for node in graph.nodes
            if node.op in LAYERS
        }

    def values(self, states: Sequence[State], values: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """The `values` of the states of a block by what they are."""
        rest = {name: list(whats) for name, whats in self.states.items()}
        return {
            f"{rest[state.layer].pop(0)} of {state.layer!r}": value
            for state, value in zip(states, values, strict=True)
            if state.layer
        }


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
        left, right = one.words(name), other.words(name)
        if left.shape != right.shape:
            return f"the spikes of {name!r} have shapes {left.shape} and {right.shape}"
        found = first_difference(left, right)
        if found is not None and (earliest is None or found[0] < earliest[0]):
            step, sample = found
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
    runner = StreamRunner(file.block, expose=list(names.words.values()))
    snapshots = list(runner.run(images, cuts, seed=seed, first_sample=first_sample))
    ends = {snapshot.step: index for index, snapshot in enumerate(snapshots)}
    return {cut: _snapshot_trace(snapshots[: ends[cut] + 1], names, file.block) for cut in cuts}


def written_trace(
    file: ConvertedFile, names: Names, images: np.ndarray, steps: int, *, seed: int, first_sample: int
) -> Trace:
    """The file as it was written, in blocks of 64 steps: by the session that a user runs it with, or block by block.

    InternalError: the file runs another number of blocks.
    """
    if file.options.schedule == "unrolled":
        return _unrolled_trace(file, names, images, steps, seed=seed, first_sample=first_sample)
    probe = _with_spikes(file, names)
    if file.options.schedule == "stream":
        runner = StreamRunner(file.block, expose=list(names.words.values()), model=probe)
        return _snapshot_trace(
            list(runner.run(images, [steps], seed=seed, first_sample=first_sample)), names, file.block
        )
    session = SpikingSession(probe.SerializeToString())
    # Clipping is reported by the pass that verifies.
    result = session.run(images, steps, seed=seed, first_sample=first_sample, batch_size=len(images), warn=False)
    words = {name: list(result.outputs[_EXPOSED + tensor]) for name, tensor in names.words.items()}
    return _result_trace(file, names, result, words, steps)


def _unrolled_trace(
    file: ConvertedFile, names: Names, images: np.ndarray, steps: int, *, seed: int, first_sample: int
) -> Trace:
    """Of a file with its blocks one after the other: each has the nodes of the first one, in the same order."""
    probe = onnx.ModelProto()
    probe.CopyFrom(file.model)
    body, nodes = file.block.body, probe.graph.node
    first, behind = places_of(file.model).body
    blocks = range(0, steps, BLOCK_STEPS)
    exposed: dict[str, list[str]] = {}
    for name, tensor in names.words.items():
        offset, output = next(
            (i, list(node.output).index(tensor)) for i, node in enumerate(body) if tensor in node.output
        )
        places = [first + index * (behind - first) + offset for index in range(len(blocks))]
        if any(nodes[place].op_type != body[offset].op_type for place in places):
            raise InternalError("verify", f"the file does not repeat the nodes of {name!r}")
        exposed[name] = [nodes[place].output[output] for place in places]
    extra = [tensor for tensors in exposed.values() for tensor in tensors]
    probe.graph.output.extend(helper.make_tensor_value_info(tensor, TensorProto.UINT64, None) for tensor in extra)
    _add_finals(probe, file)
    session = SpikingSession(probe.SerializeToString())
    result = session.run(images, steps, seed=seed, first_sample=first_sample, batch_size=len(images), warn=False)
    words = {name: [result.outputs[tensor] for tensor in tensors] for name, tensors in exposed.items()}
    return _result_trace(file, names, result, words, steps)


def _result_trace(
    file: ConvertedFile, names: Names, result: Result, words: dict[str, list[np.ndarray]], steps: int
) -> Trace:
    counts = [min(BLOCK_STEPS, steps - start) for start in range(0, steps, BLOCK_STEPS)]
    for name, blocks in words.items():
        if file.block.quiet:  # it stopped when nothing would have happened any more
            blocks += [np.zeros_like(blocks[0])] * (len(counts) - len(blocks))
        if len(blocks) != len(counts):
            raise InternalError("verify", f"the file ran {len(blocks)} blocks of {name!r} for {steps} steps")
    finals = places_of(file.model).finals
    totals = {SPIKE_TOTALS: result.spike_totals, SYNAPTIC_OPERATIONS: result.synaptic_operations}
    if result.sample_steps is not None:
        totals[STEPS_USED] = result.sample_steps
    states = [totals[name] if name in totals else result.outputs[name] for name in finals]
    outputs = {value.name: result.outputs[value.name] for value in file.block.outputs}
    values = _values(
        names, outputs, result.spike_totals, result.synaptic_operations, names.values(file.block.states, states)
    )
    return Trace(steps, lambda name: join_blocks(words[name], counts), values)


def reference_trace(
    graph: gs.Graph, names: Names, images: np.ndarray, steps: int, *, seed: int, first_sample: int
) -> Trace:
    """The independent reference simulator. ValueError, OverflowError: as `snnc.simulate.reference.simulate`."""
    simulated = simulate(graph, images, steps, seed=seed, first_sample=first_sample, record=True)
    values = {f"spike total of {name!r}": simulated.totals[name] for name in names.sources}
    kept = {"membrane potential": simulated.membranes, "second input count": simulated.second_counts}
    for name, whats in names.states.items():
        for what in whats:
            values[f"{what} of {name!r}"] = kept.get(what, simulated.counts)[name]
    with np.errstate(over="ignore"):
        values |= {f"output {name!r}": value.astype(np.float32) for name, value in simulated.outputs.items()}
    return Trace(steps, lambda name: pack_train(simulated.spikes[name], signed=name in names.signed), values)


def _snapshot_trace(snapshots: Sequence[Snapshot], names: Names, block: Block) -> Trace:
    last = snapshots[-1]
    states = names.values(block.states, [last.states[state.name] for state in block.states])
    values = _values(names, last.outputs, last.spike_totals, last.synaptic_operations, states)

    def words(name: str) -> np.ndarray:
        blocks = [snapshot.words[names.words[name]] for snapshot in snapshots]
        return join_blocks(blocks, [snapshot.count for snapshot in snapshots])

    return Trace(last.step, words, values)


def _values(
    names: Names,
    outputs: dict[str, np.ndarray],
    totals: np.ndarray,
    operations: np.ndarray,
    states: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:
    values = {f"spike total of {name!r}": totals[:, column] for column, name in enumerate(names.sources)}
    for column, name in enumerate(names.sources):
        values[f"number of synaptic operations of {name!r}"] = operations[:, column]
    return values | states | {f"output {name!r}": value for name, value in outputs.items()}


def _with_spikes(file: ConvertedFile, names: Names) -> onnx.ModelProto:
    """A copy of a converted model that also gives spike words, `[N, ...]`, and the last states.

    Of a Loop: the words of every block, `[blocks, N, ...]`, with a prefix to their names.
    """
    probe = onnx.ModelProto()
    probe.CopyFrom(file.model)
    words = [helper.make_tensor_value_info(name, TensorProto.UINT64, None) for name in names.words.values()]
    place = places_of(file.model).loop
    if place is None:
        probe.graph.output.extend(words)
        return probe
    loop = probe.graph.node[place]
    loop.attribute[0].g.output.extend(words)
    for value in words:
        value.name = _EXPOSED + value.name
        loop.output.append(value.name)
    probe.graph.output.extend(words)
    _add_finals(probe, file)
    return probe


def _add_finals(probe: onnx.ModelProto, file: ConvertedFile) -> None:
    """Make the states after the last block outputs, where they are none."""
    known = {value.name for value in probe.graph.output}
    for state, name in zip(file.block.states, places_of(file.model).finals, strict=True):
        if name not in known:
            elem_type = helper.np_dtype_to_tensor_dtype(np.dtype(state.dtype))
            probe.graph.output.append(helper.make_tensor_value_info(name, elem_type, None))
