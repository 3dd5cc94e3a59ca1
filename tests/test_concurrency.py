"""Many runs of one session at the same time, several sessions at once, and states that stay where they are."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument
from spiking_layer_examples import Sizes, Values, random_layer
from spiking_layers import CONSTANTS, model_of, reference, session_of

import snnc
from snnc.runtime import SpikingSession
from snnc.runtime.session import make_session

Array = npt.NDArray[Any]
DIGITS = Path(snnc.__file__).parent / "demo" / "digits.onnx"
CALLERS = 8
STEPS = 100


def convert(**options: Any) -> onnx.ModelProto:
    calib = np.random.default_rng(0).random((40, 1, 8, 8))
    model = snnc.convert(DIGITS, calib=calib, steps=STEPS, calib_steps=64, bias="current", **options)
    return model.model


@pytest.fixture(scope="module")
def loop_file() -> bytes:
    content: bytes = convert().SerializeToString()
    return content


@pytest.fixture(scope="module")
def stream_model() -> onnx.ModelProto:
    return convert(schedule="stream", controls="required")


def images_of(caller: int) -> Array:
    """Another batch size and other images for every caller; one has no images at all."""
    return np.random.default_rng(caller).random((caller * 3 % CALLERS, 1, 8, 8), np.float32)


def at_the_same_time(task: Callable[[int], list[Array]], rounds: int = 4) -> list[list[list[Array]]]:
    """What `CALLERS` threads get that start together, each calling `task(caller)` several times."""
    start = threading.Barrier(CALLERS)

    def call(caller: int) -> list[list[Array]]:
        start.wait()
        return [task(caller) for _ in range(rounds)]

    with ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(call, range(CALLERS)))


def assert_as_alone(together: list[list[list[Array]]], alone: list[list[Array]]) -> None:
    for results, expected in zip(together, alone, strict=True):
        for result in results:
            for got, want in zip(result, expected, strict=True):
                assert got.dtype == want.dtype
                np.testing.assert_array_equal(got, want)


def everything(session: SpikingSession, caller: int) -> list[Array]:
    result = session.run(images_of(caller), STEPS - caller, seed=caller, warn=False)
    return [*result.outputs.values(), result.spike_totals, result.synaptic_operations]


# --- concurrent runs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_concurrent_runs_of_one_session(loop_file: bytes, threads: int) -> None:
    session = SpikingSession(loop_file, threads=threads)
    alone = [everything(SpikingSession(loop_file, threads=1), caller) for caller in range(CALLERS)]
    assert alone[1][-2].any()
    assert_as_alone(at_the_same_time(lambda caller: everything(session, caller)), alone)


def test_concurrent_runs_of_two_sessions(loop_file: bytes) -> None:
    sessions = [SpikingSession(loop_file, threads=2) for _ in range(2)]
    alone = [everything(sessions[0], caller) for caller in range(CALLERS)]
    assert_as_alone(at_the_same_time(lambda caller: everything(sessions[caller % 2], caller)), alone)


def test_sessions_come_and_go_while_others_run(loop_file: bytes) -> None:
    """Every call has a session of its own, made and destroyed while the others work."""
    alone = [everything(SpikingSession(loop_file, threads=1), caller) for caller in range(CALLERS)]
    together = at_the_same_time(lambda caller: everything(SpikingSession(loop_file, threads=1), caller), rounds=2)
    assert_as_alone(together, alone)


@pytest.mark.parametrize(
    "sizes",
    [
        Sizes(24, 33, (9, 10), (3, 3), (1, 1), (1, 1), (1, 1, 1, 1), residual=(33, 33, 1)),
        Sizes(64, 130, (5, 5), (3, 3), (2, 2), (1, 1), (0, 1, 1, 2), copies=2),
        Sizes(48, 48, (8, 8), (3, 3), (1, 1), (1, 1), (1, 1, 1, 1), group=48),
        Sizes(200, 65),
    ],
    ids=["junction", "convolution", "depthwise", "gemm"],
)
def test_concurrent_runs_of_one_layer(sizes: Sizes) -> None:
    """Scratch memory belongs to a run, not to the session."""
    layers = [
        random_layer(replace(sizes, batch=caller), Values(0.1), np.random.default_rng(0)) for caller in range(CALLERS)
    ]
    constants = {name: value for name, value in layers[0].inputs.items() if name in CONSTANTS}
    layers = [layer.having(**constants) for layer in layers]
    session = session_of(model_of(layers[0], functions=True), threads=2)
    alone = [reference(layer) for layer in layers]
    assert_as_alone(at_the_same_time(lambda caller: session.run(None, layers[caller].feeds), rounds=10), alone)


def test_an_error_in_one_call_does_not_touch_the_others(loop_file: bytes) -> None:
    session = SpikingSession(loop_file, threads=2)
    alone = [everything(session, caller) for caller in range(CALLERS)]

    def call(caller: int) -> list[Array]:
        if caller % 2:
            pixels = session.session.get_inputs()[0].name
            with pytest.raises(InvalidArgument, match="steps must be from 1"):
                session.session.run(None, {pixels: images_of(caller), "steps": np.array(0)})
        return everything(session, caller)

    assert_as_alone(at_the_same_time(call), alone)


# --- streams ----------------------------------------------------------------------------------------------------------


class Stream:
    """The stream form of a network: one block at a time, the states outside."""

    def __init__(self, model: onnx.ModelProto, threads: int = 2) -> None:
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        self.described: list[dict[str, Any]] = json.loads(metadata["snnc.states"])
        self.session = make_session(model.SerializeToString(), threads=threads)
        self.input = self.session.get_inputs()[0].name
        self.outputs = [value.name for value in self.session.get_outputs()]

    def start(self, batch: int) -> dict[str, Array]:
        """The states before the first step, each in memory of its own."""
        return {
            state["name"]: np.broadcast_to(np.array(state["initial"], state["dtype"]), (batch, *state["dims"])).copy()
            for state in self.described
        }

    def controls(self, first_step: int, count: int) -> dict[str, Array]:
        values = {"seed": 3, "first_sample": 0, "first_step": first_step, "count": count}
        return {name: np.array(value, np.int64) for name, value in values.items()}

    def run(self, images: Array, blocks: list[int]) -> dict[str, Array]:
        """All outputs after the last of `blocks` (steps of each), by `run` of the session."""
        states, first_step = self.start(len(images)), 0
        values: dict[str, Array] = {}
        for count in blocks:
            feeds = {self.input: images, **self.controls(first_step, count), **states}
            values = dict(zip(self.outputs, self.session.run(None, feeds), strict=True))
            states = {state["name"]: values[state["next"]] for state in self.described}
            first_step += count
        return values


BLOCKS = [64, 20, 1, 64, 7]


def test_concurrent_streams_of_one_session(stream_model: onnx.ModelProto) -> None:
    stream = Stream(stream_model)
    alone = [list(stream.run(images_of(caller), BLOCKS).values()) for caller in range(CALLERS)]
    assert_as_alone(at_the_same_time(lambda caller: list(stream.run(images_of(caller), BLOCKS).values())), alone)


def bound_run(stream: Stream, images: Array, blocks: list[int], *, in_place: bool) -> dict[str, Array]:
    """As `Stream.run`, with inputs and outputs bound once and for all to memory of the host.

    A state is read from one buffer and written to another, and the two are exchanged after every block. With
    `in_place` both are the same buffer.
    """
    batch = len(images)
    current = {name: onnxruntime.OrtValue.ortvalue_from_numpy(value) for name, value in stream.start(batch).items()}
    spare = current
    if not in_place:
        spare = {name: onnxruntime.OrtValue.ortvalue_from_numpy(v) for name, v in stream.start(batch).items()}
    addresses = {value.data_ptr() for value in [*current.values(), *spare.values()]}
    next_names = {state["next"]: state["name"] for state in stream.described}
    decoded = [name for name in stream.outputs if name not in next_names]

    first_step, results = 0, {}
    for count in blocks:
        binding = stream.session.io_binding()
        feeds = {stream.input: images, **stream.controls(first_step, count)}
        for name, value in feeds.items():
            binding.bind_cpu_input(name, value)
        for next_name, name in next_names.items():
            binding.bind_ortvalue_input(name, current[name])
            binding.bind_ortvalue_output(next_name, spare[name])
        for name in decoded:
            binding.bind_output(name)
        stream.session.run_with_iobinding(binding)
        results = dict(zip([*next_names, *decoded], binding.get_outputs(), strict=True))
        assert {results[name].data_ptr() for name in next_names} <= addresses
        current, spare = spare, current
        first_step += count
    return {name: value.numpy().copy() for name, value in results.items()}  # the buffers go when this function returns


@pytest.mark.parametrize("in_place", [False, True], ids=["two buffers", "in place"])
@pytest.mark.parametrize("threads", [1, 2])
def test_bound_states_give_the_same(stream_model: onnx.ModelProto, threads: int, in_place: bool) -> None:
    stream, images = Stream(stream_model, threads), images_of(5)
    expected = stream.run(images, BLOCKS)
    got = bound_run(stream, images, BLOCKS, in_place=in_place)
    assert expected["spike_totals/after"].all()
    assert got.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(got[name], values, err_msg=name)


def test_a_stream_equals_the_loop(stream_model: onnx.ModelProto, loop_file: bytes) -> None:
    images = images_of(5)
    values = Stream(stream_model).run(images, [64, STEPS - 64])
    expected = SpikingSession(loop_file).run(images, STEPS, seed=3, warn=False)
    np.testing.assert_array_equal(values["spike_totals/after"], expected.spike_totals)
    for name, output in expected.outputs.items():
        np.testing.assert_array_equal(values[name], output)
