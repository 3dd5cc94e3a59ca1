"""Work on a cluster of Ray: every part is a task, which Ray repeats where its worker is lost.

What is kept (`Trains`) are objects of Ray. They lie on the machines that made them, on disk where their memory is too
small, and are made again where a machine is lost. Nothing else of snnc knows Ray.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any

import numpy as np

from snnc.diagnostics import DiagnosticError, fail
from snnc.workers.contract import Arrays, Found, Given, Part, Progress, Trains, Work, Workers
from snnc.workers.here import own_cpus
from snnc.workers.identity import identity
from snnc.workers.joining import join, ray
from snnc.workers.task import do_part

# Beyond it a part is what ends its workers.
_RETRIES = 3
# Parts that wait for each worker, so that it need not wait for them.
_AHEAD = 2
# Of a cluster on this machine: what does not fit into it lies on disk.
_OBJECT_BYTES = 2**29
# How long to wait before Ctrl-C is looked for.
_POLL_SECONDS = 0.5


class Cluster(Workers):
    """A cluster of Ray: the one at `address`, or one that is started on this machine (None) and ends with the context.

    A process that is connected to a cluster already uses that one, and stays connected.
    """

    def __init__(self, address: str | None, threads: int | None = None, *, cpus: int | None = None) -> None:
        """`threads` of each task (None: 1); `cpus` of a cluster that is started (None: those of this process).

        SNN407 where Ray is missing, SNN415 where the cluster cannot be reached or has too few cores.
        """
        self._threads = threads or 1
        self._ray = ray()
        self._joined = not self._ray.is_initialized()
        if self._joined:
            join(self._ray, address, cpus or own_cpus(), _OBJECT_BYTES)
        try:
            self._workers = self._count()
        except BaseException:
            self.close()
            raise
        self._identity = identity()
        self._do = self._ray.remote(num_cpus=self._threads, max_retries=_RETRIES)(do_part)

    def _count(self) -> int:
        """How many tasks run at once."""
        cores = int(self._ray.cluster_resources().get("CPU", 0))
        if cores < self._threads:
            few = f"{cores} core{'s' * (cores != 1)}"
            fail("SNN415", f"the cluster has {few}, and a task takes {self._threads}", hint="give fewer `--threads`")
        return cores // self._threads

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the cluster; what was started on this machine ends."""
        if self._joined:
            self._ray.shutdown()

    def run(
        self,
        work: Work[Given, Found],
        parts: Iterable[Part[Given]],
        count: int,
        progress: Progress = lambda share: None,
    ) -> Iterator[tuple[int, Found]]:
        for index, reference in self._submitted(work, parts, count, progress):
            yield index, self._result(reference)

    def trains(self, memory: int | None) -> Trains:
        return _Objects(self._result)

    def fill(
        self,
        trains: Trains,
        name: str,
        work: Work[Given, list[np.ndarray]],
        parts: Iterable[Part[Given]],
        count: int,
        progress: Progress = lambda share: None,
    ) -> None:
        assert isinstance(trains, _Objects)
        for index, reference in self._submitted(work, parts, count, progress):
            trains.keep(name, index, reference)

    def _submitted(
        self, work: Work[Given, Found], parts: Iterable[Part[Given]], count: int, progress: Progress
    ) -> Iterator[tuple[int, Any]]:
        """The index and the object of every part that is done."""
        key, fetch = uuid.uuid4().hex, _Fetch(self._ray.put(work))
        waiting, done = iter(parts), 0
        running: dict[Any, int] = {}
        try:
            while True:
                for part in itertools.islice(waiting, _AHEAD * self._workers - len(running)):
                    task = self._do.remote(key, fetch, self._identity, self._threads, part.given, *part.kept)
                    running[task] = part.index
                if not running:
                    return
                ready, _ = self._ray.wait(list(running), timeout=_POLL_SECONDS, fetch_local=False)
                for task in ready:
                    done += 1
                    yield running.pop(task), task
                    progress(done / count)
        finally:
            for task in running:
                self._ray.cancel(task)

    def _result(self, reference: Any) -> Any:
        """An object itself; the diagnostics of the worker, or SNN415 where it has none."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, DiagnosticError):
                raise cause from None
            if isinstance(cause, MemoryError):
                fail("SNN415", "a worker has too little memory", hint="give fewer samples at once")
            if isinstance(cause, ImportError | AttributeError) and "snnc" in str(cause):
                fail("SNN415", f"a worker has another snnc, or none: {cause}", hint=_INSTALL)
            raise
        except errors.RayError as error:
            fail("SNN415", f"work was lost: {_first_line(error)}")


_INSTALL = "install the same version of snnc on all machines"


class _Fetch:
    """Gets the work from the object store, in a process that has not got it yet."""

    def __init__(self, reference: Any) -> None:
        self._holder = [reference]  # within a list Ray does not replace it by what it stands for

    def __call__(self) -> Any:
        return ray().get(self._holder[0])


class _Objects(Trains):
    """Objects of Ray."""

    def __init__(self, result: Callable[[Any], Any]) -> None:
        self._result = result
        self._references: dict[str, dict[int, Any]] = {}

    def require_space(self, lives: Iterable[tuple[str, int]]) -> None:
        """Ray puts on disk what its memory has no room for, on every machine its own part: nothing is known before."""

    def keep(self, name: str, index: int, reference: Any) -> None:
        self._references.setdefault(name, {})[index] = reference

    def of(self, name: str, index: int) -> Any:
        return self._references[name][index]

    def read(self, name: str, index: int) -> Arrays:
        found: Arrays = self._result(self._references[name][index])
        return found

    def forget(self, name: str) -> None:
        self._references.pop(name, None)


def _first_line(error: BaseException) -> str:
    """What an error says, in a line."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
