"""The file that an interrupted evaluation goes on from: what it holds, what damages it, and when it goes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import networks
import numpy as np
import pytest

import snnc
from snnc.diagnostics import DiagnosticError, fail
from snnc.workers.journal import JournalFile

if TYPE_CHECKING:
    from commands import Invoke

ANN = networks.perceptron([5, 4]).model()
IMAGES = networks.images_for(ANN, 100, seed=1)
LABELS = np.arange(len(IMAGES)) % 2


@pytest.fixture(scope="module")
def model() -> snnc.SpikingModel:
    return snnc.convert(ANN, calib=IMAGES, steps=20, calib_steps=20, accept_poor=True)


def interrupt_after(share: float) -> Any:
    def progress(done: float) -> None:
        if done > share:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("content", [b"\x00\xff\n", b"{}\n", b"[1]\n", b'{"key": 1, "index": "x", "found": 2}\n'])
def test_a_file_of_somebody_else_stays_as_it_is(model: snnc.SpikingModel, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "kept"
    path.write_bytes(content)
    with pytest.raises(DiagnosticError, match=r"SNN401.*holds no results"):
        snnc.evaluate(model, IMAGES, checkpoint=path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("old", "new"),
    [('"correct": ', '"correct": 1'), ('"index": 0', '"index": 1'), ('"clipped"', '"clippe"'), ("{", "[")],
)
def test_a_damaged_line_is_measured_again(
    model: snnc.SpikingModel, tmp_path: Path, old: str, new: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "kept"
    with pytest.raises(KeyboardInterrupt):
        snnc.evaluate(model, (IMAGES, LABELS), checkpoint=path, threads=1, progress=interrupt_after(0.6))
    first, *others = path.read_text().splitlines()
    assert others
    assert old in first
    path.write_text("\n".join([first.replace(old, new, 1), *others, ""]))
    found = snnc.evaluate(model, (IMAGES, LABELS), checkpoint=path)
    assert f"1 of {1 + len(others)} lines are damaged" in caplog.text
    assert f"{len(others)} of 4 parts are known" in caplog.text
    assert found.to_json() == snnc.evaluate(model, (IMAGES, LABELS)).to_json()


def test_an_empty_file_and_a_folder(model: snnc.SpikingModel, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    snnc.evaluate(model, IMAGES[:2], checkpoint=tmp_path / "empty")
    assert not (tmp_path / "empty").exists()
    with pytest.raises(DiagnosticError, match="SNN401"):
        snnc.evaluate(model, IMAGES[:2], checkpoint=tmp_path)


def test_a_sweep_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was measured is not measured again, and thresholds that are known are not estimated again."""
    cells, path = [{"alpha": 1.0}, {"alpha": 0.5}], tmp_path / "kept"
    given: dict[str, Any] = {"calib": IMAGES, "data": (IMAGES, LABELS), "at_steps": [8, 40], "calib_steps": 20}
    wanted = snnc.sweep(ANN, cells=cells, **given)

    def interrupt(cell: int, stage: str, share: float) -> None:
        if cell == 1 and stage == "simulating":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        snnc.sweep(ANN, cells=cells, checkpoint=path, progress=interrupt, **given)
    assert {each.name for each in tmp_path.iterdir()} == {"kept", "kept.thresholds"}
    monkeypatch.delattr("snnc.integers.layer_simulation.SpikeTrains.mean_currents")
    found = snnc.sweep(ANN, cells=cells, checkpoint=path, **given)
    assert [curve.to_json() for curve in found] == [curve.to_json() for curve in wanted]
    assert not list(tmp_path.iterdir())


def test_journals_share_a_file(tmp_path: Path) -> None:
    file = JournalFile(tmp_path / "kept")
    file.of("a", 3).keep(1, {"x": 0.1})
    file.of("b", 3).keep(1, [2])
    again = JournalFile(tmp_path / "kept")
    assert again.of("a", 3).known == {1: {"x": 0.1}}
    assert again.of("b", 1).known == {}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_what_is_kept_goes_when_the_outputs_are_written(invoke: Invoke, converted: Path) -> None:
    command = ("eval", converted, "--data", "digits:test", "--samples", "8", "--resume", "kept")
    invoke(*command, "--steps", "4", "--json", "/dev/full", exit_code=1)
    assert Path("kept").exists()
    assert "1 of 1 parts are known" in invoke(*command, "--steps", "4").stderr
    assert not Path("kept").exists()


def test_what_is_kept_of_other_work_stays(tmp_path: Path) -> None:
    first = JournalFile(tmp_path / "kept")
    first.of("one", 2).keep(0, "found")
    second = JournalFile(tmp_path / "kept")
    second.of("two", 1).keep(0, "more")
    second.remove()
    again = JournalFile(tmp_path / "kept")
    assert again.of("one", 2).known == {0: "found"}
    assert again.of("two", 1).known == {}
    again.remove()
    assert not (tmp_path / "kept").exists()


SWEEP = ("sweep", "net.onnx", "--calib", "digits:train", "--data", "digits:test", "--samples", "8", "--steps", "4")
QUICK = (*SWEEP, "--calib-samples", "8", "--calib-steps", "8", "--resume", "kept")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_what_a_sweep_keeps_goes_when_its_outputs_are_written(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thresholds too, which are not estimated again; and so does what a conversion keeps."""
    failed = invoke(*QUICK, "--json", "/dev/full", exit_code=1)
    assert "hint: make room there, or choose a path on another disk" in failed.stderr
    convert = ("convert", "net.onnx", "--calib", "digits:train", *QUICK[10:14], "--accept-poor", "-o", "out.onnx")
    invoke(*convert, "--json", "/dev/full", exit_code=1)
    assert {each.name for each in Path().iterdir()} == {"net.onnx", "kept", "kept.thresholds", "out.onnx.resume"}
    monkeypatch.delattr("snnc.integers.layer_simulation.SpikeTrains.mean_currents")
    assert "1 of 1 parts are known" in invoke(*QUICK).stderr
    invoke(*convert)
    assert {each.name for each in Path().iterdir()} == {"net.onnx", "out.onnx"}


@pytest.mark.parametrize("interrupted", [True, False])
def test_a_sweep_that_ends_early_leaves_what_was_there(
    interrupted: bool, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own thresholds and those of another sweep, which are there when the first one is done as well."""

    def stop(*_: Any, **__: Any) -> None:
        if interrupted:
            raise KeyboardInterrupt
        fail("SNN305", "no labels")

    with monkeypatch.context() as patch:
        patch.setattr("snnc.api.sweeping.evaluate", stop)
        code = 130 if interrupted else 1
        stopped = invoke(*QUICK, exit_code=code)
        assert ("interrupted; the same command goes on where it was, from kept" in stopped.stderr) == interrupted
        before = json.loads(Path("kept.thresholds").read_text())["found"]
        invoke(*QUICK, "--calib-steps", "9", exit_code=code)
        both = json.loads(Path("kept.thresholds").read_text())["found"]
    assert len(before) == 1
    assert both == {**both, **before}
    assert len(both) == 2
    invoke(*QUICK)
    (left,) = json.loads(Path("kept.thresholds").read_text())["found"].items()
    assert [left] == [item for item in both.items() if item[0] not in before]


def test_a_sweep_that_kept_nothing_goes_on_from_nothing(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("snnc.api.sweeping.convert", stop)
    assert "interrupted; nothing was written" in invoke(*QUICK, exit_code=130).stderr
    assert os.listdir() == ["net.onnx"]


def test_thresholds_of_somebody_else_stay_as_they_are(invoke: Invoke) -> None:
    for name in ("kept.thresholds", "net.snn.onnx.resume"):
        Path(name).write_text("my notes")
    assert "holds no thresholds" in invoke(*QUICK, exit_code=1).stderr
    convert = ("convert", "net.onnx", "--calib", "digits:train", *QUICK[10:14])
    assert "SNN401" in invoke(*convert, exit_code=1).stderr
    assert [Path(name).read_text() for name in ("kept.thresholds", "net.snn.onnx.resume")] == ["my notes"] * 2
