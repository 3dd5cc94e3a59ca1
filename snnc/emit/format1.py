"""Files of format 1, which do not say where their block stands: it is found by the names that snnc gave then.

Kept so that such files can still be inspected and evaluated; nothing writes this format any more.
"""

from __future__ import annotations

import json
from typing import Any

import onnx

from snnc.emit.block import Block
from snnc.emit.written import check_block, empty_block, with_names
from snnc.ir.names import ELAPSED, SPIKE_TOTALS, SYNAPTIC_OPERATIONS
from snnc.ir.state import State

_COUNTS = (SPIKE_TOTALS, SYNAPTIC_OPERATIONS)


def read_block(model: onnx.ModelProto, states_json: str) -> Block:
    """The block inside a file of format 1; ValueError where graph and metadata do not fit each other."""
    states = [_state(entry) for entry in json.loads(states_json)]
    graph = model.graph
    block = empty_block(model, states)
    loop = next((node for node in graph.node if node.name == "schedule/loop" and node.op_type == "Loop"), None)
    renamed = {"elapsed": ELAPSED}
    if loop is not None:
        body = loop.attribute[0].g
        block.body = [node for node in body.node if not _schedules(node)]
        block.body_constants = list(body.initializer)
        renamed |= {state.output or f"final/{state.name}": state.next_name for state in states}
        rest = [node for node in graph.node if node is not loop]
    else:
        position = next(index for index, node in enumerate(graph.node) if node.output[0] == "schedule/steps")
        block.body = list(graph.node[:position])
        rest = list(graph.node[position:])
    block.decode = [with_names(node, renamed) for node in rest if not _schedules(node)]
    used = {name for node in block.decode for name in node.input}
    inside = {name for node in block.body for name in node.input}
    initializers = graph.initializer
    if loop is None:
        block.body_constants = [tensor for tensor in initializers if tensor.name in inside]
    block.decode_constants = [tensor for tensor in initializers if tensor.name in used and tensor.name not in inside]
    internal = {name for state in states for name in (state.next_name, state.output)}
    block.outputs = [value for value in graph.output if value.name not in internal]
    check_block(block)
    return block


def complete_options(options: dict[str, Any], calibration: dict[str, Any]) -> None:
    """The first release noted the threshold rule that it chose in the calibration alone."""
    if options.get("threshold") is None:
        options["threshold"] = calibration["threshold"]


def _state(entry: dict[str, Any]) -> State:
    name = str(entry["name"])
    output = name.removesuffix("/before")
    return State(
        name,
        str(entry["next"]),
        str(entry["dtype"]),
        tuple(entry["dims"]),
        entry["initial"],
        layer=name.removeprefix("v/") if name.startswith("v/") else "",
        output=output if output in _COUNTS else "",
    )


def _schedules(node: onnx.NodeProto) -> bool:
    first = node.output[0]
    return first.startswith(("schedule/", "initial/")) or first in ("elapsed", "first_step", "count")
