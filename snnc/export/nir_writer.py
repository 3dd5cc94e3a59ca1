"""A NIR graph under construction."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from snnc.diagnostics import fail

INPUT, OUTPUT = "input", "output"


@dataclass(frozen=True)
class Value:
    """What flows along edges: the nodes whose outputs are added up, and the shape of a sample. A value that is `flat`
    stands for one axis, though no node has flattened it."""

    names: tuple[str, ...]
    shape: tuple[int, ...]
    flat: bool = False


@dataclass
class GraphWriter:
    """Nodes by name, and edges."""

    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)

    def add(
        self, label: str, node: Any, operands: Sequence[str], shape: tuple[int, ...], *, flat: bool = False
    ) -> Value:
        """A node that reads the sum of `operands`."""
        name = self.name(label)
        self.nodes[name] = node
        self.edges += [(operand, name) for operand in operands]
        return Value((name,), shape, flat)

    def name(self, label: str) -> str:
        """A name that no node has: HDF5 takes `/` for folders, and torch has no names with dots or digits in front."""
        plain = re.sub(r"\W+", "_", label, flags=re.ASCII).strip("_") or "node"
        plain = plain if plain[0].isalpha() else f"layer_{plain}"
        name, number = plain, 1
        while name in self.nodes or name in (INPUT, OUTPUT):
            number += 1
            name = f"{plain}_{number}"
        return name


class Unwritable(Exception):
    """What a target has no node for: message and hint."""

    def __init__(self, message: str, hint: str = "") -> None:
        self.message, self.hint = message, hint
        super().__init__(message)


def require_nir() -> Any:
    """The package `nir`; SNN407 where it is missing or older than what is written here."""
    try:
        import nir
    except ImportError:
        _missing("the exchange by NIR needs the package nir")
    if not hasattr(nir, "NIRGraphData"):
        _missing("this version of the package nir is too old")
    return nir


def _missing(message: str) -> NoReturn:
    fail("SNN407", message, hint="pip install 'snnc[nir]'")
