"""A small network at each level, and whether its problems are found, for the tests of the levels."""

from __future__ import annotations

import golden
import networks
import onnx_graphsurgeon as gs
import pytest

from snnc.data import DataSet
from snnc.ir.conversion import Conversion, Level
from snnc.levels import problems

DATA = DataSet(networks.images_for(networks.small().model(), 6, seed=1), None, "random")


def at(level: Level) -> Conversion:
    """A fresh conversion of a small network (two neurons with their trees, a junction, two readouts) at a level."""
    return golden.run_to(networks.small().model(), level, DATA, bias="current", calib_steps=8)


def nodes(conversion: Conversion, *ops: str) -> list[gs.Node]:
    """The nodes with one of these operators, in order."""
    return [node for node in conversion.graph.nodes if node.op in ops]


def assert_found(conversion: Conversion, *words: str) -> None:
    """One of the problems has all these words. Problems behind it are not looked for: a broken graph may have none."""
    found = []
    for problem in problems(conversion):
        if all(word in problem for word in words):
            return
        found.append(problem)
    pytest.fail(f"{words} not in {found}")


def assert_nothing_about(conversion: Conversion, node: gs.Node) -> None:
    """No problem names the node."""
    assert not [problem for problem in problems(conversion) if repr(node.name) in problem]
