"""Where in a file its block stands, as the metadata say it, and taking the block out again.

Every schedule holds the nodes of the block, its decoding and their initializers in one piece each. `Places` are the
positions of these pieces (`snnc.block`), so that nothing has to be guessed from names. The states (`snnc.states`) carry
the names that the block gives them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import onnx

from snnc.emit.block import Block
from snnc.ir.domain import DOMAIN
from snnc.ir.names import COUNT, ELAPSED, FIRST_SAMPLE, FIRST_STEP, SEED
from snnc.ir.state import State

Item = TypeVar("Item", onnx.NodeProto, onnx.TensorProto)

#: [first, behind the last] of a list of nodes or initializers.
Range = tuple[int, int]


@dataclass(frozen=True)
class Places:
    """`loop` is the position of the Loop whose body has the block's nodes and initializers, or None.

    `finals` are the tensors that the decoding reads, in the order of the states: their values after the last block.
    `quiet` is the tensor of a block that says whether the network has settled, or "".
    """

    loop: int | None
    body: Range
    body_constants: Range
    decode: Range
    decode_constants: Range
    finals: tuple[str, ...]
    quiet: str = ""

    def to_json(self) -> str:
        """As in the metadata."""
        return json.dumps(dataclasses.asdict(self))

    @staticmethod
    def from_json(text: str) -> Places:
        """ValueError, KeyError or TypeError where it is damaged."""
        values = json.loads(text)
        ranges = ("body", "body_constants", "decode", "decode_constants")
        first, last = {}, {}
        for name in ranges:
            first[name], last[name] = map(int, values[name])
        finals = tuple(str(name) for name in values["finals"])
        loop = values["loop"] if values["loop"] is None else int(values["loop"])
        ranges_of = {name: (first[name], last[name]) for name in ranges}
        return Places(loop, **ranges_of, finals=finals, quiet=str(values.get("quiet", "")))


def describe_states(states: Sequence[State]) -> str:
    """The states as JSON, for hosts that drive the stream form and for `read_block`."""
    fields = {"name": "name", "next_name": "next", "dtype": "dtype", "dims": "dims", "initial": "initial"}
    fields |= {"layer": "layer", "output": "output", "what": "what"}
    entries: list[dict[str, Any]] = [{key: getattr(state, name) for name, key in fields.items()} for state in states]
    for state, entry in zip(states, entries, strict=True):
        entry |= {name: True for name in ("channels_last", "in_place") if getattr(state, name)}
    return json.dumps(entries)


def places_of(model: onnx.ModelProto) -> Places:
    """The positions of the block in a file of the current format."""
    return Places.from_json(next(entry.value for entry in model.metadata_props if entry.key == "snnc.block"))


def read_block(model: onnx.ModelProto, states_json: str, places_json: str) -> Block:
    """The block inside a file of the current format.

    ValueError, KeyError, TypeError or AttributeError where graph and metadata are damaged or do not fit each other.
    """
    states = [
        State(
            entry["name"],
            entry["next"],
            entry["dtype"],
            tuple(entry["dims"]),
            entry["initial"],
            entry["layer"],
            entry["output"],
            entry.get("what", ""),
        )
        for entry in json.loads(states_json)
    ]
    places, graph = Places.from_json(places_json), model.graph
    block = empty_block(model, states)
    home = graph
    if places.loop is not None:
        (loop,) = _piece(graph.node, (places.loop, places.loop + 1))
        home = next((attribute.g for attribute in loop.attribute if attribute.name == "body"), graph)
    block.body = _piece(home.node, places.body)
    block.body_constants = _piece(home.initializer, places.body_constants)
    back = dict(zip(places.finals, (state.next_name for state in states), strict=True))
    block.decode = [with_names(node, back) for node in _piece(graph.node, places.decode)]
    block.decode_constants = _piece(graph.initializer, places.decode_constants)
    block.quiet = places.quiet
    inside = {name for state in states for name in (state.next_name, state.output)} | set(places.finals)
    block.outputs = [value for value in graph.output if value.name not in inside]
    check_block(block)
    return block


def empty_block(model: onnx.ModelProto, states: list[State]) -> Block:
    """A block with the input of `model` and its functions, without nodes."""
    pixels = model.graph.input[0]
    dims = pixels.type.tensor_type.shape.dim
    block = Block(pixels.name, tuple(dim.dim_value for dim in dims[1:]), dims[0].dim_param or "batch", states=states)
    block.functions = list(model.functions)
    block.version = next(opset.version for opset in model.opset_import if opset.domain == DOMAIN)
    return block


def with_names(node: onnx.NodeProto, renamed: Mapping[str, str]) -> onnx.NodeProto:
    """A copy of `node` that reads and computes tensors under other names."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    for names in (copy.input, copy.output):
        for index, name in enumerate(names):
            names[index] = renamed.get(name, name)
    return copy


def check_block(block: Block) -> None:
    """ValueError unless every tensor that the block reads is computed before or given, and every output computed."""
    controls = {SEED, FIRST_SAMPLE, FIRST_STEP, COUNT}
    known = {"", block.input_name, *controls, *(state.name for state in block.states)}
    known |= {tensor.name for tensor in block.body_constants}
    _follow(block.body, known)
    next_names = {state.next_name for state in block.states}
    if not block.states or not next_names | {block.quiet} <= known:
        raise ValueError("the graph does not compute the states that the metadata lists")
    known = {"", block.input_name, ELAPSED, *next_names, *(tensor.name for tensor in block.decode_constants)}
    _follow(block.decode, known)
    if not block.outputs or not {value.name for value in block.outputs} <= known:
        raise ValueError("the decoding does not compute the outputs of the network")


def _follow(nodes: Sequence[onnx.NodeProto], known: set[str]) -> None:
    """Add what `nodes` compute to `known`; ValueError where one reads what is not known."""
    for node in nodes:
        missing = set(node.input) - known
        if missing:
            raise ValueError(f"nothing computes {min(missing)!r}, which {node.op_type} {node.name!r} reads")
        known.update(node.output)


def _piece(items: Sequence[Item], where: Range) -> list[Item]:
    first, last = where
    if not 0 <= first <= last <= len(items):
        raise ValueError(f"positions {first} to {last} of {len(items)}")
    return list(items[first:last])
