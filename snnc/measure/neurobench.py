"""The report of NeuroBench's algorithm track (Yik et al., "The neurobench framework for benchmarking neuromorphic
computing algorithms and systems", Nature Communications 16, 1545, 2025), by the definitions of neurobench 2.3.

The network is simulated step by step, as NeuroBench's harness would call it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper

from snnc.data import DataSet
from snnc.diagnostics import fail
from snnc.emit.block import Block
from snnc.emit.schedules import as_stream
from snnc.files import ConvertedFile
from snnc.ir.state import State
from snnc.measure.connections import Connection, counting, find_connections
from snnc.measure.outputs import predictions
from snnc.runtime.session import largest_batch
from snnc.simulate.block_runner import Snapshot, StreamRunner

_PARAMETER_TYPES = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT32)


@dataclass(frozen=True)
class NeuroBench:
    """The static and the workload metrics; operations and updates per sample. docs/cli.md says what each of them is."""

    footprint: int
    parameter_count: int
    connection_sparsity: float
    classification_accuracy: float | None
    activation_sparsity: float
    effective_macs: float
    effective_acs: float
    dense: float
    membrane_updates: float
    samples: int
    steps: int

    def to_json(self) -> dict[str, Any]:
        """Under NeuroBench's names; a metric that was not measured is left out, as there."""
        report: dict[str, Any] = {
            "Footprint": self.footprint,
            "ParameterCount": self.parameter_count,
            "ConnectionSparsity": self.connection_sparsity,
            "ClassificationAccuracy": self.classification_accuracy,
            "ActivationSparsity": self.activation_sparsity,
            "SynapticOperations": {
                "Effective_MACs": self.effective_macs,
                "Effective_ACs": self.effective_acs,
                "Dense": self.dense,
            },
            "MembraneUpdates": self.membrane_updates,
        }
        return {name: value for name, value in report.items() if value is not None}


class _Sums:
    """What adds up over steps and batches."""

    def __init__(self, connections: int) -> None:
        self.operations = np.zeros(connections, np.int64)
        self.largest = np.zeros(connections)
        self.updates = self.spikes = self.correct = self.steps = 0


def measure_neurobench(
    file: ConvertedFile,
    dataset: DataSet,
    *,
    steps: int,
    seed: int,
    threads: int | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> NeuroBench:
    """Simulate `dataset` for `steps` steps, or until the last spike of all samples where the network settles.

    Raises:
        DiagnosticError: SNN405 for a file of format 1, whose states do not say what they are.
    """
    if file.format_version < 2:
        fail("SNN405", f"{file.name} has format 1, which does not tell enough for this", hint="convert the ANN again")
    connections = find_connections(file.block)
    potentials = _potentials(file)
    runner, names = _counting_runner(file.block, connections, dense=False, threads=threads)
    sources = [layer for layer in file.layers if layer.kind != "readout"]
    neurons = np.array([layer.kind == "neuron" for layer in sources])
    sums, size = _Sums(len(connections)), largest_batch(sources)
    for start in range(0, len(dataset), size):
        batch = dataset.images[start : start + size]
        before: list[np.ndarray] = []
        for last in runner.run(batch, range(1, steps + 1), seed=seed, first_sample=start):
            _add_step(sums, last, names, potentials, before)
            progress((start + len(batch) * last.step / steps) / len(dataset))
            if last.quiet:
                break
        sums.spikes += int(last.spike_totals[:, neurons].sum())
        ran = steps if last.steps_used is None else int(last.steps_used.max(initial=1))
        sums.steps = max(sums.steps, ran)
        classes = predictions(last.outputs[file.block.outputs[0].name])
        if dataset.labels is not None and classes is not None:
            sums.correct += int((classes == dataset.labels[start : start + size]).sum())
    classified = dataset.labels is not None and classes is not None
    return _report(file, connections, sums, len(dataset), threads, classified=classified)


def _report(
    file: ConvertedFile,
    connections: list[Connection],
    sums: _Sums,
    samples: int,
    threads: int | None,
    *,
    classified: bool,
) -> NeuroBench:
    count = sum(layer.neurons for layer in file.layers if layer.kind == "neuron")
    binary = _reads_spikes(connections, sums.largest)
    footprint, parameters = _memory(file.block)
    return NeuroBench(
        footprint=footprint,
        parameter_count=parameters,
        connection_sparsity=_sparsity(connections),
        classification_accuracy=sums.correct / samples if classified else None,
        activation_sparsity=1 - sums.spikes / (count * sums.steps * samples),
        effective_macs=float(sums.operations[~binary].sum()) / samples,
        effective_acs=float(sums.operations[binary].sum()) / samples,
        dense=float(sums.steps * _dense_of_a_step(file.block, connections, threads)),
        membrane_updates=sums.updates / samples,
        samples=samples,
        steps=sums.steps,
    )


def _reads_spikes(connections: list[Connection], largest: np.ndarray) -> np.ndarray:
    """Of which connections the layer never got anything but -1, 0 and 1, in no step and no sample."""
    by_layer: dict[str, float] = {}
    for connection, magnitude in zip(connections, largest, strict=True):
        by_layer[connection.layer] = max(by_layer.get(connection.layer, 0.0), float(magnitude))
    return np.array([by_layer[connection.layer] <= 1 for connection in connections])


def _add_step(
    sums: _Sums,
    last: Snapshot,
    names: tuple[list[str], list[str]],
    potentials: list[State],
    before: list[np.ndarray],
) -> None:
    """Add a step. A potential counts where it is another than after the step `before`, and always in the first one."""
    operations, largest = names
    sums.operations += np.array([last.words[name] for name in operations], np.int64)
    sums.largest = np.maximum(sums.largest, [last.words[name] for name in largest])
    values = [last.states[state.name] for state in potentials]
    if before:
        sums.updates += sum(int((new != old).sum()) for new, old in zip(values, before, strict=True))
    else:
        sums.updates += sum(value.size for value in values)
    before[:] = values


def _potentials(file: ConvertedFile) -> list[State]:
    """The membrane potentials of the neurons; readouts never fire, and are none."""
    neurons = {layer.name for layer in file.layers if layer.kind == "neuron"}
    found = [state for state in file.block.states if state.layer in neurons and state.what == "membrane potential"]
    if {state.layer for state in found} != neurons:
        fail("SNN405", f"{file.name} does not say which states are potentials", hint="convert the ANN again")
    return found


def _counting_runner(
    block: Block, connections: list[Connection], *, dense: bool, threads: int | None
) -> tuple[StreamRunner, tuple[list[str], list[str]]]:
    """A runner that counts, and the names of what it counts (see `counting`)."""
    counted, operations, largest = counting(block, connections, dense=dense)
    model = as_stream(counted)
    for name in (*operations, *largest):
        model.graph.output.add().name = name
    runner = StreamRunner(counted, expose=[*operations, *largest], model=model, threads=threads)
    return runner, (operations, largest)


def _dense_of_a_step(block: Block, connections: list[Connection], threads: int | None) -> int:
    """Operations of one sample in a step in which nothing is 0."""
    runner, (operations, _) = _counting_runner(block, connections, dense=True, threads=threads)
    (step,) = runner.run(np.zeros((1, *block.input_dims), np.float32), [1])
    return sum(int(step.words[name]) for name in operations)


def _sparsity(connections: list[Connection]) -> float:
    """The share of weights that are 0, rounded as NeuroBench does."""
    weights = [connection.weight for connection in connections]
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    return round(zeros / sum(weight.size for weight in weights), 4)


def _memory(block: Block) -> tuple[int, int]:
    """Bytes of all weights, biases, thresholds and tables as the file holds them and of the states of one sample; and
    how many numbers the former are. Integers of 64 bits are shapes and fan-outs, not parameters."""
    constants = [
        numpy_helper.to_array(tensor)
        for tensor in (*block.body_constants, *block.decode_constants)
        if tensor.data_type in _PARAMETER_TYPES
    ]
    states = [np.dtype(state.dtype).itemsize * int(np.prod(state.dims)) for state in block.states if not state.output]
    return sum(array.nbytes for array in constants) + sum(states), sum(array.size for array in constants)
