"""A conversion that was interrupted goes on where it was, with the same result, and leaves nothing at the end."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest
from commands import FAST, Invoke

import snnc
from snnc.files import write_atomically
from snnc.thresholds import RULES
from snnc.thresholds.contract import Estimate, Layer

MODEL = networks.perceptron([6, 5, 4]).model()
IMAGES = networks.images_for(MODEL, 40, seed=1)
OPTIONS: dict[str, Any] = {"calib": IMAGES, "calib_steps": 70, "steps": 16, "relaxed": True, "accept_poor": True}


def interrupt_at(stage: str, times: int = 1) -> Any:
    """A progress callback that interrupts where this stage begins for the `times`-th time."""
    seen = [0]

    def progress(found: str, share: float) -> None:
        seen[0] += found.endswith(stage) and progress.before != found  # type: ignore[attr-defined]
        progress.before = found  # type: ignore[attr-defined]
        if seen[0] == times and found.endswith(stage):
            raise KeyboardInterrupt

    progress.before = ""  # type: ignore[attr-defined]
    return progress


@pytest.fixture
def estimated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the layers that a rule is asked for."""
    names: list[str] = []
    for rule in RULES.own.values():

        def ask(layer: Layer, ask: Any = rule.estimate) -> Estimate:
            names.append(layer.target.name)
            found: Estimate = ask(layer)
            return found

        monkeypatch.setattr(rule, "estimate", ask)
    return names


@pytest.mark.parametrize(
    "options",
    [{}, {"threshold": "vmax", "per_channel": True}, {"alpha": 0.5, "alpha_when": "after"}, {"coding": "direct"}],
    ids=lambda options: " ".join(map(str, options.values())) or "rate",
)
def test_it_goes_on_at_the_layer_that_it_had_reached(
    options: dict[str, Any], tmp_path: Path, estimated: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    chosen, file = {**OPTIONS, **options}, tmp_path / "net.resume"
    whole = snnc.convert(MODEL, **chosen)
    first, *rest = dict.fromkeys(estimated)
    estimated.clear()
    with pytest.raises(KeyboardInterrupt):
        snnc.convert(MODEL, checkpoint=file, progress=interrupt_at("layer 2 of 4"), **chosen)
    assert estimated == [first]
    assert list(tmp_path.iterdir()) == [file]
    estimated.clear()
    with caplog.at_level(logging.WARNING, "snnc"):
        found = snnc.convert(MODEL, checkpoint=file, calib_memory=1000, **chosen)
    assert "the thresholds of 1 of 3 layers are known" in caplog.text
    assert estimated == rest
    assert found.model.SerializeToString() == whole.model.SerializeToString()
    assert not list(tmp_path.iterdir())


def test_all_that_was_tried_is_kept(tmp_path: Path, estimated: list[str]) -> None:
    chosen, file = {**OPTIONS, "alpha": "auto"}, tmp_path / "net.resume"
    whole = snnc.convert(MODEL, **chosen)
    wanted = list(estimated)
    estimated.clear()
    with pytest.raises(KeyboardInterrupt):
        snnc.convert(MODEL, checkpoint=file, progress=interrupt_at("layer 3 of 4", times=2), **chosen)
    known = list(estimated)
    assert len(known) == 5
    estimated.clear()
    found = snnc.convert(MODEL, checkpoint=file, **chosen)
    assert known + estimated == wanted
    assert found.model.SerializeToString() == whole.model.SerializeToString()
    assert not list(tmp_path.iterdir())


def test_what_is_known_is_known_behind_the_calibration_too(tmp_path: Path, estimated: list[str]) -> None:
    file = tmp_path / "net.resume"
    with pytest.raises(KeyboardInterrupt):
        snnc.convert(MODEL, checkpoint=file, progress=interrupt_at("verifying"), **OPTIONS)
    estimated.clear()
    stages: list[str] = []
    snnc.convert(MODEL, checkpoint=file, progress=lambda stage, share: stages.append(stage), **OPTIONS)
    assert not estimated
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("what", ["network", "data", "options", "key", "damaged", "empty"])
def test_what_is_of_another_conversion_is_not_used(
    what: str, tmp_path: Path, estimated: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "net.resume"
    with pytest.raises(KeyboardInterrupt):
        snnc.convert(MODEL, checkpoint=file, progress=interrupt_at("layer 3 of 4"), **OPTIONS)
    model, chosen = MODEL, dict(OPTIONS)
    if what == "network":
        model = networks.perceptron([6, 5, 4], seed=2).model()
    elif what == "data":
        chosen["calib"] = IMAGES * np.float32(0.5)
    elif what == "options":
        chosen["calib_steps"] = 71
    elif what == "key":
        file.write_text(file.read_text().replace('"found": {"', '"found": {"0'))
    else:
        file.write_bytes(file.read_bytes()[:-20] if what == "damaged" else b"")
    estimated.clear()
    with caplog.at_level(logging.WARNING, "snnc"):
        found = snnc.convert(model, checkpoint=file, **chosen)
    assert "net.resume is of another conversion" in caplog.text
    assert len(estimated) == 3
    assert found.model.SerializeToString() == snnc.convert(model, **chosen).model.SerializeToString()
    assert not list(tmp_path.iterdir())


def test_the_version_is_part_of_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, estimated: list[str]) -> None:
    file = tmp_path / "net.resume"
    with pytest.raises(KeyboardInterrupt):
        snnc.convert(MODEL, checkpoint=file, progress=interrupt_at("layer 3 of 4"), **OPTIONS)
    monkeypatch.setattr(snnc, "__version__", "9.9.9")
    estimated.clear()
    snnc.convert(MODEL, checkpoint=file, **OPTIONS)
    assert len(estimated) == 3


def test_a_refused_network_does_not_lose_the_work_of_another(tmp_path: Path) -> None:
    file = tmp_path / "net.resume"
    with pytest.raises(KeyboardInterrupt):
        snnc.convert(MODEL, checkpoint=file, progress=interrupt_at("layer 3 of 4"), **OPTIONS)
    before = file.read_bytes()
    with pytest.raises(snnc.DiagnosticError, match="SNN201"):
        snnc.convert(networks.small().model(), checkpoint=file)
    assert file.read_bytes() == before
    with pytest.raises(snnc.DiagnosticError, match="SNN412"):
        snnc.convert(MODEL, checkpoint=file, progress=_no_room, **OPTIONS)
    assert file.read_bytes() == before


def _no_room(stage: str, share: float) -> None:
    from snnc.diagnostics import fail

    if "layer 3" in stage:
        fail("SNN412", "the disk is full")


def test_an_interrupted_write_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file", b"content")
    assert not list(tmp_path.iterdir())


_INTERRUPTED = """
import os, signal, sys
from snnc.cli import main
from snnc.cli.console import Console
progress, name = Console.progress, sys.argv.pop(1)
def interrupt(self, stage, share):
    progress(self, stage, share)
    if stage.startswith("calibrating layer 2"):
        os.kill(os.getpid(), getattr(signal, name))
Console.progress = interrupt
main()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_the_command_goes_on_after_a_signal(name: str, invoke: Invoke) -> None:
    arguments = ["convert", "net.onnx", "--calib", "digits:train", *FAST]
    command = [sys.executable, "-c", _INTERRUPTED, name, *arguments]
    stopped = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert sorted(os.listdir()) == ["net.onnx", "net.snn.onnx.resume"]
    if name == "SIGINT":
        assert stopped.returncode == 130
        line = "error: interrupted; the same command goes on where it was, from net.snn.onnx.resume"
        assert stopped.stderr.splitlines()[1:] == [line]  # behind the line on the data
    else:
        assert stopped.returncode == -9
    found = invoke(*arguments)
    assert "going on from net.snn.onnx.resume: the thresholds of 1 of" in found.stderr
    assert sorted(os.listdir()) == ["net.onnx", "net.snn.onnx"]
    invoke(*arguments, "-o", "whole.snn.onnx")
    assert Path("whole.snn.onnx").read_bytes() == Path("net.snn.onnx").read_bytes()


def test_a_file_of_estimates_is_small_and_says_whose_it_is(tmp_path: Path) -> None:
    file = tmp_path / "net.resume"
    with pytest.raises(KeyboardInterrupt):
        snnc.convert(MODEL, checkpoint=file, progress=interrupt_at("layer 2 of 4"), **OPTIONS)
    document = json.loads(file.read_text())
    assert document["snnc"] == snnc.__version__
    assert [len(entry["estimates"]) for entry in document["found"].values()] == [1]
