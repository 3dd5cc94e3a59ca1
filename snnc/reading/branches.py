"""An `If` whose condition is the same for all data is replaced by the branch that it takes.

Exporters write one where a module asks for a shape: `if x.shape[1] == 1`. A condition counts as known where every path
from an input of the model to it goes through `Shape` or `Size`, and where it has one value for batches of two sizes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from snnc.reading.protos import constant_names, copied, data_inputs, reads, replace_nodes, subgraphs
from snnc.runtime.session import cpu_session

_SHAPES = ("Shape", "Size")
_BATCHES = (2, 3)
_THEN, _ELSE = "then_branch", "else_branch"
# Larger inputs are not made for the sake of a condition.
_MOST_ELEMENTS = 2**26


def without_constant_branches(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` without the conditions that do not depend on the data; itself where there are none."""
    place = 0
    while place < len(model.graph.node):
        node = model.graph.node[place]
        taken = _condition(model, node.input[0]) if node.op_type == "If" and _is_whole(node) else None
        if taken is None:
            place += 1
        else:
            model = copied(model)
            _inline(model.graph, place, _THEN if taken else _ELSE)
    return model


def _is_whole(node: onnx.NodeProto) -> bool:
    """Whether an If has all that it needs; of one that has not the checker says what is missing."""
    branches = {attribute.name: attribute.g for attribute in node.attribute if attribute.name in (_THEN, _ELSE)}
    counts = {len(branch.output) for branch in branches.values()}
    return len(node.input) == 1 and len(branches) == 2 and counts == {len(node.output)}


def _condition(model: onnx.ModelProto, name: str) -> bool | None:
    """The value of this tensor, which decides an If; None where it depends on the data."""
    cone, of_data = _cone(model, name)
    if of_data:
        return None
    part = copied(model)
    replace_nodes(part.graph, [part.graph.node[index] for index in cone])
    del part.graph.output[:]
    part.graph.output.add().CopyFrom(helper.make_tensor_value_info(name, onnx.TensorProto.BOOL, None))
    del part.graph.value_info[:]
    found = set()
    for batch in _BATCHES:
        try:
            found.add(bool(np.asarray(_run(part, batch)).all()))
        except Exception:  # whatever onnxruntime says: the condition stays as it is, and is reported later
            return None
    return found.pop() if len(found) == 1 else None


def _cone(model: onnx.ModelProto, name: str) -> tuple[list[int], bool]:
    """The indices of the nodes that compute a tensor, and whether its value depends on an input of the model."""
    computed = {output: index for index, node in enumerate(model.graph.node) for output in node.output if output}
    values: set[int] = set()
    shapes: set[int] = set()
    pending = [(name, False)]
    while pending:
        tensor, shape_only = pending.pop()
        if tensor not in computed:
            if not shape_only and tensor not in constant_names(model.graph):
                return [], True
            continue
        index = computed[tensor]
        seen = shapes if shape_only else values
        if index not in seen:
            seen.add(index)
            node = model.graph.node[index]
            behind = shape_only or node.op_type in _SHAPES
            pending += [(operand, behind) for operand in reads(node)]
    return sorted(values | shapes), False


def _run(part: onnx.ModelProto, batch: int) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = cpu_session(part.SerializeToString(), options)
    feeds = {}
    for value in data_inputs(part):
        tensor = value.type.tensor_type
        sizes = [dim.dim_value for dim in tensor.shape.dim]
        shape = [sizes[0] if sizes and sizes[0] > 0 else batch, *sizes[1:]] if sizes else []
        if min(shape, default=1) < 1 or np.prod(shape, dtype=np.float64) > _MOST_ELEMENTS:
            raise ValueError("of no static size")
        feeds[value.name] = np.zeros(shape, helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    result: np.ndarray = session.run(None, feeds)[0]
    return result


def _inline(graph: onnx.GraphProto, index: int, branch: str) -> None:
    """Replace the If at `index` by the nodes of its branch; what these compute gets names that nothing else has."""
    node = graph.node[index]
    body = next(attribute.g for attribute in node.attribute if attribute.name == branch)
    taken = {name for other in graph.node for name in (*other.input, *other.output)}
    taken |= {value.name for value in (*graph.input, *graph.initializer)}
    renamed: dict[str, str] = {}
    for name in _defined(body):
        fresh = name
        while fresh in taken:
            fresh = f"{node.name or node.output[0]}/{fresh}"
        taken.add(fresh)
        renamed[name] = fresh
    inner = onnx.GraphProto()
    inner.CopyFrom(body)
    _rename(inner, renamed)
    results = [
        helper.make_node("Identity", [value.name], [output])
        for value, output in zip(inner.output, node.output, strict=True)
        if output
    ]
    nodes = list(graph.node)
    graph.initializer.extend(inner.initializer)
    replace_nodes(graph, [*nodes[:index], *inner.node, *results, *nodes[index + 1 :]])


def _defined(graph: onnx.GraphProto) -> Iterator[str]:
    """The names that a branch gives to its constants and to what it computes."""
    yield from (tensor.name for tensor in graph.initializer)
    for node in graph.node:
        yield from filter(None, node.output)


def _rename(graph: onnx.GraphProto, renamed: dict[str, str]) -> None:
    for value in (*graph.initializer, *graph.output):
        value.name = renamed.get(value.name, value.name)
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = renamed.get(name, name)
        for inner in subgraphs(node):
            _rename(inner, renamed)
