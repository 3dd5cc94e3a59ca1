"""One node of a network that takes one sample, written for many: with an axis of samples in front.

A node is known by what it does with axes. `front` is how many axes operands and results have more than they had for
one sample: 0 where the first one was the batch of 1 and becomes the axis of samples, which then must not be touched; 1
where that axis is a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from snnc.ir.elementwise import BROADCASTING
from snnc.ir.names import own

_SHAPING = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")
# By what axis they work where they do not say it.
_ALONG = {
    "ArgMax": 0,
    "ArgMin": 0,
    "Concat": 0,
    "Gather": 0,
    "GatherElements": 0,
    "LayerNormalization": -1,
    "LpNormalization": -1,
    "RMSNormalization": -1,
    "Split": 0,
}
_SOFTMAXES = ("Hardmax", "LogSoftmax", "Softmax")
_OVER = ("ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum")
_WITH_BATCH = (
    *("AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "DepthToSpace", "GlobalAveragePool"),
    *("GlobalMaxPool", "GroupNormalization", "InstanceNormalization", "LRN", "MaxPool", "SpaceToDepth"),
)
_ELEMENTWISE = (*BROADCASTING, "Dropout")
_SOFTMAX_OF_ONE_AXIS = 13


class NotLifted(Exception):
    """A node that cannot be written like that."""


@dataclass
class Sample:
    """A network that takes one sample: the shape of every tensor there, and what does not depend on the sample."""

    shapes: Mapping[str, tuple[int, ...]]
    constants: Mapping[str, np.ndarray]
    opset: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: dict[str, onnx.TensorProto] = field(default_factory=dict)
    #: Nodes that combine activations of different ranks: what is meant only a run on several samples tells.
    broadcasting: list[str] = field(default_factory=list)

    def depends(self, name: str) -> bool:
        """Whether a tensor depends on the sample."""
        return bool(name) and name not in self.constants

    def constant(self, label: str, value: Any) -> str:
        """The name of a new constant."""
        name = own(f"by_sample/{label}")
        self.initializers[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def reshaped(self, name: str, shape: Sequence[int], label: str, result: str = "") -> str:
        """`name` with `shape` behind the axis of samples."""
        result = result or own(f"by_sample/{label}/result")
        target = self.constant(f"{label}/shape", np.array([-1, *shape], np.int64))
        self.nodes.append(helper.make_node("Reshape", [name, target], [result], name=own(f"by_sample/{label}")))
        return result

    def rank(self, name: str) -> int:
        """Of a tensor of one sample."""
        return len(self.shapes[name]) if name in self.shapes else self.constants[name].ndim


@dataclass(frozen=True)
class Written:
    """A node: its operator, what it reads, its attributes."""

    op: str
    inputs: Sequence[str]
    attrs: Mapping[str, Any]


def lifted(sample: Sample, node: onnx.NodeProto, inputs: Sequence[str], front: int) -> Written:
    """`node`, which reads `inputs` in place of its own; NotLifted where it cannot be written with this `front`."""
    attrs = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    for ops, write in _WRITERS:
        if node.op_type in ops:
            return write(sample, node, list(inputs), attrs, front)
    raise NotLifted(node.op_type)


def is_shaping(node: onnx.NodeProto) -> bool:
    """Whether it keeps all elements, in their order."""
    return node.op_type in _SHAPING


def _moved_axis(axis: int, shape: Sequence[int], front: int) -> int:
    """Where the axis of a node is; along one that may be the batch of 1 a node would mix samples."""
    axis = int(axis) % len(shape)
    if axis == 0 and (not front or shape[0] == 1):
        raise NotLifted("it works along the batch")
    return axis + front


def _along(sample: Sample, node: onnx.NodeProto, inputs: list[str], attrs: dict[str, Any], front: int) -> Written:
    default = _ALONG.get(node.op_type, 1 if sample.opset < _SOFTMAX_OF_ONE_AXIS else -1)
    varying = [name for name in node.input if sample.depends(name)]
    if varying[0] != node.input[0] or (len(varying) > 1 and node.op_type != "Concat"):
        raise NotLifted("an operand that is computed")
    if node.op_type == "Concat" and len(varying) < len(node.input):
        raise NotLifted("a constant beside activations")
    shape, axis = sample.shapes[node.input[0]], attrs.get("axis", default)
    if node.op_type == "Concat" and front:
        attrs["axis"] = axis % len(shape) + front  # beside each other, not mixed
    else:
        attrs["axis"] = _moved_axis(axis, shape, front)
    return Written(node.op_type, inputs, attrs)


def _over(sample: Sample, node: onnx.NodeProto, inputs: list[str], attrs: dict[str, Any], front: int) -> Written:
    shape = sample.shapes[node.input[0]]
    given = attrs.get("axes")
    if len(node.input) > 1 and node.input[1]:
        given = sample.constants[node.input[1]].tolist()
    if not given and attrs.get("noop_with_empty_axes"):
        raise NotLifted("it does nothing")
    axes = [_moved_axis(axis, shape, front) for axis in (given or range(len(shape)))]
    if "axes" in attrs or len(node.input) == 1:
        as_input = (node.op_type == "ReduceSum" and sample.opset >= 13) or sample.opset >= 18
        if not as_input:
            return Written(node.op_type, inputs, {**attrs, "axes": axes})
    attrs.pop("axes", None)
    return Written(node.op_type, [inputs[0], sample.constant(f"{node.name}/axes", np.array(axes, np.int64))], attrs)


def _transpose(sample: Sample, node: onnx.NodeProto, inputs: list[str], attrs: dict[str, Any], front: int) -> Written:
    rank = sample.rank(node.input[0])
    perm = list(attrs.get("perm", reversed(range(rank))))
    if not front and perm[0] != 0:
        raise NotLifted("it moves the batch")
    return Written("Transpose", inputs, {"perm": [0, *(axis + 1 for axis in perm)] if front else perm})


def _slice(sample: Sample, node: onnx.NodeProto, inputs: list[str], attrs: dict[str, Any], front: int) -> Written:
    shape = sample.shapes[node.input[0]]
    if "starts" in attrs:
        axes = attrs.get("axes") or range(len(attrs["starts"]))
        return Written("Slice", inputs, {**attrs, "axes": [_moved_axis(axis, shape, front) for axis in axes]})
    parameters = [sample.constants[name] if name else None for name in node.input[1:]]
    starts, ends, axes, steps = (*parameters, None, None)[:4]
    assert starts is not None
    chosen = range(len(starts)) if axes is None else axes.tolist()
    moved = np.array([_moved_axis(axis, shape, front) for axis in chosen], np.int64)
    steps = np.ones(len(starts), np.int64) if steps is None else steps
    values = (starts, ends, moved, steps)
    names = [sample.constant(f"{node.name}/{index}", np.asarray(value, np.int64)) for index, value in enumerate(values)]
    return Written("Slice", [inputs[0], *names], {})


def _expand(sample: Sample, node: onnx.NodeProto, inputs: list[str], attrs: dict[str, Any], front: int) -> Written:
    shape = sample.shapes[node.output[0]]
    source = _with_axes(sample, node, 0, inputs[0], len(shape), front)
    target = np.array([1, *shape] if front else shape, np.int64)
    return Written("Expand", [source, sample.constant(f"{node.name}/shape", target)], {})


def _elementwise(sample: Sample, node: onnx.NodeProto, inputs: list[str], attrs: dict[str, Any], front: int) -> Written:
    rank = sample.rank(node.output[0])
    for index, name in enumerate(node.input):
        if sample.depends(name):
            inputs[index] = _with_axes(sample, node, index, inputs[index], rank, front)
    return Written(node.op_type, inputs, attrs)


def _with_axes(sample: Sample, node: onnx.NodeProto, index: int, given: str, rank: int, front: int) -> str:
    """An operand with as many axes as the result has."""
    shape = sample.shapes[node.input[index]]
    if len(shape) == rank:
        return given
    if not front:
        raise NotLifted("its batch meets another axis")
    sample.broadcasting.append(node.name)
    return sample.reshaped(given, [1] * (rank - len(shape)) + list(shape), f"{node.name}/axes_{index}")


def _matmul(sample: Sample, node: onnx.NodeProto, inputs: list[str], attrs: dict[str, Any], front: int) -> Written:
    first, second = node.input
    ranks = sample.rank(first), sample.rank(second)
    if not (sample.depends(first) and sample.depends(second)):
        varying = 0 if sample.depends(first) else 1
        constant = sample.constants[node.input[1 - varying]]
        least = 1 if varying == 0 else 2
        if constant.ndim > 2 or ranks[varying] < least or (not front and ranks[varying] < least + 1):
            raise NotLifted("other weights for every sample")
        return Written("MatMul", inputs, attrs)
    most = max(ranks)
    if min(ranks) < 2 or (not front and (most < 3 or min(ranks) < most)):
        raise NotLifted("the batch is an axis of the product")
    operands = [_with_axes(sample, node, index, inputs[index], most, front) for index in (0, 1)]
    return Written("MatMul", operands, attrs)


def _gemm(sample: Sample, node: onnx.NodeProto, inputs: list[str], attrs: dict[str, Any], front: int) -> Written:
    """For whole samples a product of matrices, and a sum."""
    if attrs.get("transA", 0) or any(map(sample.depends, node.input[1:])):
        raise NotLifted("operands that are computed")
    if not front:
        return Written("Gemm", inputs, attrs)
    weight = sample.constants[node.input[1]]
    weight = (weight.T if attrs.get("transB", 0) else weight) * np.float32(attrs.get("alpha", 1.0))
    name = sample.constant(f"{node.name}/weight", np.ascontiguousarray(weight, np.float32))
    if len(node.input) < 3 or not node.input[2]:
        return Written("MatMul", [inputs[0], name], {})
    product = own(f"by_sample/{node.name}/product")
    sample.nodes.append(helper.make_node("MatMul", [inputs[0], name], [product], name=f"{node.name}/product"))
    bias = sample.constants[node.input[2]] * np.float32(attrs.get("beta", 1.0))
    return Written("Add", [product, sample.constant(f"{node.name}/bias", bias.astype(np.float32))], {})


def _einsum(sample: Sample, node: onnx.NodeProto, inputs: list[str], attrs: dict[str, Any], front: int) -> Written:
    equation = attrs["equation"].decode().replace(" ", "")
    free = next((letter for letter in "zyxwvu" if letter not in equation), "")
    if not front or not free or "->" not in equation or "." in equation:
        raise NotLifted("its equation has no room for samples")
    terms, result = equation.split("->")
    named = [
        free + term if sample.depends(name) else term for name, term in zip(node.input, terms.split(","), strict=True)
    ]
    return Written("Einsum", inputs, {"equation": f"{','.join(named)}->{free}{result}"})


def _with_batch(sample: Sample, node: onnx.NodeProto, inputs: list[str], attrs: dict[str, Any], front: int) -> Written:
    if front or any(map(sample.depends, node.input[1:])):
        raise NotLifted("it has a batch of its own")
    return Written(node.op_type, inputs, attrs)


_Writer = Callable[[Sample, onnx.NodeProto, list[str], dict[str, Any], int], Written]
_WRITERS: list[tuple[Sequence[str], _Writer]] = [
    ((*_ALONG, *_SOFTMAXES), _along),
    (_OVER, _over),
    (_ELEMENTWISE, _elementwise),
    (_WITH_BATCH, _with_batch),
    (("Transpose",), _transpose),
    (("Slice",), _slice),
    (("Expand",), _expand),
    (("MatMul",), _matmul),
    (("Gemm",), _gemm),
    (("Einsum",), _einsum),
]
