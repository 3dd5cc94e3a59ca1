"""The same network in one plain list of nodes, whatever form its file has.

onnxruntime reads models that the ONNX checker refuses and that other tools misread. `structured` changes how such a
model is written, not what it computes:

1. a model of an opset below 7 is upgraded to 7 by onnx's version converter (SNN102 where that cannot);
2. calls of local functions are replaced by their bodies (SNN103 for attributes at which onnxruntime dies);
3. of several equal initializers of one name one is kept, sparse ones become dense, and the IR version is one in which
   they need not be inputs;
4. an `If` whose condition does not depend on the data is replaced by its branch (`snnc.reading.branches`);
5. inputs that no output depends on go, and with them the nodes that read them;
6. nodes stand behind those that compute what they read (SNN103 where they wait for each other);
7. every node has a name that no other node and no input has;
8. a batch axis of size 0 or below is one of any size;
9. floats are float32 where their types disagree (`snnc.reading.precision`): onnxruntime refuses such a model;
10. an output that is listed twice is one.

What is in this form already is given back as it is. Models that snnc has converted are left alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import inliner, numpy_helper, version_converter

from snnc.diagnostics import fail
from snnc.ir.domain import DOMAIN
from snnc.ir.order import in_order
from snnc.reading.attributes import check_attributes
from snnc.reading.branches import without_constant_branches
from snnc.reading.precision import of_one_type
from snnc.reading.probe import first_line
from snnc.reading.protos import copied, data_inputs, opset_of, reads, replace_nodes, subgraphs
from snnc.reading.tensors import check_tensors
from snnc.reading.texts import check_texts

#: onnxruntime knows all operators from here on.
OLDEST_OPSET = 7
#: What the version converter reads.
OLDEST_READABLE = 5
_CONSTANTS_ARE_NO_INPUTS = 4
# Stands for a free size where the version converter wants a number.
_ANY_SIZE = 3


def structured(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network in a plain form; `model` itself, not a copy, where it has that form.

    Raises:
        DiagnosticError: SNN102 where an old model cannot be upgraded; SNN103 where nodes wait for each other, a name
            is no text, or a constant is damaged; SNN104 where elements of a constant lie in a file that was not read.
    """
    if is_converted(model):
        return model
    check_texts(model)
    check_tensors(model.graph)
    for step in _STEPS:
        model = step(model)
    return model


def is_converted(model: onnx.ModelProto) -> bool:
    """Whether snnc has written this model."""
    marked = any(entry.key == "snnc.format_version" for entry in model.metadata_props)
    return marked or any(node.domain == DOMAIN for node in model.graph.node)


def _with_constants_of_its_own(model: onnx.ModelProto) -> onnx.ModelProto:
    """The IR version from which on initializers need not be inputs, where one is none: older ones know it only as long
    as a node reads it."""
    inputs = {value.name for value in model.graph.input}
    declared = all(tensor.name in inputs for tensor in model.graph.initializer)
    if declared or not 0 < model.ir_version < _CONSTANTS_ARE_NO_INPUTS:
        return model
    changed = copied(model)
    changed.ir_version = _CONSTANTS_ARE_NO_INPUTS
    return changed


def _upgraded(model: onnx.ModelProto) -> onnx.ModelProto:
    version = opset_of(model)
    if version is None or version >= OLDEST_OPSET:
        return model
    if version < OLDEST_READABLE:
        fail("SNN102", f"the model has opset {version}; the oldest that can be upgraded is {OLDEST_READABLE}")
    sized = copied(model)
    for value in sized.graph.input:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_value < 1:
                dim.dim_value = _ANY_SIZE
    try:
        upgraded: onnx.ModelProto = version_converter.convert_version(sized, OLDEST_OPSET)
    except Exception as error:  # it raises whatever its C++ throws
        reason = first_line(error)
        fail("SNN102", f"the model has opset {version}, and onnx cannot upgrade it to {OLDEST_OPSET}: {reason}")
    declared = {value.name: value for value in (*model.graph.input, *model.graph.output)}
    for value in (*upgraded.graph.input, *upgraded.graph.output):
        if value.name in declared:
            value.CopyFrom(declared[value.name])
    del upgraded.graph.value_info[:]
    del upgraded.metadata_props[:]
    upgraded.metadata_props.extend(model.metadata_props)
    return upgraded


def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    if not model.functions:
        return model
    try:
        inlined: onnx.ModelProto = inliner.inline_local_functions(model)
    except Exception as error:  # of C++, about the user's functions
        fail("SNN103", f"its local functions cannot be inlined: {first_line(error)}")
    return inlined


def _with_one_initializer_each(model: onnx.ModelProto) -> onnx.ModelProto:
    last = {tensor.name: index for index, tensor in enumerate(model.graph.initializer)}
    if len(last) == len(model.graph.initializer):
        return model
    changed = copied(model)
    kept = [changed.graph.initializer[index] for index in last.values()]
    del changed.graph.initializer[:]
    changed.graph.initializer.extend(kept)
    return changed


def _with_dense_initializers(model: onnx.ModelProto) -> onnx.ModelProto:
    if not model.graph.sparse_initializer:
        return model
    changed = copied(model)
    for sparse in model.graph.sparse_initializer:
        values, places = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
        dense = np.zeros(tuple(sparse.dims), values.dtype)
        if places.ndim == 1:
            dense.reshape(-1)[places] = values
        else:
            dense[tuple(places.T)] = values
        changed.graph.initializer.append(numpy_helper.from_array(dense, sparse.values.name))
    del changed.graph.sparse_initializer[:]
    return changed


def _without_unused_inputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """Also without the nodes that read them: no output depends on these either."""
    needed = {value.name for value in model.graph.output}
    computed = {name: node for node in model.graph.node for name in node.output if name}
    pending = list(needed)
    while pending:
        node = computed.get(pending.pop())
        fresh = set() if node is None else set(reads(node)) - needed
        needed |= fresh
        pending += fresh
    unused = {value.name for value in data_inputs(model)} - needed
    if not unused or len(unused) == len(data_inputs(model)):  # of a model without any, the checks say more
        return model
    changed = copied(model)
    gone = set(unused)
    _drop_readers(changed.graph, gone)
    kept = [value for value in changed.graph.input if value.name not in unused]
    del changed.graph.input[:]
    changed.graph.input.extend(kept)
    return changed


def _drop_readers(graph: onnx.GraphProto, gone: set[str]) -> None:
    """Remove the nodes that depend on one of the tensors `gone`, in any order of nodes."""
    while True:
        dropped = [node for node in graph.node if not gone.isdisjoint(reads(node))]
        if not dropped:
            return
        gone.update(name for node in dropped for name in node.output if name)
        replace_nodes(graph, [node for node in graph.node if gone.isdisjoint(reads(node))])


def _sorted(model: onnx.ModelProto) -> onnx.ModelProto:
    order = _order(model.graph.node)
    if order == list(range(len(model.graph.node))):
        return model
    changed = copied(model)
    nodes = list(changed.graph.node)
    replace_nodes(changed.graph, [nodes[index] for index in order])
    return changed


def _order(nodes: list[onnx.NodeProto]) -> list[int]:
    """Indices of the nodes, each behind those that compute what it reads, as near to the given order as possible."""
    computed = {name for node in nodes for name in node.output if name}
    needs = [set(reads(node)) & computed - _computed_inside(node) for node in nodes]
    order = in_order(needs, [list(filter(None, node.output)) for node in nodes])
    if len(order) < len(nodes):
        stuck = nodes[min(set(range(len(nodes))) - set(order))]
        message = "it depends on its own output: the nodes form a cycle"
        fail("SNN103", message, node=stuck.name or f"{stuck.op_type}", op=stuck.op_type)
    return order


def _computed_inside(node: onnx.NodeProto) -> set[str]:
    """The tensors that subgraphs of the node compute for themselves."""
    return {name for graph in subgraphs(node) for inner in graph.node for name in inner.output}


def _named(model: onnx.ModelProto) -> onnx.ModelProto:
    names = node_names(model)
    if names == [node.name for node in model.graph.node]:
        return model
    changed = copied(model)
    for name, node in zip(names, changed.graph.node, strict=True):
        node.name = name
    return changed


def node_names(model: onnx.ModelProto) -> list[str]:
    """A unique name for every node of the main graph, in order: its own where it has one that is free.

    The names of the inputs are not: the layer that encodes an input is called after it.
    """
    inputs = {value.name for value in model.graph.input}
    names: dict[str, None] = {}
    for index, node in enumerate(model.graph.node):
        name = node.name or f"{node.op_type}_{index}"
        while name in names or name in inputs:
            name = f"{name}_{index}"
        names[name] = None
    return list(names)


def _with_each_output_once(model: onnx.ModelProto) -> onnx.ModelProto:
    first = {value.name: value for value in reversed(model.graph.output)}
    if len(first) == len(model.graph.output):
        return model
    changed = copied(model)
    del changed.graph.output[:]
    changed.graph.output.extend(first[name] for name in dict.fromkeys(value.name for value in model.graph.output))
    return changed


def _with_a_free_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    changed = None
    for index, value in enumerate(model.graph.input):
        dims = value.type.tensor_type.shape.dim
        if dims and dims[0].HasField("dim_value") and dims[0].dim_value < 1:
            changed = changed or copied(model)
            changed.graph.input[index].type.tensor_type.shape.dim[0].dim_param = "batch"
    if changed is None:
        return model
    del changed.graph.value_info[:]  # they repeat what the input said
    for value in changed.graph.output:
        dims = value.type.tensor_type.shape.dim
        if dims and dims[0].HasField("dim_value") and dims[0].dim_value < 1:
            dims[0].dim_param = "batch"
    return changed


_STEPS: tuple[Callable[[onnx.ModelProto], onnx.ModelProto], ...] = (
    _with_constants_of_its_own,
    _upgraded,
    _inlined,
    check_attributes,
    _with_one_initializer_each,
    _with_dense_initializers,
    without_constant_branches,
    _without_unused_inputs,
    _sorted,
    _named,
    _with_a_free_batch,
    of_one_type,
    _with_each_output_once,
)
