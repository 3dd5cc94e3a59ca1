"""Networks of the method exact for tests of streams, frames for them, and fresh runs to hold frames against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import networks
import numpy as np
import onnx
from networks import Network

import snnc
from snnc.files import ConvertedFile
from snnc.runtime import Frame, StreamSession
from snnc.simulate.block_runner import StreamRunner

LEVELS = 6


def pooled() -> Network:
    """Two convolutions, average pooling behind one and max-pooling behind the other."""
    net = Network((2, 8, 8), np.random.default_rng(2))
    net.convolve(4, 3, 1, 1, 1, 1, True)
    net.then("Relu")
    net.largest(2, 2, 0, 1)
    net.convolve(6, 3, 1, 1, 1, 1, False)
    net.then("Relu")
    net.average(2, 2, 0, False)
    net.dense(5, True)
    net.then("Relu")
    net.dense(3, True)
    net.output()
    return net


def of_functions() -> Network:
    """Functions that are negative, and such that have a value at 0: their neurons fire without any input."""
    net = Network((2, 5, 5), np.random.default_rng(3))
    net.convolve(3, 3, 1, 1, 1, 1, True)
    net.then("LeakyRelu", alpha=0.3)
    net.convolve(4, 3, 2, 1, 1, 1, True)
    net.then("Sigmoid")
    net.dense(6, True)
    net.then("Tanh")
    net.dense(3, False)
    net.output()
    return net


NETWORKS: dict[str, Callable[[], Network]] = {
    "perceptron": lambda: networks.perceptron([12, 9], inputs=8, outputs=3),
    "pools": pooled,
    "residual": networks.small,
    "functions": of_functions,
}


def model_of(name: str) -> onnx.ModelProto:
    """The ANN."""
    return NETWORKS[name]().model()


@cache
def converted(name: str, schedule: str = "stream") -> ConvertedFile:
    """One of `NETWORKS`, or the digits network."""
    if name == "digits":
        source: str | onnx.ModelProto = snnc.__path__[0] + "/demo/digits.onnx"
        options: dict[str, Any] = {"calib": "digits:train", "calib_samples": 48}
    else:
        source, options = model_of(name), {"calib": networks.images_for(model_of(name), 24, seed=1)}
    options |= {"method": "exact", "levels": LEVELS, "schedule": schedule, "accept_poor": True}
    model = snnc.convert(source, **options)
    return ConvertedFile(model.model, name)


@cache
def content(name: str, schedule: str = "stream") -> bytes:
    """The bytes of the file."""
    written: bytes = converted(name, schedule).model.SerializeToString()
    return written


def frames_for(file: ConvertedFile, count: int, streams: int = 1, seed: int = 0) -> Iterator[np.ndarray]:
    """Frames `[streams, ...]` in which anything from nothing to everything changes, some beyond the input scale."""
    random = np.random.default_rng(seed)
    frames = random.normal(0.2, 0.7, (streams, *file.input_dims)).astype(np.float32)
    for _ in range(count):
        yield frames.copy()
        for frame in frames:
            share = random.choice([0.0, 0.02, 0.02, 0.1, 0.5, 1.0])
            changed = random.random(frame.shape) < share
            frame[changed] = random.normal(0.2, 0.7, int(changed.sum()))


class Fresh:
    """Runs of a file that begin at its initial states, in blocks of 64 steps."""

    def __init__(self, file: ConvertedFile) -> None:
        self._runner = StreamRunner(file.block)
        self._bound = file.options.max_steps

    def compare(self, session: StreamSession, frames: np.ndarray, frame: Frame) -> None:
        """States and outputs of the frame that `session` was fed last are those of a fresh run on it."""
        last = self._runner.run_until_quiet(frames, self._bound)
        state = session.state
        assert last.quiet
        assert state
        for name, value in state.items():
            np.testing.assert_array_equal(value, last.states[name], err_msg=name)
        assert list(frame.outputs) == list(last.outputs)
        for name, value in frame.outputs.items():
            np.testing.assert_array_equal(value, last.outputs[name], err_msg=name)
