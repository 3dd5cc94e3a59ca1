"""The ANN in int8, as an opponent: quantised by onnxruntime's own tool."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import version_converter
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

from snnc.runtime.session import make_session

from .opponents import SHORTEST_RUN, best_within, clock

#: Images.
CALIBRATION = 128
PER_CHANNEL_OPSET = 13


class Int8:
    """The quantised ANN on the images of our run, all at once. Its time is divided by our steps, which it has none of:
    so the ratio is that of whole runs."""

    def __init__(
        self,
        ann: onnx.ModelProto,
        images: np.ndarray,
        calibration: np.ndarray,
        steps: int,
        threads: int,
        *,
        cpu_time: bool = False,
    ) -> None:
        self.name, self.steps, self.now = "int8", steps, clock(cpu_time)
        self.scheme, self._session = fastest(quantised(ann, calibration), images, threads)
        self._feeds = {self._session.get_inputs()[0].name: images}
        self._batch = len(images)
        self._repeats = max(1, round(SHORTEST_RUN / 4 / best_within(0.2, self._run, self.now)))

    def _run(self) -> None:
        self._session.run(None, self._feeds)

    def seconds(self) -> float:
        """Run once; seconds per image and step of ours."""
        start = self.now()
        for _ in range(self._repeats):
            self._run()
        return (self.now() - start) / (self._repeats * self._batch * self.steps)

    def describe(self) -> str:
        return f"batch {self._batch}, {self.scheme}; times are divided by {self.steps} steps"

    def close(self) -> None:
        """Nothing to do."""


def quantised(ann: onnx.ModelProto, images: np.ndarray) -> Iterator[tuple[str, bytes]]:
    """The ANN in int8 by onnxruntime's own tool: static, QDQ, per channel, calibrated on `images`; by its types."""
    with tempfile.TemporaryDirectory() as folder:
        source, prepared, output = (str(Path(folder) / f"{name}.onnx") for name in ("source", "prepared", "int8"))
        onnx.save(_newer(ann), source)
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        for activations in (quantization.QuantType.QUInt8, quantization.QuantType.QInt8):
            quantization.quantize_static(
                prepared,
                output,
                _Reader(ann.graph.input[0].name, images),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                activation_type=activations,
                weight_type=quantization.QuantType.QInt8,
            )
            yield f"activations {activations}, weights {quantization.QuantType.QInt8}", Path(output).read_bytes()


def _newer(ann: onnx.ModelProto) -> onnx.ModelProto:
    """The ANN in an opset that has quantisation per channel."""
    opset = next(entry.version for entry in ann.opset_import if entry.domain == "")
    return ann if opset >= PER_CHANNEL_OPSET else version_converter.convert_version(ann, PER_CHANNEL_OPSET)


class _Reader(quantization.CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    def __init__(self, name: str, images: np.ndarray) -> None:
        self._samples = iter([{name: image[None]} for image in images])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._samples, None)


def fastest(
    models: Iterator[tuple[str, bytes]], image: np.ndarray, threads: int
) -> tuple[str, onnxruntime.InferenceSession]:
    """The session of those models that runs one image fastest."""
    found = []
    for scheme, model in models:
        session = make_session(model, native=False, threads=threads)
        times = []
        for _ in range(30):
            start = time.process_time()
            session.run(None, {session.get_inputs()[0].name: image})
            times.append(time.process_time() - start)
        found.append((min(times), scheme, session))
    _, scheme, session = min(found, key=lambda entry: entry[0])
    return scheme, session
