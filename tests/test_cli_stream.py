"""`snnc stream` end to end, on the digits network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import DIGITS, Invoke, refuse
from streams import content, converted

from snnc.api import SpikingModel
from snnc.ir.conversion import Report
from snnc.runtime import Frame, GradedSession, SpikingSession, StreamSession

FRAMES, STREAMS = 6, 2


@pytest.fixture
def feed(invoke: Invoke) -> Invoke:
    """A folder with an exact network, and frames of two streams in it: digits that move to the right."""
    Path("exact.snn.onnx").write_bytes(content("digits"))
    image = np.zeros((8, 8), np.uint8)
    image[1:7, 1:3] = 255
    frames = np.stack([np.roll(image, shift, axis=1) for shift in range(FRAMES)])
    np.save("one.npy", frames)
    np.save("two.npy", np.stack([frames, frames.transpose(0, 2, 1)], axis=1))
    return invoke


def expected(frames: str) -> np.ndarray:
    """The outputs of runs on each frame alone."""
    images = np.load(frames).reshape(-1, 1, 8, 8) / np.float32(255)
    logits: np.ndarray = SpikingSession(content("digits", "loop")).run(images, warn=False).logits
    return logits


def test_outputs_are_those_of_runs(feed: Invoke) -> None:
    result = feed("stream", "exact.snn.onnx", "--frames", "one.npy", "-o", "y.npy")
    assert np.array_equal(np.load("y.npy"), expected("one.npy"))
    header, _, changed, steps, spikes, operations, *_ = result.stdout.splitlines()
    assert header.split("  ")[0] == "per frame"
    assert changed.startswith("changed %")
    for line in (steps, spikes, operations):
        assert line.endswith(" %")
    assert "6 frames" in result.stdout
    assert "uint8 divided by 255" in result.stderr
    assert "fresh runs" not in result.stdout


def test_several_streams(feed: Invoke) -> None:
    arguments = ("stream", "exact.snn.onnx", "--frames", "two.npy", "--streams", STREAMS)
    result = feed(*map(str, arguments), "--check", "1", "-o", "y.npz", "--json", "cost.json")
    assert "6 frames of 2 streams" in result.stdout
    assert "6 frames were held against fresh runs" in result.stdout
    layers = json.loads(Path("cost.json").read_text())["layers"]
    with np.load("y.npz") as found:
        logits = found[next(iter(found.files))]
        assert np.array_equal(logits.reshape(FRAMES * STREAMS, -1), expected("two.npy"))
        assert found["spike_totals"].shape == (FRAMES, STREAMS, len(layers))
        assert found["synaptic_operations"].shape == (FRAMES, STREAMS, len(layers))
        assert found["steps_used"].shape == (FRAMES, STREAMS)


def test_costs_as_json(feed: Invoke) -> None:
    feed("stream", "exact.snn.onnx", "--frames", "two.npy", "--streams", "2", "--check", "4", "--json", "cost.json")
    cost: dict[str, Any] = json.loads(Path("cost.json").read_text())
    assert cost["data"] == {"name": "two.npy", "frames": 6, "streams": 2, "notes": cost["data"]["notes"]}
    assert cost["layers"] == [layer.name for layer in converted("digits").layers if layer.kind != "readout"]
    assert cost["macs_on_numbers"] == converted("digits").layers[1].macs
    assert cost["checked"] == 2  # frames 0 and 4
    session = StreamSession(content("digits"), streams=2)
    frames = np.load("two.npy").reshape(6, 2, 1, 8, 8) / np.float32(255)
    for entry, frame in zip(cost["frames"], map(session.feed, frames), strict=True):
        assert entry["changed"] == frame.changed.tolist()
        assert entry["steps"] == frame.steps.tolist()
        assert entry["spikes"] == frame.spikes.tolist()
        assert entry["operations"] == frame.synaptic_operations.tolist()
    cold = [SpikingSession(content("digits", "loop")).run(frames[index], warn=False) for index in (0, 4)]
    assert cost["cold"]["spikes"] == np.mean([run.spike_totals.sum(1) for run in cold])
    assert cost["cold"]["operations"] == np.mean([run.synaptic_operations.sum(1) for run in cold])
    assert cost["cold"]["steps"] == np.mean([run.sample_steps for run in cold])


def test_files_of_any_schedule(feed: Invoke) -> None:
    for schedule in ("loop", "unrolled"):
        Path("other.snn.onnx").write_bytes(content("digits", schedule))
        feed("stream", "other.snn.onnx", "--frames", "one.npy", "-o", f"{schedule}.npy", "--check", "2")
        assert np.array_equal(np.load(f"{schedule}.npy"), expected("one.npy"))


def test_frames_in_one_sweep(feed: Invoke) -> None:
    """The same outputs; events in the place of spikes, and no steps."""
    arguments = ("stream", "exact.snn.onnx", "--frames", "two.npy", "--streams", "2", "--graded")
    result = feed(*arguments, "--check", "1", "-o", "y.npz", "--json", "cost.json")
    assert [line.split("  ")[0] for line in result.stdout.splitlines()[2:5]] == ["changed %", "events", "SOPs"]
    assert "in every sweep" in result.stdout
    assert "6 frames were held against fresh runs" in result.stdout
    with np.load("y.npz") as found:
        logits = found[next(iter(found.files))]
        assert np.array_equal(logits.reshape(FRAMES * STREAMS, -1), expected("two.npy"))
        assert "steps_used" not in found.files
    cost: dict[str, Any] = json.loads(Path("cost.json").read_text())
    assert cost["graded"]
    assert cost["checked"] == 6
    session = GradedSession(converted("digits").graded_form().SerializeToString(), streams=2)
    frames = np.load("two.npy").reshape(6, 2, 1, 8, 8) / np.float32(255)
    for entry, frame in zip(cost["frames"], map(session.feed, frames), strict=True):
        assert "steps" not in entry
        assert entry["changed"] == frame.changed.tolist()
        assert entry["spikes"] == frame.events.tolist()
        assert entry["operations"] == frame.synaptic_operations.tolist()
    first = cost["frames"][0]
    assert cost["cold"] == {name: np.sum(first[name], axis=1).mean() for name in ("spikes", "operations")}


@pytest.mark.parametrize("state", ["counts", "v", "entered"])
def test_a_sweep_that_ends_elsewhere_is_told(feed: Invoke, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    true = GradedSession.state

    def wrong(session: GradedSession) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = true.fget(session)  # type: ignore[attr-defined]
        name = next(name for name in found if f"/{state}/" in name)
        return {**found, name: found[name] + 1}

    monkeypatch.setattr(GradedSession, "state", property(wrong))
    refuse(feed, "SNN411", "stream", "exact.snn.onnx", "--frames", "one.npy", "--graded", "--check", "4", "-o", "y.npy")


def test_the_session_of_a_model() -> None:
    model = SpikingModel(converted("digits", "loop").model, Report())
    image = np.zeros((1, 8, 8), np.float32)
    image[0, 2:6, 3] = 1
    frame = model.stream(2).feed(np.stack([image, image]))
    assert frame.logits.shape == (2, 10)
    assert np.array_equal(frame.logits[:1], StreamSession(content("digits")).feed(image).logits)


def test_frames_are_prepared_as_other_data(feed: Invoke) -> None:
    options = ("--scale", "0.002", "--mean", "0.1", "--std", "0.5")
    feed("stream", "exact.snn.onnx", "--frames", "one.npy", "-o", "y.npy", *options)
    images = (np.load("one.npy").astype(np.float32) * np.float32(0.002) - np.float32(0.1)) / np.float32(0.5)
    session = StreamSession(content("digits"))
    for found, image in zip(np.load("y.npy"), images, strict=True):
        assert np.array_equal(found, session.feed(image[None]).logits[0])


def test_a_single_frame(feed: Invoke) -> None:
    np.save("first.npy", np.load("one.npy")[:1])
    result = feed("stream", "exact.snn.onnx", "--frames", "first.npy", "--check", "1")
    assert "1 frame;" in result.stdout
    assert "1 frame was held" in result.stdout


def test_clipped_frames_are_told_of_once(feed: Invoke) -> None:
    result = feed("stream", "exact.snn.onnx", "--frames", "one.npy", "--scale", "1")
    assert result.stderr.count("exceed the input scale") == 1
    assert "warning[SNN502]" in result.stderr


def test_quiet(feed: Invoke) -> None:
    result = feed("stream", "exact.snn.onnx", "--frames", "one.npy", "-q", "-o", "y.npy")
    assert (result.stdout, result.stderr) == ("", "")


def test_a_frame_that_ends_elsewhere(feed: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = StreamSession.feed
    fed = []

    def faulty(session: StreamSession, frames: np.ndarray, **options: Any) -> Frame:
        fed.append(frames)
        if len(fed) == 4:
            state = session.state
            next(value for name, value in state.items() if "/v/" in name)[1] += 1
            session.restore(state)
        return sound(session, frames, **options)

    monkeypatch.setattr(StreamSession, "feed", faulty)
    arguments = ("stream", "exact.snn.onnx", "--frames", "two.npy", "--streams", "2", "-o", "y.npy")
    result = refuse(feed, "SNN411", *arguments, "--check", "1")
    assert "frame 3, samples are streams: the membrane potential of " in result.stderr
    assert "in sample 1" in result.stderr
    fed.clear()
    refuse(feed, "SNN411", *arguments, "--check", "2")  # what was wrong once stays wrong
    fed.clear()
    feed(*arguments)


def test_what_is_refused(feed: Invoke) -> None:
    frames = np.load("one.npy") / np.float32(255)
    frames[4, 2, 3] = np.nan
    np.save("nan.npy", frames)
    np.save("wide.npy", np.zeros((3, 8, 9), np.float32))
    Path("ann.onnx").write_bytes(DIGITS.read_bytes())
    start = ("stream", "exact.snn.onnx", "--frames")
    assert "the first in sample 4" in refuse(feed, "SNN304", *start, "nan.npy").stderr
    refuse(feed, "SNN302", *start, "wide.npy")
    assert "must be [T, 3, ...]" in refuse(feed, "SNN302", *start, "two.npy", "--streams", "3").stderr
    refuse(feed, "SNN302", *start, "two.npy")
    refuse(feed, "SNN301", *start, "none.npy")
    refuse(feed, "SNN401", *start, "one.npy", "-o", "one.npy")
    refuse(feed, "SNN401", *start, "one.npy", "--json", "exact.snn.onnx")
    refuse(feed, "SNN402", "stream", "ann.onnx", "--frames", "one.npy")
    assert feed(*start, "one.npy", "--streams", "0", exit_code=2).stdout == ""
    assert feed(*start, "one.npy", "--check", "-1", exit_code=2).stdout == ""


def test_other_methods_are_refused(feed: Invoke, converted: Path) -> None:
    result = refuse(feed, "SNN405", "stream", converted, "--frames", "one.npy", exit_code=2)
    assert "the method rmp, whose spikes depend on time" in result.stderr
    assert "hint: convert the ANN with `--method exact`" in result.stderr
