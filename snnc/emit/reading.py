"""Reading a block after the first of its steps: outputs, totals and counts, without simulating these steps again.

What a layer does at a step depends on no later one. So the spikes of the first k steps of a block are those of the
whole block without the later bits, and what follows from spikes alone, with the states before the block and a `count`
of k, is what a block of k steps gives. Only the nodes between the spikes of sources and what is read are run again.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from snnc.emit.block import Block
from snnc.emit.model import make_model
from snnc.emit.schedules import as_stream
from snnc.ir.domain import DOMAIN
from snnc.ir.names import Names, own

#: The input with the steps that are read, as bits of a word.
MASK = own("reading/mask")


@dataclass(frozen=True)
class Reading:
    """A model that gives the outputs of the stream form that are no states of layers. It reads inputs of the stream
    form, `MASK` (uint64), and the words of spike sources: `words` are the inputs that take them, by their names."""

    model: onnx.ModelProto
    words: dict[str, str]


def as_reading(block: Block) -> Reading:
    """What can be read of a block when the words of its spike sources are known."""
    stream = as_stream(block).graph
    kept = {state.output for state in block.states if state.output} | {value.name for value in block.outputs}
    outputs = [value for value in stream.output if value.name in kept]
    # Every source has its spikes counted, as they are.
    spikes = {node.input[0] for node in block.body if node.domain == DOMAIN and node.op_type == "SpikeTotals"}
    nodes = _needed(stream, kept, spikes)
    read = {name for node in nodes for name in node.input} | kept
    names = Names([*read, *(name for node in stream.node for name in (node.name, *node.output)), MASK])
    words = {name: names.unique(f"{name}/whole") for name in sorted(spikes & read)}
    masking = [
        helper.make_node("BitwiseAnd", [whole, MASK], [name], name=names.unique(f"node/{whole}"))
        for name, whole in words.items()
    ]
    inputs = [value for value in stream.input if value.name in read]
    inputs += [helper.make_tensor_value_info(MASK, TensorProto.UINT64, [])]
    inputs += [helper.make_tensor_value_info(whole, TensorProto.UINT64, None) for whole in words.values()]
    constants = [tensor for tensor in stream.initializer if tensor.name in read]
    graph = helper.make_graph([*masking, *nodes], "reading", inputs, outputs, constants)
    return Reading(make_model(graph, block.functions, block.version), words)


def _needed(graph: onnx.GraphProto, wanted: set[str], given: set[str]) -> list[onnx.NodeProto]:
    """The nodes that compute what is wanted from what is given and the inputs of the graph, in order."""
    found, missing = [], wanted - given
    for node in reversed(graph.node):
        if missing & set(node.output):
            found.append(node)
            missing |= set(node.input) - given
    return found[::-1]
