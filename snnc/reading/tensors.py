"""Whether constants hold what they say: sizes that are none, elements too few or elsewhere, two of them in one name.

onnx and numpy trip over such a tensor wherever somebody first reads it, so it is looked at before anybody does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from snnc.diagnostics import Diagnostics
from snnc.reading.protos import subgraphs, type_name

#: A sparse constant of more elements is an error in the file.
MOST_ELEMENTS = 2**28
#: So many has an array of numpy at most, in its older versions.
MOST_AXES = 32
_MOST_COUNTED = 2**48
_HINT = "the file is damaged: export the network again"
_ONE_NAME_EACH = "give every constant a name of its own, or remove those that should not count"
# Two elements share a byte.
_HALF_BYTES = ("INT4", "UINT4", "FLOAT4E2M1")
_QUARTER_BYTES = ("INT2", "UINT2")


def tensors_of(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    """The initializers, and the tensors in attributes, of subgraphs too."""
    for each in _graphs_of(graph):
        yield from each.initializer
        for node in each.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors


def _graphs_of(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and all subgraphs of its nodes."""
    yield graph
    for node in graph.node:
        for inner in subgraphs(node):
            yield from _graphs_of(inner)


def check_tensors(graph: onnx.GraphProto) -> None:
    """SNN103 for constants that are damaged or have the name of another one, SNN104 for those whose elements lie in
    files that were not read."""
    found = Diagnostics()
    for tensor in tensors_of(graph):
        _report(tensor, _fault(tensor), found)
    for sparse in graph.sparse_initializer:
        _report(sparse.values, _fault(sparse.values) or _fault(sparse.indices) or _sparse_fault(sparse), found)
    for each in _graphs_of(graph):
        _report_shared_names(each, found)
    found.raise_errors()


def _report_shared_names(graph: onnx.GraphProto, found: Diagnostics) -> None:
    """Of two constants of one name, it depends on their size and on the version of onnxruntime which one counts."""
    named: dict[str, list[TensorProto | onnx.SparseTensorProto]] = {}
    for tensor in graph.initializer:
        named.setdefault(tensor.name, []).append(tensor)
    for sparse in graph.sparse_initializer:
        named.setdefault(sparse.values.name, []).append(sparse)
    for name, constants in named.items():
        if any(type(one) is not type(other) or one != other for one, other in pairwise(constants)):
            message = f"{len(constants)} constants that differ have this name: versions of onnxruntime take another one"
            found.report("SNN103", message, node=name, op="initializer", hint=_ONE_NAME_EACH)


def _report(tensor: TensorProto, fault: str, found: Diagnostics) -> None:
    place = {"node": tensor.name, "op": "initializer", "shape": str(list(tensor.dims))}
    if tensor.data_location == TensorProto.EXTERNAL:
        hint = "give the path of the model, not the model in memory, or load it with its external data"
        found.report("SNN104", "its elements lie in another file", **place, hint=hint)
    elif fault:
        found.report("SNN103", fault, **place, hint=_HINT)


def _fault(tensor: TensorProto) -> str:
    """What is wrong with a tensor; "" where nothing is."""
    if tensor.data_location == TensorProto.EXTERNAL:
        return ""
    kind = type_name(tensor.data_type)
    if kind == "UNDEFINED" or tensor.data_type not in TensorProto.DataType.values():
        return f"the constant is {kind}"
    count = math.prod(tensor.dims)
    if not _is_shape(tensor.dims):
        return "a constant of such a shape cannot be"
    if tensor.HasField("segment"):
        return "the constant is a part of another one"
    held = _held(tensor, kind)
    return "" if held in (None, count) else f"the constant has {held} elements, its shape says {count}"


def _is_shape(dims: Sequence[int]) -> bool:
    """Whether an array can have these sizes: numpy counts as if those that are 0 were 1."""
    sizes = [max(1, size) for size in dims]
    return min(dims, default=0) >= 0 and len(dims) <= MOST_AXES and math.prod(sizes) <= _MOST_COUNTED


def _held(tensor: TensorProto, kind: str) -> int | None:
    """How many elements it has; None where that cannot be told, or is rounded up to bytes."""
    if tensor.HasField("raw_data"):
        if kind in (*_HALF_BYTES, *_QUARTER_BYTES):
            return None
        size: int = 1 if kind == "STRING" else np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type)).itemsize
        return len(tensor.raw_data) // size if len(tensor.raw_data) % size == 0 else -1
    field = helper.tensor_dtype_to_field(tensor.data_type)
    if kind in (*_HALF_BYTES, *_QUARTER_BYTES):
        return None
    values = getattr(tensor, field)
    return len(values) // 2 if kind.startswith("COMPLEX") else len(values)


def _sparse_fault(sparse: onnx.SparseTensorProto) -> str:
    """What is wrong with the shape or the places of a sparse constant, whose parts are right."""
    count = math.prod(sparse.dims)
    if not _is_shape(sparse.dims) or count > MOST_ELEMENTS:
        return f"a sparse constant of the shape {list(sparse.dims)} cannot be"
    if sparse.indices.data_type != TensorProto.INT64:
        return "the places of a sparse constant are no 64-bit integers"
    places, values = numpy_helper.to_array(sparse.indices), numpy_helper.to_array(sparse.values)
    sizes = np.array([count] if places.ndim == 1 else sparse.dims, np.int64)
    if places.ndim not in (1, 2) or values.shape != places.shape[:1] or places.shape[1:] not in ((), sizes.shape):
        return "a sparse constant has not one place for each value"
    return "" if ((places >= 0) & (places < sizes)).all() else "a sparse constant has values outside of its shape"
