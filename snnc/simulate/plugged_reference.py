"""The accounts that plug-ins give of their operators to the reference simulator (entry points `snnc.reference`).

They are functions of their own, not part of an operator's room: what is checked and what checks share no code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx_graphsurgeon as gs

from snnc.operators import is_linear
from snnc.plugins import Registry
from snnc.simulate import reference


def _load(found: Any, name: str) -> Callable[..., reference.Ints]:
    if not callable(found):
        raise TypeError(f"{found!r} is no function")
    account: Callable[..., reference.Ints] = found
    return account


#: Name in the spiking graph → function of attributes and operands.
ACCOUNTS: Registry[Callable[..., reference.Ints]] = Registry("snnc.reference", {}, _load)


def teach_reference(graph: gs.Graph) -> list[str]:
    """Register the accounts of the plugged operators of `graph`; the names of those that have none."""
    missing = []
    for node in graph.nodes:
        if is_linear(node) and not reference.knows(node):
            if node.op in ACCOUNTS:
                reference.register(node.domain or "", node.op, ACCOUNTS[node.op])
            else:
                missing.append(node.op)
    return sorted(set(missing))
