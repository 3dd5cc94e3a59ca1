"""Work in this process, part by part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from snnc.integers.train_storage import TrainStorage
from snnc.workers.contract import Arrays, Found, Given, Part, Progress, Trains, Work, Workers


class Here(Workers):
    """This process, with so many threads (None: as many as there are cores)."""

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads

    def run(
        self,
        work: Work[Given, Found],
        parts: Iterable[Part[Given]],
        count: int,
        progress: Progress = lambda share: None,
    ) -> Iterator[tuple[int, Found]]:
        do = work.prepare(self._threads)
        for done, part in enumerate(parts):

            def tell(share: float, done: int = done) -> None:
                progress((done + share) / count)

            yield part.index, do(part.given, part.kept, tell)
            tell(1.0)

    def trains(self, memory: int | None) -> Trains:
        return _Stored(memory)

    def fill(
        self,
        trains: Trains,
        name: str,
        work: Work[Given, list[np.ndarray]],
        parts: Iterable[Part[Given]],
        count: int,
        progress: Progress = lambda share: None,
    ) -> None:
        assert isinstance(trains, _Stored)
        for index, found in self.run(work, parts, count, progress):
            trains.keep(name, index, found)


class _Stored(Trains):
    """In memory, and in temporary files where that is too small."""

    def __init__(self, memory: int | None) -> None:
        self._storage = TrainStorage(memory)
        self._places: dict[str, dict[int, range]] = {}

    def require_space(self, lives: Iterable[tuple[str, int]]) -> None:
        self._storage.require_space(lives)

    def keep(self, name: str, index: int, arrays: list[np.ndarray]) -> None:
        places = self._places.setdefault(name, {})
        first = sum(map(len, places.values()))
        for array in arrays:
            self._storage.append(name, array)
        places[index] = range(first, first + len(arrays))

    def of(self, name: str, index: int) -> Arrays:
        return self.read(name, index)

    def read(self, name: str, index: int) -> Arrays:
        return _Lazy(self._storage, name, self._places[name][index])

    def forget(self, name: str) -> None:
        self._places.pop(name, None)
        self._storage.forget(name)


class _Lazy:
    """Arrays that are read one by one."""

    def __init__(self, storage: TrainStorage, name: str, places: range) -> None:
        self._storage, self._name, self._places = storage, name, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int, /) -> np.ndarray:
        return self._storage.read(self._name, self._places[index])
