"""A calibrated network as a NIR graph: from what its encoder gives to what its readouts integrate.

    input     what the encoder gives in a step: spikes in {-1, 0, 1}, or integers. The encoder itself is no part of NIR
    layers    linear operators (`nir_synapses`) and neurons (`nir_neurons`)
    outputs   I, where the target has it: V of a readout; else its current in every step

All that the target cannot compute is reported together (SNN420). What stands behind the readouts is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

import snnc
from snnc.diagnostics import Diagnostics
from snnc.export.nir_neurons import RESETS, Neuron, exact_steps, factors_of, form_of, write_neuron
from snnc.export.nir_synapses import SynapseWriter
from snnc.export.nir_targets import Target
from snnc.export.nir_writer import INPUT, OUTPUT, GraphWriter, Unwritable, Value, require_nir
from snnc.ir.graph import activation_inputs, constant, describe, producer, sample_shape
from snnc.ir.trees import signal_of, tree
from snnc.operators import LAYERS, weighted

_ENCODERS = ("PoissonEncode", "DirectEncode")
_READOUT = "SpikeReadout"
_EXACT = 2.0**24


@dataclass(frozen=True)
class NirNetwork:
    """A graph of the package nir, and the names in it of the layers of the network: `neurons` in order, `readouts`.

    `depths` is behind how many neurons a layer stands. Potentials up to `exact_potential` are numbers of float32, and
    in `exact_steps` all are, whatever comes; `exact_readouts`: the currents of readouts are.
    """

    graph: Any
    target: Target
    neurons: dict[str, str]
    readouts: dict[str, str]
    depths: dict[str, int]
    exact_steps: int
    exact_potential: float
    exact_readouts: bool


def nir_network(graph: gs.Graph, target: Target, *, steps: int, name: str) -> NirNetwork:
    """`graph` as `ConvertedFile.calibrated` gives it, `name` that of the file. It has to be exact for so many `steps`.

    Raises:
        DiagnosticError: SNN420, with everything that the target cannot compute; SNN407 without the package nir.
    """
    builder = _Builder(target, steps)
    for node in graph.nodes:
        if node.op in LAYERS:
            builder.layer(node)
    builder.problems.raise_errors()
    return builder.network(name)


class _Builder:
    def __init__(self, target: Target, steps: int) -> None:
        self.target, self.steps = target, steps
        self.nir = require_nir()
        self.problems = Diagnostics()
        self.graph = GraphWriter()
        self.synapses = SynapseWriter(self.graph, target)
        self.values: dict[str, Value | None] = {}
        self.neurons: dict[str, str] = {}
        self.readouts: dict[str, str] = {}
        self.depths: dict[str, int] = {}
        self.metadata: dict[str, Any] = {}
        self.exact_steps, self.exact_potential = 2**31, _EXACT
        self.exact_readouts = True
        self._depth_of: dict[str, int] = {}

    def layer(self, node: gs.Node) -> None:
        """Write a layer with the tree that feeds it, or report what is in the way; what reads it is looked at all the
        same, as far as it can be."""
        output = node.outputs[0].name
        self.values[output] = None
        try:
            if LAYERS[node.op].kind == "input":
                self.values[output] = self._input(node)
            elif node.op in RESETS:
                self.values[output] = self._neuron(node)
            elif node.op == _READOUT:
                self._readout(node)
            else:
                raise Unwritable("NIR has no node for it, nor nodes that compute it together", _OTHER_LAYERS)
        except Unwritable as error:
            self._report(node, error)

    def network(self, name: str) -> NirNetwork:
        """The graph, with what it was made from as metadata."""
        metadata = {
            "producer": f"snnc {snnc.__version__}",
            "made_from": name,
            "made_for": f"{self.target.name}: {self.target.summary}",
            "steps": self.steps,
            **self.metadata,
        }
        nodes = {INPUT: self.graph.nodes.pop(INPUT), **self.graph.nodes}
        graph = self.nir.NIRGraph(nodes, self.graph.edges, metadata)
        exact = self.exact_steps, self.exact_potential, self.exact_readouts
        return NirNetwork(graph, self.target, self.neurons, self.readouts, self.depths, *exact)

    def _input(self, node: gs.Node) -> Value:
        if node.op not in _ENCODERS:
            raise Unwritable("its input is a charge that comes once, for neurons that take spikes back", _OTHER_LAYERS)
        shape = sample_shape(node.outputs[0])
        kind = "spikes in {-1, 0, 1}" if node.op == "PoissonEncode" else "integers, the same in every step"
        self.metadata |= {"input": kind, "input_unit": _number(node.attrs["scale"])}
        self.graph.nodes[INPUT] = self.nir.Input(np.array(shape))
        self._depth_of[node.outputs[0].name] = 0
        return Value((INPUT,), shape)

    def _neuron(self, node: gs.Node) -> Value | None:
        form = form_of(node, self.target, self.steps)
        root = node.inputs[0]
        if not self.target.thresholds:
            self._share_threshold(node)
        current = self._current(node)
        if current is None:
            return None
        neuron = Neuron.of(node, current.shape)
        if not self.target.thresholds:
            neuron = Neuron(neuron.name, np.full(current.shape, neuron.threshold.max()), neuron.start)
        spikes, unit = write_neuron(self.graph, neuron, form, current, self.target, self.steps)
        self.neurons[node.name] = spikes.names[0]
        self.depths[node.name] = self._depth_of[node.outputs[0].name] = 1 + self._depth(root)
        self._bound(node, root, unit)
        self.graph.nodes[spikes.names[0]].metadata = {"layer": node.name, "neuron": node.op}
        return spikes

    def _readout(self, node: gs.Node) -> None:
        if node.attrs.get("delay"):
            hint = "convert the network without `--delay`"
            raise Unwritable(f"it integrates from step {node.attrs['delay'] + 1} on, and NIR has no such node", hint)
        if self.readouts and not self.target.outputs:
            raise Unwritable(f"{self.target.name} reads graphs of one output, and this is another one", _GENERIC)
        current = self._current(node)
        if current is None:
            return
        signal = signal_of(node.inputs[0])
        self.exact_readouts &= bool(max(np.abs(signal.low).max(), np.abs(signal.high).max()) < _EXACT)
        if self.target.integrates:
            potential = self.nir.I(np.ones(current.shape, np.float32))
            current = self.graph.add(node.name, potential, current.names, current.shape)
        name = OUTPUT if OUTPUT not in self.graph.nodes else self.graph.name(f"{OUTPUT}/{node.name}")
        bias = constant(node, 1)
        decoding = {"layer": node.name, "scale": _number(node.attrs["scale"])}
        if bias is not None:
            decoding["bias"] = _number(bias)
        output = self.nir.Output(np.array(current.shape))
        output.metadata = decoding
        self.graph.nodes[name] = output
        self.graph.edges += [(operand, name) for operand in current.names]
        self.readouts[node.name] = name
        self.depths[node.name] = self._depth(node.inputs[0])

    def _current(self, layer: gs.Node) -> Value | None:
        """What a layer integrates; None where something in front of it could not be written."""
        root = layer.inputs[0]
        for node in tree(root):
            if node.outputs[0].name not in self.values:  # another layer may read it too
                self.values[node.outputs[0].name] = None
                try:
                    self._check_chain(node)
                    self._check_bias(node)
                    self.values[node.outputs[0].name] = self._linear(node)
                except Unwritable as error:
                    self._report(node, error)
        self._check_chain(layer)
        return self.values.get(root.name)

    def _linear(self, node: gs.Node) -> Value | None:
        """The output of a linear operator; None where an operand could not be written."""
        operands = [self.values.get(operand.name) for operand in activation_inputs(node)]
        known = [operand for operand in operands if operand is not None]
        return self.synapses.write(node, known) if len(known) == len(operands) else None

    def _check_chain(self, node: gs.Node) -> None:
        """Unwritable where others read the same tensor, or several tensors are read, and the target has one chain."""
        reads = activation_inputs(node)
        if not self.target.branches and (len(reads) > 1 or any(len(tensor.outputs) > 1 for tensor in reads)):
            raise Unwritable(f"{self.target.name} reads one chain of nodes, and here it branches", _GENERIC)

    def _check_bias(self, node: gs.Node) -> None:
        """A constant current begins in the first step everywhere: where spikes come later, it would begin too early."""
        room, late = weighted(node), self.target.delay * self._depth(activation_inputs(node)[0])
        if room is not None and room.weights(node).bias is not None and late:
            hint = "convert a network without biases, or export it with `--nir generic`"
            steps = f"{late} step{'s' if late > 1 else ''} later"
            message = f"its bias flows from the first step on, and {self.target.name} brings it spikes {steps}"
            raise Unwritable(message, hint)

    def _share_threshold(self, node: gs.Node) -> None:
        """Let the currents of all channels grow so that one threshold does for them."""
        neuron = Neuron.of(node, sample_shape(node.outputs[0]))
        factors = factors_of(neuron)
        if (factors == 1).all():
            return
        pending = [node.inputs[0]]
        while pending:
            tensor = pending.pop()
            root = producer(tensor)
            if len(tensor.outputs) > 1:
                raise Unwritable("its current has other readers, and the thresholds of its channels differ", _GENERIC)
            if root is not None and root.op == "Add":
                pending += activation_inputs(root)
            elif root is not None and weighted(root) is not None:
                self.synapses.factors[root.name] = factors
            else:
                message = (
                    f"its channels are on grids of their own, and {self.target.name} has one threshold for a layer"
                )
                raise Unwritable(message, _GENERIC)

    def _bound(self, node: gs.Node, root: gs.Tensor, unit: float) -> None:
        signal = signal_of(root)
        bound = float(max(np.abs(signal.low).max(), np.abs(signal.high).max()))
        self.exact_steps = min(self.exact_steps, exact_steps(bound, unit))
        self.exact_potential = min(self.exact_potential, _EXACT * unit)

    def _depth(self, tensor: gs.Tensor) -> int:
        """Behind how many neurons a tensor stands: the longest way."""
        if tensor.name not in self._depth_of:
            node = producer(tensor)
            reads = [] if node is None else activation_inputs(node)
            self._depth_of[tensor.name] = max((self._depth(operand) for operand in reads), default=0)
        return self._depth_of[tensor.name]

    def _report(self, node: gs.Node, error: Unwritable) -> None:
        shape = describe(node.outputs[0])
        self.problems.report("SNN420", error.message, node=node.name, op=node.op, shape=shape, hint=error.hint)


def _number(values: Any) -> Any:
    """A number, or an array where there are several: HDF5 compresses no single number."""
    found = np.asarray(values, np.float64)
    return found if found.ndim else float(found)


_GENERIC = "export it with `--nir generic`"
_OTHER_LAYERS = "convert the network with `--method rmp` or `--method low-latency`, and without max-pooling"
