"""The quantised ANN at which a spiking network settles, as ONNX in standard operators, integer by integer.

Taken from the graph of level FUSED. No time is in it: every layer is computed once, from the counts of those before.

    input              n = clip(round(x/σ₀), low, high)
    linear operators   the room's own sums, exact in float64
    neuron             S = g(U),  U = Σ W·S + charge   (`SpikeSource.settled`)
    pool               the largest count of each window
    product            the product of two counts
    readout            V = Σ W·S, decoded as in the spiking network

Beside the outputs of the ANN it gives the count and the potential of every layer, so that a spiking network can be held
against it (`snnc.measure.certificate`). Which outputs these are stands in the metadata.
"""

from __future__ import annotations

import json

import onnx
import onnx_graphsurgeon as gs
from onnx import TensorProto, helper

from snnc.emit.block import Block
from snnc.emit.decode import add_decoding
from snnc.emit.model import make_model
from snnc.emit.nodes import Nodes
from snnc.ir.graph import activation_inputs, sample_shape
from snnc.ir.names import Names, names_in
from snnc.ir.state import State
from snnc.ir.trees import tree
from snnc.operators import LAYERS, SOURCES, operator_of

#: Metadata of the model, both JSON: layer → output with its counts, int32 `[N, ...]`; layer → output with its
#: potentials, int64 `[N, ...]`. Readouts have potentials alone, the input, pools and products counts alone.
COUNTS, POTENTIALS = "snnc.counts", "snnc.potentials"


def quantised_network(graph: gs.Graph) -> onnx.ModelProto:
    """The quantised ANN of a fused graph whose layers settle."""
    writer = _Writer(graph)
    for layer in graph.nodes:
        if layer.op in LAYERS:
            writer.write(layer)
    return writer.model(graph)


class _Writer:
    """Writes layer after layer with the tree that feeds it."""

    def __init__(self, graph: gs.Graph) -> None:
        pixels = graph.inputs[0]
        self._nodes = Nodes(Names(names_in(graph.nodes)))
        self._values = {pixels.name: pixels.name}
        self._block = Block(pixels.name, sample_shape(pixels), str(pixels.shape[0]))
        self._infos: list[onnx.ValueInfoProto] = []
        self._counts: dict[str, str] = {}
        self._potentials: dict[str, str] = {}

    def write(self, layer: gs.Node) -> None:
        roots = activation_inputs(layer)
        for node in (node for root in roots for node in tree(root)):
            operands = [self._values[operand.name] for operand in activation_inputs(node)]
            output = node.outputs[0].name
            self._values[output] = operator_of(node).current(node, operands, f"{output}/sums", "sums", self._nodes)
        reads = [self._values[root.name] for root in roots]
        if layer.op not in SOURCES:
            name = self._potentials[layer.name] = self._output(layer, reads[0], "potential", TensorProto.INT64)
            self._block.states.append(State("", name, "int64", sample_shape(layer.outputs[0]), layer=layer.name))
            return
        count, potential = SOURCES[layer.op].settled(layer, reads, self._nodes)
        self._values[layer.outputs[0].name] = count
        self._counts[layer.name] = self._output(layer, count, "count", TensorProto.INT32)
        if potential:
            self._potentials[layer.name] = self._output(layer, potential, "potential", TensorProto.INT64)

    def model(self, graph: gs.Graph) -> onnx.ModelProto:
        block = self._block
        block.body = self._nodes.nodes
        add_decoding(graph, block)
        pixels = helper.make_tensor_value_info(block.input_name, TensorProto.FLOAT, [block.batch, *block.input_dims])
        model = make_model(
            helper.make_graph(
                [*block.body, *block.decode],
                "quantised",
                [pixels],
                [*block.outputs, *self._infos],
                [*self._nodes.constants.values(), *block.decode_constants],
            )
        )
        helper.set_model_props(model, {COUNTS: json.dumps(self._counts), POTENTIALS: json.dumps(self._potentials)})
        return model

    def _output(self, layer: gs.Node, value: str, what: str, dtype: int) -> str:
        name = self._nodes.node("Cast", [value], f"{what}/{layer.name}", to=dtype)
        dims: list[str | int] = [self._block.batch, *sample_shape(layer.outputs[0])]
        self._infos.append(helper.make_tensor_value_info(name, dtype, dims))
        return name
