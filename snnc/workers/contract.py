"""The contract of workers: they do the same work with every part, and may be done with the parts in any order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

Given = TypeVar("Given")
Found = TypeVar("Found")
#: Told of the share that is done.
Progress = Callable[[float], None]


class Arrays(Protocol):
    """A list of arrays that was kept; each may be read when it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Part(Generic[Given]):
    """The `index`-th part: what is `given` to the work, and what earlier work has left for it (`Trains.of`)."""

    index: int
    given: Given
    kept: tuple[Any, ...] = ()


class Work(ABC, Generic[Given, Found]):
    """What is to be done with every part. Work, what is given and what is found can be pickled."""

    @abstractmethod
    def prepare(self, threads: int | None) -> Callable[[Given, Sequence[Arrays], Progress], Found]:
        """The function for every part, with what all of them share, such as a session of onnxruntime with so many
        threads (None: as many as there are cores). It is called once in every process."""

    def at_once(self, threads: int) -> int:
        """How many parts a process with so many threads may do at once, each in a thread that calls the function."""
        return 1


class Trains(ABC):
    """Lists of arrays that stay where they were made, by name and by the index of their part."""

    @abstractmethod
    def require_space(self, lives: Iterable[tuple[str, int]]) -> None:
        """SNN412 where there is no room for what is to come: (name, bytes) of all parts in the order in which they
        come, with 0 bytes where they are forgotten."""

    @abstractmethod
    def of(self, name: str, index: int) -> Any:
        """What stands for a list in `Part.kept`."""

    @abstractmethod
    def read(self, name: str, index: int) -> Arrays:
        """The list itself."""

    @abstractmethod
    def forget(self, name: str) -> None:
        """Free what the parts of this name take."""


class Workers(ABC):
    """Who does the work."""

    @abstractmethod
    def run(
        self,
        work: Work[Given, Found],
        parts: Iterable[Part[Given]],
        count: int,
        progress: Progress = lambda share: None,
    ) -> Iterator[tuple[int, Found]]:
        """The index of every part and what was found of it, as soon as that is there. There are `count` parts; they are
        asked for when there is somebody to work on them."""

    @abstractmethod
    def trains(self, memory: int | None) -> Trains:
        """Room for lists of arrays; of `memory` bytes where they lie in this process."""

    @abstractmethod
    def fill(
        self,
        trains: Trains,
        name: str,
        work: Work[Given, list[np.ndarray]],
        parts: Iterable[Part[Given]],
        count: int,
        progress: Progress = lambda share: None,
    ) -> None:
        """The same, but what is found is kept under this name in `trains`, which these workers have made."""


def in_order(found: Iterable[tuple[int, Found]]) -> Iterator[Found]:
    """What was found of the parts 0, 1, ..., whichever came first."""
    waiting: dict[int, Found] = {}
    wanted = 0
    for index, each in found:
        waiting[index] = each
        while wanted in waiting:
            yield waiting.pop(wanted)
            wanted += 1
    assert not waiting, f"part {wanted} is missing"
