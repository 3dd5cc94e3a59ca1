"""Nodes in an order in which inputs come first, whatever the nodes are."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence


def in_order(needs: Sequence[Iterable[str]], gives: Sequence[Iterable[str]]) -> list[int]:
    """Indices of the nodes, each behind those that give what it needs, as near to the given order as possible; without
    recursion.

    Names in `needs` that no node gives must be left out. Nodes in a cycle, and behind one, are missing from the result.
    """
    waiting: dict[str, list[int]] = {}
    missing: list[int] = []
    for index, names in enumerate(map(set, needs)):
        missing.append(len(names))
        for name in names:
            waiting.setdefault(name, []).append(index)
    ready = [index for index, count in enumerate(missing) if not count]
    order: list[int] = []
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for name in gives[index]:
            for reader in waiting.pop(name, ()):
                missing[reader] -= 1
                if missing[reader] == 0:
                    heapq.heappush(ready, reader)
    return order
