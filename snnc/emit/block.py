"""One block of up to 64 steps of a calibrated network, as ONNX nodes: states in, states out.

The body of a block reads the tensors `<input>`, `seed`, `first_sample`, `first_step`, `count` and the states, and
computes the next states. Spikes are words (docs/ops.md). The room of a layer says which nodes it is; with the synapses
in front it is one operator where `snnc.emit.layer_operators` has one, else the currents of `snnc.emit.plain_layers` and
the layer alone.

`snnc.emit.schedules` puts a block into a Loop or leaves it as a graph of its own.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import TensorProto, helper

from snnc.emit.layer_operators import Fused, Synapses, noted
from snnc.emit.nodes import Nodes
from snnc.emit.plain_layers import Currents
from snnc.emit.words import WordMover
from snnc.ir.domain import DOMAIN, DOMAIN_VERSION
from snnc.ir.graph import producer, sample_shape
from snnc.ir.names import COUNT, FIRST_STEP, SPIKE_TOTALS, STEPS_USED, SYNAPTIC_OPERATIONS, Names, names_in
from snnc.ir.state import State
from snnc.ir.trees import layers, source_nodes, source_signal
from snnc.measure.fanout import fanouts
from snnc.operators import LAYERS
from snnc.operators.readout import is_settling


@dataclass
class Block:
    """The nodes of a block, its states, and the nodes that decode the outputs from the states (`snnc.emit.decode`).

    `quiet` is the tensor that says whether the last step of the block went by without a spike, in networks that settle
    (else ""). A block that was read from a file has the operators of that file: their version, and `functions`.
    """

    input_name: str
    input_dims: tuple[int, ...]
    batch: str
    body: list[onnx.NodeProto] = field(default_factory=list)
    body_constants: list[onnx.TensorProto] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    decode: list[onnx.NodeProto] = field(default_factory=list)
    decode_constants: list[onnx.TensorProto] = field(default_factory=list)
    outputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    quiet: str = ""
    functions: list[onnx.FunctionProto] = field(default_factory=list)
    version: int = DOMAIN_VERSION

    def names(self) -> Names:
        """To find names that no tensor or node of the block has."""
        nodes = [*self.body, *self.decode]
        known = {name for node in nodes for name in (node.name, *node.input, *node.output)}
        return Names(known | {value.name for value in self.outputs} | {self.input_name})


class BlockWriter(Nodes):
    """Writes the layers of a block. `choices` are the operators of whole layers by the name of the layer; a layer that
    is not there is asked for its note (pass `fuse`)."""

    def __init__(self, names: Names | None = None, choices: dict[str, Fused | None] | None = None) -> None:
        super().__init__(names)
        self._choices = choices or {}
        self._states: dict[str, list[State]] = {}
        self._late: dict[int, BlockWriter] = {}
        self.words = WordMover(self)
        self.currents = Currents(self, self.words)

    def late(self, delay: int) -> BlockWriter:
        """This writer for what reads spikes and currents from step `delay` + 1 on only: what it writes belongs to this
        block, and its `count` are the steps of the block that are left."""
        if delay not in self._late:
            late = self._late[delay] = copy.copy(self)
            zero, first = self.constant("late/zero", np.int64(0)), self.constant("late/delay", np.int64(delay))
            left = self.node("Sub", [first, FIRST_STEP], "late/left")
            positive = self.node("Max", [left, zero], "late/positive")
            skipped = self.node("Min", [positive, COUNT], "late/skipped")
            late.count = self.node("Sub", [COUNT, skipped], "late/count")
            late.words = self.words.late(late, skipped)
            late.currents = self.currents.late(late, late.words)
        return self._late[delay]

    def states_of(self, node: gs.Node) -> list[State]:
        """The states of a layer, under names of this block."""
        if node.name not in self._states:
            unique = self.names.unique
            self._states[node.name] = [
                replace(state, name=unique(state.name), next_name=unique(state.next_name), layer=node.name)
                for state in LAYERS[node.op].states(node)
            ]
        return self._states[node.name]

    def fused(self, node: gs.Node) -> Fused | None:
        """The operator of the whole layer; None where it stays plain."""
        return self._choices[node.name] if node.name in self._choices else noted(node)

    def layer(self, node: gs.Node, names: Sequence[str], outputs: Sequence[str], **attrs: Any) -> None:
        """The layer `node` with the tree that feeds it; `names` are its inputs that are no synapses."""
        fused = self.fused(node)
        if fused is None:
            with_charge = LAYERS[node.op].charge_operator
            charge = None if with_charge is None else self.currents.charge(node.inputs[0])
            if with_charge is not None and charge is not None:
                self.operator(with_charge, [charge, *names], outputs, node.name, **attrs)
                return
            current = self.currents.of(node.inputs[0], "steps")
            self.operator(node.op, [current, *names], outputs, node.name, **attrs)
            return
        inputs = [self.words.of(fused.main.words).name, self._weight(fused.main)]
        if fused.residual is not None:
            inputs += [self._aligned(fused.residual), self._weight(fused.residual)]
        inputs += names
        if fused.bias is not None:
            inputs.append(self.constant(f"bias/{fused.main.node.name}", fused.bias))
        self.operator(fused.op, inputs, outputs, node.name, **fused.attributes(), **attrs)

    def operator(self, op: str, inputs: Sequence[str], outputs: Sequence[str], name: str, **attrs: Any) -> None:
        """A node of the domain ai.snnc."""
        self.write(op, inputs, outputs, name, DOMAIN, **attrs)

    def totals(self, source: gs.Node, fanout: np.ndarray) -> tuple[str, str]:
        """Spikes and synaptic operations per sample, `[N]` each, of a spike source in this block."""
        spikes = source.outputs[0]
        if source_signal(spikes).copies is None:
            return self._no_totals(source)
        if source_signal(spikes).signed and fanout.shape[0] > 1:
            fanout = np.concatenate([fanout, fanout])
        labels = [f"totals/{source.name}", f"operations/{source.name}"]
        names = [self.names.unique(label) for label in labels]
        inputs = [self.words.of(spikes).name, self.constant(f"fanout/{source.name}", fanout)]
        self.operator("SpikeTotals", inputs, names, self.names.unique(f"node/{labels[0]}"))
        total, operations = names
        return total, operations

    def columns(self, parts: Sequence[str], label: str, batch: str) -> str:
        """int64 `[N, L]` from L tensors `[N]`; `batch` is `[N]`, their shape. As rows first: that takes few nodes."""
        joined = self.node("Concat", parts, f"{label}/joined", axis=0)
        shape = self.node("Concat", [self.integers([len(parts)]), batch], f"{label}/shape", axis=0)
        rows = self.node("Reshape", [joined, shape], f"{label}/rows", allowzero=1)
        return self.node("Transpose", [rows], f"{label}/block", perm=[1, 0])

    def _no_totals(self, source: gs.Node) -> tuple[str, str]:
        """Of a source that gives numbers, not spikes: what it costs are multiplications (`LayerReport.macs`)."""
        read = source.inputs[0]
        name = read.name if producer(read) is None else self.words.of(read).name
        batch = self.node("Shape", [name], f"totals/{source.name}/batch", start=0, end=1)
        value = helper.make_tensor("value", TensorProto.INT64, [1], [0])
        zero = self.node("ConstantOfShape", [batch], f"totals/{source.name}", value=value)
        return zero, zero

    def _weight(self, synapses: Synapses) -> str:
        return self.constant(f"weight/{synapses.node.name}", synapses.weight())

    def _aligned(self, residual: Synapses) -> str:
        """Words of which each neuron reads those at its own position: a shortcut with a stride skips the others."""
        words = self.words.of(residual.words).name
        if residual.node.op == "Scale":
            return words
        return self.words.every(residual.node.attrs["strides"], sample_shape(residual.node.outputs[0])[1:], words)


def build_block(graph: gs.Graph) -> Block:
    """The block of a whole fused network, without the nodes that decode (see `snnc.emit.decode`)."""
    pixels, writer, sources = graph.inputs[0], BlockWriter(Names(names_in(graph.nodes))), source_nodes(graph)
    block = Block(pixels.name, sample_shape(pixels), str(pixels.shape[0]))
    for node in graph.nodes:
        if node.op in LAYERS:
            LAYERS[node.op].emit(node, writer)
            block.states += writer.states_of(node)
    by_source = fanouts(layers(graph))
    # onnxruntime orders nodes from the outputs back, the last written first: written from the last source to the first,
    # each is counted right behind the layer that fires it, while its words are in the cache and before they are kept.
    totals = [writer.totals(source, _fanout_of(source, by_source)) for source in reversed(sources)][::-1]
    for index, what in enumerate((SPIKE_TOTALS, SYNAPTIC_OPERATIONS)):
        before = writer.names.unique(f"{what}/before")
        batch = writer.node("Shape", [before], f"{what}/batch", start=0, end=1)
        row = writer.columns([total[index] for total in totals], what, batch)
        after = writer.node("Add", [before, row], f"{what}/after")
        block.states.append(State(before, after, "int64", (len(sources),), output=what))
    if any(is_settling(node) for node in graph.nodes):
        state, block.quiet = _until_quiet(sources, writer)
        block.states.append(state)
    block.body = writer.nodes
    block.body_constants = list(writer.constants.values())
    return block


def _until_quiet(sources: Sequence[gs.Node], writer: BlockWriter) -> tuple[State, str]:
    """The steps until every sample was quiet, as a state, and whether all are now."""
    firing = [source.outputs[0] for source in sources if source_signal(source.outputs[0]).copies is not None]
    last = [
        writer.node("LastSpike", [writer.words.of(spikes).name], f"{spikes.name}/last", DOMAIN)
        for spikes in reversed(firing)
    ]
    latest = writer.node("Max", last, f"{STEPS_USED}/latest")
    before, after = (writer.names.unique(f"{STEPS_USED}/{when}") for when in ("before", "after"))
    fired = writer.node("Greater", [latest, writer.constant("zero_steps", np.int64(0))], f"{STEPS_USED}/fired")
    step = writer.node("Add", [latest, FIRST_STEP], f"{STEPS_USED}/step")
    writer.write("Where", [fired, step, before], [after], writer.names.unique(f"node/{STEPS_USED}"))
    of_all = writer.node("ReduceMax", [latest], f"{STEPS_USED}/of_all", keepdims=0)
    quiet = writer.node("Less", [of_all, COUNT], f"{STEPS_USED}/quiet")
    return State(before, after, "int64", (), output=STEPS_USED), quiet


def _fanout_of(source: gs.Node, by_source: dict[str, np.ndarray]) -> np.ndarray:
    """The fan-out map of a source; zero for neurons that nothing reads."""
    tensor = source.outputs[0]
    return by_source.get(tensor.name, np.zeros([1] * (len(tensor.shape) - 1), np.int64))
