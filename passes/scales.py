"""Give the factors and shifts of `Scale`s to the weights in front of them or behind them.

Takes and gives level SPIKING. Every `Scale` belongs to one tree, so nothing else sees the change, and values change by
rounding only:

1. behind weights, with only what moves elements, averages or adds in between: they take the factor by output channel,
   and the bias of one of them the shift;
2. behind a source and in front of weights: they take the factor by input channel, and their bias the shift, unless
   zeros stand around what they read;
3. anything else stays: one synapse per neuron.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import activation_inputs, constant, producer, replace_uses, sample_shape
from snnc.ir.names import own
from snnc.ir.signal import FloatArray, per_channel
from snnc.ir.trees import targets, tree
from snnc.operators import is_linear, operator_of, weighted
from snnc.operators.contract import Weights
from snnc.operators.scale import Scale

_Changes = list[tuple[gs.Node, Weights]]


def run(conversion: Conversion) -> None:
    for target in targets(conversion.graph):
        for node in list(tree(target.inputs[0])):
            if node.op != Scale.name:
                continue
            factor, shift = _number(node, 1), _number(node, 2)
            changes = _weights_above(node.inputs[0], factor, shift)
            changes = changes if changes is not None else _weights_below(node, factor, shift)
            if changes is None:
                continue
            for changed, weights in changes:
                _write(changed, weights)
            replace_uses(node.outputs[0], node.inputs[0])
            node.outputs.clear()
    conversion.graph.cleanup()


def _number(scale: gs.Node, index: int) -> FloatArray:
    """Weight or bias as an array that broadcasts against a sample; no bias is one of 0."""
    value = constant(scale, index)
    found: FloatArray = np.zeros(()) if value is None else np.asarray(value, np.float64)
    return found.reshape((1,) * (len(sample_shape(scale.outputs[0])) - found.ndim) + found.shape)


def _weights_above(tensor: gs.Tensor, factor: FloatArray, shift: FloatArray) -> _Changes | None:
    """The weights with which `tensor` has factor·x + shift where it has x now; None where there are none."""
    node = producer(tensor)
    if node is None or not is_linear(node):
        return None
    if weighted(node) is not None:
        return _behind_weights(node, factor, shift)
    if shift.any() and any(node.attrs.get("pads", ())):
        return None  # what is averaged with zeros is not shifted by as much
    room, changes = operator_of(node), _Changes()
    factors, shifts = room.carry_back(node, factor), room.carry_back(node, shift)
    if factors is None or shifts is None:
        return None
    for index, (operand, above) in enumerate(zip(activation_inputs(node), shifts, strict=True)):
        shared = node.op == "Add" and index > 0  # the first branch has shifted the sum
        found = _weights_above(operand, factors[index], 0 * above if shared else above)
        if found is None:
            return None
        changes += found
    return changes


def _behind_weights(node: gs.Node, factor: FloatArray, shift: FloatArray) -> _Changes | None:
    room = weighted(node)
    assert room is not None
    with np.errstate(divide="ignore"):  # a factor of 0 makes weights of 0
        weights = room.on_grid(node, room.weights(node), _ones(node.inputs[0]), 1 / factor)
    if weights is None or not shift.any():
        return None if weights is None else [(node, weights)]
    added = shift if node.op == Scale.name else per_channel(shift, sample_shape(node.outputs[0])[0])
    return None if added is None else _with_bias(node, weights, added)


def _weights_below(scale: gs.Node, factor: FloatArray, shift: FloatArray) -> _Changes | None:
    """The weights that read the operand of `scale` instead of its result; None where there are none."""
    tensor, padded = scale.outputs[0], False
    while len(tensor.outputs) == 1 and is_linear(tensor.outputs[0]) and len(activation_inputs(tensor.outputs[0])) == 1:
        node = tensor.outputs[0]
        padded = padded or any(node.attrs.get("pads", ()))
        if weighted(node) is not None:
            return None if padded and shift.any() else _in_front_of_weights(node, factor, shift)
        carried = operator_of(node).carry(node, [factor]), operator_of(node).carry(node, [shift])
        if carried[0] is None or carried[1] is None:
            return None
        factor, shift, tensor = carried[0], carried[1], node.outputs[0]
    return None


def _in_front_of_weights(node: gs.Node, factor: FloatArray, shift: FloatArray) -> _Changes | None:
    room, ones = weighted(node), _ones(node.outputs[0])
    assert room is not None
    weights = room.on_grid(node, room.weights(node), factor, ones)
    if weights is None or not shift.any():
        return None if weights is None else [(node, weights)]
    given = room.on_grid(node, Weights(room.weights(node).weight), shift, ones)
    return None if given is None else _with_bias(node, weights, _summed(node, given.weight))


def _ones(tensor: gs.Tensor) -> FloatArray:
    return np.ones((1,) * len(sample_shape(tensor)))


def _summed(node: gs.Node, weight: np.ndarray) -> FloatArray:
    """The sum of the weights of every output."""
    if node.op == Scale.name:
        return weight
    found: FloatArray = weight.sum(axis=0) if node.op == "Gemm" else weight.sum(axis=tuple(range(1, weight.ndim)))
    return found


def _with_bias(node: gs.Node, weights: Weights, added: FloatArray) -> _Changes | None:
    """None for operators of which only their plug-in knows what a bias is."""
    if node.op not in ("Conv", "Gemm", Scale.name):
        return None
    return [(node, Weights(weights.weight, added if weights.bias is None else weights.bias + added))]


def _write(node: gs.Node, weights: Weights) -> None:
    node.inputs = [node.inputs[0], gs.Constant(own(f"{node.name}/weight"), np.asarray(weights.weight, np.float32))]
    if weights.bias is not None:
        node.inputs.append(gs.Constant(own(f"{node.name}/bias"), np.asarray(weights.bias, np.float32)))


PASS = Pass("scales", Level.SPIKING, Level.SPIKING, run)
