"""Check the ANN, run it once to learn every shape, and import it as a graph.

Takes an `onnx.ModelProto`, gives level SOURCE:

1. the opset is one we read, the checker and onnxruntime accept the model (SNN102, SNN103);
2. it has one float32 input `[batch, static...]` and no reserved names (SNN105, SNN106);
3. every node has a unique name, every activation its shape, with the batch as a symbol.

Shapes are not inferred but observed: the ANN runs on zeros with every intermediate tensor as an output. This is right
for every exporter's way of computing a shape, and shows that the model runs. An axis 0 that was fixed becomes free
(SNN506).
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnxruntime

from snnc.diagnostics import fail
from snnc.emit.schedules import MOST_UNROLLED_BLOCKS
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.domain import BLOCK_STEPS, DOMAIN
from snnc.ir.names import is_reserved
from snnc.operators.refusals import hint_of_domain
from snnc.simulate.ann import node_names

OLDEST_OPSET = 7
_PROBE_BATCH = 3


def run(conversion: Conversion) -> None:
    model = conversion.ann
    _check_schedule(conversion)
    _check_opset(conversion, model)
    conversion.diagnostics.raise_errors()
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # a ValidationError, or what the checker trips over in a damaged file
        fail("SNN103", _first_line(error))
    _check_names_are_text(model)
    _check_interface(conversion, model)
    conversion.diagnostics.raise_errors()

    graph_input = _real_inputs(model)[0]
    dims = graph_input.type.tensor_type.shape.dim
    fixed_batch = dims[0].dim_value if dims[0].HasField("dim_value") else None
    shapes = _observe_shapes(model, [dim.dim_value for dim in dims[1:]], fixed_batch)
    batch_symbol = dims[0].dim_param or "batch"
    if fixed_batch is not None:
        conversion.diagnostics.report(
            "SNN506", f"the input was exported for batches of {fixed_batch}; the converted network takes any"
        )
    conversion.graph = _import(model, shapes, batch_symbol)


def _check_schedule(conversion: Conversion) -> None:
    """Before hours of work: what an unrolled file cannot do."""
    options, most = conversion.options, MOST_UNROLLED_BLOCKS * BLOCK_STEPS
    if options.schedule != "unrolled":
        return
    if options.steps > most:
        message = f"{options.steps} steps; an unrolled file has at most {MOST_UNROLLED_BLOCKS} blocks, {most} steps"
        conversion.diagnostics.report("SNN404", message, hint=f"choose up to `--steps {most}`, or `--schedule loop`")
    if options.controls == "required":
        conversion.diagnostics.report("SNN512", f"it will always run {options.steps} steps")


def _check_opset(conversion: Conversion, model: onnx.ModelProto) -> None:
    newest = onnx.defs.onnx_opset_version()
    versions = {entry.domain: entry.version for entry in model.opset_import}
    version = versions.get("", versions.get("ai.onnx"))
    if version is None or not OLDEST_OPSET <= version <= newest:
        conversion.diagnostics.report(
            "SNN102", f"the model has opset {version}; supported are {OLDEST_OPSET} to {newest}"
        )
    if any(entry.key == "snnc.format_version" for entry in model.metadata_props):
        fail("SNN405", "this network has been converted already")
    known = {"", "ai.onnx", *(function.domain for function in model.functions)}
    for node in model.graph.node:
        if node.domain == DOMAIN:
            fail("SNN405", "this network has been converted already", node=node.name, op=node.op_type)
        if node.domain not in known:
            message, hint = f"operator of the domain {node.domain!r}", hint_of_domain(node.domain)
            conversion.diagnostics.report("SNN204", message, node=node.name, op=node.op_type, hint=hint)


def _check_names_are_text(model: onnx.ModelProto) -> None:
    """protobuf gives bytes for a string that is not UTF-8, as in a damaged file."""
    names: list[object] = []
    for value in [*model.graph.input, *model.graph.output, *model.graph.initializer]:
        names.append(value.name)
    for value in [*model.graph.input, *model.graph.output]:
        names += [dim.dim_param for dim in value.type.tensor_type.shape.dim]
    for node in model.graph.node:
        names += [node.name, node.op_type, node.domain, *node.input, *node.output]
    if not all(isinstance(name, str) for name in names):
        fail("SNN103", "a name in it is not valid UTF-8")


def _real_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    initialized = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in initialized]


def _check_interface(conversion: Conversion, model: onnx.ModelProto) -> None:
    inputs = _real_inputs(model)
    if len(inputs) != 1:
        names = ", ".join(repr(value.name) for value in inputs) or "none"
        conversion.diagnostics.report("SNN105", f"the model has {len(inputs)} inputs: {names}")
        return
    tensor_type = inputs[0].type.tensor_type
    dims = tensor_type.shape.dim
    shape = "[" + ", ".join(dim.dim_param or str(dim.dim_value) for dim in dims) + "]"
    place = {"node": inputs[0].name, "op": "input", "shape": shape}
    if tensor_type.elem_type != onnx.TensorProto.FLOAT:
        dtype = onnx.TensorProto.DataType.Name(tensor_type.elem_type)
        conversion.diagnostics.report("SNN105", f"the input is {dtype}, must be FLOAT", **place)
    if len(dims) > 0 and dims[0].HasField("dim_value") and dims[0].dim_value < 1:
        conversion.diagnostics.report("SNN105", "the batch axis has size 0", **place)
    if len(dims) < 2 or any(dim.dim_value < 1 for dim in dims[1:]):
        conversion.diagnostics.report("SNN105", "sizes after the batch axis must be static", **place)
    for value in [*inputs, *model.graph.output]:
        if is_reserved(value.name):
            conversion.diagnostics.report("SNN106", f"the name {value.name!r} is reserved")


def _observe_shapes(
    model: onnx.ModelProto, sample_dims: list[int], fixed_batch: int | None
) -> dict[str, tuple[tuple[int, ...], np.dtype, int]]:
    """Shape, dtype and the batch size of the run, of every tensor, by running the model on zeros."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    present = {value.name for value in probe.graph.output}
    for node in model.graph.node:
        for name in node.output:
            if name and name not in present:
                probe.graph.output.add().name = name
                present.add(name)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        fail("SNN103", f"onnxruntime cannot load the model: {_first_line(error)}")
    name = _real_inputs(model)[0].name
    outputs = [value.name for value in session.get_outputs()]
    failure: Exception | None = None
    for batch in [fixed_batch] if fixed_batch is not None else [_PROBE_BATCH, 1]:
        try:
            values = session.run(None, {name: np.zeros((batch, *sample_dims), np.float32)})
        except Exception as error:
            failure = failure or error
            continue
        observed = {
            output: (tuple(value.shape), value.dtype, batch)
            for output, value in zip(outputs, values, strict=True)
            if isinstance(value, np.ndarray)
        }
        observed[name] = ((batch, *sample_dims), np.dtype(np.float32), batch)
        return observed
    assert failure is not None
    fail("SNN103", f"onnxruntime cannot run the model: {_first_line(failure)}")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _import(
    model: onnx.ModelProto, shapes: dict[str, tuple[tuple[int, ...], np.dtype, int]], batch_symbol: str
) -> gs.Graph:
    named = onnx.ModelProto()
    named.CopyFrom(model)
    for name, node in zip(node_names(model), named.graph.node, strict=True):
        node.name = name
    graph = gs.import_onnx(named)
    for tensor in graph.tensors().values():
        if isinstance(tensor, gs.Variable) and tensor.name in shapes:
            shape, dtype, batch = shapes[tensor.name]
            free = bool(shape) and shape[0] == batch
            tensor.shape = [batch_symbol, *shape[1:]] if free else list(shape)
            tensor.dtype = dtype
    _rename_reserved(graph)
    return graph


def _rename_reserved(graph: gs.Graph) -> None:
    """Give inner tensors another name where theirs is public or begins as snnc's own do."""
    interface = {tensor.name for tensor in (*graph.inputs, *graph.outputs)}
    tensors = graph.tensors()
    taken = set(tensors)
    for name, tensor in tensors.items():
        if is_reserved(name) and name not in interface:
            renamed = f"ann/{name}"
            while renamed in taken:
                renamed += "_"
            taken.add(renamed)
            tensor.name = renamed


PASS = Pass("ingest", Level.SOURCE, Level.SOURCE, run)
