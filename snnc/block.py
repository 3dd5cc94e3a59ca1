"""One block of up to 64 steps of a calibrated network, as ONNX nodes: states in, states out.

The body of a block reads the tensors `<input>`, `seed`, `first_sample`, `first_step`, `count` and the states, and
computes the next states. Spikes are words (docs/ops.md); `Conv` and `Gemm` work on unpacked values of all steps at
once, time folded into the batch. A readout never fires, so it sums the spikes of the block first and multiplies once:
Σ_t (W·s_t + b) = W·Σ_t s_t + count·b.

`snnc.schedules` puts a block into a Loop or leaves it as a graph of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import helper, numpy_helper

from snnc.fanout import fanouts
from snnc.graph import NEURONS, activation_inputs, constant, producer, sample_shape
from snnc.ops import DOMAIN

Mode = Literal["steps", "sums"]


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
    """The nodes of a block, its states, and the nodes that decode the outputs from the states (`snnc.decode`)."""

    input_name: str
    input_dims: tuple[int, ...]
    batch: str
    body: list[onnx.NodeProto] = field(default_factory=list)
    body_constants: list[onnx.TensorProto] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    decode: list[onnx.NodeProto] = field(default_factory=list)
    decode_constants: list[onnx.TensorProto] = field(default_factory=list)
    outputs: list[onnx.ValueInfoProto] = field(default_factory=list)


class Builder:
    """Writes ONNX nodes; every result is named after the tensor of the IR it stands for."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self._words: dict[str, tuple[str, str | None]] = {}
        self._linear: dict[tuple[str, str], str] = {}

    def node(self, op: str, inputs: Sequence[str], output: str, domain: str = "", **attrs: Any) -> str:
        """Append a node with one output."""
        self.nodes.append(helper.make_node(op, list(inputs), [output], name=f"node/{output}", domain=domain, **attrs))
        return output

    def constant(self, name: str, value: np.ndarray) -> str:
        """Add an initializer (once per name)."""
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    # --- spikes ---------------------------------------------------------------------------------------------------
    def set_words(self, tensor: gs.Tensor, plus: str, minus: str | None = None) -> None:
        """Declare where the spike words of a source are."""
        self._words[tensor.name] = (plus, minus)

    def encode(self, node: gs.Node) -> None:
        """The Poisson encoder."""
        name = node.outputs[0].name
        plus, minus = f"{name}/plus", f"{name}/minus"
        inputs = [node.inputs[0].name, "seed", "first_sample", "first_step", "count"]
        self.nodes.append(
            helper.make_node(
                "SpikeEncode", inputs, [plus, minus], name=node.name, domain=DOMAIN, scale=float(node.attrs["scale"])
            )
        )
        self.set_words(node.outputs[0], plus, minus)

    def neuron(self, node: gs.Node) -> State:
        """A layer of neurons on the current of its tree; its membrane potential is a state."""
        current = self.linear(node.inputs[0], "steps")
        threshold = constant(node, 1)
        assert threshold is not None
        spikes = node.outputs[0].name
        state = State(
            f"v/{node.name}",
            f"v_next/{node.name}",
            "int32",
            sample_shape(node.outputs[0]),
            (threshold * node.attrs["v_init"]).astype(np.int32).tolist(),
        )
        inputs = [current, state.name, self.constant(f"threshold/{node.name}", threshold), "count"]
        self.nodes.append(
            helper.make_node(node.op, inputs, [spikes, state.next_name], name=node.name, domain=DOMAIN)
        )
        self.set_words(node.outputs[0], spikes)
        return state

    def readout(self, node: gs.Node) -> State:
        """The potential of an output layer that integrates and never fires."""
        state = State(f"v/{node.name}", f"v_next/{node.name}", "int32", sample_shape(node.outputs[0]))
        block_sum = self.linear(node.inputs[0], "sums")
        integer = self.node("Cast", [block_sum], f"{node.name}/integer", to=onnx.TensorProto.INT32)
        self.node("Add", [state.name, integer], state.next_name)
        return state

    def totals(self, source: gs.Node, fanout: np.ndarray) -> tuple[str, str]:
        """Spikes and synaptic operations per sample, `[N, 1]` each, of a spike source in this block."""
        plus, minus = self._words[source.outputs[0].name]
        fanout_name = self.constant(f"fanout/{source.name}", fanout)
        axis = self.constant("totals/axis", np.array([1], np.int64))
        columns = []
        for words, tag in [(plus, "plus"), (minus, "minus")]:
            if words is None:
                continue
            names = [f"totals/{source.name}/{tag}", f"operations/{source.name}/{tag}"]
            self.nodes.append(
                helper.make_node("SpikeTotals", [words, fanout_name], names, name=f"node/{names[0]}", domain=DOMAIN)
            )
            columns.append(names)
        results = []
        for index, what in enumerate(("totals", "operations")):
            total = columns[0][index]
            if len(columns) == 2:
                total = self.node("Add", [columns[0][index], columns[1][index]], f"{what}/{source.name}/both")
            results.append(self.node("Unsqueeze", [total, axis], f"{what}/{source.name}/column"))
        return results[0], results[1]

    # --- linear ops -----------------------------------------------------------------------------------------------
    def linear(self, tensor: gs.Tensor, mode: Mode) -> str:
        """Float values of a tensor of a tree: of every step `[count·N, ...]`, or summed over the block `[N, ...]`."""
        key = (tensor.name, mode)
        if key not in self._linear:
            words = self._moved_words(tensor)
            if words is not None:
                self._linear[key] = self._unpacked(tensor.name, words, mode)
            else:
                node = producer(tensor)
                assert node is not None
                operands = [self.linear(operand, mode) for operand in activation_inputs(node)]
                self._linear[key] = self._linear_node(node, operands, mode)
        return self._linear[key]

    def _unpacked(self, name: str, words: tuple[str, str | None], mode: Mode) -> str:
        results = []
        for part, tag in zip(words, ("plus", "minus"), strict=True):
            if part is None:
                continue
            label = f"{name}/{tag}/{mode}"
            if mode == "steps":
                results.append(self.node("SpikeUnpack", [part, "count"], label, domain=DOMAIN))
            else:
                counts = self.node("SpikeCount", [part], f"{label}/integer", domain=DOMAIN)
                results.append(self.node("Cast", [counts], label, to=onnx.TensorProto.FLOAT))
        return results[0] if len(results) == 1 else self.node("Sub", results, f"{name}/{mode}")

    def _moved_words(self, tensor: gs.Tensor) -> tuple[str, str | None] | None:
        """Spike words of a source, or moved by shape ops only: these are done on words, 64 steps at once."""
        if tensor.name in self._words:
            return self._words[tensor.name]
        node = producer(tensor)
        if node is None or node.op not in ("Reshape", "Transpose"):
            return None
        before = self._moved_words(activation_inputs(node)[0])
        if before is None:
            return None
        moved = [
            None if part is None else self._move(node, part, f"{tensor.name}/{tag}")
            for part, tag in zip(before, ("plus", "minus"), strict=True)
        ]
        assert moved[0] is not None
        self._words[tensor.name] = (moved[0], moved[1])
        return self._words[tensor.name]

    def _move(self, node: gs.Node, operand: str, output: str) -> str:
        if node.op == "Transpose":
            return self.node("Transpose", [operand], output, perm=list(node.attrs["perm"]))
        shape = constant(node, 1)
        assert shape is not None
        return self.node("Reshape", [operand, self.constant(f"shape/{node.name}", shape)], output)

    def _linear_node(self, node: gs.Node, operands: list[str], mode: Mode) -> str:
        output = f"{node.outputs[0].name}/{mode}"
        if node.op == "Add":
            return self.node("Add", operands, output)
        if node.op in ("Reshape", "Transpose"):
            return self._move(node, operands[0], output)
        if node.op == "SumPool":
            return self._sum_pool(node, operands[0], output)
        weight = constant(node, 1)
        assert weight is not None
        weight_name = self.constant(f"weight/{node.name}", weight)
        if node.op == "Scale":
            return self.node("Mul", [operands[0], weight_name], output)
        inputs = [operands[0], weight_name]
        bias = constant(node, 2)
        if bias is not None and mode == "steps":
            inputs.append(self.constant(f"bias/{node.name}", bias))
        attrs = dict(node.attrs) if node.op == "Conv" else {}
        if bias is None or mode == "steps":
            return self.node(node.op, inputs, output, **attrs)
        weighted = self.node(node.op, inputs, f"{output}/weighted", **attrs)
        steps = self.node("Cast", ["count"], f"{output}/count", to=onnx.TensorProto.FLOAT)
        per_channel = bias.reshape((1, -1, *[1] * (len(node.outputs[0].shape) - 2)))
        name = self.constant(f"bias/{node.name}", per_channel)
        return self.node("Add", [weighted, self.node("Mul", [name, steps], f"{output}/bias")], output)

    def _sum_pool(self, node: gs.Node, operand: str, output: str) -> str:
        channels, *sizes = sample_shape(node.inputs[0])
        multiplicity = constant(node, 1)
        summed = output if multiplicity is None else f"{output}/sums"
        kernel = list(node.attrs["kernel_shape"])
        if kernel == sizes and not any(node.attrs["pads"]):
            axes = self.constant(f"axes/{node.name}", np.arange(2, 2 + len(sizes), dtype=np.int64))
            self.node("ReduceSum", [operand, axes], summed, keepdims=1)
        else:
            ones = self.constant(f"window/{node.name}", np.ones((channels, 1, *kernel), np.float32))
            self.node(
                "Conv",
                [operand, ones],
                summed,
                group=channels,
                kernel_shape=kernel,
                strides=list(node.attrs["strides"]),
                pads=list(node.attrs["pads"]),
            )
        if multiplicity is None:
            return summed
        return self.node("Mul", [summed, self.constant(f"multiplicity/{node.name}", multiplicity)], output)


def build_block(graph: gs.Graph) -> Block:
    """The block of a whole calibrated network, without the nodes that decode (see `snnc.decode`)."""
    pixels = graph.inputs[0]
    builder = Builder()
    block = Block(pixels.name, sample_shape(pixels), str(pixels.shape[0]))
    sources = []
    for node in graph.nodes:
        if node.op == "SpikeEncode":
            builder.encode(node)
            sources.append(node)
        elif node.op in NEURONS:
            block.states.append(builder.neuron(node))
            sources.append(node)
        elif node.op == "SpikeReadout":
            block.states.append(builder.readout(node))
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
