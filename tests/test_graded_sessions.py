"""Sessions of the graded form: starting anew, failures and interrupts in the middle, what is refused."""

from __future__ import annotations

import copy
import itertools
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import streams
from graded_streams import FORMS, Fresh, content
from streams import converted, frames_for

import snnc
from snnc.api import open_converted
from snnc.diagnostics import DiagnosticError
from snnc.files import ConvertedFile
from snnc.runtime import EarlyExitSession, GradedSession, SpikingSession, StreamSession

# Starting anew


@FORMS
def test_reset_of_some_streams(native: bool) -> None:
    file, count = converted("functions"), 3
    session, fresh = GradedSession(content("functions"), streams=count, native=native), Fresh(file)
    for frames in frames_for(file, 4, count):
        session.feed(frames)
    before = session.state
    session.reset([True, False, True])
    for name, value in GradedSession(content("functions"), streams=count).state.items():
        np.testing.assert_array_equal(session.state[name][[0, 2]], value[[0, 2]])
        np.testing.assert_array_equal(session.state[name][1], before[name][1])
    frame = session.feed(frames)
    fresh.compare(session, frames, frame)
    assert frame.events[[0, 2]].any(1).all()
    assert not frame.events[1].any()
    session.reset()
    fresh.compare(session, frames, session.feed(frames))


@FORMS
def test_going_back_to_a_state(native: bool) -> None:
    file = converted("pools")
    session, fresh = GradedSession(content("pools"), streams=2, native=native), Fresh(file)
    first, second, third = frames_for(file, 3, 2)
    session.feed(first)
    saved = session.state
    expected = session.feed(second)
    session.feed(third)
    session.restore(saved)
    for value in saved.values():
        value += 1  # a session has states of its own
    again = session.feed(second)
    np.testing.assert_array_equal(again.events, expected.events)
    fresh.compare(session, second, again)


def test_what_a_session_gives_stays_as_it_is() -> None:
    session = GradedSession(content("pools"), streams=2)
    first, second = frames_for(converted("pools"), 2, 2)
    frame, state = session.feed(first), session.state
    kept = copy.deepcopy((vars(frame), state))
    session.feed(second)
    session.reset()
    np.testing.assert_equal((vars(frame), state), kept)
    session.restore(state)
    session.feed(second)
    np.testing.assert_equal(state, kept[1])


# Failures


class Failing:
    """Runs that fail behind the first `good` ones, in the middle: they have written what they write."""

    def __init__(self, patch: pytest.MonkeyPatch, good: int) -> None:
        self._left, self._sound = good, onnxruntime.InferenceSession.run_with_iobinding
        patch.setattr(onnxruntime.InferenceSession, "run_with_iobinding", lambda *given: self._run(*given))

    def _run(self, *given: Any) -> None:
        self._sound(*given)
        self._left -= 1
        if self._left < 0:
            raise MemoryError


def unchanged(session: GradedSession, before: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(value, before[name]) for name, value in session.state.items())


def fail(session: GradedSession, frames: np.ndarray, good: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        Failing(patch, good)
        with pytest.raises(MemoryError):
            session.feed(frames)


@FORMS
@pytest.mark.parametrize("good", [0, 1, 2])
def test_a_failure_leaves_the_state(good: int, native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three groups of one stream, of which the second began anew."""
    monkeypatch.setattr("snnc.runtime.graded.largest_batch", lambda layers, native: 1)
    session, fresh = GradedSession(content("functions"), streams=3, native=native), Fresh(converted("functions"))
    first, second = frames_for(converted("functions"), 2, 3)
    start = session.state
    fail(session, first, good)
    assert unchanged(session, start)
    session.feed(first)
    session.reset([False, True, False])
    before = session.state
    fail(session, second, good)
    assert unchanged(session, before)
    fail(session, second, good)
    fresh.compare(session, second, session.feed(second))


def test_a_failure_behind_a_state_that_was_given() -> None:
    session, fresh = GradedSession(content("pools"), streams=2), Fresh(converted("pools"))
    first, second, third = frames_for(converted("pools"), 3, 2)
    session.feed(first)
    saved = session.state
    session.feed(second)
    session.restore(saved)
    fail(session, third, 0)
    assert unchanged(session, saved)
    session.reset([True, False])
    before = session.state
    fail(session, third, 0)
    assert unchanged(session, before)
    fail(session, third, 0)
    session.restore(saved)
    assert unchanged(session, saved)
    fresh.compare(session, third, session.feed(third))


def test_a_failure_while_going_back() -> None:
    """The states are computed again when they are needed next; where that fails, the next time after that."""
    session, fresh = GradedSession(content("pools")), Fresh(converted("pools"))
    first, second = frames_for(converted("pools"), 2)
    session.feed(first)
    before = session.state
    fail(session, second, 0)
    fail(session, second, 0)  # fails in the frame that is fed again
    assert unchanged(session, before)
    fresh.compare(session, second, session.feed(second))


class Interrupt:
    """Interrupts a session at one of its lines, as they are run."""

    def __init__(self, line: int) -> None:
        self._left = line

    def __call__(self, frame: Any, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.endswith(("graded.py", "blocks.py")):
            return None
        if event == "line":
            self._left -= 1
            if self._left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self


def interrupted(line: int, act: Callable[[], Any]) -> bool:
    """Whether this line came in `act`: there it was interrupted."""
    before = sys.gettrace()
    sys.settrace(Interrupt(line))
    try:
        act()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize("what", ["feed", "reset", "restore"])
def test_an_interrupt_leaves_the_state_before_or_behind(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it comes, and with streams of which one began anew: never that of some streams or layers."""
    monkeypatch.setattr("snnc.runtime.graded.largest_batch", lambda layers, native: 1)
    session = GradedSession(content("functions"), streams=2, threads=1)
    first, second, third = frames_for(converted("functions"), 3, 2)
    session.feed(third)
    other = session.state
    acts: dict[str, Callable[[], Any]] = {
        "feed": lambda: session.feed(second, warn=False),
        "reset": lambda: session.reset([True, False]),
        "restore": lambda: session.restore(other),
    }

    def begin() -> None:
        session.feed(first, warn=False)
        session.reset([False, True])

    begin()
    before = session.state
    acts[what]()
    behind = session.state
    for line in itertools.count():
        begin()
        if not interrupted(line, acts[what]):
            break
        assert unchanged(session, before) or unchanged(session, behind), line
        acts[what]()
        assert unchanged(session, behind), line
    assert line > 10  # otherwise nothing was tried


@pytest.mark.parametrize("what", [np.zeros((2, 2, 8, 7)), np.full((2, 2, 8, 8), np.nan), np.zeros((1, 2, 8, 8))])
def test_bad_frames_leave_the_state(what: np.ndarray) -> None:
    session, fresh = GradedSession(content("pools"), streams=2), Fresh(converted("pools"))
    first, second = frames_for(converted("pools"), 2, 2)
    session.feed(first)
    before = session.state
    with pytest.raises(ValueError, match="frames have"):
        session.feed(what)
    assert unchanged(session, before)
    fresh.compare(session, second, session.feed(second))


# What is refused


def test_other_sessions_name_the_one_that_runs_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="GradedSession runs it"):
        StreamSession(content("perceptron"))
    for session in (SpikingSession, EarlyExitSession):
        with pytest.raises(ValueError, match="has 'graded'"):
            session(content("perceptron"))
    with pytest.raises(ValueError, match=re.escape("snnc export NET.snn.onnx --graded")):
        GradedSession(streams.content("perceptron"))
    (tmp_path / "net.graded.onnx").write_bytes(content("perceptron"))
    with pytest.raises(DiagnosticError, match=r"SNN402.*is the graded form of a network"):
        open_converted(tmp_path / "net.graded.onnx")


def test_networks_that_do_not_settle_have_no_graded_form() -> None:
    calib = np.random.default_rng(0).random((20, 1, 8, 8))
    source = Path(snnc.__file__).parent / "demo" / "digits.onnx"
    model = snnc.convert(source, calib=calib, steps=16, calib_steps=16, accept_poor=True).model
    with pytest.raises(DiagnosticError, match=r"SNN405.*whose spikes depend on time"):
        ConvertedFile(model, "net").graded_form()


def test_the_session_imports_no_compiler(tmp_path: Path) -> None:
    (tmp_path / "net.graded.onnx").write_bytes(content("perceptron"))
    program = (
        "import sys, numpy as np, snnc.runtime as r;"
        "s = r.GradedSession('net.graded.onnx'); s.feed(np.ones(8)); s.reset();"
        "print([m for m in sys.modules if m == 'onnx' or (m.startswith('snnc.') and not m.startswith('snnc.runtime'))])"
    )
    found = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
