"""Workers that are watched: a mutant at which one dies or hangs is a finding, and a new one goes on."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from .attempt import Attempt

ROOT = Path(__file__).resolve().parents[2]
# Of one mutant, on its processor, and by the clock where others have the processor.
_CPU_SECONDS, _CLOCK_SECONDS = 60.0, 300.0
# A worker keeps a little of everything that it has seen.
_MUTANTS_OF_A_WORKER = 3000
_TICKS = os.sysconf("SC_CLK_TCK")


def tried(numbers: Iterable[int], jobs: int, command: list[str]) -> Iterator[Attempt]:
    """What comes of these mutants, in any order, from so many workers that are started with `command`."""
    pending, done = iter(numbers), queue.Queue[Attempt | None]()
    lock = threading.Lock()

    def next_number() -> int | None:
        with lock:
            return next(pending, None)

    def work(place: int) -> None:
        worker = _Worker(command, place)
        try:
            while (number := next_number()) is not None:
                done.put(worker.ask(number))
        finally:
            worker.stop()
            done.put(None)

    threads = [threading.Thread(target=work, args=(place,), daemon=True) for place in range(jobs)]
    for thread in threads:
        thread.start()
    working = jobs
    while working:
        found = done.get()
        if found is None:
            working -= 1
        else:
            yield found


class _Worker:
    """A process, started anew where it was lost."""

    def __init__(self, command: list[str], place: int) -> None:
        self._command = command
        cores = sorted(os.sched_getaffinity(0))
        self._core = cores[place % len(cores)]
        self._process: subprocess.Popen[bytes] | None = None
        self._answered = 0

    def ask(self, number: int) -> Attempt:
        """What comes of a mutant."""
        process = self._running()
        assert process.stdin is not None
        begun, used = time.monotonic(), _cpu_seconds(process.pid)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(b"%d\n" % number)
            process.stdin.flush()
        line = self._line(process, begun, used)
        if line.endswith(b"\n"):
            self._answered += 1
            return Attempt(**json.loads(line))
        hangs = process.poll() is None
        seconds = time.monotonic() - begun
        self.stop()
        code = process.returncode
        if hangs:
            return Attempt(number, "", [], {}, "hang", place="hang", seconds=seconds)
        died = f"died with {signal.Signals(-code).name if code < 0 else code}"
        return Attempt(number, "", [], {}, "crash", place=died, seconds=seconds)

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._answered >= _MUTANTS_OF_A_WORKER:
            self.stop()
            self._answered = 0
            self._process = subprocess.Popen(self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            # onnxruntime has as many threads as the process has cores.
            os.sched_setaffinity(self._process.pid, {self._core})
        return self._process

    def _line(self, process: subprocess.Popen[bytes], begun: float, used: float) -> bytes:
        """The answer; without a newline at its end where there is none."""
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not selector.select(0.5):
                late = time.monotonic() - begun > _CLOCK_SECONDS
                if late or _cpu_seconds(process.pid) - used > _CPU_SECONDS:
                    return b""
        line = process.stdout.readline()
        if not line.endswith(b"\n"):
            process.wait()
        return line


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS
