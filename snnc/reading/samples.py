"""A network in which the batch is not the first axis of every activation, written for one sample at a time.

Exporters move the batch behind the sequence, or make one axis of it and the heads of an attention; a file for a batch
of 1 drops it. Such a network is run on one sample. With the shapes that tensors have there every node is written for
many samples, with an axis for them in front (`snnc.reading.lifting`):

    S = [1, ...]     [N, ...]    where the first axis was the batch of 1, or might have been
    S = other        [N, S...]

What does not depend on the sample becomes a constant. That the result is the same network is tried, not assumed: it
gives for several samples at once what the file gives for each of them alone, and for all of them, where it takes so
many.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from snnc.diagnostics import Diagnostics
from snnc.ir.names import own
from snnc.reading import structured
from snnc.reading.batch import Batched, with_free_batch
from snnc.reading.lifting import NotLifted, Sample, is_shaping, lifted
from snnc.reading.probe import MOST_ELEMENTS, exposed
from snnc.reading.protos import copied, data_inputs, opset_of
from snnc.reading.sizes import open_axes
from snnc.runtime.session import cpu_session

_SAMPLES = 3
_CLOSE = 1e-3
_OF_SHAPES = ("Shape", "Size")
_MOVING = ("Expand", "Flatten", "Gather", "Reshape", "Slice", "Squeeze", "Tile", "Transpose", "Unsqueeze")

Values = dict[str, np.ndarray]


def loses_batch(batched: Batched) -> bool:
    """Whether something is computed from an activation whose first axis is not the batch; nodes that only move elements
    on their way back do not count, the passes understand them."""
    source = data_inputs(batched.model)[0].name
    followed: set[str] = {source}
    lost: set[str] = set()
    for node in batched.model.graph.node:
        if followed.isdisjoint(node.input) or node.op_type in _OF_SHAPES:
            continue
        if not lost.isdisjoint(node.input) and node.op_type not in _MOVING:
            return True
        for name in node.output:
            followed.add(name)
            shape = batched.shapes.get(name, [])
            if not shape or not isinstance(shape[0], str):
                lost.add(name)
    return False


def with_samples_in_front(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model`, or where the batch gets lost inside, the same network in which it does not, if that can be had."""
    plain, found = structured(model), Diagnostics(logged=False)
    if open_axes(plain):
        return model
    batched = with_free_batch(plain, found)
    written = by_sample(plain) if found.errors or loses_batch(batched) else None
    return model if written is None else written


def by_sample(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """The same network for any number of samples, of an input `[batch, static...]`; None where it cannot be had."""
    dims = [dim.dim_value for dim in data_inputs(model)[0].type.tensor_type.shape.dim]
    if dims[0] > 1 or math.prod(dims[1:]) > MOST_ELEMENTS or opset_of(model) is None:
        return None
    samples = np.random.default_rng(0).random((_SAMPLES, *dims[1:]), np.float32)
    try:
        sample = _of_one(model, samples[:1])
        _write(sample, model)
        written = _model(sample, model)
        return written if _is_the_same(sample, model, written, samples) else None
    except (NotLifted, KeyError):
        return None
    except Exception:  # onnxruntime raises several kinds, all about nodes that do not take these samples
        return None


def _of_one(model: onnx.ModelProto, sample: np.ndarray) -> Sample:
    """What is known of a network that takes one sample."""
    whole, source = exposed(model), data_inputs(model)[0].name
    names = [value.name for value in whole.graph.output]
    values: Values = dict(zip(names, _run(whole, sample), strict=True))
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    varying = {source}
    for node in model.graph.node:
        if node.op_type not in _OF_SHAPES and not varying.isdisjoint(node.input):
            varying.update(node.output)
        else:
            constants |= {name: values[name] for name in node.output if name}
    shapes = {source: sample.shape, **{name: value.shape for name, value in values.items()}}
    opset = opset_of(model)
    assert opset is not None
    return Sample(shapes, constants, opset)


def _write(sample: Sample, model: onnx.ModelProto) -> None:
    """Every node that depends on the sample."""
    for node in model.graph.node:
        results = [name for name in node.output if name]
        if not any(map(sample.depends, results)):
            continue
        if is_shaping(node):
            sample.reshaped(node.input[0], _behind(sample, node.output[0]), node.name, node.output[0])
            continue
        plain = all(_is_plain(sample, name) for name in (*node.input, *results) if sample.depends(name))
        try:
            if not plain:
                raise NotLifted
            written, names = lifted(sample, node, node.input, 0), list(node.output)
        except NotLifted:
            written = lifted(sample, node, [_whole(sample, node, name) for name in node.input], 1)
            names = [own(f"by_sample/{name}") if _is_plain(sample, name) else name for name in node.output]
        sample.nodes.append(onnx.helper.make_node(written.op, written.inputs, names, name=node.name, **written.attrs))
        for name, given in zip(node.output, names, strict=True):
            if given != name:
                sample.reshaped(given, _behind(sample, name), f"{node.name}/{name}", name)


def _is_plain(sample: Sample, name: str) -> bool:
    """Whether the first axis of a tensor has size 1 for one sample: the axis of samples takes its place."""
    return sample.shapes[name][:1] == (1,)


def _behind(sample: Sample, name: str) -> tuple[int, ...]:
    """The sizes behind the axis of samples."""
    shape = sample.shapes[name]
    return shape[1:] if _is_plain(sample, name) else shape


def _whole(sample: Sample, node: onnx.NodeProto, name: str) -> str:
    """What a tensor is for one sample, with the axis of samples in front of it."""
    if not sample.depends(name) or not _is_plain(sample, name):
        return name
    return sample.reshaped(name, sample.shapes[name], f"{node.name}/{name}/whole")


def _model(sample: Sample, model: onnx.ModelProto) -> onnx.ModelProto:
    """The same input and outputs, for any number of samples."""
    if not all(_is_plain(sample, value.name) for value in model.graph.output):
        raise NotLifted("an output without a batch")
    written = copied(model)
    del written.graph.node[:]
    written.graph.node.extend(sample.nodes)
    del written.graph.initializer[:]
    del written.graph.value_info[:]
    read = {name for node in sample.nodes for name in node.input}
    for name in sorted(read):
        if name in sample.initializers:
            written.graph.initializer.append(sample.initializers[name])
        elif name in sample.constants:
            value = np.array(sample.constants[name])  # of its own, contiguous
            written.graph.initializer.append(numpy_helper.from_array(value, name))
    for value in written.graph.output:
        value.type.tensor_type.ClearField("shape")
    dim = data_inputs(written)[0].type.tensor_type.shape.dim[0]
    dim.dim_param = dim.dim_param or "batch"
    return written


def _is_the_same(sample: Sample, model: onnx.ModelProto, written: onnx.ModelProto, samples: np.ndarray) -> bool:
    found = _run(written, samples)
    alone = [_run(model, samples[index : index + 1]) for index in range(_SAMPLES)]
    one_by_one = [np.concatenate(parts) for parts in zip(*alone, strict=True)]
    if not all(map(_close, found, one_by_one)):
        return False
    try:
        together = _run(model, samples)
    except Exception:  # made for one sample
        return not sample.broadcasting
    return all(map(_close, found, together))


def _close(found: np.ndarray, expected: np.ndarray) -> bool:
    if found.shape != expected.shape:
        return False
    atol = _CLOSE * float(np.abs(expected).max(initial=0))
    return bool(np.allclose(found, expected, rtol=_CLOSE, atol=atol))


def _run(model: onnx.ModelProto, samples: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = cpu_session(model.SerializeToString(), options)
    return list(session.run(None, {data_inputs(model)[0].name: samples}))
