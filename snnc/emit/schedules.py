"""How blocks of 64 steps become a model: `loop` (in an ONNX Loop, a drop-in for the ANN) or `stream` (one block, states
as graph inputs and outputs).

Both hold the same nodes under the same names, so the block can be taken out of a file again (`read_block`): the
compiler evaluates a loop file through its stream form.
"""

from __future__ import annotations

import json
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from snnc.emit.block import Block, State
from snnc.ir.domain import BLOCK_STEPS, DOMAIN, IR_VERSION, OPSET
from snnc.operators.functions import functions_used_by

Controls = Literal["optional", "required", "fixed"]
_LOOP = "schedule/loop"
_TYPES = {"int32": TensorProto.INT32, "int64": TensorProto.INT64}
_COUNTS = ("spike_totals", "synaptic_operations")


def as_loop(block: Block, *, steps: int, seed: int, max_steps: int, controls: Controls) -> onnx.ModelProto:
    """The network with time inside: `ceil(steps / 64)` iterations, the last one with the remaining steps."""
    constants = [
        _scalar("schedule/block", np.int64(BLOCK_STEPS)),
        _scalar("schedule/block_less_one", np.int64(BLOCK_STEPS - 1)),
        _scalar("schedule/one", np.int64(1)),
        _scalar("schedule/max_steps", np.int64(max_steps)),
        _scalar("schedule/go_on", np.bool_(True)),
        numpy_helper.from_array(np.zeros(1, np.int64), "schedule/in_range"),
    ]
    defaults = {"steps": np.int64(steps), "seed": np.int64(seed), "first_sample": np.int64(0)}
    inputs = [_input_info(block)]
    for name, value in defaults.items():
        if controls != "fixed":
            inputs.append(helper.make_tensor_value_info(name, TensorProto.INT64, []))
        if controls != "required":
            constants.append(_scalar(name, value))

    nodes = _check_steps()
    nodes.append(helper.make_node("Shape", [block.input_name], ["schedule/batch"], start=0, end=1))
    for state in block.states:
        constants.append(numpy_helper.from_array(np.array(state.dims, np.int64), f"schedule/dims/{state.name}"))
        constants.append(
            numpy_helper.from_array(np.asarray(state.initial, state.dtype), f"schedule/initial/{state.name}")
        )
        shape = f"schedule/shape/{state.name}"
        nodes.append(helper.make_node("Concat", ["schedule/batch", f"schedule/dims/{state.name}"], [shape], axis=0))
        nodes.append(helper.make_node("Expand", [f"schedule/initial/{state.name}", shape], [f"initial/{state.name}"]))
    nodes += [
        helper.make_node("Add", ["schedule/steps", "schedule/block_less_one"], ["schedule/rounded_up"]),
        helper.make_node("Div", ["schedule/rounded_up", "schedule/block"], ["schedule/blocks"]),
        helper.make_node(
            "Loop",
            ["schedule/blocks", "schedule/go_on", *(f"initial/{state.name}" for state in block.states)],
            [_final(state) for state in block.states],
            name=_LOOP,
            body=_loop_body(block),
        ),
        helper.make_node("Cast", ["schedule/steps"], ["elapsed"], to=TensorProto.DOUBLE),
    ]
    renamed = {state.next_name: _final(state) for state in block.states}
    nodes += [_with_inputs(node, renamed) for node in block.decode]
    outputs = list(block.outputs) + [_state_info(block, state, _final(state)) for state in _counts(block)]
    graph = helper.make_graph(nodes, "snn", inputs, outputs, constants + block.decode_constants)
    return _model(graph, block)


def as_stream(block: Block, expose: tuple[str, ...] = ()) -> onnx.ModelProto:
    """One block: the host feeds `first_step`, `count` (up to 64) and the states, and carries the states on.

    `expose` names tensors of the block (spike words) that become outputs too.
    """
    inputs = [_input_info(block)]
    for name in ("seed", "first_sample", "first_step", "count"):
        inputs.append(helper.make_tensor_value_info(name, TensorProto.INT64, []))
    inputs += [_state_info(block, state, state.name) for state in block.states]
    nodes = [
        *block.body,
        helper.make_node("Add", ["first_step", "count"], ["schedule/steps"]),
        helper.make_node("Cast", ["schedule/steps"], ["elapsed"], to=TensorProto.DOUBLE),
        *block.decode,
    ]
    outputs = [*block.outputs, *(_state_info(block, state, state.next_name) for state in block.states)]
    outputs += [helper.make_tensor_value_info(name, TensorProto.UINT64, None) for name in expose]
    graph = helper.make_graph(nodes, "snn", inputs, outputs, block.body_constants + block.decode_constants)
    return _model(graph, block)


def describe_states(block: Block) -> str:
    """The states as JSON, for hosts that drive the stream form and for `read_block`."""
    return json.dumps(
        [
            {"name": s.name, "next": s.next_name, "dtype": s.dtype, "dims": s.dims, "initial": s.initial}
            for s in block.states
        ]
    )


def read_block(model: onnx.ModelProto, states_json: str) -> Block:
    """The block inside a converted model of either schedule; ValueError if the states are not those of the graph."""
    states = [
        State(entry["name"], entry["next"], entry["dtype"], tuple(entry["dims"]), entry["initial"])
        for entry in json.loads(states_json)
    ]
    graph = model.graph
    dims = graph.input[0].type.tensor_type.shape.dim
    block = Block(graph.input[0].name, tuple(dim.dim_value for dim in dims[1:]), dims[0].dim_param or "batch")
    block.states = states
    block.functions = list(model.functions)
    block.domain_version = next(opset.version for opset in model.opset_import if opset.domain == DOMAIN)
    loop = next((node for node in graph.node if node.name == _LOOP and node.op_type == "Loop"), None)
    renamed: dict[str, str] = {}
    if loop is not None:
        body = loop.attribute[0].g
        block.body = [node for node in body.node if not _scheduling(node)]
        block.body_constants = list(body.initializer)
        renamed = {_final(state): state.next_name for state in states}
        rest = [node for node in graph.node if node is not loop]
    else:
        position = next(i for i, node in enumerate(graph.node) if node.output[0] == "schedule/steps")
        block.body = list(graph.node[:position])
        rest = list(graph.node[position:])
    computed = {name for node in block.body for name in node.output}
    if not {state.next_name for state in states} <= computed:
        raise ValueError("the graph does not compute the states that the metadata lists")
    block.decode = [_with_inputs(node, renamed) for node in rest if not _scheduling(node)]
    used = {name for node in block.decode for name in node.input}
    if loop is None:
        block.body_constants = list(graph.initializer)
    else:
        block.decode_constants = [tensor for tensor in graph.initializer if tensor.name in used]
    internal = {_final(state) for state in states} | {state.next_name for state in states}
    block.outputs = [value for value in graph.output if value.name not in {*internal, *_COUNTS}]
    return block


def _check_steps() -> list[onnx.NodeProto]:
    """`steps` as `schedule/steps`, or an error: standard ONNX can only fail by an index out of range, so the name of
    the failing node says what is wrong."""
    return [
        helper.make_node("Less", ["steps", "schedule/one"], ["schedule/too_few"]),
        helper.make_node("Greater", ["steps", "schedule/max_steps"], ["schedule/too_many"]),
        helper.make_node("Or", ["schedule/too_few", "schedule/too_many"], ["schedule/out_of_range"]),
        helper.make_node("Cast", ["schedule/out_of_range"], ["schedule/index"], to=TensorProto.INT64),
        helper.make_node(
            "Gather", ["schedule/in_range", "schedule/index"], ["schedule/zero"],
            name="steps must be from 1 to max_steps",
        ),
        helper.make_node("Add", ["steps", "schedule/zero"], ["schedule/steps"]),
    ]  # fmt: skip


def _loop_body(block: Block) -> onnx.GraphProto:
    nodes = [
        helper.make_node("Mul", ["schedule/iteration", "schedule/block"], ["first_step"]),
        helper.make_node("Sub", ["schedule/steps", "first_step"], ["schedule/left"]),
        helper.make_node("Min", ["schedule/left", "schedule/block"], ["count"]),
        helper.make_node("Identity", ["schedule/go_in"], ["schedule/go_out"]),
        *block.body,
    ]
    inputs = [
        helper.make_tensor_value_info("schedule/iteration", TensorProto.INT64, []),
        helper.make_tensor_value_info("schedule/go_in", TensorProto.BOOL, []),
        *(_state_info(block, state, state.name) for state in block.states),
    ]
    outputs = [
        helper.make_tensor_value_info("schedule/go_out", TensorProto.BOOL, []),
        *(_state_info(block, state, state.next_name) for state in block.states),
    ]
    return helper.make_graph(nodes, "block", inputs, outputs, block.body_constants)


def _final(state: State) -> str:
    """Name of a state's value after the last block: the counts are outputs of the model."""
    what = state.name.removesuffix("/before")
    return what if what in _COUNTS else f"final/{state.name}"


def _counts(block: Block) -> list[State]:
    return [state for state in block.states if _final(state) in _COUNTS]


def _scheduling(node: onnx.NodeProto) -> bool:
    first = node.output[0]
    return first.startswith(("schedule/", "initial/")) or first in ("elapsed", "first_step", "count")


def _with_inputs(node: onnx.NodeProto, renamed: dict[str, str]) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    for index, name in enumerate(copy.input):
        copy.input[index] = renamed.get(name, name)
    return copy


def _input_info(block: Block) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(block.input_name, TensorProto.FLOAT, [block.batch, *block.input_dims])


def _state_info(block: Block, state: State, name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, _TYPES[state.dtype], [block.batch, *state.dims])


def _scalar(name: str, value: np.generic) -> TensorProto:
    return numpy_helper.from_array(np.array(value), name)


def _model(graph: onnx.GraphProto, block: Block) -> onnx.ModelProto:
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, block.domain_version)]
    return helper.make_model(
        graph,
        opset_imports=opsets,
        functions=block.functions or functions_used_by(graph),
        ir_version=IR_VERSION,
        producer_name="snnc",
    )
