"""The operators of spiking graphs, each in a room of its own, and the registry that finds them by name.

Linear operators (`contract`) stand between layers (`layer`): what keeps a state, and fires or is read out.

To add one: a file here with a class that fulfils `contract.LinearOperator`, its name in `_ROOMS`, and its entry in the
reference simulator (docs/contributing.md). `tests/test_operators.py` then holds it against brute force. Plug-ins bring
theirs as entry points of the group `snnc.operators`, named as the operator is in the ANN.
"""

from __future__ import annotations

from typing import Any

import onnx_graphsurgeon as gs

from snnc.ir.domain import DOMAIN
from snnc.ir.graph import NEURONS, activation_inputs, producer, reaches
from snnc.ir.options import Options
from snnc.operators.add import Add
from snnc.operators.concat import Concat
from snnc.operators.contract import LinearOperator, WeightedOperator
from snnc.operators.conv import Conv
from snnc.operators.depth_to_space import DepthToSpace
from snnc.operators.encoder import PoissonEncoder
from snnc.operators.functions import parse_functions
from snnc.operators.gather import Gather
from snnc.operators.gemm import Gemm
from snnc.operators.graded_encoder import ChargeEncode, DirectEncode
from snnc.operators.layer import Layer, SpikeSource
from snnc.operators.max_pool import SpikeMaxPool
from snnc.operators.neuron import IF, RMP
from snnc.operators.product import SpikeProduct
from snnc.operators.readout import Readout
from snnc.operators.reshape import Reshape
from snnc.operators.scale import Scale
from snnc.operators.staircase import Staircase, StaircaseTable
from snnc.operators.sum_pool import SumPool
from snnc.operators.tail import is_activation, tail_of
from snnc.operators.transpose import Transpose
from snnc.plugins import Registry, instance_of

__all__ = [
    "BY_ANN_NAME",
    "LAYERS",
    "OPERATORS",
    "POOLS",
    "READING_SPIKES",
    "SOURCES",
    "Layer",
    "LinearOperator",
    "SpikeSource",
    "WeightedOperator",
    "accepted",
    "before_layers",
    "behind_moves",
    "is_linear",
    "operator_of",
    "tail_nodes",
    "weighted",
]

_ROOMS: tuple[LinearOperator, ...] = (
    *(Conv(), Gemm(), Scale(), SumPool(), Add()),
    *(Reshape(), Transpose(), DepthToSpace(), Gather(), Concat()),
)
_LAYERS: tuple[Layer, ...] = (
    *(PoissonEncoder(), DirectEncode(), ChargeEncode()),
    *(RMP(), IF(), Staircase(), StaircaseTable(), SpikeMaxPool(), SpikeProduct()),
    Readout(),
)

#: Name in the spiking graph → layer.
LAYERS: dict[str, Layer] = {room.name: room for room in _LAYERS}
#: Those of them that fire.
SOURCES: dict[str, SpikeSource] = {name: room for name, room in LAYERS.items() if isinstance(room, SpikeSource)}

_TAKEN = (*LAYERS, *NEURONS)


def _load(found: Any, name: str) -> LinearOperator:
    room: LinearOperator = instance_of(LinearOperator, lambda room: room.ann_name or room.name)(found, name)
    if room.name in OPERATORS.own or room.name in _TAKEN:
        raise ValueError(f"its name in the spiking graph, {room.name!r}, is taken")
    if room.domain == DOMAIN:
        raise ValueError(f"the domain {DOMAIN} is that of snnc")
    parse_functions(room.functions, room.domain)
    return room


def _know(room: LinearOperator) -> None:
    OPERATORS.add(room.name, room)
    if room.ann_name:
        BY_ANN_NAME.add(room.ann_name, room)


#: Name in the spiking graph → operator.
OPERATORS: Registry[LinearOperator] = Registry(
    "snnc.operators", {room.name: room for room in _ROOMS}, _load, _know, _TAKEN
)
#: Name in the canonical ANN → operator.
BY_ANN_NAME: Registry[LinearOperator] = Registry(
    "snnc.operators", {room.ann_name: room for room in _ROOMS if room.ann_name}, _load, _know, _TAKEN
)


#: Name of a node of the ANN that reads spikes, not their current → source. What becomes of a `Relu` is up to the
#: options.
READING_SPIKES: dict[str, SpikeSource] = {
    room.ann_name: room for room in SOURCES.values() if room.ann_name and not room.integrates
}
#: Those of them that pool.
POOLS: dict[str, SpikeSource] = {name: room for name, room in READING_SPIKES.items() if room.kind == "pool"}


def accepted(node: gs.Node) -> bool:
    """Whether there is a room for this node of a canonical ANN."""
    return node.op in NEURONS or node.op in BY_ANN_NAME or node.op in READING_SPIKES


def tail_nodes(graph: gs.Graph) -> set[str]:
    """Names of the nodes of an ANN that work on decoded values (`snnc.operators.tail`)."""
    return tail_of(graph, _spikes)


def _spikes(node: gs.Node) -> bool:
    """Whether a spiking operator stands for this node as it is, behind the last layer too."""
    if not accepted(node) or not all(map(is_activation, (*activation_inputs(node), *node.outputs))):
        return False
    if node.op in POOLS:
        before = producer(behind_moves(node.inputs[0]))
        return before is not None and (before.op in NEURONS or before.op in POOLS)
    return not _only_moves(node.op) or not any(BY_ANN_NAME[node.op].check(node, Options()))


def _only_moves(op: str) -> bool:
    return op in BY_ANN_NAME.own and BY_ANN_NAME[op].only_moves


def before_layers(graph: gs.Graph) -> set[str]:
    """Names of the nodes of an ANN before or in a layer: those behind them only move what it gives, or are the tail."""
    tail = tail_nodes(graph)
    computing = {
        node.name for node in graph.nodes if accepted(node) and node.name not in tail and not _only_moves(node.op)
    }
    return reaches(graph, computing)


def behind_moves(tensor: gs.Tensor) -> gs.Tensor:
    """The tensor of an ANN whose elements `tensor` has at other places; where several are joined, what they give."""
    node = producer(tensor)
    moves = node is not None and node.op in BY_ANN_NAME and BY_ANN_NAME[node.op].only_moves
    moves = moves and node is not None and len(activation_inputs(node)) == 1
    return behind_moves(node.inputs[0]) if node is not None and moves else tensor


def is_linear(node: gs.Node | None) -> bool:
    """Whether `node` is a linear operator of a spiking graph."""
    return node is not None and node.op in OPERATORS


def operator_of(node: gs.Node) -> LinearOperator:
    """The room of a linear node."""
    return OPERATORS[node.op]


def weighted(node: gs.Node | None) -> WeightedOperator | None:
    """The room of a linear node with weights; None for any other."""
    operator = None if node is None else OPERATORS.get(node.op)
    return operator if isinstance(operator, WeightedOperator) else None
