"""The linear operators, each in a room of its own, and the registry that finds them by name.

To add one: a file here with a class that fulfils `contract.LinearOperator`, its name in `_ROOMS`, and its entry in the
reference simulator (docs/contributing.md). `tests/test_operators.py` then holds it against brute force.
"""

from __future__ import annotations

import onnx_graphsurgeon as gs

from snnc.operators.add import Add
from snnc.operators.contract import LinearOperator, WeightedOperator
from snnc.operators.conv import Conv
from snnc.operators.gemm import Gemm
from snnc.operators.reshape import Reshape
from snnc.operators.scale import Scale
from snnc.operators.sum_pool import SumPool
from snnc.operators.transpose import Transpose

__all__ = ["BY_ANN_NAME", "OPERATORS", "LinearOperator", "WeightedOperator", "is_linear", "operator_of", "weighted"]

_ROOMS: tuple[LinearOperator, ...] = (Conv(), Gemm(), Scale(), SumPool(), Add(), Reshape(), Transpose())

#: Name in the spiking graph → operator.
OPERATORS: dict[str, LinearOperator] = {room.name: room for room in _ROOMS}
#: Name in the canonical ANN → operator.
BY_ANN_NAME: dict[str, LinearOperator] = {room.ann_name: room for room in _ROOMS if room.ann_name}


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
