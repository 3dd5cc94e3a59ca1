"""Frames of streams settle at the counts, potentials and outputs of fresh runs, whatever came before."""

from __future__ import annotations

import copy
import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
import pytest
import streams
from streams import NETWORKS, Fresh, content, converted, frames_for

import snnc
from snnc.runtime import SpikingSession, StreamSession
from snnc.runtime.session import make_session

MANY, SOME = 200, 30


@pytest.mark.parametrize("name", NETWORKS)
def test_frames_equal_fresh_runs(name: str) -> None:
    file = converted(name)
    session, fresh = StreamSession(content(name)), Fresh(file)
    spikes = 0
    for frames in frames_for(file, MANY):
        frame = session.feed(frames)
        fresh.compare(session, frames, frame)
        assert (frame.steps < file.options.max_steps).all()
        assert ((frame.steps > 0) == (frame.spikes.sum(1) > 0)).all()
        spikes += int(frame.spikes.sum())
    assert spikes > MANY  # otherwise nothing was tried


@pytest.mark.parametrize("name", NETWORKS)
def test_streams_do_not_see_each_other(name: str) -> None:
    """Three streams with other frames: each does what it does alone."""
    file, count = converted(name), 3
    together, fresh = StreamSession(content(name), streams=count), Fresh(file)
    alone = [StreamSession(content(name)) for _ in range(count)]
    for frames in frames_for(file, SOME, count, seed=7):
        frame = together.feed(frames)
        fresh.compare(together, frames, frame)
        for index, session in enumerate(alone):
            single = session.feed(frames[index])
            for field in ("logits", "steps", "spikes", "synaptic_operations", "changed", "clipped"):
                np.testing.assert_array_equal(getattr(frame, field)[index : index + 1], getattr(single, field))


@pytest.mark.parametrize("name", NETWORKS)
def test_native_operators_and_functions_are_the_same(name: str) -> None:
    file = converted(name)
    native, functions = (StreamSession(content(name), native=native) for native in (True, False))
    for frames in frames_for(file, SOME, seed=3):
        one, other = native.feed(frames), functions.feed(frames)
        for field in ("logits", "steps", "spikes", "synaptic_operations"):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
        left, right = native.state, functions.state
        assert all(np.array_equal(left[state], right[state]) for state in left)


@pytest.mark.parametrize("name", ["pools", "functions"])
def test_more_streams_than_run_at_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file, count = converted(name), 5
    whole = StreamSession(content(name), streams=count)
    monkeypatch.setattr("snnc.runtime.stream.largest_batch", lambda layers, native: 2)
    parts = StreamSession(content(name), streams=count)
    for frames in frames_for(file, SOME, count, seed=5):
        one, other = whole.feed(frames), parts.feed(frames)
        for field in ("logits", "steps", "spikes", "synaptic_operations", "changed"):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
    assert all(np.array_equal(value, parts.state[name]) for name, value in whole.state.items())


def test_counts_of_the_first_frame_are_those_of_a_run() -> None:
    """The first frame of a stream is a fresh run, of a drop-in of the same network too."""
    session, drop_in = StreamSession(content("pools"), streams=4), SpikingSession(content("pools", "loop"))
    (frames,) = frames_for(converted("pools"), 1, 4)
    frame, result = session.feed(frames), drop_in.run(frames, warn=False)
    np.testing.assert_array_equal(frame.spikes, result.spike_totals)
    np.testing.assert_array_equal(frame.synaptic_operations, result.synaptic_operations)
    np.testing.assert_array_equal(frame.steps, result.sample_steps)
    np.testing.assert_array_equal(frame.logits, result.logits)
    assert [layer.name for layer in session.layers] == [layer.name for layer in drop_in.layers]


def test_what_does_not_change_costs_nothing() -> None:
    session = StreamSession(content("pools"), streams=2)
    (frames,) = frames_for(converted("pools"), 1, 2)
    first = session.feed(frames)
    assert (first.changed > 0.5).all()
    again = session.feed(frames)
    np.testing.assert_array_equal(again.logits, first.logits)
    for nothing in (again.steps, again.spikes, again.synaptic_operations, again.changed):
        assert not nothing.any()
    below = np.float32(np.max(session.layers[0].scale)) / 100
    assert not session.feed(frames + below * (frames == 0)).changed.any()


def test_what_changed_is_the_share_of_integers() -> None:
    session = StreamSession(content("perceptron"), streams=2)
    unit = np.float32(np.max(session.layers[0].scale))
    frames = np.zeros((2, 8), np.float32)
    assert session.feed(frames).changed.tolist() == [0, 0]
    frames[0, 3] = 5 * unit
    assert session.feed(frames).changed.tolist() == [1 / 8, 0]
    frames[0, 3], frames[1, :2] = 5.2 * unit, -unit
    assert session.feed(frames).changed.tolist() == [0, 2 / 8]


def test_a_small_change_costs_less_than_a_cold_frame() -> None:
    file = converted("digits")
    session = StreamSession(content("digits"))
    image = np.zeros((1, 8, 8), np.float32)
    image[0, 2:6, 3:5] = 1
    cold = session.feed(image)
    image[0, 6, 3] = 1
    frame = session.feed(image)
    assert 0 < frame.spikes.sum() < cold.spikes.sum() / 4
    assert frame.synaptic_operations.sum() < cold.synaptic_operations.sum() / 4
    assert frame.spikes.shape == (1, len(file.layers) - 1)


# Starting anew


def test_reset_of_some_streams() -> None:
    file, count = converted("residual"), 3
    session, fresh = StreamSession(content("residual"), streams=count), Fresh(file)
    for frames in frames_for(file, 4, count):
        session.feed(frames)
    before = session.state
    session.reset([True, False, True])
    for name, value in StreamSession(content("residual"), streams=count).state.items():
        np.testing.assert_array_equal(session.state[name][[0, 2]], value[[0, 2]])
        np.testing.assert_array_equal(session.state[name][1], before[name][1])
    frame = session.feed(frames)
    fresh.compare(session, frames, frame)
    assert frame.spikes[[0, 2]].any(1).all()
    assert not frame.spikes[1].any()
    session.reset()
    cold = session.feed(frames)
    fresh.compare(session, frames, cold)
    assert (cold.spikes[[0, 2]] == frame.spikes[[0, 2]]).all()
    assert cold.spikes[1].any()


def test_going_back_to_a_state() -> None:
    file = converted("functions")
    session, fresh = StreamSession(content("functions"), streams=2), Fresh(file)
    first, second, third = frames_for(file, 3, 2)
    session.feed(first)
    saved = session.state
    expected = session.feed(second)
    session.feed(third)
    session.restore(saved)
    for value in saved.values():
        value += 1  # a session has states of its own
    again = session.feed(second)
    np.testing.assert_array_equal(again.spikes, expected.spikes)
    fresh.compare(session, second, again)


# What is refused


def unchanged(session: StreamSession, before: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(value, before[name]) for name, value in session.state.items())


BAD_FRAMES: dict[str, tuple[Any, type[Exception], str]] = {
    "another shape": (np.zeros((2, 2, 8, 7)), ValueError, "frames have shape .2, 2, 8, 7., must be .N, 2, 8, 8."),
    "too few streams": (np.zeros((1, 2, 8, 8)), ValueError, "must be of 2 streams"),
    "no axis of streams": (np.zeros((2, 8, 8)), ValueError, "add a batch axis"),
    "NaN": (np.where(np.arange(256) == 200, np.nan, 0).reshape(2, 2, 8, 8), ValueError, "NaN.* in sample 1"),
    "an infinity": (np.full((2, 2, 8, 8), np.inf), ValueError, "NaN or infinite"),
    "bytes": (np.zeros((2, 2, 8, 8), np.uint8), TypeError, "frames / np.float32"),
    "text": (np.full((2, 2, 8, 8), "a"), TypeError, "must be numbers"),
}


@pytest.mark.parametrize("what", BAD_FRAMES)
def test_bad_frames_leave_the_state(what: str) -> None:
    frames, kind, message = BAD_FRAMES[what]
    session, fresh = StreamSession(content("pools"), streams=2), Fresh(converted("pools"))
    first, second = frames_for(converted("pools"), 2, 2)
    session.feed(first)
    before = session.state
    with pytest.raises(kind, match=message):
        session.feed(frames)
    assert unchanged(session, before)
    fresh.compare(session, second, session.feed(second))


@pytest.mark.parametrize("good", [0, 1, 2])
def test_a_failure_in_any_block_leaves_the_state(good: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snnc.runtime.stream.largest_batch", lambda layers, native: 1)
    session = StreamSession(content("pools"), streams=3)
    first, second = frames_for(converted("pools"), 2, 3)
    session.feed(first)
    before, blocks = session.state, iter(range(good))
    sound = onnxruntime.InferenceSession.run_with_iobinding

    def fail_behind(*arguments: Any) -> None:
        if next(blocks, None) is None:
            raise MemoryError
        sound(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(onnxruntime.InferenceSession, "run_with_iobinding", fail_behind)
        with pytest.raises(MemoryError):
            session.feed(second)
    assert unchanged(session, before)
    Fresh(converted("pools")).compare(session, second, session.feed(second))


def test_what_a_session_gives_stays_as_it_is() -> None:
    """Frames and states are copies: later frames and resets do not write into them."""
    session = StreamSession(content("pools"), streams=2)
    first, second = frames_for(converted("pools"), 2, 2)
    frame, state = session.feed(first), session.state
    kept = copy.deepcopy((vars(frame), state))
    session.feed(second)
    session.feed(first)
    session.reset()
    np.testing.assert_equal((vars(frame), state), kept)
    session.restore(state)
    session.feed(second)
    np.testing.assert_equal(state, kept[1])


def test_what_never_settles_is_our_error() -> None:
    session = StreamSession(content("pools"))
    (frames,) = frames_for(converted("pools"), 1)
    before = session.state
    session.options = type(session.options)(1, 0, 2, "stream", "required", "exact")  # 2 steps at most
    with pytest.raises(AssertionError, match="not quiet after 2 steps"):
        session.feed(frames)
    assert unchanged(session, before)


@pytest.mark.parametrize("mask", [[True], [1, 0], [[True, False]], True, "both"])
def test_bad_masks(mask: Any) -> None:
    session = StreamSession(content("perceptron"), streams=2)
    with pytest.raises(ValueError, match=r"must be bool \[2\]"):
        session.reset(mask)


def test_states_of_something_else() -> None:
    session = StreamSession(content("perceptron"), streams=2)
    before = session.state
    name = next(iter(before))
    others = [
        StreamSession(content("perceptron")).state,
        StreamSession(content("pools"), streams=2).state,
        {**before, name: before[name].astype(np.int64)},
        {key: value for key, value in before.items() if key != name},
        {},
    ]
    for other in others:
        with pytest.raises(ValueError, match="no state of this network"):
            session.restore(other)
    assert unchanged(session, before)


@pytest.mark.parametrize("schedule", ["loop", "unrolled"])
def test_other_schedules_are_refused(schedule: str) -> None:
    with pytest.raises(ValueError, match=f"has '{schedule}': convert the ANN with --schedule stream"):
        StreamSession(content("perceptron", schedule))


@pytest.mark.parametrize("schedule", ["loop", "stream"])
def test_other_methods_are_refused(schedule: Literal["loop", "stream"]) -> None:
    calib = np.random.default_rng(0).random((20, 1, 8, 8))
    source = Path(snnc.__file__).parent / "demo" / "digits.onnx"
    model = snnc.convert(source, calib=calib, steps=16, calib_steps=16, schedule=schedule, accept_poor=True).model
    with pytest.raises(ValueError, match=r"the method 'rmp', whose spikes depend on time: only .* 'exact' settle"):
        StreamSession(model.SerializeToString())


def test_what_is_no_converted_network_is_refused() -> None:
    with pytest.raises(ValueError, match="not a network converted by snnc"):
        StreamSession(streams.model_of("perceptron").SerializeToString())


@pytest.mark.parametrize("count", [0, -1])
def test_no_streams(count: int) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        StreamSession(content("perceptron"), streams=count)


def test_clipping_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    session = StreamSession(content("perceptron"), streams=2)
    limit = session.layers[0].scale * session.layers[0].levels
    frames = np.zeros((2, 8), np.float32)
    frames[1, :2] = 2 * limit
    with caplog.at_level(logging.WARNING, "snnc.runtime"):
        assert session.feed(frames).clipped.tolist() == [0, 2 / 8]
        session.feed(-frames)
    (message,) = caplog.messages
    assert message.startswith("12.50% of the input elements exceed the input scale")


# Hosts


def test_the_session_imports_no_compiler(tmp_path: Path) -> None:
    (tmp_path / "net.snn.onnx").write_bytes(content("perceptron"))
    program = (
        "import sys, numpy as np, snnc.runtime as r;"
        "s = r.StreamSession('net.snn.onnx'); s.feed(np.ones(8)); s.reset();"
        "print([m for m in sys.modules if m == 'onnx' or (m.startswith('snnc.') and not m.startswith('snnc.runtime'))])"
    )
    found = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_quantised_network_is_what_frames_settle_at() -> None:
    """Not only a fresh run of the same operators: the ANN without time that the file carries."""

    file = converted("functions")
    quantised = make_session(file.quantised().SerializeToString())
    output = file.model.graph.output[0].name
    session = StreamSession(content("functions"), streams=3)
    for frames in frames_for(file, SOME, 3, seed=11):
        (expected,) = quantised.run([output], {quantised.get_inputs()[0].name: frames})
        np.testing.assert_array_equal(session.feed(frames).logits, expected)


@pytest.mark.parametrize("native", [True, False], ids=["native", "functions"])
def test_the_host_loop_of_the_embedding_guide(native: bool) -> None:
    text = (Path(__file__).parent.parent / "docs" / "embedding.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    (example,) = [block for block in blocks if "def feed(frame)" in block]
    file, fresh = converted("functions"), StreamSession(content("functions"))
    host: dict[str, Any] = {"session": make_session(content("functions"), native=native)}
    exec(example.replace('"image"', repr(file.block.input_name)), host)
    for frames in frames_for(file, SOME, seed=9):
        results, expected = host["feed"](frames), fresh.feed(frames)
        np.testing.assert_array_equal(results[file.model.graph.output[0].name], expected.logits)
        np.testing.assert_array_equal(results["spike_totals"], expected.spikes)
        np.testing.assert_array_equal(results["steps_used"], expected.steps)
        for state in host["states"]:
            if not state["output"]:
                np.testing.assert_array_equal(host["kept"][state["name"]], fresh.state[state["name"]])
    # A frame with NaN passes by: its outputs are NaN, those behind it are not.
    *_, missing = frames_for(file, 2, seed=9)
    missing[0, 0, 0, 0] = np.nan
    output = file.model.graph.output[0].name
    assert np.isnan(host["feed"](missing)[output]).all()
    np.testing.assert_array_equal(host["feed"](frames)[output], expected.logits)
