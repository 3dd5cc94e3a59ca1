"""How blocks of 64 steps become a model.

`loop`: in an ONNX Loop, a drop-in for the ANN; it ends early where the network settles. `unrolled`: one after the
other for a fixed number of steps, also a drop-in, for hosts without Loop. `stream`: one block, the states as graph
inputs and outputs.

All hold the same nodes, and say where (`snnc.emit.written`), so that the block can be taken out of a file again: the
compiler evaluates every file through its stream form.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper

from snnc.emit.block import Block
from snnc.emit.model import make_model
from snnc.emit.nodes import Nodes
from snnc.emit.written import Places, describe_states, with_names
from snnc.ir.domain import BLOCK_STEPS
from snnc.ir.names import COUNT, ELAPSED, FIRST_SAMPLE, FIRST_STEP, SEED, STEPS
from snnc.ir.state import State

Controls = Literal["optional", "required", "fixed"]
#: An unrolled file repeats the nodes of the network for every block.
MOST_UNROLLED_BLOCKS = 16
_TYPES = {"int32": TensorProto.INT32, "int64": TensorProto.INT64}


def as_loop(
    block: Block, *, steps: int, seed: int, max_steps: int, controls: Controls, least_steps: int = 1
) -> onnx.ModelProto:
    """The network with time inside: `ceil(steps / 64)` iterations, the last one with the remaining steps."""
    outer = Nodes(block.names())
    inputs = [_input_info(block), *_controls(outer, {STEPS: steps, SEED: seed, FIRST_SAMPLE: 0}, controls)]
    total = _checked_steps(outer, least_steps, max_steps)
    length = outer.constant("schedule/block", np.int64(BLOCK_STEPS))
    up = outer.node("Add", [total, outer.constant("schedule/block_less_one", np.int64(BLOCK_STEPS - 1))], "schedule/up")
    blocks = outer.node("Div", [up, length], "schedule/blocks")
    initial = _initial_states(outer, block, [outer.names.unique(f"initial/{state.name}") for state in block.states])
    finals = [state.output or outer.names.unique(f"final/{state.name}") for state in block.states]
    body, behind = _loop_body(block, outer, total, length)
    go_on = outer.constant("schedule/go_on", np.bool_(True))
    outer.write("Loop", [blocks, go_on, *initial], finals, outer.names.unique("schedule/loop"), body=body)
    loop = len(outer.nodes) - 1
    outer.write("Cast", [total], [ELAPSED], outer.names.unique("schedule/elapsed"), to=TensorProto.DOUBLE)
    places = Places(
        loop=loop,
        body=(behind, behind + len(block.body)),
        body_constants=(0, len(block.body_constants)),
        decode=(len(outer.nodes), len(outer.nodes) + len(block.decode)),
        decode_constants=(0, len(block.decode_constants)),
        finals=tuple(finals),
        quiet=block.quiet,
    )
    nodes = [*outer.nodes, *_decoding(block, finals)]
    constants = [*block.decode_constants, *outer.constants.values()]
    return _finished(block, nodes, inputs, _outputs(block), constants, block.states, places)


def as_unrolled(block: Block, *, steps: int, seed: int, controls: Controls) -> onnx.ModelProto:
    """The network for exactly `steps` steps: its blocks one after the other, with the same weights."""
    writer = Nodes(block.names())
    inputs = [_input_info(block), *_controls(writer, {SEED: seed, FIRST_SAMPLE: 0}, controls)]
    writer.write_constant(FIRST_STEP, np.int64(0))
    writer.write_constant(COUNT, np.int64(min(steps, BLOCK_STEPS)))
    writer.write_constant(ELAPSED, np.float64(steps))
    _initial_states(writer, block, [state.name for state in block.states])
    first = len(writer.nodes)
    values = {state.name: state.name for state in block.states}
    states = list(block.states)
    firsts = range(0, steps, BLOCK_STEPS)
    for index, first_step in enumerate(firsts):
        renamed = {} if index == 0 else _renamed_block(writer, block, index, first_step, steps, values)
        if first_step == firsts[-1]:
            renamed |= {state.next_name: state.output for state in block.states if state.output}
        if index == 0:
            states = _with_next_names(block.states, renamed)
        writer.nodes += [_in_block(node, renamed, writer, index) for node in block.body]
        values = {state.name: renamed.get(state.next_name, state.next_name) for state in block.states}
    finals = [values[state.name] for state in block.states]
    within = len(block.body_constants)
    places = Places(
        loop=None,
        body=(first, first + len(block.body)),
        body_constants=(0, within),
        decode=(len(writer.nodes), len(writer.nodes) + len(block.decode)),
        decode_constants=(within, within + len(block.decode_constants)),
        finals=tuple(finals),
        quiet=block.quiet,
    )
    nodes = [*writer.nodes, *_decoding(block, finals)]
    constants = [*block.body_constants, *block.decode_constants, *writer.constants.values()]
    return _finished(block, nodes, inputs, _outputs(block), constants, states, places)


def as_stream(block: Block, expose: tuple[str, ...] = ()) -> onnx.ModelProto:
    """One block: the host feeds `first_step`, `count` (up to 64) and the states, and carries the states on.

    The next values of the counts have the names of the outputs of the network that they are. `expose` names tensors of
    the block (spike words) that become outputs too.
    """
    writer = Nodes(block.names())
    inputs = [_input_info(block), *_scalar_infos((SEED, FIRST_SAMPLE, FIRST_STEP, COUNT))]
    inputs += [_state_info(block, state, state.name) for state in block.states]
    renamed = {state.next_name: state.output for state in block.states if state.output}
    states = _with_next_names(block.states, renamed)
    total = writer.node("Add", [FIRST_STEP, COUNT], "schedule/steps")
    writer.write("Cast", [total], [ELAPSED], writer.names.unique("schedule/elapsed"), to=TensorProto.DOUBLE)
    finals = [state.next_name for state in states]
    within, between = len(block.body), len(block.body) + len(writer.nodes)
    places = Places(
        loop=None,
        body=(0, within),
        body_constants=(0, len(block.body_constants)),
        decode=(between, between + len(block.decode)),
        decode_constants=(len(block.body_constants), len(block.body_constants) + len(block.decode_constants)),
        finals=tuple(finals),
        quiet=block.quiet,
    )
    nodes = [*(with_names(node, renamed) for node in block.body), *writer.nodes, *_decoding(block, finals)]
    outputs = [*block.outputs, *(_state_info(block, state, state.next_name) for state in states)]
    outputs += [helper.make_tensor_value_info(name, TensorProto.UINT64, None) for name in expose]
    constants = [*block.body_constants, *block.decode_constants]
    return _finished(block, nodes, inputs, outputs, constants, states, places)


def _finished(
    block: Block,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    constants: list[onnx.TensorProto],
    states: Sequence[State],
    places: Places,
) -> onnx.ModelProto:
    model = make_model(helper.make_graph(nodes, "snn", inputs, outputs, constants), block.functions, block.version)
    model.metadata_props.add(key="snnc.states", value=describe_states(states))
    model.metadata_props.add(key="snnc.block", value=places.to_json())
    return model


def _controls(nodes: Nodes, defaults: dict[str, int], controls: Controls) -> list[onnx.ValueInfoProto]:
    """The inputs that a host may or must feed; their defaults, or where they are fixed their values."""
    if controls != "required":
        for name, value in defaults.items():
            nodes.write_constant(name, np.int64(value))
    return [] if controls == "fixed" else _scalar_infos(tuple(defaults))


def _checked_steps(nodes: Nodes, least_steps: int, max_steps: int) -> str:
    """`steps`, or an error: standard ONNX can only fail by an index out of range, so the name of the failing node says
    what is wrong."""
    least = nodes.constant("schedule/least_steps", np.int64(least_steps))
    too_few = nodes.node("Less", [STEPS, least], "schedule/too_few")
    largest = nodes.constant("schedule/max_steps", np.int64(max_steps))
    too_many = nodes.node("Greater", [STEPS, largest], "schedule/too_many")
    out_of_range = nodes.node("Or", [too_few, too_many], "schedule/out_of_range")
    index = nodes.node("Cast", [out_of_range], "schedule/index", to=TensorProto.INT64)
    zero = nodes.names.unique("schedule/zero")
    in_range = nodes.constant("schedule/in_range", np.zeros(1, np.int64))
    nodes.write(
        "Gather", [in_range, index], [zero], nodes.names.unique(f"steps must be from {least_steps} to max_steps")
    )
    return nodes.node("Add", [STEPS, zero], "schedule/steps")


def _initial_states(nodes: Nodes, block: Block, outputs: Sequence[str]) -> Sequence[str]:
    """Every state before the first step, as `outputs`."""
    batch = nodes.node("Shape", [block.input_name], "schedule/batch", start=0, end=1)
    for state, output in zip(block.states, outputs, strict=True):
        dims = nodes.constant(f"schedule/dims/{state.name}", np.array(state.dims, np.int64))
        shape = nodes.node("Concat", [batch, dims], f"schedule/shape/{state.name}", axis=0)
        value = nodes.constant(f"schedule/initial/{state.name}", np.asarray(state.initial, state.dtype))
        nodes.write("Expand", [value, shape], [output], nodes.names.unique(f"node/initial/{state.name}"))
    return outputs


def _loop_body(block: Block, outer: Nodes, total: str, length: str) -> tuple[onnx.GraphProto, int]:
    """One block as the body of a Loop, and how many nodes stand in front of those of the block."""
    inner = Nodes(outer.names)
    iteration, go_in, go_out, node = (
        inner.names.unique(f"schedule/{what}") for what in ("iteration", "go_in", "go_out", "first_step")
    )
    inner.write("Mul", [iteration, length], [FIRST_STEP], node)
    left = inner.node("Sub", [total, FIRST_STEP], "schedule/left")
    inner.write("Min", [left, length], [COUNT], inner.names.unique("schedule/count"))
    inputs = [
        *_scalar_infos((iteration,)),
        helper.make_tensor_value_info(go_in, TensorProto.BOOL, []),
        *(_state_info(block, state, state.name) for state in block.states),
    ]
    outputs = [
        helper.make_tensor_value_info(go_out, TensorProto.BOOL, []),
        *(_state_info(block, state, state.next_name) for state in block.states),
    ]
    in_front = len(inner.nodes)
    inner.nodes += block.body
    # A network that settles stops when it is quiet: nothing would happen any more.
    op, condition = ("Not", block.quiet) if block.quiet else ("Identity", go_in)
    inner.write(op, [condition], [go_out], inner.names.unique("schedule/go"))
    return helper.make_graph(inner.nodes, "block", inputs, outputs, block.body_constants), in_front


def _renamed_block(
    writer: Nodes, block: Block, index: int, first_step: int, steps: int, values: dict[str, str]
) -> dict[str, str]:
    """Names of the tensors of block `index` > 0: it reads the states that the one before has left in `values`."""
    label = f"block_{index}"
    computed = [name for node in block.body for name in node.output if name]
    renamed = {name: writer.names.unique(f"{label}/{name}") for name in computed} | values
    renamed[FIRST_STEP] = writer.constant(f"{label}/first_step", np.int64(first_step))
    count = min(BLOCK_STEPS, steps - first_step)
    if count < BLOCK_STEPS:
        renamed[COUNT] = writer.constant(f"{label}/count", np.int64(count))
    return renamed


def _in_block(node: onnx.NodeProto, renamed: dict[str, str], writer: Nodes, index: int) -> onnx.NodeProto:
    copy = with_names(node, renamed)
    if index > 0:
        copy.name = writer.names.unique(f"block_{index}/{node.name}")
    return copy


def _with_next_names(states: Sequence[State], renamed: dict[str, str]) -> list[State]:
    return [dataclasses.replace(state, next_name=renamed.get(state.next_name, state.next_name)) for state in states]


def _decoding(block: Block, finals: Sequence[str]) -> list[onnx.NodeProto]:
    """The nodes that decode, on the states after the last block."""
    renamed = {state.next_name: final for state, final in zip(block.states, finals, strict=True)}
    return [with_names(node, renamed) for node in block.decode]


def _outputs(block: Block) -> list[onnx.ValueInfoProto]:
    """The outputs of the network, and the counts."""
    counts = [_state_info(block, state, state.output) for state in block.states if state.output]
    return [*block.outputs, *counts]


def _input_info(block: Block) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(block.input_name, TensorProto.FLOAT, [block.batch, *block.input_dims])


def _state_info(block: Block, state: State, name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, _TYPES[state.dtype], [block.batch, *state.dims])


def _scalar_infos(names: Sequence[str]) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(name, TensorProto.INT64, []) for name in names]
