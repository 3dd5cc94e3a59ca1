"""Calibration within a bound on memory: where images and spike trains lie changes no threshold, and leaves nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import networks
import numpy as np
import onnx
import pytest
from commands import FAST, Invoke
from data_samples import diagnosed

import snnc
from snnc.data import load
from snnc.integers.train_storage import TrainStorage
from snnc.scratch import Scratch

MODEL = networks.small().model()
IMAGES = networks.images_for(MODEL, 40, seed=1)
OPTIONS: dict[str, Any] = {"calib_steps": 70, "steps": 16, "relaxed": True, "accept_poor": True}


def in_batches() -> Iterator[np.ndarray]:
    yield from np.split(IMAGES, 8)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"threshold": "vmax", "reset": "hard"},
        {"alpha": "auto", "max_steps": 256},
        {"method": "low-latency"},
        {"method": "low-latency", "threshold": "balance"},
        {"method": "exact"},
        {"coding": "direct", "per_channel": True},
    ],
    ids=lambda options: " ".join(map(str, options.values())) or "rmp",
)
def test_the_file_is_the_same_whatever_memory_there_is(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = {**OPTIONS, **options}
    if "method" in options:
        del chosen["calib_steps"]
    if options.get("method") == "exact":
        del chosen["steps"]
    whole = snnc.convert(MODEL, calib=IMAGES, **chosen)
    written: list[int] = []
    append = Scratch.append

    def counted(self: Scratch, piece: np.ndarray) -> int:
        written.append(len(piece))
        return append(self, piece)

    monkeypatch.setattr(Scratch, "append", counted)
    pieces = snnc.convert(MODEL, calib=in_batches(), calib_memory=20_000, **chosen)
    assert [layer.threshold for layer in pieces.report.layers] == [layer.threshold for layer in whole.report.layers]
    assert pieces.model.SerializeToString() == whole.model.SerializeToString()
    simulated = whole.report.calibration is not None and whole.report.calibration.steps > 0
    assert (len(written) > 8) == simulated  # there are eight batches of images


def test_a_network_is_certified_on_samples_in_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several batches of them, of which some hold no sample that calibrated, and others none that was held back."""
    monkeypatch.setattr("snnc.passes.certify.largest_batch", lambda layers: 3)
    chosen: dict[str, Any] = {"method": "exact", "relaxed": True, "accept_poor": True}
    whole = snnc.convert(MODEL, calib=IMAGES, **chosen)
    pieces = snnc.convert(MODEL, calib=in_batches(), calib_memory=1, **chosen)
    assert pieces.certificate == whole.certificate
    assert pieces.model.SerializeToString() == whole.model.SerializeToString()


def test_trains_are_read_back_from_wherever_they_lie() -> None:
    random = np.random.default_rng(0)
    pieces = {name: [random.integers(0, 2**63, (5, 4), np.uint64) for _ in range(3)] for name in "abc"}
    pieces["b"] = [piece.astype(np.float32) for piece in pieces["b"]]
    for memory in (None, 0, 170, 10**6):
        storage = TrainStorage(memory)
        for name, train in pieces.items():
            for piece in train:
                storage.append(name, piece)
        storage.forget("a")
        storage.forget("never there")
        storage.append("d", pieces["a"][0])
        for name in "bc":
            for index, piece in enumerate(pieces[name]):
                found = storage.read(name, index)
                assert found.dtype == piece.dtype
                assert np.array_equal(found, piece)
        assert np.array_equal(storage.read("d", 0), pieces["a"][0])


def test_forgotten_trains_give_their_space_back() -> None:
    storage, before = TrainStorage(0), len(os.listdir("/proc/self/fd"))
    storage.append("a", np.zeros(1000))
    assert len(os.listdir("/proc/self/fd")) == before + 1
    storage.forget("a")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_disk_that_is_too_small_is_reported_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = TrainStorage(100)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=2**26 + 150))
    storage.require_space([("a", 100), ("a", 0), ("b", 200), ("b", 0), ("c", 250)])
    with diagnosed("SNN412", "up to 251 bytes", "151 bytes of temporary files"):
        storage.require_space([("a", 251)])
    with diagnosed("SNN412", "up to 300 bytes", "200 bytes of temporary files"):
        storage.require_space([("a", 100), ("b", 100), ("a", 0), ("c", 200)])
    stages: list[str] = []
    with diagnosed("SNN412", "spike trains"):
        snnc.convert(MODEL, calib=IMAGES, calib_memory=0, progress=lambda stage, share: stages.append(stage), **OPTIONS)
    assert not [stage for stage in stages if stage.startswith("calibrating")]


def test_what_is_reserved_is_what_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """In bytes, at the moment at which most is kept, all of it on the disk."""
    reserved: list[int] = []
    monkeypatch.setattr("snnc.integers.train_storage.require_space", lambda size, what: reserved.append(size))
    files: list[Scratch] = []
    most = [0]
    start, append = Scratch.__init__, Scratch.append

    def begin(self: Scratch) -> None:
        start(self)
        files.append(self)

    def keep(self: Scratch, piece: np.ndarray) -> int:
        place = append(self, piece)
        most[0] = max(most[0], sum(file.size for file in files if file._close.alive))
        return place

    monkeypatch.setattr(Scratch, "__init__", begin)
    monkeypatch.setattr(Scratch, "append", keep)
    for coding in ("poisson", "direct"):
        files.clear()
        most[0] = 0
        dense = networks.perceptron([6, 5, 4]).model()
        calib = networks.images_for(dense, 40, seed=1)
        snnc.convert(dense, calib=calib, coding=coding, calib_memory=0, **OPTIONS)
        assert most[0] == reserved[-1] > 0


def test_the_command_takes_sizes(invoke: Invoke) -> None:
    data = load("digits:train", (1, 8, 8))
    assert data.labels is not None
    np.savez("data.npz", x=np.tile(data.images, (8, 1, 1, 1)), y=np.tile(data.labels, 8))
    invoke("convert", "net.onnx", "--calib", "data.npz", *FAST, "-o", "whole.snn.onnx")
    found = invoke("convert", "net.onnx", "--calib", "data.npz", "--calib-memory", "1MiB", *FAST, "-o", "few.snn.onnx")
    assert "data.npz" in found.stderr
    assert Path("few.snn.onnx").read_bytes() == Path("whole.snn.onnx").read_bytes()
    refused = invoke("convert", "net.onnx", "--calib", "data.npz", "--calib-memory", "much", exit_code=2)
    assert "no number of bytes" in refused.stderr


_MEASURE = """
import pathlib, sys
import numpy as np, onnx, snnc
samples, memory = int(sys.argv[1]), int(sys.argv[2])
def batches():
    random = np.random.default_rng(0)
    for start in range(0, samples, 100):
        yield random.random((100, 1, 16, 16), dtype=np.float32)
snnc.convert(onnx.load("net.onnx"), calib=batches(), calib_samples=samples, calib_memory=memory, steps=16,
             calib_steps=256, accept_poor=True)
status = pathlib.Path("/proc/self/status").read_text()  # getrusage counts what the parent had before the fork
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


def peak(samples: int, memory: int, folder: Path) -> int:
    """Of a process that calibrates on so many samples, in bytes."""
    command = [sys.executable, "-c", _MEASURE, str(samples), str(memory)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return 1024 * int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says how much memory a process had")
def test_memory_does_not_grow_with_the_samples(tmp_path: Path) -> None:
    """Trains of 16 MiB for every thousand samples: a limit keeps them out of memory, none lets them in."""
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
    net (float[N, 1, 16, 16] x) => (float[N, 2] y) {
        a = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, A)  b = Relu (a)
        c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (b, B)  d = Relu (c)
        e = GlobalAveragePool (d)  f = Flatten (e)  y = Gemm (f, C) }""")
    random = np.random.default_rng(0)
    for name, shape in (("A", (2, 1, 3, 3)), ("B", (2, 2, 3, 3)), ("C", (2, 2))):
        weight = random.normal(size=shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    onnx.save(model, tmp_path / "net.onnx")
    few, many, unlimited = (
        peak(samples, memory, tmp_path) for samples, memory in ((500, 2**22), (8000, 2**22), (8000, 2**31))
    )
    grown, unbounded = many - few, unlimited - few
    assert unbounded > 100 * 2**20
    assert grown < unbounded / 4, (few, many, unlimited)


def test_nothing_is_left_whatever_happens(tmp_path: Path) -> None:
    """Not even where the process is killed while its trains lie on the disk."""
    code = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import networks, snnc
def stop(stage, share):
    if stage.startswith("calibrating layer 2"):
        files = [os.readlink(entry.path) for entry in os.scandir("/proc/self/fd") if os.path.islink(entry.path)]
        print(sum(name.startswith({str(tmp_path)!r}) for name in files), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
model = networks.perceptron([6, 6]).model()
images = networks.images_for(model, 40, seed=1)
snnc.convert(model, calib=images, calib_memory=0, calib_steps=70, progress=stop)
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == -9, done.stderr
    assert int(done.stdout) > 0
    assert not list(tmp_path.glob("snnc-*"))
