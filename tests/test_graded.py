"""Frames in one sweep end at the counts, potentials and outputs of fresh runs in steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache, partial

import exact_networks
import networks
import numpy as np
import onnx
import pytest
import streams
from golden import model as model_of_text
from graded_streams import FORMS, Fresh, content, content_of, entries
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import Network
from streams import NETWORKS, converted, frames_for
from test_attention import ATTENTION

from snnc.api import open_converted
from snnc.files import ConvertedFile
from snnc.ir.domain import DOMAIN
from snnc.runtime import GradedSession, StreamSession

MANY, SOME = 200, 30


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
    assert operators(groups)["GradedConv"] == 2  # one of them depthwise
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
