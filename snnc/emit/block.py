"""One block of up to 64 steps of a calibrated network, as ONNX nodes: states in, states out.

The body of a block reads the tensors `<input>`, `seed`, `first_sample`, `first_step`, `count` and the states, and
computes the next states. Spikes are words (docs/ops.md). The room of a layer says which nodes it is; with the synapses
in front it is one operator where `snnc.emit.layer_operators` has one, else the currents of `snnc.emit.plain_layers` and
the layer alone.

`snnc.emit.schedules` puts a block into a Loop or leaves it as a graph of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import helper

from snnc.emit.layer_operators import Fused, Synapses, noted
from snnc.emit.nodes import Nodes
from snnc.emit.plain_layers import Currents
from snnc.emit.words import WordMover
from snnc.ir.domain import DOMAIN
from snnc.ir.graph import sample_shape
from snnc.ir.state import State
from snnc.ir.trees import layers, source_nodes, source_signal
from snnc.measure.fanout import fanouts
from snnc.operators import LAYERS


@dataclass
class Block:
    """The nodes of a block, its states, and the nodes that decode the outputs from the states (`snnc.emit.decode`).

    `functions` are those of plug-ins that the file brought that the block was read from.
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
    functions: list[onnx.FunctionProto] = field(default_factory=list)


class BlockWriter(Nodes):
    """Writes the layers of a block. `choices` are the operators of whole layers by the name of the layer; a layer that
    is not there is asked for its note (pass `fuse`)."""

    def __init__(self, choices: dict[str, Fused | None] | None = None) -> None:
        super().__init__()
        self._choices = choices or {}
        self.words = WordMover(self)
        self.currents = Currents(self, self.words)

    def fused(self, node: gs.Node) -> Fused | None:
        """The operator of the whole layer; None where it stays plain."""
        return self._choices[node.name] if node.name in self._choices else noted(node)

    def layer(self, node: gs.Node, names: Sequence[str], outputs: Sequence[str], **attrs: Any) -> None:
        """The layer `node` with the tree that feeds it; `names` are its inputs that are no synapses."""
        fused = self.fused(node)
        if fused is None:
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
        self.nodes.append(helper.make_node(op, list(inputs), list(outputs), name=name, domain=DOMAIN, **attrs))

    def totals(self, source: gs.Node, fanout: np.ndarray) -> tuple[str, str]:
        """Spikes and synaptic operations per sample, `[N, 1]` each, of a spike source in this block."""
        spikes = source.outputs[0]
        if source_signal(spikes).signed and fanout.shape[0] > 1:
            fanout = np.concatenate([fanout, fanout])
        names = [f"totals/{source.name}", f"operations/{source.name}"]
        inputs = [self.words.of(spikes).name, self.constant(f"fanout/{source.name}", fanout)]
        self.operator("SpikeTotals", inputs, names, f"node/{names[0]}")
        axis = self.constant("totals/axis", np.array([1], np.int64))
        total, operations = (self.node("Unsqueeze", [name, axis], f"{name}/column") for name in names)
        return total, operations

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
    pixels, writer, sources = graph.inputs[0], BlockWriter(), source_nodes(graph)
    block = Block(pixels.name, sample_shape(pixels), str(pixels.shape[0]))
    for node in graph.nodes:
        if node.op in LAYERS:
            LAYERS[node.op].emit(node, writer)
            block.states += LAYERS[node.op].states(node)
    by_source = fanouts([node.inputs[0] for node in layers(graph)])
    columns = [writer.totals(source, _fanout_of(source, by_source)) for source in sources]
    for index, what in enumerate(("spike_totals", "synaptic_operations")):
        state = State(f"{what}/before", f"{what}/after", "int64", (len(sources),))
        row = writer.node("Concat", [column[index] for column in columns], f"{what}/block", axis=1)
        writer.node("Add", [state.name, row], state.next_name)
        block.states.append(state)
    block.body = writer.nodes
    block.body_constants = list(writer.constants.values())
    return block


def _fanout_of(source: gs.Node, by_source: dict[str, np.ndarray]) -> np.ndarray:
    """The fan-out map of a source; zero for neurons that nothing reads."""
    tensor = source.outputs[0]
    return by_source.get(tensor.name, np.zeros([1] * (len(tensor.shape) - 1), np.int64))
