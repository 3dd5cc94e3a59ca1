"""Whether a conversion that was called verified is: its file against the ANN, on inputs that nothing was calibrated on.

The ANN runs in onnxruntime as its file stands, without anything of snnc, each sample by itself. A network of the method
exact is held against its quantised ANN too, integer for integer, on inputs of any size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from snnc.api import SpikingModel, verify
from snnc.data.synthetic import synthetic
from snnc.integers.input_range import range_of_input
from snnc.measure.intervals import interval
from snnc.measure.quality import GOOD
from snnc.reading import structured
from snnc.reading.precision import input_type
from snnc.simulate.ann import Ann

_SAMPLES = 12
_SEED = 4711
# What else a network may get: nothing, and far more than was calibrated.
_FACTORS = (0.0, 1e-3, 1e3, -1e6)
# Of one sample, a Squeeze without axes takes the axis of the batch away.
_FREE_BATCH = 2
# Of the functions inside a file, which are slow, one in so many.
_FUNCTIONS_TOO = 6
_FUNCTION_STEPS, _FUNCTION_SAMPLES = 64, 2


def lie(ann: onnx.ModelProto, found: SpikingModel, number: int, limits: tuple[float, float] | None) -> str:
    """Where the converted network is not what was said of it; "" where it is."""
    images = _images(ann, found, limits)
    if found.certificate is not None:
        said = _not_as_quantised(found, images)
        if said:
            return said
    if _drops_out(ann):
        return ""
    spiking = _outputs(found, images)
    if number % _FUNCTIONS_TOO == 0 and spiking is not None:
        said = _not_as_functions(found, images)
        if said:
            return said
    return "" if spiking is None else _not_as_ann(ann, found, images, spiking)


def _not_as_functions(found: SpikingModel, images: np.ndarray) -> str:
    sessions = [found.session(native=native) for native in (True, False)]
    options = sessions[0].options
    steps = None if options.fixed_by else min(options.steps, _FUNCTION_STEPS)
    native, functions = (session.run(images[:_FUNCTION_SAMPLES], steps, warn=False).outputs for session in sessions)
    for name, values in functions.items():
        if not np.array_equal(values, native[name], equal_nan=True):
            return f"output {name!r}: the functions inside the file give something else than the native operators"
    return ""


def _drops_out(ann: onnx.ModelProto) -> bool:
    """Whether the file gives random numbers, because of a Dropout in training mode: it is converted as at inference."""
    nodes = [*ann.graph.node, *(node for function in ann.functions for node in function.node)]
    return any(node.op_type == "Dropout" and len(node.input) > 2 for node in nodes)


def _images(ann: onnx.ModelProto, found: SpikingModel, limits: tuple[float, float] | None) -> np.ndarray:
    """New ones of the kind that was calibrated on: what was said holds for no other kind."""
    plain = structured(ann)
    low, high = limits or range_of_input(plain)[0]
    dims = tuple(dim.dim_value for dim in found.model.graph.input[0].type.tensor_type.shape.dim[1:])
    values = synthetic(dims, _SAMPLES, (low, high), _SEED).images
    kind = input_type(plain)
    if np.dtype(helper.tensor_dtype_to_np_dtype(kind)).kind in "iub":
        values = np.rint(values)
    return np.clip(values, low, high).astype(np.float32)


def _not_as_quantised(found: SpikingModel, images: np.ndarray) -> str:
    extreme = np.concatenate([images[:1] * np.float32(factor) for factor in _FACTORS])
    differences = verify(found, np.concatenate([images, extreme])).differences
    return f"certified, but {differences[0]}" if differences else ""


def _outputs(found: SpikingModel, images: np.ndarray) -> dict[str, np.ndarray] | None:
    """What the file gives; None of one that a host has to walk through itself."""
    if any(value.name == "first_step" for value in found.model.graph.input):
        return None
    outputs: dict[str, np.ndarray] = found.session().run(images, warn=False).outputs
    return outputs


def _not_as_ann(ann: onnx.ModelProto, found: SpikingModel, images: np.ndarray, spiking: dict[str, np.ndarray]) -> str:
    expected = _alone(ann, images)
    said = found.report.verification
    assert said is not None
    for name, verdict in said.outputs.items():
        one, other = expected[name], spiking[name]
        if one.shape != other.shape:
            return f"output {name!r} is {list(other.shape)}, the ANN's {list(one.shape)}"
        if verdict.agreement_interval is not None and verdict.meaning == "classes" and one.ndim == 2:
            share = float((one.argmax(1) == other.argmax(1)).mean())
            if interval(share, len(one))[1] < verdict.agreement_interval[0]:
                return f"output {name!r}: agreement {share:.2f}, {verdict.agreement:.2f} was said"
        if verdict.error is not None and one.dtype.kind == "f":
            finite = np.isfinite(one), np.isfinite(other)
            if (finite[0] != finite[1]).mean() > 0.5:
                return f"output {name!r}: {finite[0].mean():.0%} of the ANN's are finite, here {finite[1].mean():.0%}"
            error = _median_error(*(np.where(finite[0] & finite[1], each, 0.0) for each in (one, other)))
            if verdict.error < GOOD.error and error > 2 * verdict.error + 0.5:
                return f"output {name!r}: error {error:.3f}, {verdict.error:.3f} was said"
    return ""


def _median_error(one: np.ndarray, other: np.ndarray) -> float:
    """Of the samples, relative to each, or to what they have on average: a few may well be clipped, or next to 0."""
    wide = [each.reshape(len(each), -1).astype(np.float64) for each in (one, other)]
    norms = np.linalg.norm(wide[0], axis=1)
    least = max(float(np.sqrt(np.square(norms).mean())), 1e-300)
    return float(np.median(np.linalg.norm(wide[0] - wide[1], axis=1) / np.maximum(norms, least)))


def _alone(ann: onnx.ModelProto, images: np.ndarray) -> dict[str, np.ndarray]:
    """What the ANN gives for every sample by itself, in plain onnxruntime where that reads the file."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        session = onnxruntime.InferenceSession(ann.SerializeToString(), options, providers=["CPUExecutionProvider"])
        (source,) = session.get_inputs()
        batch = source.shape[0] if isinstance(source.shape[0], int) and source.shape[0] > 0 else _FREE_BATCH
        parts = [_first(session, source, image, batch) for image in images]
    except Exception:  # what snnc reads and onnxruntime does not, such as inputs that nobody needs
        return Ann(ann).run(images)
    names = [value.name for value in session.get_outputs()]
    return {name: np.concatenate(column) for name, column in zip(names, zip(*parts, strict=True), strict=True)}


def _first(session: Any, source: Any, image: np.ndarray, batch: int) -> list[np.ndarray]:
    """What comes of one sample, given `batch` times."""
    kind = onnx.TensorProto.DataType.Value(source.type[len("tensor(") : -1].upper())
    many = np.repeat(image[None], batch, 0).astype(helper.tensor_dtype_to_np_dtype(kind))
    return [np.asarray(value)[: len(value) // batch] for value in session.run(None, {source.name: many})]
