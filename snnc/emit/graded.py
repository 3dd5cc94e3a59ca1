"""The graded form of a network that settles: a frame in one sweep over its layers (docs/graded.md).

    input      d = n - n₋
    neuron     U ← U + W·d,  d' = g(U) - S,  S ← S + d'
    max-pool   d' = max(S + d) - max(S) of each window,  S ← S + d
    product    d' = A'·B' - A·B
    readout    V ← V + W·d, decoded as in the spiking network

Between layers travel int32 tensors of changes of counts, in the shapes of the ANN. A neuron for whose synapses
`snnc.emit.graded_layers` finds an operator keeps V = U - θ·S and S with the channels last; any other keeps its charge
in 64 bits, summed in float64 by the rooms' own sums, and takes its count from `SpikeSource.settled`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import TensorProto, helper

from snnc.emit.block import Block
from snnc.emit.graded_layers import GradedLayer, graded_layer, largest_change, sums_windows
from snnc.emit.model import make_model
from snnc.emit.nodes import Nodes, WordNodes
from snnc.emit.written import describe_states, with_names
from snnc.ir.domain import DOMAIN
from snnc.ir.graph import activation_inputs, producer, sample_shape
from snnc.ir.names import SPIKE_TOTALS, SYNAPTIC_OPERATIONS, Names, names_in
from snnc.ir.state import State, What
from snnc.ir.trees import layers, source_nodes, source_signal
from snnc.measure.fanout import fanouts
from snnc.operators import LAYERS, SOURCES, operator_of, weighted
from snnc.operators.graded_encoder import ChargeEncode
from snnc.operators.max_pool import SpikeMaxPool
from snnc.operators.product import SpikeProduct

_TYPES = {"int32": TensorProto.INT32, "int64": TensorProto.INT64}
_WINDOW = ("kernel_shape", "strides", "pads")


def graded_network(graph: gs.Graph, block: Block) -> onnx.ModelProto:
    """The graded form of a fused graph whose layers settle, with its states in the metadata; `block` is that of the
    same network in steps, whose outputs are decoded in the same way."""
    writer = _Writer(graph, block)
    for layer in graph.nodes:
        if layer.op in LAYERS:
            writer.write(layer)
    return writer.model()


class _Writer:
    """Writes layer after layer with the tree that feeds it."""

    def __init__(self, graph: gs.Graph, block: Block) -> None:
        self._graph, self._block = graph, block
        decoding = (name for node in block.decode for name in (node.name, *node.output))
        constants = (tensor.name for tensor in block.decode_constants)
        self._nodes = Nodes(Names(names_in(graph.nodes)).take([block.input_name, *decoding, *constants]))
        self._moves = WordNodes(self._nodes)
        self._states: list[State] = []
        self._fanouts = fanouts(layers(graph))
        self._counted: dict[str, list[str]] = {}
        self._changes: dict[str, str] = {}
        self._values: dict[str, str] = {}
        self._batch = self._nodes.node("Shape", [block.input_name], "batch", start=0, end=1)
        self._begun = self._state("begun", "int32", ())
        one = helper.make_tensor("value", TensorProto.INT32, [1], [1])
        self._write("ConstantOfShape", [self._batch], self._begun.next_name, value=one)

    def write(self, layer: gs.Node) -> None:
        """The nodes of one layer."""
        room, output = LAYERS[layer.op], layer.outputs[0].name
        if isinstance(room, ChargeEncode):
            self._changes[output] = self._encoder(layer, room)
        elif isinstance(room, SpikeMaxPool):
            self._changes[output] = self._max_pool(layer)
        elif isinstance(room, SpikeProduct):
            self._values[output] = self._product(layer)
        elif layer.op not in SOURCES:
            self._readout(layer)
        else:
            found = graded_layer(layer)
            self._changes[output] = self._plain(layer) if found is None else self._one_operator(layer, found)

    def model(self) -> onnx.ModelProto:
        """What was written, with the totals and the decoding."""
        block, names = self._block, (SPIKE_TOTALS, SYNAPTIC_OPERATIONS)
        sources = self._totals(names)
        pixels = helper.make_tensor_value_info(block.input_name, TensorProto.FLOAT, [block.batch, *block.input_dims])
        totals = [helper.make_tensor_value_info(name, TensorProto.INT64, [block.batch, sources]) for name in names]
        graph = helper.make_graph(
            [*self._nodes.nodes, *self._decoding()],
            "graded",
            [pixels, *(self._info(state, state.name) for state in self._states)],
            [*block.outputs, *(self._info(state, state.next_name) for state in self._states), *totals],
            [*self._nodes.constants.values(), *block.decode_constants],
        )
        model = make_model(graph)
        model.metadata_props.add(key="snnc.states", value=describe_states(self._states))
        return model

    def _decoding(self) -> list[onnx.NodeProto]:
        """The nodes that decode the potentials of the readouts, and those behind them."""
        own = {state.layer: state.next_name for state in self._states if state.what == "membrane potential"}
        renamed = {
            state.next_name: own[state.layer]
            for state in self._block.states
            if state.what == "membrane potential" and state.layer in own
        }
        return [with_names(node, renamed) for node in self._block.decode]

    # Layers

    def _encoder(self, layer: gs.Node, room: ChargeEncode) -> str:
        entered = self._state(f"entered/{layer.name}", "int32", sample_shape(layer.outputs[0]), layer, "entered charge")
        self._write("Cast", [room.numbers(layer, self._nodes)], entered.next_name, to=TensorProto.INT32)
        return self._nodes.node("Sub", [entered.next_name, entered.name], f"{layer.name}/change")

    def _one_operator(self, layer: gs.Node, found: GradedLayer) -> str:
        """V and S are read and written by this operator alone, neuron by neuron."""
        own, initial = {"channels_last": True, "in_place": True}, found.initial
        v = self._state(f"v/{layer.name}", "int32", found.dims, layer, "membrane potential", initial=initial, **own)
        counts = self._state(f"counts/{layer.name}", "int32", found.dims, layer, "spike count", **own)
        inputs: list[str] = []
        for synapses in found.synapses:
            changes = self._changes_of(synapses.words)
            if synapses is found.pattern.residual and synapses.node.op != "Scale":
                changes = self._every(changes, synapses.node)
            inputs += [changes, self._nodes.constant(f"weight/{synapses.node.name}", synapses.weight())]
        threshold = self._nodes.constant(f"threshold/{layer.name}", found.threshold)
        inputs += [v.name, counts.name, threshold, self._begun.name, self._fanout_of(layer)]
        fired = self._nodes.names.unique(f"{layer.name}/change")
        self._counted[layer.name] = self._names_of_totals(layer)
        outputs = [fired, v.next_name, counts.next_name, *self._counted[layer.name]]
        self._nodes.write(found.op, inputs, outputs, layer.name, DOMAIN, **found.attributes())
        return fired

    def _plain(self, layer: gs.Node) -> str:
        """A neuron by the charge that has come so far: the state is what `settled` reads."""
        dims = sample_shape(layer.outputs[0])
        charge = self._sum_of_all(layer, self._state(f"charge/{layer.name}", "int64", dims, layer, "charge"))
        counts = self._state(f"counts/{layer.name}", "int32", dims, layer, "spike count")
        settled, _ = SOURCES[layer.op].settled(layer, [self._wide(charge)], self._nodes)
        self._write("Cast", [settled], counts.next_name, to=TensorProto.INT32)
        return self._nodes.node("Sub", [counts.next_name, counts.name], f"{layer.name}/change")

    def _readout(self, layer: gs.Node) -> None:
        dims = sample_shape(layer.outputs[0])
        self._sum_of_all(layer, self._state(f"v/{layer.name}", "int64", dims, layer, "membrane potential"))

    def _sum_of_all(self, layer: gs.Node, state: State) -> str:
        """What all changes so far have brought to a layer, int64."""
        brought = self._nodes.node(
            "Cast", [self._values_of(layer.inputs[0])], f"{layer.name}/brought", to=TensorProto.INT64
        )
        self._write("Add", [state.name, brought], state.next_name)
        return state.next_name

    def _max_pool(self, layer: gs.Node) -> str:
        (read,) = activation_inputs(layer)
        dims = sample_shape(read)
        counts = self._state(f"counts/{layer.name}", "int32", dims, layer, "input count", in_place=True)
        fired = self._nodes.names.unique(f"{layer.name}/change")
        attrs = {name: list(layer.attrs[name]) for name in (*_WINDOW, "dilations")}
        inputs, outputs = [self._changes_of(read), counts.name], [fired, counts.next_name]
        self._nodes.write("GradedMaxPool", inputs, outputs, layer.name, DOMAIN, **attrs)
        return fired

    def _product(self, layer: gs.Node) -> str:
        """The change of the product of two counts, float64: it is beyond int32 where counts are large."""
        first, second = activation_inputs(layer)
        states = [
            self._state(f"counts/{layer.name}", "int32", sample_shape(first), layer, "input count"),
            self._state(f"second_counts/{layer.name}", "int32", sample_shape(second), layer, "second input count"),
        ]
        for state, read in zip(states, (first, second), strict=True):
            self._write("Add", [state.name, self._changes_of(read)], state.next_name)
        products = [
            self._nodes.node("Mul", [self._wide(name) for name in names], f"{layer.name}/{when}")
            for when, names in (
                ("product", [state.next_name for state in states]),
                ("product_before", [state.name for state in states]),
            )
        ]
        return self._nodes.node("Sub", products, f"{layer.name}/change")

    def _wide(self, integers: str) -> str:
        return self._nodes.node("Cast", [integers], f"{integers}/wide", to=TensorProto.DOUBLE)

    # Trees

    def _changes_of(self, tensor: gs.Tensor) -> str:
        """The changes of what is only moved, or summed over windows, int32."""
        if tensor.name not in self._changes:
            node = producer(tensor)
            assert node is not None
            reads = [self._changes_of(operand) for operand in activation_inputs(node)]
            if sums_windows(node):
                attrs = {name: list(node.attrs[name]) for name in _WINDOW}
                found = self._nodes.node("GradedSumPool", reads, f"{tensor.name}/change", DOMAIN, **attrs)
            else:
                found = operator_of(node).move(node, reads, 1, f"{tensor.name}/change", self._moves)
            self._changes[tensor.name] = found
        return self._changes[tensor.name]

    def _values_of(self, tensor: gs.Tensor) -> str:
        """What the changes bring to a tensor of a tree, float64."""
        if tensor.name not in self._values:
            self._values[tensor.name] = self._written(tensor)
        return self._values[tensor.name]

    def _written(self, tensor: gs.Tensor) -> str:
        if largest_change(tensor) is not None:
            return self._wide(self._changes_of(tensor))
        node = producer(tensor)
        assert node is not None
        heavy = weighted(node)
        assert heavy is None or heavy.weights(node).bias is None, f"{node.name!r} brings a current in every step"
        operands = [self._values_of(operand) for operand in activation_inputs(node)]
        return operator_of(node).current(node, operands, f"{tensor.name}/sums", "sums", self._nodes)

    def _every(self, changes: str, node: gs.Node) -> str:
        """Changes of which each neuron reads those at its own position: a shortcut with a stride skips the others."""
        strides, sizes = node.attrs["strides"], sample_shape(node.outputs[0])[1:]
        if all(stride == 1 for stride in strides):
            return changes
        return self._moves.sliced(changes, [0] * len(sizes), strides, sizes, f"{node.name}/every")

    # States and totals

    def _state(
        self,
        label: str,
        dtype: str,
        dims: Sequence[int],
        layer: gs.Node | None = None,
        what: What = "",
        **own: Any,
    ) -> State:
        unique = self._nodes.names.unique
        names = unique(label), unique(f"next/{label}")
        name = "" if layer is None else layer.name
        state = State(*names, dtype, tuple(dims), layer=name, what=what, **own)
        self._states.append(state)
        return state

    def _write(self, op: str, inputs: Sequence[str], output: str, **attrs: Any) -> None:
        """A node that computes the next value of a state."""
        self._nodes.write(op, inputs, [output], self._nodes.names.unique(f"node/{output}"), **attrs)

    def _info(self, state: State, name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, _TYPES[state.dtype], [self._block.batch, *state.dims])

    def _totals(self, names: Sequence[str]) -> int:
        """Events and synaptic operations `[N, L]` under these names; L."""
        sources = source_nodes(self._graph)
        zero = helper.make_tensor("value", TensorProto.INT64, [1], [0])
        nothing = self._nodes.node("ConstantOfShape", [self._batch], "no_events", value=zero)
        columns: list[list[str]] = []
        for source in reversed(sources):  # each is counted behind its layer: see `build_block`
            spikes = source.outputs[0]
            if source_signal(spikes).copies is None:
                columns.append([nothing, nothing])
                continue
            if source.name not in self._counted:
                found = self._counted[source.name] = self._names_of_totals(source)
                node = self._nodes.names.unique(f"node/events/{source.name}")
                inputs = [self._changes[spikes.name], self._fanout_of(source)]
                self._nodes.write("GradedTotals", inputs, found, node, DOMAIN)
            columns.append(self._counted[source.name])
        shape = self._nodes.node("Concat", [self._nodes.integers([len(sources)]), self._batch], "rows_shape", axis=0)
        for name, parts in zip(names, zip(*reversed(columns), strict=True), strict=True):
            joined = self._nodes.node("Concat", list(parts), f"{name}/joined", axis=0)
            rows = self._nodes.node("Reshape", [joined, shape], f"{name}/rows", allowzero=1)
            self._write("Transpose", [rows], name, perm=[1, 0])
        return len(sources)

    def _names_of_totals(self, source: gs.Node) -> list[str]:
        """Of the events and the operations of a source."""
        return [self._nodes.names.unique(f"{label}/{source.name}") for label in ("events", "operations")]

    def _fanout_of(self, source: gs.Node) -> str:
        """The fan-out map of a source; zero for neurons that nothing reads."""
        spikes = source.outputs[0]
        none = np.zeros([1] * len(sample_shape(spikes)), np.int64)
        return self._nodes.constant(f"fanout/{source.name}", self._fanouts.get(spikes.name, none))
