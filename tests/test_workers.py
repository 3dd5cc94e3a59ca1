"""Samples in parts: whoever works on them, in whatever order, the numbers are the same; what was done stays done."""

from __future__ import annotations

import itertools
import json
import pickle
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest

import snnc
from snnc.diagnostics import DiagnosticError, fail
from snnc.emit.block import Block
from snnc.ir.conversion import LayerReport
from snnc.measure.simulation import Simulation, samples_in_part
from snnc.workers import Here, Part, Progress, Trains, Work, Workers, address_of, in_order, opened
from snnc.workers.contract import Arrays, Found, Given
from snnc.workers.identity import differences, identity
from snnc.workers.task import do_part

ANN = networks.perceptron([5, 4]).model()
IMAGES = networks.images_for(ANN, 100, seed=1)
LABELS = np.arange(len(IMAGES)) % 2
STEPS = 70  # two blocks


class Elsewhere(Workers):
    """Workers that know nothing but what was pickled, and are done with the parts in any order."""

    def __init__(self, seed: int = 0) -> None:
        self.random, self.parts = random.Random(seed), 0

    def run(
        self,
        work: Work[Given, Found],
        parts: Iterable[Part[Given]],
        count: int,
        progress: Progress = lambda share: None,
    ) -> Iterator[tuple[int, Found]]:
        for index, found in self._done(work, parts, count, progress):
            yield index, pickle.loads(found)

    def _done(
        self, work: Work[Given, Found], parts: Iterable[Part[Given]], count: int, progress: Progress
    ) -> Iterator[tuple[int, bytes]]:
        sent, listed = pickle.dumps(work), list(parts)
        assert len(listed) == count
        for done, part in enumerate(self.random.sample(listed, count)):
            given, kept = pickle.loads(pickle.dumps((part.given, [pickle.loads(each) for each in part.kept])))
            self.parts += 1
            found = do_part(f"{id(self)}/{self.parts}", lambda: pickle.loads(sent), identity(), 1, given, *kept)
            yield part.index, pickle.dumps(found)
            progress((done + 1) / count)

    def trains(self, memory: int | None) -> Trains:
        return Pickled()

    def fill(
        self,
        trains: Trains,
        name: str,
        work: Work[Given, list[np.ndarray]],
        parts: Iterable[Part[Given]],
        count: int,
        progress: Progress = lambda share: None,
    ) -> None:
        assert isinstance(trains, Pickled)
        trains.known[name] = dict(self._done(work, parts, count, progress))


class Pickled(Trains):
    def __init__(self) -> None:
        self.known: dict[str, dict[int, bytes]] = {}

    def require_space(self, lives: Iterable[tuple[str, int]]) -> None:
        assert list(lives)

    def of(self, name: str, index: int) -> Any:
        return self.known[name][index]

    def read(self, name: str, index: int) -> Arrays:
        found: Arrays = pickle.loads(self.known[name][index])
        return found

    def forget(self, name: str) -> None:
        self.known.pop(name, None)


@pytest.fixture(scope="module")
def model() -> snnc.SpikingModel:
    return snnc.convert(ANN, calib=IMAGES, steps=STEPS, calib_steps=STEPS, accept_poor=True)


# --- the same numbers ---------------------------------------------------------------------------------------------


def test_order_is_that_of_the_parts() -> None:
    for order in itertools.permutations(range(4)):
        assert list(in_order((index, str(index)) for index in order)) == ["0", "1", "2", "3"]
    with pytest.raises(AssertionError, match="part 1 is missing"):
        list(in_order([(0, "0"), (2, "2")]))


def test_what_is_ready_does_not_wait_for_the_rest() -> None:
    waiting = in_order(iter([(1, "b"), (0, "a"), (2, fail)]))
    assert [next(waiting), next(waiting)] == ["a", "b"]


@pytest.mark.parametrize("seed", [0, 1])
def test_an_evaluation_elsewhere(model: snnc.SpikingModel, seed: int) -> None:
    """All numbers: accuracy, intervals, errors, rates, operations."""
    workers, told = Elsewhere(seed), list[float]()
    given: dict[str, Any] = {"ann": ANN, "steps": [3, STEPS], "first_sample": 5}
    found = snnc.evaluate(model, (IMAGES, LABELS), on=workers, progress=told.append, **given)
    assert found.to_json() == snnc.evaluate(model, (IMAGES, LABELS), **given).to_json()
    assert workers.parts == -(-len(IMAGES) // 32) > 1
    assert told == sorted(told)
    assert told[-1] == 1


class Meeting(Work[int, int]):
    """The first parts wait until as many as may run at once have come."""

    def __init__(self, most: int, fails: int | None = None) -> None:
        self.most, self.fails, self.threads = most, fails, list[int | None]()
        self.barrier = threading.Barrier(most, timeout=20)
        self.stopped = 0

    def at_once(self, threads: int) -> int:
        return min(self.most, threads)

    def prepare(self, threads: int | None) -> Callable[[int, Sequence[Arrays], Progress], int]:
        self.threads.append(threads)

        def do(given: int, _: Sequence[Arrays], progress: Progress) -> int:
            if given < self.most:
                self.barrier.wait()
            progress(0.5)
            if self.fails is None:
                return 10 * given
            if given == self.fails:
                raise RuntimeError(f"part {given}")
            try:
                for _wait in range(2000):  # 20 seconds, unless somebody says that nobody waits any more
                    time.sleep(0.01)
                    progress(0.6)
            except BaseException:
                self.stopped += 1
                raise
            return given

        return do


@pytest.mark.parametrize(("threads", "each"), [(3, 1), (7, 2), (None, None)])
def test_parts_at_once(threads: int | None, each: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """They really run at the same time, share the threads, and come in their order."""
    monkeypatch.setattr("snnc.workers.here.own_cpus", lambda: 3)
    work, told = Meeting(3), list[float]()
    found = list(Here(threads).run(work, (Part(index, index) for index in range(6)), 6, told.append))
    assert found == [(index, 10 * index) for index in range(6)]
    assert work.threads == [each or 1]
    assert told == sorted(told)
    assert told[-1] == 1


def test_one_thread_does_one_part_after_the_other() -> None:
    work = Meeting(1)
    assert list(Here(1).run(work, [Part(4, 2)], 1)) == [(4, 20)]
    assert work.threads == [1]


def test_a_part_that_fails_stops_the_others() -> None:
    work = Meeting(2, fails=0)
    with pytest.raises(RuntimeError, match="part 0"):
        list(Here(2).run(work, [Part(index, index) for index in range(8)], 8))
    assert work.stopped >= 1  # and a third one that had begun by then


def test_who_is_interrupted_waits_for_nobody() -> None:
    def interrupt(share: float) -> None:
        raise KeyboardInterrupt

    work = Meeting(2, fails=9)
    with pytest.raises(KeyboardInterrupt):
        list(Here(2).run(work, [Part(index, index) for index in range(8)], 8, interrupt))
    assert work.stopped == 2


def test_an_evaluation_in_threads(model: snnc.SpikingModel) -> None:
    given: dict[str, Any] = {"ann": ANN, "steps": [3, STEPS], "first_sample": 5}
    wanted = snnc.evaluate(model, (IMAGES, LABELS), threads=1, **given).to_json()
    for threads in (2, 3, 9):
        assert snnc.evaluate(model, (IMAGES, LABELS), threads=threads, **given).to_json() == wanted


def test_large_networks_take_their_memory_once() -> None:
    def at_once(neurons: int, threads: int = 64) -> int:
        layer = LayerReport("layer", "neuron", "RMP", (neurons,), neurons, 1.0, fused="SpikingGemm")
        return Simulation(Block("x", (1,), "N"), [layer], [1], 0).at_once(threads)

    assert at_once(1_000) == 64
    assert at_once(1_000, threads=2) == 2
    assert 1 < at_once(1_000_000) < 64
    assert at_once(50_000_000) == 1


OPTIONS: list[dict[str, Any]] = [
    {"steps": 40},
    {"steps": 40, "threshold": "vmax", "per_channel": True, "reset": "hard"},
    {"steps": 40, "threshold": "percentile"},
    {"method": "exact"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: " ".join(map(str, options.values())))
def test_a_conversion_elsewhere(options: dict[str, Any]) -> None:
    ann = networks.small().model()  # convolutions, a shortcut, pooling
    chosen: dict[str, Any] = {"calib": networks.images_for(ann, 400, seed=1), "accept_poor": True, **options}
    chosen["relaxed"] = True
    if "method" not in options:
        chosen["calib_steps"] = STEPS
    workers = Elsewhere()
    found, wanted = snnc.convert(ann, on=workers, **chosen), snnc.convert(ann, **chosen)
    assert workers.parts
    assert found.model.SerializeToString(deterministic=True) == wanted.model.SerializeToString(deterministic=True)
    assert found.report.to_json() == wanted.report.to_json()


def test_a_sweep_elsewhere() -> None:
    cells = [{"alpha": 1.0}, {"alpha": 0.5}]
    given: dict[str, Any] = {"calib": IMAGES, "data": (IMAGES, LABELS), "at_steps": [8, 40], "calib_steps": 20}
    found = snnc.sweep(ANN, cells=cells, on=Elsewhere(), **given)
    assert [curve.to_json() for curve in found] == [curve.to_json() for curve in snnc.sweep(ANN, cells=cells, **given)]


# --- going on -----------------------------------------------------------------------------------------------------


def interrupt_after(share: float) -> Any:
    def progress(done: float) -> None:
        if done > share:
            raise KeyboardInterrupt

    return progress


def test_an_evaluation_goes_on_where_it_was(
    model: snnc.SpikingModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also behind a line that was cut off in the middle."""
    path = tmp_path / "kept"
    given: dict[str, Any] = {"ann": ANN, "steps": [3, STEPS]}
    wanted = snnc.evaluate(model, (IMAGES, LABELS), **given)
    with pytest.raises(KeyboardInterrupt):
        snnc.evaluate(model, (IMAGES, LABELS), checkpoint=path, threads=1, progress=interrupt_after(0.6), **given)
    assert len(path.read_text().splitlines()) == 2
    with path.open("a") as file:
        file.write('{"key": "half')
    workers = Elsewhere()
    with pytest.raises(KeyboardInterrupt):
        snnc.evaluate(model, (IMAGES, LABELS), checkpoint=path, on=workers, progress=interrupt_after(0.7), **given)
    assert "going on from" in caplog.text
    assert "2 of 4 parts are known" in caplog.text
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 2 + workers.parts
    workers = Elsewhere()
    found = snnc.evaluate(model, (IMAGES, LABELS), checkpoint=path, on=workers, **given)
    assert found.to_json() == wanted.to_json()
    assert workers.parts < 3
    assert not path.exists()


@pytest.mark.parametrize(
    "other",
    [{"seed": 1}, {"steps": [4, STEPS]}, {"first_sample": 1}, {"data": (IMAGES, LABELS[::-1])}, {"ann": None}],
    ids=lambda other: next(iter(other)),
)
def test_what_another_evaluation_found_is_not_taken(
    model: snnc.SpikingModel, tmp_path: Path, other: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    given: dict[str, Any] = {"data": (IMAGES, LABELS), "ann": ANN, "steps": [3, STEPS]}
    path, workers = tmp_path / "kept", Elsewhere()
    with pytest.raises(KeyboardInterrupt):
        snnc.evaluate(model, checkpoint=path, progress=interrupt_after(0.6), **given)
    found = snnc.evaluate(model, checkpoint=path, on=workers, **{**given, **other})
    assert workers.parts == 4
    assert "is of other work" in caplog.text
    assert found.to_json() == snnc.evaluate(model, **{**given, **other}).to_json()


# --- who they are -------------------------------------------------------------------------------------------------


def test_names_of_workers() -> None:
    assert address_of("ray") is None
    for name in ("ray://head:10001", "10.0.0.1:6379", "[::1]:6379"):
        assert address_of(name) == name
    for name in ("", "head", "ray://", "ray://head", "head:", ":6379", "head:0", "head:70000", "head:x", "ray:"):
        with pytest.raises(DiagnosticError, match=r"SNN405.*must be ray, ray://HOST:PORT or HOST:PORT"):
            address_of(name)
    with opened(None) as workers:
        assert isinstance(workers, Here)


def test_another_version_is_refused() -> None:
    assert differences(identity()) == ""
    other = tuple((name, "0" if name == "numpy" else value) for name, value in identity())
    assert differences(other) == f"numpy {np.__version__} instead of 0"
    with pytest.raises(DiagnosticError, match=r"SNN415.*has numpy .* instead of 0"):
        do_part("key", list, other, 1, None)


def test_diagnostics_cross_processes() -> None:
    with pytest.raises(DiagnosticError) as raised:
        fail("SNN415", "lost", hint="look")
    again = pickle.loads(pickle.dumps(raised.value))
    assert again.diagnostics == raised.value.diagnostics
    assert str(again) == str(raised.value)


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, model: snnc.SpikingModel) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(DiagnosticError, match=r"SNN407.*pip install 'snnc\[ray\]'"):
        snnc.evaluate(model, IMAGES, on="ray")


def test_parts_do_not_depend_on_who_works(model: snnc.SpikingModel) -> None:
    assert samples_in_part(model.report.layers) == 32
