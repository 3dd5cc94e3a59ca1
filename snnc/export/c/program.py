"""A network as a program in C, before it is text: constants, states, scratch memory and calls."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from snnc.data import Preparation
from snnc.export.c.integers import BYTES


@dataclass(frozen=True)
class Constant:
    """An array in flash, one-dimensional. `layer` is the one that it belongs to, by its name in the network."""

    name: str
    ctype: str
    values: NDArray[np.generic]
    layer: str

    @property
    def bytes(self) -> int:
        return BYTES[self.ctype] * self.values.size


@dataclass(frozen=True)
class State:
    """A member of the struct of states, an array. `start` is the constant with V(0) in runs of `size`, or None: 0."""

    name: str
    ctype: str
    count: int
    layer: str
    what: str
    start: Constant | None = None
    size: int = 0

    @property
    def bytes(self) -> int:
        return BYTES[self.ctype] * self.count


@dataclass
class Scratch:
    """Memory that is needed from time `born` to time `dies` of a step alone; it lies at `offset` of its type."""

    name: str
    ctype: str
    count: int
    born: int
    dies: int
    offset: int = 0


@dataclass(frozen=True)
class Shape:
    """A `static const` struct of sizes in net.c: its type (`windows`, `product`), and its initializer."""

    name: str
    kind: str
    text: str


@dataclass(frozen=True)
class Call:
    """A call of a function of `templates/` for these types of its placeholders (`snnc.export.c.kernels`)."""

    kernel: str
    types: dict[str, str]
    arguments: tuple[str, ...]
    counts_spikes: bool = False


@dataclass(frozen=True)
class Memory:
    """`memset(name, 0, sizeof(ctype) * count)`."""

    name: str
    ctype: str
    count: int


@dataclass(frozen=True)
class Trace:
    """Tell who listens that a layer has fired."""

    index: int
    spikes: str
    count: int


Statement = Call | Memory | Trace


@dataclass
class Step:
    """What one layer does in a step. Where `after` is not 0, only once so many steps have gone by."""

    layer: str
    title: str
    statements: list[Statement] = field(default_factory=list)
    after: int = 0


@dataclass(frozen=True)
class Readout:
    """An output: `state` has its potentials, each worth `scale` (`per_step`: over the steps less `delay`), plus `bias`.
    Both have a number for each element, or one for all."""

    output: str
    state: State
    shape: tuple[int, ...]
    scale: NDArray[np.float64]
    bias: NDArray[np.float64]
    per_step: bool
    delay: int


@dataclass(frozen=True)
class Input:
    """`coding` is poisson, direct or charge. `scale` is λ₀ (poisson); `unit`, `origin`, `low`, `high` are those of
    graded values. `pixels` has what the encoder makes of bytes as they are stored, 256 numbers for all elements or for
    each channel; None where nothing is known of them. `prepared`: what becomes of bytes in front of the encoder."""

    coding: str
    ctype: str
    shape: tuple[int, ...]
    scale: float
    unit: NDArray[np.float32]
    origin: NDArray[np.float32]
    low: int
    high: int
    pixels: Constant | None
    prepared: Preparation

    @property
    def count(self) -> int:
        return int(np.prod(self.shape))

    @property
    def bytes(self) -> int:
        """Of what a step is given."""
        return BYTES[self.ctype] * self.count


@dataclass
class Program:
    """All of it. `layers` are the sources by index of a trace: name, identifier, number of elements. `most_steps` are
    those that potentials have room for from start to start; None where they have it for any number."""

    name: str
    most_steps: int | None
    input: Input
    layers: list[tuple[str, str, int]] = field(default_factory=list)
    constants: list[Constant] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    scratch: list[Scratch] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    readouts: list[Readout] = field(default_factory=list)
    settles: bool = False

    def calls(self) -> Iterator[Call]:
        """Every call of a step."""
        for step in self.steps:
            for statement in step.statements:
                if isinstance(statement, Call):
                    yield statement

    @property
    def scratch_counts(self) -> dict[str, int]:
        """Elements of scratch memory by type, the largest type first."""
        found: dict[str, int] = {}
        for each in self.scratch:
            found[each.ctype] = max(found.get(each.ctype, 0), each.offset + each.count)
        return dict(sorted(found.items(), key=lambda item: -BYTES[item[0]]))

    def bytes_by_layer(self) -> list[tuple[str, int, int]]:
        """Name of each layer, bytes of its constants and of its states."""
        names = dict.fromkeys(step.layer for step in self.steps)
        return [
            (
                name,
                sum(constant.bytes for constant in self.constants if constant.layer == name),
                sum(state.bytes for state in self.states if state.layer == name),
            )
            for name in names
        ]

    @property
    def flash_bytes(self) -> int:
        """Of all constants."""
        return sum(constant.bytes for constant in self.constants)

    @property
    def state_bytes(self) -> int:
        """Of what is kept from step to step, the number of steps included."""
        return sum(state.bytes for state in self.states) + BYTES["uint32_t"]

    @property
    def scratch_bytes(self) -> int:
        return sum(BYTES[ctype] * count for ctype, count in self.scratch_counts.items())

    @property
    def struct_bytes(self) -> int:
        """Of the struct, where types are aligned to their size: large ones come first, so padding is at its end."""
        ctypes = ["uint32_t", *(state.ctype for state in self.states), *(piece.ctype for piece in self.scratch)]
        largest = max(BYTES[ctype] for ctype in ctypes)
        whole = self.state_bytes + self.scratch_bytes
        return -(-whole // largest) * largest


class Identifiers:
    """Names of C for names of a network, each once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._known: dict[str, str] = {}

    def of(self, name: str) -> str:
        """Letters, digits and single underscores of `name`; with a number where two are the same."""
        if name not in self._known:
            plain = re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_")[:40] or "layer"
            found, number = plain, 1
            while found.lower() in self._taken:
                number += 1
                found = f"{plain}_{number}"
            self._taken.add(found.lower())
            self._known[name] = found
        return self._known[name]


def shown(name: str) -> str:
    """A name of the network as a comment of C can have it."""
    text = "".join(letter if letter.isprintable() and letter.isascii() else "?" for letter in name)
    return text.replace("*/", "* /").replace("/*", "/ *").replace("\\", "/").replace("??", "?")
