"""From membrane potentials back to ANN units, and the tail of the ANN on the decoded values.

    y = scale · V(T) / T [+ bias] + Σ (x - x)         y = scale · V [+ bias] + Σ (x - x) of a network that settles

in float64, rounded to float32 at the end. With a delay D the divisor is max(T - D, 0), and y is NaN where nothing has
been read yet. The last term is zero for finite inputs and NaN otherwise, so that a sample with a NaN or an infinity
never gives a plausible answer. `snnc/elapsed` is T as float64, defined by the schedule.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import helper

from snnc.emit.block import Block
from snnc.emit.nodes import Nodes
from snnc.ir.graph import activation_inputs, constant
from snnc.ir.names import ELAPSED, names_in
from snnc.operators import LAYERS
from snnc.operators.readout import delay_of, is_settling


def add_decoding(graph: gs.Graph, block: Block) -> None:
    """Append the decoding nodes and the outputs of the network to `block`."""
    builder = Nodes(block.names().take(names_in(graph.nodes)))
    potentials = {state.layer: state.next_name for state in block.states}
    poison = _poison(builder, block)
    readouts = [node for node in graph.nodes if node.op in LAYERS and LAYERS[node.op].kind == "readout"]
    for node in readouts:
        _decode(builder, node, potentials[node.name], poison)
    decoded = {node.outputs[0].name for node in readouts}
    _tail(builder, graph, decoded)
    block.decode = builder.nodes
    block.decode_constants = list(builder.constants.values())
    for output in graph.outputs:
        elem_type = helper.np_dtype_to_tensor_dtype(np.dtype(output.dtype))
        block.outputs.append(helper.make_tensor_value_info(output.name, elem_type, list(output.shape)))


def _poison(builder: Nodes, block: Block) -> str:
    """`Σ (x - x)` of every sample, `[N]`: zero, or NaN."""
    nothing = builder.node("Sub", [block.input_name, block.input_name], "decode/zero_or_nan")
    axes = builder.constant("decode/axes", np.arange(1, 1 + len(block.input_dims), dtype=np.int64))
    return builder.node("ReduceSum", [nothing, axes], "decode/not_finite", keepdims=0)


def _decode(builder: Nodes, node: gs.Node, potential: str, poison: str) -> None:
    name = node.outputs[0].name
    rank = len(node.outputs[0].shape)
    potential = builder.node("Cast", [potential], f"decode/{name}/v", to=onnx.TensorProto.DOUBLE)
    scale = builder.constant(f"decode/{name}/scale", np.array(node.attrs["scale"], np.float64))
    total = builder.node("Mul", [potential, scale], f"decode/{name}/total")
    value = total
    if not is_settling(node):
        value = builder.node("Div", [total, _steps_read(builder, node)], f"decode/{name}/per_step")
    bias = constant(node, 1)
    if bias is not None:
        addend = builder.constant(f"decode/{name}/bias", bias.astype(np.float64))
        value = builder.node("Add", [value, addend], f"decode/{name}/biased")
    value = builder.node("Cast", [value], f"decode/{name}/float", to=onnx.TensorProto.FLOAT)
    shape = builder.constant(f"decode/rank_{rank}", np.array([-1, *[1] * (rank - 1)], np.int64))
    mark = builder.node("Reshape", [poison, shape], f"decode/{name}/not_finite")
    builder.write("Add", [value, mark], [name], builder.names.unique(f"node/{name}"))


def _steps_read(builder: Nodes, node: gs.Node) -> str:
    """The steps that a readout has integrated, float64."""
    if not delay_of(node):
        return ELAPSED
    delay = builder.constant("decode/delay", np.float64(delay_of(node)))
    left = builder.node("Sub", [ELAPSED, delay], "decode/left")
    return builder.node("Max", [left, builder.constant("decode/none", np.float64(0))], "decode/steps_read")


def _tail(builder: Nodes, graph: gs.Graph, known: set[str]) -> None:
    """The nodes behind the readouts, which the pass `tail` has brought to the opset of converted files."""
    for node in graph.nodes:
        if not any(tensor.name in known for tensor in activation_inputs(node)):
            continue
        inputs = []
        for tensor in node.inputs:
            if isinstance(tensor, gs.Constant):
                inputs.append(builder.constant(f"{tensor.name}/{node.name}", np.asarray(tensor.values)))
            else:
                assert tensor.is_empty() or tensor.name in known, f"{node.name!r} reads {tensor.name!r}, not decoded"
                inputs.append(tensor.name)
        outputs = [tensor.name for tensor in node.outputs]
        builder.write(node.op, inputs, outputs, node.name, **node.attrs)
        known.update(name for name in outputs if name)
