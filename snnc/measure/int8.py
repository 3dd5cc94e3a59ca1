"""An ANN in int8, as onnxruntime's own tool quantises it: what a spiking network is timed against."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from snnc.diagnostics import fail
from snnc.simulate.ann import Ann

# Per-channel scales are attributes of operators from this opset on.
_OPSET = 13
MOST_CALIBRATION_SAMPLES = 128


def quantised_ann(model: onnx.ModelProto, calibration: np.ndarray, *, threads: int) -> tuple[str, Ann]:
    """The ANN in int8, and how it was made: static, QDQ, scales per channel, ranges from `calibration` `[S, ...]`
    float32; weights of 8 or of 7 bits, whichever comes closer to the float ANN.

    Where the processor has no 8-bit dot product (VNNI), onnxruntime's sums of two 8-bit products saturate at 16 bits,
    and weights of 7 bits are the better ones. Both are equally fast.

    Raises:
        DiagnosticError: SNN407 where onnxruntime's quantisation is not there, SNN405 where it refuses the network.
    """
    _require_quantisation()
    expected = next(iter(Ann(model).run(calibration).values()))
    tried: list[tuple[float, int, Ann]] = []
    try:
        with tempfile.TemporaryDirectory(prefix="snnc-") as folder, quiet_logging():
            prepared = _prepared(model, Path(folder) / "prepared.onnx")
            for bits in (8, 7):
                quantised = _quantised(prepared, Path(folder) / f"int{bits}.onnx", calibration, bits)
                ann = Ann(quantised, threads, as_written=False)
                found = next(iter(ann.run(calibration).values()))
                tried.append((float(np.linalg.norm((found - expected).astype(np.float64))), bits, ann))
    except Exception as error:  # onnxruntime raises many kinds, all of them about the user's network
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        fail("SNN405", f"onnxruntime cannot quantise the network ({reason})", hint="compare with `--against dense`")
    _, bits, ann = min(tried, key=lambda found: found[:2])
    return f"static QDQ, per channel, {bits}-bit weights, calibrated on {len(calibration)} samples", ann


def _require_quantisation() -> None:
    try:
        import onnxruntime.quantization  # noqa: F401
    except ImportError as error:
        fail("SNN407", f"an int8 ANN needs onnxruntime.quantization ({error})", hint="pip install onnxruntime sympy")


@contextmanager
def quiet_logging() -> Iterator[None]:
    """No advice in the log, as onnxruntime's quantisation writes it to the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _prepared(model: onnx.ModelProto, path: Path) -> Path:
    """The network as onnxruntime wants it: a newer opset, weights that cannot be overridden, batch normalization
    folded, all shapes inferred."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    weights = {tensor.name for tensor in copy.graph.initializer}
    inputs = [value for value in copy.graph.input if value.name not in weights]
    del copy.graph.input[:]
    copy.graph.input.extend(inputs)
    if max((entry.version for entry in copy.opset_import if entry.domain in ("", "ai.onnx")), default=_OPSET) < _OPSET:
        copy = onnx.version_converter.convert_version(copy, _OPSET)
    quant_pre_process(copy, str(path), skip_symbolic_shape=True)
    return path


def _quantised(prepared: Path, path: Path, calibration: np.ndarray, bits: int) -> onnx.ModelProto:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    size = (
        onnx.load(str(prepared), load_external_data=False).graph.input[0].type.tensor_type.shape.dim[0].dim_value or 1
    )
    name = onnx.load(str(prepared), load_external_data=False).graph.input[0].name

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        def __init__(self) -> None:
            starts = range(0, len(calibration) - size + 1, size)
            self._batches = iter([{name: calibration[start : start + size]} for start in starts])

        def get_next(self) -> Any:
            return next(self._batches, None)

    quantize_static(
        str(prepared),
        str(path),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=bits == 7,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return onnx.load(str(path))
