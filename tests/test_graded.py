"""Frames in one sweep end at the counts, potentials and outputs of fresh runs in steps."""

from __future__ import annotations

import copy
import itertools
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import exact_networks
import networks
import numpy as np
import onnx
import onnxruntime
import pytest
import streams
from golden import model as model_of_text
from graded_streams import Fresh, content, content_of, entries
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import Network
from streams import NETWORKS, converted, frames_for
from test_attention import ATTENTION

import snnc
from snnc.api import open_converted
from snnc.diagnostics import DiagnosticError
from snnc.files import ConvertedFile
from snnc.ir.domain import DOMAIN
from snnc.runtime import EarlyExitSession, GradedSession, SpikingSession, StreamSession

MANY, SOME = 200, 30
FORMS = pytest.mark.parametrize("native", [True, False], ids=["native", "functions"])


@FORMS
@pytest.mark.parametrize("name", NETWORKS)
def test_frames_equal_fresh_runs(name: str, native: bool) -> None:
    file = converted(name)
    session, fresh = GradedSession(content(name), native=native), Fresh(file)
    events = 0
    for frames in frames_for(file, MANY if native else SOME):
        frame = session.feed(frames)
        fresh.compare(session, frames, frame)
        events += int(frame.events.sum())
    assert events > SOME  # otherwise nothing was tried


@pytest.mark.parametrize("name", NETWORKS)
def test_both_forms_and_steps_give_the_same(name: str) -> None:
    file = converted(name)
    native, functions = (GradedSession(content(name), native=native) for native in (True, False))
    steps = StreamSession(streams.content(name))
    for frames in frames_for(file, SOME, seed=3):
        one, other, stepwise = native.feed(frames), functions.feed(frames), steps.feed(frames)
        for field in ("logits", "events", "synaptic_operations", "changed", "clipped"):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
        for field in ("logits", "changed", "clipped"):
            np.testing.assert_array_equal(getattr(one, field), getattr(stepwise, field))
        assert (one.events <= stepwise.spikes).all()
        left, right = native.state, functions.state
        assert all(np.array_equal(left[state], right[state]) for state in left)


@pytest.mark.parametrize("name", NETWORKS)
def test_streams_do_not_see_each_other(name: str) -> None:
    """Three streams with other frames: each does what it does alone."""
    file, count = converted(name), 3
    together, fresh = GradedSession(content(name), streams=count), Fresh(file)
    alone = [GradedSession(content(name)) for _ in range(count)]
    for frames in frames_for(file, SOME, count, seed=7):
        frame = together.feed(frames)
        fresh.compare(together, frames, frame)
        for index, session in enumerate(alone):
            single = session.feed(frames[index])
            for field in ("logits", "events", "synaptic_operations", "changed", "clipped"):
                np.testing.assert_array_equal(getattr(frame, field)[index : index + 1], getattr(single, field))


def test_more_streams_than_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = GradedSession(content("pools"), streams=5)
    monkeypatch.setattr("snnc.runtime.graded.largest_batch", lambda layers, native: 2)
    parts = GradedSession(content("pools"), streams=5)
    for frames in frames_for(converted("pools"), SOME, 5, seed=5):
        one, other = whole.feed(frames), parts.feed(frames)
        for field in ("logits", "events", "synaptic_operations", "changed"):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
    assert all(np.array_equal(value, parts.state[name]) for name, value in whole.state.items())


@FORMS
def test_what_does_not_change_costs_nothing(native: bool) -> None:
    session = GradedSession(content("pools"), streams=2, native=native)
    (frames,) = frames_for(converted("pools"), 1, 2)
    first = session.feed(frames)
    assert (first.changed > 0.5).all()
    again = session.feed(frames)
    np.testing.assert_array_equal(again.logits, first.logits)
    for nothing in (again.events, again.synaptic_operations, again.changed):
        assert not nothing.any()


@FORMS
@pytest.mark.parametrize("name", ["functions", "pools"])
def test_a_first_frame_of_zeros(name: str, native: bool) -> None:
    """Nothing changes at the input, but neurons with a charge of their own fire."""
    file, count = converted(name), 2
    session, fresh = GradedSession(content(name), streams=count, native=native), Fresh(file)
    zeros = np.zeros((count, *file.input_dims), np.float32)
    frame = session.feed(zeros)
    fresh.compare(session, zeros, frame)
    assert not frame.changed.any()
    assert frame.events.any()
    assert not session.feed(zeros).events.any()


# Other networks


@cache
def file_of(name: str) -> ConvertedFile:
    return ConvertedFile(snnc_model(OTHERS[name]()), name)


def snnc_model(network: onnx.ModelProto) -> onnx.ModelProto:
    model: onnx.ModelProto = exact_networks.converted(network, levels=4, schedule="stream").model
    return model


def strided() -> onnx.ModelProto:
    """A shortcut through a convolution with a stride, and one past two layers."""
    net = Network((2, 9, 8), np.random.default_rng(6))
    net.convolve(4, 3, 1, 1, 1, 1, True)
    net.then("Relu")
    net.residual(True, 6, True, stride=2, group=1)
    net.then("Relu")
    net.residual(False, 6, True)
    net.then("Relu")
    net.dense(3, True)
    net.output()
    return net.model()


def grouped() -> onnx.ModelProto:
    """Convolutions in groups, one of them of single channels, and channels that are shuffled."""
    net = Network((4, 6, 6), np.random.default_rng(7))
    net.convolve(8, 3, 1, 1, 1, 2, True)
    net.then("Relu")
    net.shuffle([7, 0, 6, 1, 5, 2, 4, 3])
    net.convolve(8, 3, 2, 1, 1, 8, True)
    net.then("Relu")
    net.transpose()
    net.convolve(5, 3, 1, 1, 2, 1, True)
    net.then("Relu")
    net.average(3, 2, 1, False)
    net.dense(3, True)
    net.output()
    return net.model()


OTHERS: dict[str, Callable[[], onnx.ModelProto]] = {
    "strided shortcut": strided,
    "groups": grouped,
    "attention": lambda: model_of_text(ATTENTION),
    **{name: partial(exact_networks.body, name) for name in exact_networks.BODIES},
}


@FORMS
@pytest.mark.parametrize("name", OTHERS)
def test_frames_of_other_networks(name: str, native: bool) -> None:
    file = file_of(name)
    session, fresh = GradedSession(content_of(file), streams=2, native=native), Fresh(file)
    for frames in frames_for(file, SOME, 2, seed=4):
        fresh.compare(session, frames, session.feed(frames))


@settings(max_examples=8, suppress_health_check=list(HealthCheck), deadline=None)
@given(network=networks.models(), levels=st.sampled_from([1, 5, 100]), per_channel=st.booleans())
def test_random_networks(network: onnx.ModelProto, levels: int, per_channel: bool) -> None:
    model = exact_networks.converted_or_none(network, levels=levels, per_channel=per_channel)
    if model is None:
        return
    file = open_converted(model)
    fresh = Fresh(file)
    for native in (True, False):
        session = GradedSession(content_of(file), streams=2, native=native)
        for frames in frames_for(file, 4, 2):
            fresh.compare(session, frames, session.feed(frames))


def operators(file: ConvertedFile) -> Counter[str]:
    return Counter(node.op_type for node in file.graded_form().graph.node if node.domain == DOMAIN)


def test_which_layers_are_one_operator() -> None:
    pools, strided_, groups = operators(converted("pools")), operators(file_of("strided shortcut")), file_of("groups")
    assert pools == {"GradedConv": 2, "GradedMaxPool": 1, "GradedSumPool": 1, "GradedGemm": 1, "GradedTotals": 1}
    assert strided_["GradedConv"] + strided_["GradedConvAdd"] == len(neurons_of(file_of("strided shortcut")))
    assert strided_["GradedConvAdd"] == 2
    assert operators(groups)["GradedConv"] == 1
    assert not {"GradedConv", "GradedGemm"} & set(operators(converted("functions")))


def neurons_of(file: ConvertedFile) -> list[str]:
    return [layer.name for layer in file.layers if layer.kind == "neuron"]


def test_layers_tell_their_operators() -> None:
    session = GradedSession(content("pools"))
    pool, *others = [layer.fused for layer in session.layers if layer.kind != "input"][1:]
    assert [session.layers[0].fused, pool, *others] == [None, "GradedMaxPool", "GradedConv", "GradedGemm"]
    assert {layer.fused for layer in GradedSession(content("functions")).layers} == {None, "plain"}


def test_only_states_of_one_operator_are_in_place() -> None:
    """What standard operators read too may be written only after them."""
    for file in (*map(converted, NETWORKS), *map(file_of, OTHERS)):
        graph = file.graded_form().graph
        readers: dict[str, list[str]] = {}
        for node in graph.node:
            for name in (*node.input, *node.output):
                readers.setdefault(name, []).append(node.name)
        for entry in entries(GradedSession(content_of(file))).values():
            if entry.get("in_place"):
                (reader,) = set(readers[entry["name"]])
                assert readers[entry["next"]] == [reader]
                assert next(node for node in graph.node if node.name == reader).domain == DOMAIN


def test_states_tell_where_their_channels_are() -> None:
    told = entries(GradedSession(content("pools")))
    last = [entry for entry in told.values() if entry.get("channels_last")]
    assert {entry["what"] for entry in last} == {"membrane potential", "spike count"}
    assert [8, 8, 4] in [entry["dims"] for entry in last]
    assert [4, 8, 8] in [entry["dims"] for entry in told.values() if entry["what"] == "input count"]


@pytest.mark.parametrize(
    ("limit", "largest"),
    [("POTENTIALS", 2), ("LARGEST_SUM", 0), ("LARGEST_CHANGE", 0), ("LARGEST_COUNT_RANGE", 0), ("_EXACT", 1)],
)
def test_what_operators_do_not_hold_is_computed_in_64_bits(
    limit: str, largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"snnc.emit.graded_layers.{limit}", largest)
    file = converted("pools")
    left = {"GradedMaxPool", "GradedSumPool", "GradedTotals"}
    if limit == "_EXACT":  # of sums over windows
        left = {"GradedMaxPool", "GradedConv", "GradedTotals"}
    assert set(operators(file)) == left
    session, fresh = GradedSession(content_of(file)), Fresh(file)
    for frames in frames_for(file, 5):
        fresh.compare(session, frames, session.feed(frames))


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
