"""`snnc export --graded` and `snnc.export_graded`: what is written has been held against fresh runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streams
from commands import DIGITS, Invoke, refuse
from graded_streams import Fresh

import snnc
from snnc.api import SpikingModel
from snnc.diagnostics import DiagnosticError
from snnc.ir.conversion import Report
from snnc.runtime import GradedSession

OPERATORS = {"GradedConv": 3, "GradedSumPool": 2}


@pytest.fixture
def export(invoke: Invoke) -> Invoke:
    """A folder with an exact network in it."""
    Path("exact.snn.onnx").write_bytes(streams.content("digits"))
    return invoke


def test_what_is_written_runs(export: Invoke) -> None:
    arguments = ("--data", "digits:test", "--samples", "5", "-o", "net.graded.onnx", "--json", "out.json")
    result = export("export", "exact.snn.onnx", "--graded", *arguments)
    assert "graded form: one sweep for each frame, 3 layers in one operator each" in result.stdout
    assert "5 frames are those of fresh runs" in result.stdout
    told: dict[str, Any] = json.loads(Path("out.json").read_text())
    assert told["operators"] == OPERATORS
    assert told["check"]["frames"] == 5
    assert 0 < told["check"]["events"] < told["check"]["operations"]
    file = streams.converted("digits")
    session, fresh = GradedSession("net.graded.onnx", streams=2), Fresh(file)
    for frames in streams.frames_for(file, 5, 2):
        fresh.compare(session, frames, session.feed(frames))


def test_of_a_model_of_any_schedule(tmp_path: Path) -> None:
    """Without data: smooth random images."""
    found = snnc.export_graded(SpikingModel(streams.converted("pools", "loop").model, Report()), samples=3)
    assert found.course.checked == 3
    found.save(tmp_path / "net.graded.onnx")
    assert (tmp_path / "net.graded.onnx").read_bytes() == found.content
    frames = np.zeros((1, 2, 8, 8), np.float32)
    one, other = (GradedSession(source).feed(frames) for source in (found.content, tmp_path / "net.graded.onnx"))
    np.testing.assert_array_equal(one.logits, other.logits)


def test_a_frame_that_ends_elsewhere_writes_nothing(export: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = GradedSession._run

    def wrong(session: GradedSession, frames: np.ndarray) -> Any:
        frame = sound(session, frames)
        frame.logits[...] += 1
        return frame

    monkeypatch.setattr(GradedSession, "_run", wrong)
    refuse(export, "SNN411", "export", "exact.snn.onnx", "--graded", "-o", "net.graded.onnx")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--graded", "--c"), "different forms"),
        (("--graded", "--nir", "generic"), "different forms"),
        (("--graded", "--steps", "4"), "--steps belongs to --nir"),
        (("--graded", "--record", "r.nir"), "--record belongs to --nir"),
        (("--graded", "--name", "net"), "--name belongs to --c"),
        (("--c", "--samples", "4"), "--samples belongs to --nir and --graded"),
        ((), "--nir TARGET, --c or --graded"),
    ],
)
def test_options_of_other_forms(export: Invoke, options: tuple[str, ...], message: str) -> None:
    assert message in export("export", "exact.snn.onnx", *options, "-o", "out", exit_code=2).stderr
    assert not Path("out").exists()


def test_what_cannot_be_written(export: Invoke) -> None:
    refuse(export, "SNN405", "export", "exact.snn.onnx", "--graded", "--mean", "1", "-o", "y.onnx", exit_code=2)
    export("convert", DIGITS, "--calib", "digits:train", "--steps", "16", "--calib-samples", "32", "-o", "rmp.snn.onnx")
    refuse(export, "SNN405", "export", "rmp.snn.onnx", "--graded", "-o", "y.onnx", exit_code=2)
    with pytest.raises(DiagnosticError, match=r"SNN405.*must be at least 1"):
        snnc.export_graded("exact.snn.onnx", samples=0)
