"""Small questions about an `onnx.ModelProto`, and copies of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx
from onnx import AttributeProto, TensorProto

DEFAULT_DOMAINS = ("", "ai.onnx")


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model of its own that can be changed."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def opset_of(model: onnx.ModelProto) -> int | None:
    """The version of the default domain; None where the model names none."""
    versions = [entry.version for entry in model.opset_import if entry.domain in DEFAULT_DOMAINS]
    return versions[0] if versions else None


def constant_names(graph: onnx.GraphProto) -> set[str]:
    """The names of the initializers, sparse ones too."""
    sparse = {tensor.values.name for tensor in graph.sparse_initializer}
    return {tensor.name for tensor in graph.initializer} | sparse


def data_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs that have no initializer: those that a host has to feed."""
    known = constant_names(model.graph)
    return [value for value in model.graph.input if value.name not in known]


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs in the attributes of a node: the branches of an If, the body of a Loop."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def reads(node: onnx.NodeProto) -> Iterator[str]:
    """The names of all tensors that a node reads, and those that its subgraphs read (their own among them)."""
    yield from filter(None, node.input)
    for graph in subgraphs(node):
        yield from (value.name for value in graph.output)
        for inner in graph.node:
            yield from reads(inner)


def replace_nodes(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Let these be the nodes of `graph`, in this order."""
    kept = list(nodes)
    del graph.node[:]
    graph.node.extend(kept)


def type_name(kind: int) -> str:
    """The name of a type of tensors, such as `FLOAT`; a damaged file may have one that does not exist."""
    return TensorProto.DataType.Name(kind) if kind in TensorProto.DataType.values() else f"of the type {kind}"


def shape_text(value: onnx.ValueInfoProto) -> str:
    """The declared shape as printed in diagnostics, such as `[N, 3, 28, 28]`; `?` where nothing is said of a size."""
    dims = value.type.tensor_type.shape.dim
    shown = (dim.dim_param or (str(dim.dim_value) if dim.HasField("dim_value") else "?") for dim in dims)
    return f"[{', '.join(shown)}]"
