"""Work on a cluster of Ray: one of two workers on this machine, for all tests of this file."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest
from commands import process

import snnc
from snnc.diagnostics import RULES, Diagnostic, DiagnosticError
from snnc.workers import Here, Part, Progress, Work, in_order, opened
from snnc.workers.cluster import Cluster
from snnc.workers.contract import Arrays
from snnc.workers.joining import join

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'snnc[ray]'")

ANN = networks.small().model()
IMAGES = networks.images_for(ANN, 200, seed=1)
LABELS = np.arange(len(IMAGES)) % 3
STEPS = 70
OPTIONS: dict[str, Any] = {"calib": IMAGES, "relaxed": True, "accept_poor": True, "steps": 40, "calib_steps": STEPS}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    # Workers cannot import this file.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with Cluster(None, cpus=2) as found:
        yield found


@pytest.fixture(scope="module")
def model() -> snnc.SpikingModel:
    return snnc.convert(ANN, **OPTIONS)


@dataclass(frozen=True)
class Doubling(Work[int, int]):
    """Twice what is given; before that, as often as `times`, a worker ends at `place` as if the system killed it."""

    folder: str
    place: int = -1
    times: int = 0

    def prepare(self, threads: int | None) -> Callable[[int, Sequence[Arrays], Progress], int]:
        def double(given: int, kept: Sequence[Arrays], progress: Progress) -> int:
            died = [name for name in os.listdir(self.folder) if name.startswith("died")]
            if given == self.place and len(died) < self.times:
                Path(self.folder, f"died{len(died)}").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return 2 * given

        return double


@dataclass(frozen=True)
class Failing(Work[int, int]):
    """Raises."""

    error: Exception

    def prepare(self, threads: int | None) -> Callable[[int, Sequence[Arrays], Progress], int]:
        def fail(given: int, kept: Sequence[Arrays], progress: Progress) -> int:
            raise self.error

        return fail


def parts(count: int) -> list[Part[int]]:
    return [Part(index, index) for index in range(count)]


def test_a_conversion_and_an_evaluation(cluster: Cluster, model: snnc.SpikingModel) -> None:
    found = snnc.convert(ANN, on=cluster, **OPTIONS)
    assert found.model.SerializeToString(deterministic=True) == model.model.SerializeToString(deterministic=True)
    told: list[float] = []
    given: dict[str, Any] = {"ann": ANN, "steps": [3, 40]}
    curve = snnc.evaluate(model, (IMAGES, LABELS), on=cluster, progress=told.append, **given)
    assert curve.to_json() == snnc.evaluate(model, (IMAGES, LABELS), **given).to_json()
    assert told == sorted(told)
    assert told[-1] == 1


@pytest.mark.usefixtures("cluster")
def test_the_name_takes_the_cluster_that_there_is(model: snnc.SpikingModel) -> None:
    """And does not end it."""
    snnc.evaluate(model, IMAGES[:40], steps=[3], on="ray")
    assert ray.is_initialized()


def test_a_killed_worker_is_replaced(cluster: Cluster, tmp_path: Path) -> None:
    work = Doubling(str(tmp_path), place=3, times=1)
    assert list(in_order(cluster.run(work, parts(8), 8))) == list(in_order(Here().run(work, parts(8), 8)))
    assert [path.name for path in tmp_path.iterdir()] == ["died0"]


def test_an_evaluation_while_workers_are_killed(cluster: Cluster, model: snnc.SpikingModel) -> None:
    """Whatever they do just then; the same numbers."""
    ended = threading.Event()
    killed: list[int] = []

    def kill() -> None:
        for _ in range(2):
            while not ended.is_set() and not (ours := workers_of(cluster) - set(killed)):
                time.sleep(0.05)
            if not ended.is_set():
                killed.append(next(iter(ours)))
                os.kill(killed[-1], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    found = snnc.evaluate(model, (IMAGES, LABELS), steps=[40, 256], on=cluster)
    ended.set()
    thread.join()
    assert killed
    assert found.to_json() == snnc.evaluate(model, (IMAGES, LABELS), steps=[40, 256]).to_json()


def workers_of(cluster: Cluster) -> set[int]:
    """The processes that are working on a part now."""
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return {int(line.split()[0]) for line in listed.splitlines() if "ray::do_part" in line}


def test_a_part_that_kills_every_worker_is_given_up(cluster: Cluster, tmp_path: Path) -> None:
    work = Doubling(str(tmp_path), place=1, times=99)
    with pytest.raises(DiagnosticError, match=r"SNN415.*work was lost"):
        list(cluster.run(work, parts(3), 3))
    assert len(list(tmp_path.iterdir())) == 4
    assert [found for _, found in cluster.run(Doubling(str(tmp_path)), parts(1), 1)] == [0]


def test_errors_of_workers(cluster: Cluster) -> None:
    refused = DiagnosticError([Diagnostic(RULES["SNN304"], "sample 3")])
    with pytest.raises(DiagnosticError, match=r"SNN304.*sample 3") as raised:
        list(cluster.run(Failing(refused), parts(1), 1))
    assert raised.value.diagnostics == refused.diagnostics
    with pytest.raises(DiagnosticError, match=r"SNN415.*too little memory"):
        list(cluster.run(Failing(MemoryError()), parts(1), 1))
    with pytest.raises(ZeroDivisionError):
        list(cluster.run(Failing(ZeroDivisionError("ours")), parts(1), 1))


def test_another_version_on_a_worker(
    cluster: Cluster, model: snnc.SpikingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_identity", (("snnc", "0.0.1"),))
    with pytest.raises(DiagnosticError, match=rf"SNN415.*a worker on .* has snnc {snnc.__version__} instead of 0.0.1"):
        snnc.evaluate(model, IMAGES, on=cluster)


@pytest.mark.usefixtures("cluster")
def test_more_threads_than_there_are_cores(model: snnc.SpikingModel) -> None:
    with pytest.raises(DiagnosticError, match=r"SNN415.*has 2 cores, and a task takes 64"):
        snnc.evaluate(model, IMAGES, on="ray", threads=64)
    assert ray.is_initialized()


def test_the_command_joins_a_cluster(cluster: Cluster, model: snnc.SpikingModel, tmp_path: Path) -> None:
    """In a process of its own, by its address; stdout is what it is without."""
    model.save(tmp_path / "net.snn.onnx")
    np.savez(tmp_path / "data.npz", x=IMAGES[:40], y=LABELS[:40])
    command = ("eval", "net.snn.onnx", "--data", "data.npz", "--steps", "3,40")
    address = ray.get_runtime_context().gcs_address
    found = process(*command, "--on", address, "--resume", "kept", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert found.stdout == process(*command, cwd=tmp_path).stdout
    assert not (tmp_path / "kept").exists()


# --- addresses at which there is no cluster; no connection of this process is used up --------------------------------


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_nobody_answers(scheme: str) -> None:
    address = f"{scheme}127.0.0.1:{free_port()}"
    with pytest.raises(DiagnosticError, match=r"SNN415.*nobody answers at 127.0.0.1:\d+: Connection refused"):
        join(ray, address, 1, 0)


def test_somebody_else_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snnc.workers.joining._JOIN_SECONDS", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(DiagnosticError, match=r"SNN415.*does not answer as a cluster of Ray within 2 s"):
            join(ray, address, 1, 0)


def test_a_name_that_is_none() -> None:
    with pytest.raises(DiagnosticError, match="SNN405"), opened("somewhere"):
        pass
