"""The check of an exported NIR graph: it is run, as its file says, and every spike is held against the network's.

Always by the interpreter of `nir_interpreter`, from the equations of NIR (for Spyx: as Spyx reads them); and in the
target's own simulator, where this Python or the one that is named has it. One other spike is an error (SNN421).
"""

from __future__ import annotations

import io
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnc.diagnostics import fail
from snnc.export import nir_process, nir_simulators
from snnc.export.nir_graph import NirNetwork
from snnc.export.nir_interpreter import Interpreter, SubtractingInterpreter
from snnc.export.nir_writer import INPUT, require_nir
from snnc.files import ConvertedFile
from snnc.measure.encoded_input import EncodedInput
from snnc.measure.recording import record
from snnc.simulate.block_runner import StreamRunner

Array = NDArray[Any]
#: What every node of interest gives in a step, by its name.
Step = Mapping[str, Array]
#: Seconds that a simulator in another Python may take.
TIMEOUT = 600
_INTERPRETER = "snnc's own interpreter of NIR"


@dataclass(frozen=True)
class Trains:
    """What the network does: `given` is what its encoder gives, `[T, N, ...]`, `spikes` by layer `[T, N, ...]`,
    `potentials` those of readouts after the last step, `[N, ...]`."""

    given: Array
    spikes: dict[str, Array]
    potentials: dict[str, Array]

    @property
    def silent(self) -> list[str]:
        """Layers that never fire."""
        return [name for name, train in self.spikes.items() if not train.any()]


@dataclass(frozen=True)
class Check:
    """What was compared: `by` whom, `without` the target's simulator and why (or ""), `samples`, `steps`, `spikes` that
    were equal, the `largest` potential of a neuron, and the layers that were `silent`."""

    by: tuple[str, ...]
    without: str
    samples: int
    steps: int
    spikes: int
    largest: float
    silent: list[str]


def trains_of(file: ConvertedFile, images: Array, steps: int, seed: int) -> Trains:
    """Run the converted network."""
    layers = [layer.name for layer in file.layers if layer.kind == "neuron"]
    found = record(file, images, steps=steps, layers=layers, seed=seed, first_sample=0, potentials=False)
    *_, last = StreamRunner(file.block).run(images, [steps], seed=seed)
    readouts = {layer.name for layer in file.layers if layer.kind == "readout"}
    potentials = {state.layer: last.states[state.name] for state in file.block.states if state.layer in readouts}
    return Trains(EncodedInput(file).of(images, steps, seed=seed), dict(found), potentials)


def check(
    network: NirNetwork, content: bytes, trains: Trains, python: str | None = None, timeout: int = TIMEOUT
) -> Check:
    """Hold the graph in the file `content` against `trains`; `python` is an interpreter that has the target's
    simulator, where this one has not, and has to be done after `timeout` seconds.

    Raises:
        DiagnosticError: SNN421: something differs. SNN422: the simulator fails.
    """
    late = max(network.depths.values(), default=0) * network.target.delay
    silence = np.zeros((late, *trains.given.shape[1:]), np.float32)
    given = np.concatenate([trains.given.astype(np.float32), silence])
    own = _interpreted(network, content)
    _compare(network, trains, (own.step(values) for values in given), _INTERPRETER, exact=True)
    by, without = [_INTERPRETER], ""
    target = network.target.name
    if target in nir_simulators.PACKAGES:
        without = "" if python else nir_simulators.missing(target)
        if not without:
            simulator, steps = _simulated(network, content, given, python, timeout)
            _compare(network, trains, steps, simulator, exact=network.exact_readouts)
            by.insert(0, simulator)
    spikes = sum(int(train.sum()) for train in trains.spikes.values())
    samples = trains.given.shape[1]
    outputs = {start for start, end in network.graph.edges if end in network.readouts.values()}
    largest = max((value for name, value in own.largest.items() if name not in outputs), default=0.0)
    return Check(tuple(by), without, samples, len(trains.given), spikes, largest, trains.silent)


def _interpreted(network: NirNetwork, content: bytes) -> Interpreter:
    subtracts = network.target.delay > 0
    kind = SubtractingInterpreter if subtracts else Interpreter
    return kind(require_nir().read(io.BytesIO(content)), network.target.time_step)


def _simulated(
    network: NirNetwork, content: bytes, given: Array, python: str | None, timeout: int
) -> tuple[str, Iterator[Step]]:
    """The name of the simulator, and what it gives."""
    target, nodes = network.target.name, [*network.neurons.values(), *network.readouts.values()]
    if python is None:
        try:
            found = nir_simulators.simulate(target, require_nir().read(io.BytesIO(content)), given, nodes)
        except Exception as error:  # whatever a simulator raises
            fail("SNN422", f"{target} does not run the exported graph ({type(error).__name__}: {error})")
        return nir_simulators.described(target), _steps(found)
    with tempfile.TemporaryDirectory() as folder:
        graph, job, result = (Path(folder, name) for name in ("graph.nir", "job.npz", "result.npz"))
        graph.write_bytes(content)
        np.savez(job, x=given, nodes=np.array(nodes))
        command = [python, nir_simulators.__file__, target, graph, job, result]
        try:
            status, said = nir_process.run([str(word) for word in command], timeout)
        except OSError as error:
            fail("SNN422", f"{python} cannot be run ({error.strerror or error})")
        except subprocess.TimeoutExpired:
            message = f"{target} in {python} was not done within {timeout} s, and was ended"
            fail("SNN422", message, hint="give it more with `--timeout SECONDS`, or fewer `--samples` or `--steps`")
        if status or not result.exists():
            last = said.strip().splitlines()[-1:] or ["no result"]
            fail("SNN422", f"{target} in {python} does not run the exported graph ({last[0]})")
        with np.load(result) as arrays:
            found = {name: arrays[f"node/{name}"] for name in nodes}
            return str(arrays["simulator"]), _steps(found)


def _steps(found: Mapping[str, Array]) -> Iterator[Step]:
    for index in range(min(map(len, found.values()))):
        yield {name: train[index] for name, train in found.items()}


def _compare(network: NirNetwork, trains: Trains, steps: Iterator[Step], by: str, *, exact: bool) -> None:
    """SNN421 at the first difference. `exact`: potentials of readouts are compared too."""
    count = len(trains.given)
    delay = network.target.delay
    totals: dict[str, Array] = {}
    for step, values in enumerate(steps):
        for layer, node in network.neurons.items():
            t = step - delay * network.depths[layer]
            if 0 <= t < count:
                _same_spikes(layer, trains.spikes[layer][t], np.asarray(values[node]), t, by)
        for layer, node in network.readouts.items():
            if 0 <= step - delay * network.depths[layer] < count:
                before = 0 if network.target.integrates else totals.get(layer, 0)
                totals[layer] = before + np.asarray(values[node], np.float64)
    for layer, total in totals.items() if exact else ():
        expected = trains.potentials[layer]
        if not np.array_equal(total.reshape(expected.shape), expected):
            fail("SNN421", f"the output {layer!r} is another one in {by}")


def _same_spikes(layer: str, expected: Array, found: Array, step: int, by: str) -> None:
    if found.size != expected.size:
        fail("SNN421", f"the layer {layer!r} has {found.size:,} spikes and silences in {by}, not {expected.size:,}")
    differ = np.argwhere(found.reshape(expected.shape) != expected)
    if len(differ):
        sample, *neuron = map(int, differ[0])
        place = ", ".join(map(str, neuron))
        message = f"neuron [{place}] of layer {layer!r} fires otherwise in step {step + 1} of sample {sample}"
        fail("SNN421", f"{message}, in {by}")


def recorded(network: NirNetwork, trains: Trains) -> bytes:
    """Input and spikes as a file of `nir.NIRGraphData`: `[N, T, neurons]`, bool where they are spikes without signs."""
    nir = require_nir()
    signed = trains.given.dtype == np.int8
    observed = {INPUT: ("spikes" if signed else "values", trains.given)}
    observed |= {node: ("spikes", trains.spikes[layer]) for layer, node in network.neurons.items()}
    nodes = {}
    for name, (what, train) in observed.items():
        by_sample = np.moveaxis(np.asarray(train), 0, 1)
        grid = np.ascontiguousarray(by_sample.reshape(*by_sample.shape[:2], -1))
        nodes[name] = nir.NIRNodeData({what: nir.TimeGriddedData(grid, network.target.time_step)})
    buffer = io.BytesIO()
    nir.write_data(buffer, nir.NIRGraphData(nodes))
    return buffer.getvalue()
