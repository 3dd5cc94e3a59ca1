"""Bring the ANN to a plain form, run it to learn every shape, and import it as a graph.

Takes an `onnx.ModelProto`, gives level SOURCE:

1. it is an ANN (SNN405 where snnc has converted it already) of an opset and of domains that are known (SNN102, SNN204);
2. it is brought to the form that `snnc.reading.structure` describes; inputs that nothing needs are ignored (SNN530);
3. sizes behind the batch that it leaves open are those of `--shape`, else those of the calibration data (SNN531);
4. the checker and onnxruntime accept it (SNN103), and it has no loops and no recurrent layers (SNN204);
5. it has one input `[batch, static...]` and no reserved names (SNN105, SNN106), and computes the same in float32;
6. its batch axis is free, or is freed (SNN506, `snnc.reading.batch`);
7. every node has a unique name, every activation its shape, with the batch as a symbol.

Shapes are not inferred but observed: the ANN runs on batches of two sizes. This is right for every exporter's way of
computing a shape, and shows that the model runs.
"""

from __future__ import annotations

import logging

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.logger import G_LOGGER

from snnc.diagnostics import Diagnostics, fail
from snnc.diagnostics.origins import Origins
from snnc.emit.schedules import MOST_UNROLLED_BLOCKS
from snnc.integers.input_range import range_of_integers
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.domain import BLOCK_STEPS, DOMAIN
from snnc.ir.names import is_reserved
from snnc.operators.refusals import hint_of_domain
from snnc.reading import structured
from snnc.reading.batch import Batched, with_free_batch
from snnc.reading.contrib import in_standard_operators, is_known
from snnc.reading.interface import check_interface
from snnc.reading.precision import in_float32, input_type, mixing_node, takes_integers
from snnc.reading.probe import first_line
from snnc.reading.protos import DEFAULT_DOMAINS, copied, data_inputs, opset_of, shape_text
from snnc.reading.samples import by_sample, loses_batch
from snnc.reading.sizes import open_axes, with_shape, with_sizes
from snnc.reading.structure import OLDEST_READABLE, is_converted
from snnc.reading.texts import check_texts
from snnc.simulate.ann import Ann

_COMPARED = 8
# Of float16, 11 bits of every number are kept, of bfloat16 8.
_SAME = 0.05
# From here on the checker knows all that onnxruntime runs: initializers that are no inputs, opsets by domain.
_CHECKED_IR_VERSION = 8
_CONTROL_FLOW = {
    "If": "its condition depends on the data",
    "Loop": "a loop: its passes are not a fixed network",
    "Scan": "a loop: its passes are not a fixed network",
    "SequenceMap": "a loop: its passes are not a fixed network",
    "LSTM": "a recurrent layer",
    "GRU": "a recurrent layer",
    "RNN": "a recurrent layer",
}
_RANDOM = ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
_FEED_FORWARD = "a spiking network here is feed-forward: export one without loops, conditions and recurrence"
_NO_CHANCE = "export the network in inference mode, or without this node"


def run(conversion: Conversion) -> None:
    _check_schedule(conversion)
    check_texts(conversion.ann)
    _check_domains(conversion, conversion.ann)
    conversion.diagnostics.raise_errors()
    model = structured(conversion.ann)
    conversion.diagnostics.origins = Origins(model)  # in which every node has its name
    _note_mixed_types(conversion)
    _note_unused_inputs(conversion, model)
    model = _with_open_sizes(conversion, model)
    _check(model)
    _check_control_flow(conversion, model)
    check_interface(model, conversion.diagnostics)
    conversion.diagnostics.raise_errors()
    plain = in_float32(in_standard_operators(model), conversion.diagnostics)
    conversion.diagnostics.raise_errors()
    conversion.ann = model
    batched = _with_free_batch(conversion, plain)
    _check_slopes(batched)
    _check_elements(batched)
    if plain is not model:
        _compare(conversion, model, plain)
    conversion.graph = _import(batched)


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


def _check_domains(conversion: Conversion, model: onnx.ModelProto) -> None:
    if is_converted(model):
        node = next((node for node in model.graph.node if node.domain == DOMAIN), onnx.NodeProto())
        fail("SNN405", "this network has been converted already", node=node.name, op=node.op_type)
    newest, version = onnx.defs.onnx_opset_version(), opset_of(model)
    if version is None or not 1 <= version <= newest:
        said = "names no opset" if version is None else f"has opset {version}"
        conversion.diagnostics.report("SNN102", f"the model {said}; supported are {OLDEST_READABLE} to {newest}")
    known = {*DEFAULT_DOMAINS, *(function.domain for function in model.functions)}
    for node in model.graph.node:
        if node.domain not in known and not is_known(node):
            message, hint = f"operator of the domain {node.domain!r}", hint_of_domain(node.domain)
            conversion.diagnostics.report("SNN204", message, node=node.name, op=node.op_type, hint=hint)


def _note_unused_inputs(conversion: Conversion, model: onnx.ModelProto) -> None:
    kept = {value.name for value in data_inputs(model)}
    for value in data_inputs(conversion.ann):
        if value.name not in kept:
            place = {"node": value.name, "op": "input", "shape": shape_text(value)}
            conversion.diagnostics.report("SNN530", "no output depends on it: the converted network has none", **place)


def _note_mixed_types(conversion: Conversion) -> None:
    node = mixing_node(conversion.ann)
    if node is not None:
        message = "it reads floats of several types, which onnxruntime refuses: the network is taken in float32"
        conversion.diagnostics.report("SNN532", message, node=node.name, op=node.op_type)


def _with_open_sizes(conversion: Conversion, model: onnx.ModelProto) -> onnx.ModelProto:
    if conversion.options.shape:
        return with_shape(model, conversion.options.shape)
    axes, data = open_axes(model), conversion.data
    if not axes or data is None or data.stored.ndim != len(data_inputs(model)[0].type.tensor_type.shape.dim):
        return model
    value, sizes = data_inputs(model)[0], data.stored.shape[1:]
    text = ",".join(map(str, sizes))
    place = {"node": value.name, "op": "input", "shape": shape_text(value)}
    conversion.diagnostics.report("SNN531", f"samples are {text}, as the calibration data are", **place)
    return with_sizes(model, value, sizes, text)


def _check(model: onnx.ModelProto) -> None:
    """SNN103 where the checker refuses the model for more than what onnxruntime does not mind, or gives nothing."""
    if not model.graph.output:
        fail("SNN103", "it has no outputs")
    lenient = copied(model)
    lenient.ir_version = max(lenient.ir_version, _CHECKED_IR_VERSION) if lenient.ir_version else 0
    lenient.graph.name = lenient.graph.name or "graph"
    for value in (*lenient.graph.input, *lenient.graph.output):
        tensor = value.type.tensor_type
        if not value.type.WhichOneof("value") or (value.type.HasField("tensor_type") and not tensor.HasField("shape")):
            tensor.elem_type = tensor.elem_type or onnx.TensorProto.FLOAT
            tensor.shape.SetInParent()
    try:
        onnx.checker.check_model(lenient)
    except Exception as error:  # a ValidationError, or what the checker trips over in a damaged file
        fail("SNN103", first_line(error))


def _check_control_flow(conversion: Conversion, model: onnx.ModelProto) -> None:
    """Before it runs: a loop may have no end, and chance gives something else in every run."""
    for node in model.graph.node:
        if node.domain not in DEFAULT_DOMAINS:
            continue
        if node.op_type in _CONTROL_FLOW:
            reason, hint = _CONTROL_FLOW[node.op_type], _FEED_FORWARD
        elif node.op_type in _RANDOM:
            reason, hint = "it gives other numbers in every run", _NO_CHANCE
        else:
            continue
        conversion.diagnostics.report("SNN204", reason, node=node.name, op=node.op_type, hint=hint)


def _compare(conversion: Conversion, model: onnx.ModelProto, plain: onnx.ModelProto) -> None:
    """SNN103 where float32 does not compute what the file computes in its own types and operators."""
    dims = [dim.dim_value for dim in data_inputs(plain)[0].type.tensor_type.shape.dim[1:]]
    images = np.random.default_rng(0).random((_COMPARED, *dims), np.float32)
    if takes_integers(model):
        low, high = range_of_integers(model)
        images = np.rint(low + (high - low) * images)
    try:
        expected = Ann(model).run(images)
    except Exception as error:  # onnxruntime has not every operator in every type
        fail("SNN103", f"onnxruntime cannot run the model: {first_line(error)}")
    found = Ann(plain).run(images)
    for name, values in expected.items():
        if values.dtype != np.float32:
            continue
        norm = float(np.linalg.norm(values))
        error_norm = float(np.linalg.norm(found[name] - values))
        if not error_norm <= _SAME * norm:
            kind = onnx.TensorProto.DataType.Name(input_type(model))
            message = f"in float32 the output {name!r} is off by {error_norm:.3g} of {norm:.3g} (the input is {kind})"
            conversion.diagnostics.report("SNN103", message, hint="export the network in float32")


def _with_free_batch(conversion: Conversion, model: onnx.ModelProto) -> Batched:
    """The model for any number of samples; written for each alone where the batch gets lost inside."""
    found, again = Diagnostics(logged=False), Diagnostics(logged=False)
    batched = with_free_batch(model, found)
    written = by_sample(model) if found.errors or loses_batch(batched) else None
    whole = None if written is None else with_free_batch(written, again)
    if written is None or whole is None or again.errors:
        for finding in found.found:
            conversion.diagnostics.add(finding)
        return batched
    message = "the batch is not the first axis inside it: written for each sample alone, which gives the same"
    conversion.diagnostics.report("SNN506", message)
    conversion.ann = written  # so that its layers can be looked at too
    return whole


def _check_slopes(batched: Batched) -> None:
    """SNN103 for a PRelu of which onnxruntime gives more than onnx says: its slope has more axes than its input."""
    ranks = {name: len(shape) for name, shape in batched.shapes.items()}
    ranks |= {tensor.name: len(tensor.dims) for tensor in batched.model.graph.initializer}
    found = Diagnostics(logged=False)
    for node in batched.model.graph.node:
        if node.op_type == "PRelu" and ranks.get(node.input[0], 0) < ranks.get(node.output[0], 0):
            message = f"its slope, {node.input[1]!r}, has more axes than what it is applied to, {node.input[0]!r}"
            hint = "give the activations first and the slope second"
            found.report("SNN103", message, node=node.name, op=node.op_type, hint=hint)
    found.raise_errors()


def _check_elements(batched: Batched) -> None:
    """SNN207 where a sample of an activation has no elements: no neuron is behind it, and no mean."""
    empty = {name for name, shape in batched.shapes.items() if 0 in shape[1:] and isinstance(shape[0], str)}
    found = Diagnostics(logged=False)
    for node in batched.model.graph.node:
        for name in empty.intersection(node.output) if empty.isdisjoint(node.input) else ():
            shape = f"[{', '.join(map(str, batched.shapes[name]))}]"
            message, hint = "it gives no elements", "leave the node out, or correct the sizes that it is given"
            found.report("SNN207", message, node=node.name, op=node.op_type, shape=shape, hint=hint)
    found.raise_errors()


def _import(batched: Batched) -> gs.Graph:
    """The graph with the observed shapes and types."""
    G_LOGGER.severity = logging.CRITICAL  # of graphsurgeon, here and in the passes behind
    try:
        graph = gs.import_onnx(batched.model)
    except Exception as error:  # what onnxruntime runs, and graphsurgeon cannot represent
        fail("SNN103", f"it cannot be read: {first_line(error)}")
    for tensor in graph.tensors().values():
        if isinstance(tensor, gs.Variable) and tensor.name in batched.shapes:
            tensor.shape = list(batched.shapes[tensor.name])
            tensor.dtype = batched.dtypes[tensor.name]
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
            if isinstance(tensor, gs.Constant):
                tensor.values = np.asarray(tensor.values)  # until it is read it renames that of the file too
            tensor.name = renamed


PASS = Pass("ingest", Level.SOURCE, Level.SOURCE, run)
