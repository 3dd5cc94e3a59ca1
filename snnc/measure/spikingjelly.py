"""A converted network in SpikingJelly: the same neurons, weights, thresholds, input and steps.

Its neurons (`IFNode`, soft or hard reset) between torch's own operators. A layer has one threshold there, the largest
of its channels, and the currents of the others are multiplied by what their thresholds are smaller by: exact where that
is a power of two. What is computed is integers in float32, so spikes are those of the network unless potentials grow
beyond 2^24 or factors are rounded; they are counted, and compared.

It runs step by step, or several steps at once (multi-step), in either layout of torch: the fastest is taken.
"""

from __future__ import annotations

import importlib
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from snnc.diagnostics import Diagnostics, fail
from snnc.files import ConvertedFile
from snnc.ir.graph import activation_inputs, constant, describe
from snnc.measure.encoded_input import EncodedInput
from snnc.measure.int8 import quiet_logging
from snnc.measure.opponents import Answer, Opponent
from snnc.measure.torch_synapses import Function, foldable, synapse
from snnc.operators import LAYERS, is_linear
from snnc.operators.readout import delay_of

#: Steps at once that are tried, and how many steps one trial has.
STEPS_AT_ONCE = (1, 8, 32)
_TRIAL_STEPS = 32
_TRIALS = 2
_ENCODERS, _READOUT, _INPUT = ("PoissonEncode", "DirectEncode"), "SpikeReadout", ""
#: The potential that a neuron is reset to; None: its threshold is taken off.
_RESETS: dict[str, float | None] = {"RMP": None, "IF": 0.0}
_ByLayer = dict[str, np.ndarray]


class SpikingJelly(Opponent):
    """The network of `file` for `steps` steps.

    Raises:
        DiagnosticError: SNN407 without SpikingJelly, SNN405 with everything in the network that it has not.
    """

    name, title = "spikingjelly", "SpikingJelly"

    def __init__(self, file: ConvertedFile, *, steps: int, seed: int, threads: int) -> None:
        _require()
        self._graph = file.calibrated()
        _check(self._graph)
        self._file, self._steps, self._seed, self._threads = file, steps, seed, threads
        self._encoder = EncodedInput(file, threads=threads)
        self._network: _Network | None = None
        self._at_once = 1

    def prepare(self, images: np.ndarray, first_sample: int) -> Callable[[], object]:
        return partial(self._run, self._given(images, first_sample), counts=False)

    def answer(self, images: np.ndarray, first_sample: int) -> Answer:
        potentials, counts = self._run(self._given(images, first_sample), counts=True)
        neurons = [layer.name for layer in self._file.layers if layer.kind == "neuron"]
        totals = np.stack([counts[_INPUT], *(counts[name] for name in neurons)], axis=1)
        output = self._file.block.outputs[0].name
        for node in self._graph.nodes:
            if node.op == _READOUT and node.outputs[0].name == output:
                return Answer(_decoded(node, potentials[node.name], self._steps), totals)
        return Answer(None, totals)  # behind the readouts stands more, which is run by onnxruntime alone

    def _given(self, images: np.ndarray, first_sample: int) -> Any:
        """What the encoder of the network gives, float32 `[T, N, ...]` of torch."""
        return _float(self._encoder.of(images, self._steps, seed=self._seed, first_sample=first_sample))

    def _run(self, given: Any, *, counts: bool) -> tuple[_ByLayer, _ByLayer]:
        import torch

        torch.set_num_threads(self._threads)
        with torch.inference_mode():
            network = self._network or self._fastest(given[:_TRIAL_STEPS])
            return network.run(given, self._at_once, counts=counts)

    def _fastest(self, given: Any) -> _Network:
        """The fastest form of the network for a batch like this."""
        tried: list[tuple[float, int, int, _Network]] = []
        with quiet_logging():  # torch tells that there is no Triton
            networks = [_Network(self._graph, channels_last=channels_last) for channels_last in (False, True)]
            for (index, network), at_once, _ in itertools.product(enumerate(networks), STEPS_AT_ONCE, range(_TRIALS)):
                start = time.perf_counter()
                network.run(given, at_once, counts=False)
                tried.append((time.perf_counter() - start, at_once, index, network))
        _, self._at_once, index, self._network = min(tried, key=lambda found: found[:3])
        import torch

        steps = "one step at a time" if self._at_once == 1 else f"{self._at_once} steps at once"
        self.made = (
            f"version {version('spikingjelly')} with torch {torch.__version__}, the same neurons, weights and input, "
            f"whose coding is not part of its time; {steps}{', channels last' if index else ''}, the fastest "
            f"of {2 * len(STEPS_AT_ONCE)} forms"
        )
        return self._network


@dataclass(frozen=True)
class _Neurons:
    """A layer of neurons of SpikingJelly; currents are multiplied by `times`, where weights could not be."""

    module: Any
    times: Any

    def fire(self, current: Any, steps: int) -> Any:
        """Spikes `[steps·N, ...]`."""
        by_step = current.unflatten(0, (steps, -1))
        return self.module(by_step if self.times is None else by_step * self.times).flatten(0, 1)


class _Network:
    """A calibrated graph with time folded into the batch, which runs so many steps at once as it is given."""

    def __init__(self, graph: gs.Graph, *, channels_last: bool) -> None:
        self._channels_last = channels_last
        self._nodes = [node for node in graph.nodes if node.op in LAYERS or is_linear(node)]
        self._reads = {node.name: [tensor.name for tensor in activation_inputs(node)] for node in self._nodes}
        self._readers = Counter(name for names in self._reads.values() for name in names)
        self._neurons: dict[str, _Neurons] = {}
        factors: dict[str, np.ndarray] = {}
        for node in self._nodes:
            if node.op in _RESETS:
                self._neurons[node.name] = _neurons(node, factors)
        self._synapses: dict[str, Function] = {}
        for node in self._nodes:
            function = synapse(node, factors.get(node.name), channels_last=channels_last)
            if function is not None:
                self._synapses[node.name] = function

    def run(self, given: Any, at_once: int, *, counts: bool) -> tuple[_ByLayer, _ByLayer]:
        """Simulate `[T, N, ...]` from the beginning: V of every readout, float64 `[N, ...]`, and where `counts` are
        asked for the spikes of the input and of all neurons, int64 `[N]`."""
        import torch

        for neurons in self._neurons.values():
            neurons.module.reset()
        potentials, totals = dict[str, Any](), dict[str, Any]()
        for first in range(0, len(given), at_once):
            some = given[first : first + at_once]
            for node, value in self._block(some):
                by_step = value.unflatten(0, (len(some), -1))
                if node.op == _READOUT:
                    read = by_step[max(0, delay_of(node) - first) :].sum(0, dtype=torch.float64)
                    potentials[node.name] = potentials.get(node.name, 0) + read
                elif counts:
                    name = _INPUT if node.op in _ENCODERS else node.name
                    fires = node.op != "DirectEncode"  # numbers are no spikes
                    fired = fires * by_step.abs().sum(0).flatten(1).sum(1, dtype=torch.float64)
                    totals[name] = totals.get(name, 0) + fired
        spiked = {name: value.numpy().astype(np.int64) for name, value in totals.items()}
        return {name: value.numpy() for name, value in potentials.items()}, spiked

    def _block(self, given: Any) -> Iterator[tuple[gs.Node, Any]]:
        """Every layer, and what it gives or, of a readout, gets, `[steps·N, ...]`."""
        import torch

        steps, values, left = len(given), dict[str, Any](), Counter(self._readers)
        for node in self._nodes:
            operands = [values[name] for name in self._reads[node.name]] if node.op not in _ENCODERS else []
            if node.op in _ENCODERS:
                value = given.flatten(0, 1)
                if self._channels_last and value.ndim == 4:
                    value = value.contiguous(memory_format=torch.channels_last)
            elif node.op in _RESETS:
                value = self._neurons[node.name].fire(operands[0], steps)
            elif node.op == _READOUT:
                value = operands[0]
            else:
                value = self._synapses[node.name](*operands)
            if node.op in LAYERS:
                yield node, value
            values[node.outputs[0].name] = value
            for name in self._reads[node.name]:
                left[name] -= 1
                if not left[name]:
                    values.pop(name, None)


def _neurons(node: gs.Node, factors: dict[str, np.ndarray]) -> _Neurons:
    """The neurons of a layer; `factors` gets those of the weights in front, by operator."""
    from spikingjelly.activation_based import neuron

    threshold = constant(node, 1)
    assert threshold is not None
    largest, times = float(threshold.max()), None
    if threshold.size > 1:
        relative = largest / threshold.astype(np.float64)
        weights = foldable(node.inputs[0])
        if weights is None:
            times = _float(relative)
        else:
            factors |= {weight.name: relative.reshape(-1) for weight in weights}
    module = neuron.IFNode(v_threshold=largest, v_reset=_RESETS[node.op], step_mode="m")
    start = node.attrs.get("v_init", 0.0) * largest
    module.set_reset_value("v", start)
    module.reset()
    return _Neurons(module.eval(), times)


def _decoded(node: gs.Node, potential: np.ndarray, steps: int) -> np.ndarray:
    """The value of a readout in ANN units, float32."""
    value = node.attrs["scale"] * potential / (steps - delay_of(node))
    bias = constant(node, 1)
    decoded: np.ndarray = np.asarray(value if bias is None else value + bias, np.float32)
    return decoded


def _check(graph: gs.Graph) -> None:
    """SNN405 with every node that cannot be had."""
    problems = Diagnostics()
    for node in graph.nodes:
        reason = _reason(node)
        if reason:
            hint = "leave spikingjelly out: `--against int8,dense`"
            shape = describe(node.outputs[0])
            message = f"it cannot be compared with SpikingJelly: {reason}"
            problems.report("SNN405", message, node=node.name, op=node.op, shape=shape, hint=hint)
    problems.raise_errors()


def _reason(node: gs.Node) -> str:
    """Why SpikingJelly has no such node; "" where it has."""
    if node.attrs.get("leak"):
        return "the neurons leak in another way than those there"
    if node.op in (*_ENCODERS, _READOUT, *_RESETS):
        return ""
    if node.op in LAYERS:
        return "there is no such layer there"
    return "" if synapse(node) is not None else "there is no such operator here"


def _require() -> None:
    try:
        with quiet_logging():
            importlib.import_module("spikingjelly.activation_based.neuron")
    except ImportError as error:
        hint = "pip install spikingjelly, or beside a torch that is there: pip install --no-deps spikingjelly loguru"
        fail("SNN407", f"SpikingJelly cannot be imported ({error})", hint=hint)


def _float(values: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(np.array(values, np.float32, order="C"))
