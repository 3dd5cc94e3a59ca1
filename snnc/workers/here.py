"""Work in this process: part by part, or several parts at once.

A part has small operators, between which threads wait for each other; parts know nothing of each other. So threads get
a part each, where the work allows it.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np

from snnc.integers.train_storage import TrainStorage
from snnc.workers.contract import Arrays, Found, Given, Part, Progress, Trains, Work, Workers

# How often progress is told while parts are worked on.
_POLL_SECONDS = 0.1
# Parts that are given out for each thread, so that it need not wait for the slowest.
_AHEAD = 2


def own_cpus() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
        threads = self._threads or own_cpus()
        at_once = min(work.at_once(threads), count)
        if at_once > 1:
            yield from _Several(work, threads // at_once, at_once).run(iter(parts), count, progress)
            return
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


class _Stopped(Exception):
    """Nobody waits for what a part finds."""


class _Several:
    """So many parts at once, each in a thread of Python with `threads` threads of its own."""

    def __init__(self, work: Work[Any, Any], threads: int, at_once: int) -> None:
        self._do, self._at_once = work.prepare(threads), at_once
        self._stopped = threading.Event()
        self._shares: dict[int, float] = {}

    def run(self, parts: Iterator[Part[Any]], count: int, progress: Progress) -> Iterator[tuple[int, Any]]:
        """What is found, in the order of the parts. Parts are asked for, and progress is told, by the thread that
        asks."""
        executor = ThreadPoolExecutor(self._at_once, thread_name_prefix="snnc")
        running: deque[tuple[int, Future[Any]]] = deque()
        done, told = 0, 0.0
        try:
            while True:
                for part in itertools.islice(parts, _AHEAD * self._at_once - len(running)):
                    running.append((part.index, executor.submit(self._part, part)))
                if not running:
                    return
                index, future = running[0]
                wait([future], timeout=_POLL_SECONDS)
                if future.done():
                    running.popleft()
                    found = future.result()
                    self._shares.pop(index, None)
                    done += 1
                    yield index, found
                share = (done + sum(self._shares.copy().values())) / count
                if share > told:
                    told = share
                    progress(share)
        finally:
            self._stopped.set()
            executor.shutdown(cancel_futures=True)

    def _part(self, part: Part[Any]) -> Any:
        def tell(share: float) -> None:
            if self._stopped.is_set():
                raise _Stopped
            self._shares[part.index] = share

        return self._do(part.given, part.kept, tell)
