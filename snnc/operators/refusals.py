"""Why an operator that no room stands for cannot be converted where it is, and what can be done: one hint per cause."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.elementwise import is_elementwise, roots
from snnc.ir.graph import activation_inputs, constant, describe
from snnc.methods import METHODS
from snnc.operators.tail import is_activation

Reason = tuple[str, str]

#: Of a function of the network's input.
PREPARATION: Reason = (
    "it prepares the input by a function that is neither affine nor a ReLU",
    "export the network without it, and give it prepared samples",
)
_MULTIPLIES = "pass `--method exact`, which takes products"
_PRODUCT: Reason = ("it multiplies two activations", _MULTIPLIES)
_COMBINE = "add or concatenate them"
#: How neurons can compute what combines activations.
_COMBINED = {
    "Max": "write the larger one of a and b as b + Relu(a - b)",
    "Min": "write the smaller one of a and b as a - Relu(a - b)",
}
_ROUNDING = ("Ceil", "DequantizeLinear", "Floor", "QuantizeLinear", "Round")
_RECURRENT = ("GRU", "LSTM", "RNN")
_CONTROL = ("If", "Loop", "Scan")
_NORMS = (
    *("GroupNormalization", "InstanceNormalization", "LayerNormalization", "LRN", "LpNormalization"),
    *("MeanVarianceNormalization", "RMSNormalization"),
)
_SOFTMAXES = ("Hardmax", "LogSoftmax", "Softmax")
_NEVER = ("Hardmax", "LRN", "MeanVarianceNormalization")  # by no method
_MOVING = ("Expand", "GatherElements", "GatherND", "Slice", "Tile")
_MOVE_IT = "move it behind the last layer, where it works on decoded values, or train without it"


def refusal(graph: gs.Graph, node: gs.Node, method: str) -> Reason:
    """What is wrong with `node`, which stands in front of a layer, for `method`; and a hint."""
    operands = activation_inputs(node)
    if is_elementwise(node) and node.op != "BatchNormalization":
        source = roots(graph).get(node.outputs[0].name)
        if any(source is tensor for tensor in graph.inputs) and not _rounds(graph, source):
            return PREPARATION
        if source is not None:
            return _function(method)
        if node.op == "Mul":
            return _PRODUCT
        if node.op == "Div":
            return "it divides two activations", _MULTIPLIES
        return "it combines two activations element by element", _COMBINED.get(node.op, _COMBINE)
    for result in node.outputs:
        if result.outputs and not is_activation(result):
            return _no_activation(result)
    if node.op in _RECURRENT:
        return "recurrent layers are not supported", "convert a feed-forward network; `snnc stream` feeds it frames"
    if node.op in _CONTROL:
        return "control flow is not supported", "export the network by tracing one input"
    if node.op in (*_NORMS, *_SOFTMAXES):
        return _normalization(node, method)
    if node.op in ("Resize", "Upsample"):
        return "it interpolates between elements", 'use mode "nearest", or a ConvTranspose with constant weights'
    if node.op == "Pad":
        return _pad(node)
    if node.op in _MOVING and len(operands) > 1:
        return "which elements it picks is computed, not constant", "export with static shapes and constant indices"
    if node.op == "Mul":
        return _PRODUCT
    if node.op == "Div":
        return "it divides two activations", _MULTIPLIES
    if len(operands) > 1:
        return "it combines several activations", _COMBINED.get(node.op, _COMBINE)
    return "layers follow it, and no spiking operator does this", _MOVE_IT


def product_of_matrices(method: str) -> Reason:
    """Of a `MatMul` of two activations that no pass has taken."""
    if not METHODS[method].settles:
        return _PRODUCT
    return _PRODUCT[0], "give both as many axes, the batch first and at least two behind it"


def _normalization(node: gs.Node, method: str) -> Reason:
    message = "it normalizes by what the sample itself has there, which weights cannot do"
    if node.op in _NEVER:
        return message, "train with BatchNormalization, which is folded into weights (`--relaxed`)"
    if not METHODS[method].settles:
        return message, "pass `--method exact`, which writes it as sums, functions and products (docs/attention.md)"
    return message, "let it run over axes behind the batch, with constant factors and one output"


def _no_activation(result: gs.Variable) -> Reason:
    """Of an output that is no float32 `[batch, ...]`."""
    if result.dtype is not None and not np.issubdtype(result.dtype, np.floating):
        return "it computes integers or truth values, on which layers depend", "export with static shapes, batch apart"
    return no_batch(result)


def no_batch(tensor: gs.Variable) -> Reason:
    """Of a tensor that is not `[batch, ...]`, with an axis behind the batch."""
    if tensor.shape is not None and len(tensor.shape) == 1 and isinstance(tensor.shape[0], str):
        message = f"no axis is left behind the batch in {tensor.name!r} {describe(tensor)}"
        return message, "keep one, of size 1: reductions do with keepdims"
    message = f"the first axis of {tensor.name!r} {describe(tensor)} is not the batch"
    return message, "keep the batch as the first axis of every activation, with at least one axis behind it"


def _rounds(graph: gs.Graph, source: gs.Tensor | None) -> bool:
    """Whether functions of `source` round: such that quantise the input are what encoders do too."""
    functions = roots(graph)
    return any(node.op in _ROUNDING and functions.get(node.outputs[0].name) is source for node in graph.nodes)


def _function(method: str) -> Reason:
    message = f"the neurons of the method {method} do not compute this function"
    if METHODS[method].settles:
        return message, _MOVE_IT
    return message, "pass `--method exact`, whose neurons compute any function of one variable"


def _pad(node: gs.Node) -> Reason:
    fill = constant(node, 2)
    value = node.attrs.get("value", 0.0) if fill is None else fill.item()
    if value:
        return f"it puts {value:g} around the plane, not zeros", "pad with zeros, or by copying the border (mode edge)"
    return "zeros around a plane of which elements are picked unevenly", "pad in front of a convolution"


def hint_of_domain(domain: str) -> str:
    """What can be done about an operator of a domain that is not that of ONNX."""
    if domain in ("com.microsoft", "com.microsoft.nchwc"):
        return "convert the model as it was before onnxruntime optimised it"
    if domain == "ai.onnx.ml":
        return "export the network without what prepares its input and without ZipMap, classifiers and the like"
    return "export the network in operators of ONNX alone, or install a plug-in for it (docs/plugins.md)"
