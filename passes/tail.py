"""Bring what lies behind the last layer to the opset of converted files; see that it takes sample by sample.

Takes and gives level SOURCE. The tail (`snnc.operators.tail`) works on decoded values, as it is. It is run on random
values, in the opset of the ANN:

1. its nodes give the same in the opset of converted files: they stay;
2. they do not: onnx converts them (a Softmax over several axes becomes Flatten, Softmax, Reshape);
3. an output is text, which cannot be compared with the ANN's: reported (SNN207);
4. what a sample gives depends on the others of its batch, or the first axis of an output is not the batch: reported
   (SNN207), as is what can be written in one opset only (SNN204).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import numpy_helper

from snnc.ir.alone import model_of, run_model
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.domain import OPSET
from snnc.ir.graph import activation_inputs, describe, sort_topologically
from snnc.ir.names import Names, names_in
from snnc.operators import tail_nodes
from snnc.operators.tail import is_activation
from snnc.reading.probe import first_line

_SAMPLES = 3
_KEEP_BATCH = "keep the batch as the first axis of every output"
_OPSET = f"export the network with opset {OPSET}"
Values = dict[str, np.ndarray]


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    tail = tail_nodes(graph)
    nodes = [node for node in graph.nodes if node.name in tail and node.domain in ("", "ai.onnx", None)]
    if not nodes or len(nodes) < len(tail) or conversion.diagnostics.errors:
        return  # other domains are reported by `validate`
    for node in nodes:
        if node.op == "AveragePool":
            node.attrs.pop("dilations", None)  # of 1, which the pass `windows` has written out; older opsets have none
    _check_and_upgrade(conversion, nodes)


def _check_and_upgrade(conversion: Conversion, nodes: Sequence[gs.Node]) -> None:
    graph = conversion.graph
    if _report_text(conversion):
        return
    results = [tensor for node in nodes for tensor in node.outputs if tensor.name]
    sources = _sources(nodes)
    if not all(map(is_activation, sources)):
        return  # `validate` reports where the batch was lost
    model = model_of(nodes, sources, results, graph.opset)
    random = np.random.default_rng(1)
    samples = {
        tensor.name: random.normal(0, 2, (_SAMPLES, *tensor.shape[1:])).astype(tensor.dtype) for tensor in sources
    }
    names = [tensor.name for tensor in results]
    try:
        whole = dict(zip(names, run_model(model, samples), strict=True))
        alone = [dict(zip(names, run_model(model, _only(samples, index)), strict=True)) for index in range(_SAMPLES)]
    except Exception as error:  # onnxruntime raises several kinds, all about nodes that cannot take these samples
        message = f"what lies behind the last layer does not take any number of samples: {first_line(error)}"
        _report(conversion, nodes[0], message)
        return
    for node, message in _mixing(graph, nodes, whole, alone):
        _report(conversion, node, message)
        return
    if not _gives(model_of(nodes, sources, results, OPSET), samples, whole):
        _upgrade(conversion, nodes, model, samples, whole)


def _report_text(conversion: Conversion) -> bool:
    """Whether there are outputs of text."""
    texts = [output for output in conversion.graph.outputs if np.dtype(output.dtype).kind not in "biuf"]
    for output in texts:
        node, hint = output.inputs[0], "let the network end with the numbers; whoever reads them can make text of them"
        shape = describe(output)
        conversion.diagnostics.report("SNN207", "it gives text", node=node.name, op=node.op, shape=shape, hint=hint)
    return bool(texts)


def _sources(nodes: Sequence[gs.Node]) -> list[gs.Variable]:
    """What the tail reads that it does not compute."""
    computed = {tensor.name for node in nodes for tensor in node.outputs}
    read = {tensor.name: tensor for node in nodes for tensor in activation_inputs(node)}
    return [tensor for name, tensor in read.items() if name not in computed]


def _only(samples: Mapping[str, np.ndarray], index: int) -> Values:
    return {name: values[index : index + 1] for name, values in samples.items()}


def _mixing(
    graph: gs.Graph, nodes: Sequence[gs.Node], whole: Values, alone: Sequence[Values]
) -> Iterator[tuple[gs.Node, str]]:
    """The nodes that give a sample something else when others are beside it, and those of outputs without a batch."""
    outputs = {tensor.name for tensor in graph.outputs}
    for node in nodes:
        for tensor in node.outputs:
            if not tensor.name or tensor.name not in whole:
                continue
            values, parts = whole[tensor.name], [each[tensor.name] for each in alone]
            by_sample = values.ndim > 0 and len(values) == _SAMPLES and all(part.shape[:1] == (1,) for part in parts)
            if not by_sample:
                if tensor.name in outputs:
                    yield node, f"the first axis of {tensor.name!r} {describe(tensor)} is not the batch"
            elif not _close(values, np.concatenate(parts)):
                yield node, "it works across the samples of a batch"


def _close(found: np.ndarray, expected: np.ndarray) -> bool:
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return False
    if not np.issubdtype(found.dtype, np.floating):
        return bool(np.array_equal(found, expected))
    return bool(np.allclose(found, expected, rtol=1e-4, atol=1e-5, equal_nan=True))


def _gives(model: onnx.ModelProto, samples: Values, expected: Values) -> bool:
    """Whether a model gives what the ANN has there; False where onnxruntime does not run it."""
    try:
        found = run_model(model, samples)
    except Exception:  # see `run`
        return False
    names = [value.name for value in model.graph.output]
    return all(_close(value, expected[name]) for name, value in zip(names, found, strict=True))


def _upgrade(
    conversion: Conversion, nodes: Sequence[gs.Node], model: onnx.ModelProto, samples: Values, expected: Values
) -> None:
    """Replace the nodes by what onnx makes of them in the opset of converted files."""
    try:
        upgraded = onnx.version_converter.convert_version(model, OPSET)
    except Exception:  # onnx raises several kinds for what it cannot convert
        upgraded = None
    if upgraded is None or not _gives(upgraded, samples, expected):
        message = f"what lies behind the last layer cannot be written in opset {OPSET}"
        conversion.diagnostics.report("SNN204", message, node=nodes[0].name, op=nodes[0].op, hint=_OPSET)
        return
    _replace(conversion.graph, nodes, upgraded.graph)


def _replace(graph: gs.Graph, nodes: Sequence[gs.Node], upgraded: onnx.GraphProto) -> None:
    """Put the nodes of `upgraded` in the place of `nodes`; tensors of the graph keep their names."""
    names, tensors = Names(names_in(graph.nodes)), graph.tensors()
    labels = {node.name for node in nodes}
    for node in nodes:
        graph.nodes.remove(node)
        node.inputs.clear()
        node.outputs.clear()
    known: dict[str, gs.Tensor] = {"": gs.Variable.empty()}
    known |= {
        each.name: gs.Constant(names.unique(each.name), numpy_helper.to_array(each)) for each in upgraded.initializer
    }
    for proto in upgraded.node:
        if proto.op_type == "Constant":
            value = numpy_helper.to_array(proto.attribute[0].t)
            known[proto.output[0]] = gs.Constant(names.unique(proto.output[0]), value)
            continue
        for name in (*proto.input, *proto.output):
            if name not in known:
                known[name] = tensors[name] if name in tensors else gs.Variable(names.unique(name))
        attrs = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in proto.attribute}
        label = proto.name if proto.name in labels else names.unique(proto.name or proto.output[0])
        labels.discard(label)
        inputs, outputs = [known[name] for name in proto.input], [known[name] for name in proto.output]
        graph.nodes.append(gs.Node(proto.op_type, label, attrs, inputs, outputs))
    sort_topologically(graph)


def _report(conversion: Conversion, node: gs.Node, message: str) -> None:
    shape = describe(node.outputs[0])
    conversion.diagnostics.report("SNN207", message, node=node.name, op=node.op, shape=shape, hint=_KEEP_BATCH)


PASS = Pass("tail", Level.SOURCE, Level.SOURCE, run)
