"""The batch axis of a model: found by running it with batches of two sizes, freed where a file has a number for it.

A file may be made for one size of the batch: its input says so, or a `Reshape` inside does. The same network for any
size has no number at the input, and `[-1, dims...]` as the shape of every `Reshape` that keeps the samples apart. That
it is the same network is tried, not assumed: it runs on batches of a size that no constant of the file has, and gives
for every sample what the file itself gives. Where it does not, the node that is at fault is reported (SNN207).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from snnc.diagnostics import Diagnostics, fail
from snnc.reading.probe import Probe, ProbeError, Tensors, exposed
from snnc.reading.protos import data_inputs
from snnc.reading.rewrites import for_any_batch, integer_constants

_CANDIDATES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
_CLOSE = 1e-3
_LARGEST_BATCH = 4096


Shapes = dict[str, list[int | str]]


@dataclass(frozen=True)
class Batched:
    """A model that takes any number of samples.

    Attributes:
        model: the model with a free batch axis; where that could not be freed, as it was.
        shapes: of every tensor of the main graph, with the name of the batch for a first axis that is the batch.
        dtypes: of the same tensors.
    """

    model: onnx.ModelProto
    shapes: Shapes
    dtypes: dict[str, np.dtype]


def with_free_batch(model: onnx.ModelProto, diagnostics: Diagnostics) -> Batched:
    """`model`, one input `[batch, static...]`, for any number of samples; SNN506 where it was made for one number, and
    SNN207, the only error that is not raised, where the batch cannot be freed.

    Raises:
        DiagnosticError: SNN103 where onnxruntime cannot run it.
    """
    declared = data_inputs(model)[0].type.tensor_type.shape.dim[0]
    given = Probe(model)
    if declared.dim_value:
        said = f"the input was exported for batches of {declared.dim_value}; the converted network takes any"
        return _freed(model, given, declared.dim_value, diagnostics, said)
    try:
        return _of_any_size(model, given)
    except ProbeError as failure:
        made_for = _size_that_runs(model, given, failure)
        said = f"it is made for batches of {made_for}; the converted network takes any"
        return _freed(model, given, made_for, diagnostics, said, failure.node)


def _of_any_size(model: onnx.ModelProto, probe: Probe) -> Batched:
    """What is found by running `model` on batches of two sizes; ProbeError where it takes only one."""
    first, second = _probes(model)
    return _compared(model, probe.tensors(first), probe.tensors(second))


def _compared(model: onnx.ModelProto, small: Tensors, large: Tensors) -> Batched:
    """Where axes follow the batch, from what was found at two sizes of it."""
    source = data_inputs(model)[0]
    symbol = source.type.tensor_type.shape.dim[0].dim_param or "batch"
    batches = small.shapes[source.name][0], large.shapes[source.name][0]
    shapes: Shapes = {}
    for name, shape in small.shapes.items():
        other = large.shapes.get(name, ())
        free = bool(shape) and shape[1:] == other[1:] and (*shape[:1], *other[:1]) == batches
        shapes[name] = [symbol, *shape[1:]] if free else list(shape)
    return Batched(model, shapes, small.dtypes)


def _freed(
    model: onnx.ModelProto, given: Probe, made_for: int, diagnostics: Diagnostics, said: str, node: str = ""
) -> Batched:
    try:
        fixed = given.tensors(made_for)
    except ProbeError as failure:
        fail("SNN103", str(failure), **_place(model, failure.node))
    free, numbered = for_any_batch(model, fixed.shapes, made_for)
    try:
        probe = Probe(free)
        size = _probes(model)[0]
        found = probe.tensors(size)
        batched = _compared(free, fixed, found)
        _check_shapes(model, batched, fixed, made_for)
        _compare_values(model, free, given, found.outputs, made_for)
    except ProbeError as error:
        lost = _without_batch(model, error.node, fixed, made_for) or error
        hint = "export the network with a free batch axis, as the first axis of every activation"
        diagnostics.report("SNN207", str(lost), **_place(model, lost.node), hint=hint)
        return _fixed(free, fixed, made_for)
    diagnostics.report("SNN506", said, **_place(model, (numbered or [node])[0] if node else ""))
    return batched


def _fixed(model: onnx.ModelProto, fixed: Tensors, made_for: int) -> Batched:
    """As if every first axis of the size of the batch were the batch: the passes find more of what is wrong then."""
    symbol = data_inputs(model)[0].type.tensor_type.shape.dim[0].dim_param
    shapes: Shapes = {
        name: [symbol, *shape[1:]] if shape[:1] == (made_for,) else list(shape) for name, shape in fixed.shapes.items()
    }
    return Batched(model, shapes, fixed.dtypes)


def _size_that_runs(model: onnx.ModelProto, given: Probe, failure: ProbeError) -> int:
    """The size of the batch for which a model runs whose batch axis is declared free."""
    for size in sizes_inside(model):
        try:
            given.outputs(given.samples(size))
        except ProbeError:
            continue
        return size
    fail("SNN103", str(failure), **_place(model, failure.node))


def sizes_inside(model: onnx.ModelProto) -> list[int]:
    """The sizes of a batch that something inside a model may be made for, the likeliest first."""
    return list(dict.fromkeys([1, *sorted(size for size in _numbers(model) if 1 <= size <= _LARGEST_BATCH)]))


def _probes(model: onnx.ModelProto) -> tuple[int, int]:
    """Two sizes of the batch that no constant of the model has."""
    found = _numbers(model)
    first, second, *_ = [size for size in _CANDIDATES if size not in found] + [41, 43]
    return first, second


def _numbers(model: onnx.ModelProto) -> set[int]:
    """The integers in the constants that may be shapes, and the size of the batch that is declared."""
    declared = {dim.dim_value for value in data_inputs(model) for dim in value.type.tensor_type.shape.dim[:1]}
    return declared.union(*(values for _, values in integer_constants(model)))


def _check_shapes(model: onnx.ModelProto, free: Batched, fixed: Tensors, made_for: int) -> None:
    """ProbeError at the first node that loses the axis of samples, or has it only for one number of them."""
    followed = {data_inputs(model)[0].name}
    for node in model.graph.node:
        if followed.isdisjoint(node.input) or node.op_type in ("Shape", "Size"):
            continue
        for name in filter(fixed.shapes.__contains__, node.output):
            followed.add(name)
            if free.shapes[name][:1] != [free.shapes[data_inputs(model)[0].name][0]]:
                raise _lost(node.name, fixed.shapes[name], made_for)


def _without_batch(model: onnx.ModelProto, name: str, fixed: Tensors, made_for: int) -> ProbeError | None:
    """Where the node of this name makes something that has no axis of samples."""
    for node in model.graph.node:
        shape = fixed.shapes.get(node.output[0], (made_for,)) if node.name == name and node.output else (made_for,)
        if shape[:1] != (made_for,):
            return _lost(name, shape, made_for)
    return None


def _lost(node: str, shape: tuple[int, ...], made_for: int) -> ProbeError:
    return ProbeError(f"it makes {list(shape)} of a batch of {made_for}: the first axis must be the batch", node)


def _compare_values(
    model: onnx.ModelProto, free: onnx.ModelProto, given: Probe, found: dict[str, np.ndarray], made_for: int
) -> None:
    """ProbeError where the freed network computes something else than the file, for the same samples."""
    samples = given.samples(len(next(iter(found.values()))))
    expected = _in_batches(given, samples, made_for)
    if all(_mostly_equal(found[name], value) for name, value in expected.items()):
        return
    # Where something inside rounds or compares, outputs differ that are the same network: one node has to be at fault.
    expected, found = _in_batches(Probe(exposed(model)), samples, made_for), Probe(exposed(free)).outputs(samples)
    alike = {data_inputs(model)[0].name}
    for node in model.graph.node:
        for name in node.output:
            value = expected.get(name)
            if value is None or _close(found[name], value).all():
                alike.add(name)
            elif alike.issuperset(filter(expected.__contains__, node.input)) and not _mostly_equal(found[name], value):
                message = f"what it makes of a sample depends on the other samples of its batch of {made_for}"
                raise ProbeError(message, node.name)


def _in_batches(probe: Probe, samples: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """The floats that a model made for batches of this size gives."""
    parts = []
    for start in range(0, len(samples), size):
        batch = samples[start : start + size]
        missing = size - len(batch)
        batch = np.concatenate([batch, np.zeros((missing, *batch.shape[1:]), batch.dtype)])
        outputs = probe.outputs(batch)
        floats = {name: value for name, value in outputs.items() if value.ndim and value.dtype.kind == "f"}
        parts.append({name: value[: size - missing] for name, value in floats.items() if len(value) == size})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _mostly_equal(found: np.ndarray, expected: np.ndarray) -> bool:
    """But for rounding, which a step inside may blow up in a few places. Zeros say little."""
    if found.shape != expected.shape:
        return False
    told = (found != 0) | (expected != 0)
    return not told.any() or bool(_close(found, expected)[told].mean() > 0.5)


def _close(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Elementwise; nowhere where the shapes differ."""
    if found.shape != expected.shape:
        return np.zeros(expected.shape, bool)
    atol = _CLOSE * float(np.abs(expected[np.isfinite(expected)]).max(initial=0))
    close: np.ndarray = np.isclose(found, expected, rtol=_CLOSE, atol=atol, equal_nan=True)
    return close


def _place(model: onnx.ModelProto, node: str) -> dict[str, str]:
    """The node and its operator, for a diagnostic; nothing where it has no name."""
    found = next((other.op_type for other in model.graph.node if other.name == node), "")
    return {"node": node, "op": found} if node else {}
