"""One block of up to 64 steps of a calibrated network, as ONNX nodes: states in, states out.

The body of a block reads the tensors `<input>`, `seed`, `first_sample`, `first_step`, `count` and the states, and
computes the next states. Spikes are words (docs/ops.md). A layer is one operator where `snnc.emit.layer_operators`
has one for it; any other is the currents of `snnc.emit.plain_layers` and a neuron, or their sum over the block in a
readout.

`snnc.emit.schedules` puts a block into a Loop or leaves it as a graph of its own.
"""

from __future__ import annotations

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
from snnc.ir.domain import DOMAIN, DOMAIN_VERSION
from snnc.ir.graph import NEURONS, constant, sample_shape
from snnc.measure.fanout import fanouts


@dataclass(frozen=True)
class State:
    """A tensor carried from block to block: `[N, *dims]` of `dtype`, starting at `initial` (broadcast)."""

    name: str
    next_name: str
    dtype: str
    dims: tuple[int, ...]
    initial: Any = 0

    def start(self, batch: int) -> np.ndarray:
        """The state before the first step."""
        full = np.broadcast_to(np.asarray(self.initial, self.dtype), (batch, *self.dims))
        return np.ascontiguousarray(full)


@dataclass
class Block:
    """The nodes of a block, its states, and the nodes that decode the outputs from the states (`snnc.emit.decode`).

    A block that was read from a file has the operators of that file: their version, and `functions` (of this compiler
    where there are none).
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
    domain_version: int = DOMAIN_VERSION
    functions: list[onnx.FunctionProto] = field(default_factory=list)


class Builder(Nodes):
    """Writes the encoder, neurons and readouts of a block."""

    def __init__(self) -> None:
        super().__init__()
        self.words = WordMover(self)
        self.currents = Currents(self, self.words)

    def encode(self, node: gs.Node) -> None:
        """The Poisson encoder."""
        name = node.outputs[0].name
        plus, minus = f"{name}/plus", f"{name}/minus"
        inputs = [node.inputs[0].name, "seed", "first_sample", "first_step", "count"]
        self._operator("SpikeEncode", inputs, [plus, minus], node.name, scale=float(node.attrs["scale"]))
        self.words.declare(node.outputs[0], plus, minus)

    def neuron(self, node: gs.Node, fused: Fused | None, threshold: np.ndarray | None = None) -> State:
        """A layer of neurons, with the tree that feeds it; its membrane potential is a state.

        `threshold` (int32) stands for that of the node.
        """
        threshold = constant(node, 1) if threshold is None else threshold
        assert threshold is not None
        state = State(
            f"v/{node.name}",
            f"v_next/{node.name}",
            "int32",
            sample_shape(node.outputs[0]),
            (threshold * node.attrs["v_init"]).astype(np.int32).tolist(),
        )
        spikes = node.outputs[0].name
        names = [state.name, self.constant(f"threshold/{node.name}", threshold), "count"]
        outputs = [spikes, state.next_name]
        if fused is None:
            current = self.currents.of(node.inputs[0], "steps")
            self._operator(node.op, [current, *names], outputs, node.name)
        else:
            self._fused(fused, node, names, outputs)
        self.words.declare(node.outputs[0], spikes)
        return state

    def readout(self, node: gs.Node, fused: Fused | None) -> State:
        """The potential of an output layer that integrates and never fires."""
        state = State(f"v/{node.name}", f"v_next/{node.name}", "int64", sample_shape(node.outputs[0]))
        if fused is None:
            block_sum = self.currents.of(node.inputs[0], "sums")
            integer = self.node("Cast", [block_sum], f"{node.name}/integer", to=onnx.TensorProto.INT64)
            self.node("Add", [state.name, integer], state.next_name)
        else:
            self._fused(fused, node, [state.name, "count"], [state.next_name])
        return state

    def _fused(self, fused: Fused, target: gs.Node, names: list[str], outputs: list[str]) -> None:
        """The operator for `target`: synapses, `names` (the inputs that are no synapses), bias."""
        inputs = [self.words.signs_as_channels(fused.main.words), self._weight(fused.main)]
        if fused.residual is not None:
            inputs += [self._aligned(fused.residual), self._weight(fused.residual)]
        inputs += names
        if fused.bias is not None:
            inputs.append(self.constant(f"bias/{fused.main.node.name}", fused.bias))
        self._operator(fused.op, inputs, outputs, target.name, **fused.attributes(target))

    def _weight(self, synapses: Synapses) -> str:
        return self.constant(f"weight/{synapses.node.name}", synapses.weight())

    def _aligned(self, residual: Synapses) -> str:
        """Words of which each neuron reads those at its own position: a shortcut with a stride skips the others."""
        words = self.words.signs_as_channels(residual.words)
        if residual.node.op == "Scale":
            return words
        return self.words.every(residual.node.attrs["strides"], sample_shape(residual.node.outputs[0])[1:], words)

    def _operator(self, op: str, inputs: list[str], outputs: list[str], name: str, **attrs: Any) -> None:
        self.nodes.append(helper.make_node(op, inputs, outputs, name=name, domain=DOMAIN, **attrs))

    def totals(self, source: gs.Node, fanout: np.ndarray) -> tuple[str, str]:
        """Spikes and synaptic operations per sample, `[N, 1]` each, of a spike source in this block."""
        words = self.words.of(source.outputs[0])
        fanout_name = self.constant(f"fanout/{source.name}", fanout)
        axis = self.constant("totals/axis", np.array([1], np.int64))
        columns = []
        for part, tag in ((words.plus, "plus"), (words.minus, "minus")):
            if part is None:
                continue
            names = [f"totals/{source.name}/{tag}", f"operations/{source.name}/{tag}"]
            self._operator("SpikeTotals", [part, fanout_name], names, f"node/{names[0]}")
            columns.append(names)
        results = []
        for index, what in enumerate(("totals", "operations")):
            total = columns[0][index]
            if len(columns) == 2:
                total = self.node("Add", [columns[0][index], columns[1][index]], f"{what}/{source.name}/both")
            results.append(self.node("Unsqueeze", [total, axis], f"{what}/{source.name}/column"))
        return results[0], results[1]


def build_block(graph: gs.Graph) -> Block:
    """The block of a whole fused network, without the nodes that decode (see `snnc.emit.decode`)."""
    pixels = graph.inputs[0]
    builder = Builder()
    block = Block(pixels.name, sample_shape(pixels), str(pixels.shape[0]))
    sources = []
    for node in graph.nodes:
        if node.op == "SpikeEncode":
            builder.encode(node)
            sources.append(node)
        elif node.op in NEURONS:
            block.states.append(builder.neuron(node, noted(node)))
            sources.append(node)
        elif node.op == "SpikeReadout":
            block.states.append(builder.readout(node, noted(node)))
    roots = [node.inputs[0] for node in graph.nodes if node.op in (*NEURONS, "SpikeReadout")]
    by_source = fanouts(roots)
    columns = [builder.totals(source, _fanout_of(source, by_source)) for source in sources]
    for index, what in enumerate(("spike_totals", "synaptic_operations")):
        state = State(f"{what}/before", f"{what}/after", "int64", (len(sources),))
        row = builder.node("Concat", [column[index] for column in columns], f"{what}/block", axis=1)
        builder.node("Add", [state.name, row], state.next_name)
        block.states.append(state)
    block.body = builder.nodes
    block.body_constants = list(builder.constants.values())
    return block


def _fanout_of(source: gs.Node, by_source: dict[str, np.ndarray]) -> np.ndarray:
    """The fan-out map of a source; zero for neurons that nothing reads."""
    tensor = source.outputs[0]
    return by_source.get(tensor.name, np.zeros([1] * (len(tensor.shape) - 1), np.int64))
