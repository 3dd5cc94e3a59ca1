"""Synaptic operations: how many accumulations one spike of each neuron causes.

The fan-out of a neuron is counted through the trees that read it, borders included: a `Conv` or `Gemm` costs one
accumulation per output it reaches, whatever lies behind; a pooling window passes on what its output costs; a `Scale`,
the 1x1 synapse of an identity path, costs one.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from snnc.graph import activation_inputs, constant, is_source, producer, sample_shape, tree


def fanouts(roots: list[gs.Tensor]) -> dict[str, np.ndarray]:
    """Fan-out of every spike tensor that the trees under `roots` read.

    Gives int64 arrays of a sample's shape, with the leading axes reduced to 1 where the values do not depend on them.
    """
    total: dict[str, np.ndarray] = {}
    for root in roots:
        _spread(root, np.ones(sample_shape(root), np.int64), total)
    return {name: _reduce_leading_axes(fanout) for name, fanout in total.items()}


def count_macs(root: gs.Tensor) -> int:
    """Multiply-accumulates of one inference of the ANN in the tree under `root`: connections of its Conv and Gemm.

    Taps outside the image are not counted. Pooling in front of a layer saves the ANN multiplications, while spikes pass
    through it one by one: this is not the sum of the fan-outs.
    """
    total = 0
    for node in tree(root):
        if node.op in ("Conv", "Gemm"):
            operand = activation_inputs(node)[0]
            total += int(_operand_cost(node, operand, np.ones(sample_shape(node.outputs[0]), np.int64)).sum())
    return total


def _spread(tensor: gs.Tensor, cost: np.ndarray, total: dict[str, np.ndarray]) -> None:
    """Add `cost` (per element of `tensor`) to the spike tensors behind it."""
    node = producer(tensor)
    if is_source(tensor):
        total[tensor.name] = total.get(tensor.name, np.zeros_like(cost)) + cost
        return
    assert node is not None
    for operand in activation_inputs(node):
        _spread(operand, _operand_cost(node, operand, cost), total)


def _operand_cost(node: gs.Node, operand: gs.Tensor, cost: np.ndarray) -> np.ndarray:
    shape = sample_shape(operand)
    if node.op == "Add":
        return cost
    if node.op == "Scale":
        return np.ones(shape, np.int64)
    if node.op == "Gemm":
        weight = constant(node, 1)
        assert weight is not None
        return np.full(shape, weight.shape[1], np.int64)
    if node.op == "Reshape":
        return cost.reshape(shape)
    if node.op == "Transpose":
        back = np.argsort([axis - 1 for axis in node.attrs["perm"][1:]])
        return np.transpose(cost, list(back))
    if node.op == "Conv":
        outputs = sample_shape(node.outputs[0])
        per_channel = outputs[0] // node.attrs["group"]
        plane = np.full(outputs[1:], per_channel, np.int64)
        return np.broadcast_to(_windows_transposed(node, plane, shape[1:], node.attrs["dilations"]), shape)
    assert node.op == "SumPool", node.op
    dilations = [1] * (len(shape) - 1)
    return np.stack([_windows_transposed(node, plane, shape[1:], dilations) for plane in cost])


def _windows_transposed(
    node: gs.Node, cost: np.ndarray, sizes: tuple[int, ...], dilations: list[int]
) -> np.ndarray:
    """Sum of the costs of all windows that an element lies in, axis by axis (windows are products of intervals)."""
    rank = len(sizes)
    for axis in range(rank):
        reaches = np.zeros((sizes[axis], cost.shape[axis]), np.int64)
        for position in range(cost.shape[axis]):
            first = position * node.attrs["strides"][axis] - node.attrs["pads"][axis]
            for tap in range(node.attrs["kernel_shape"][axis]):
                element = first + tap * dilations[axis]
                if 0 <= element < sizes[axis]:
                    reaches[element, position] += 1
        cost = np.moveaxis(np.tensordot(reaches, cost, axes=(1, axis)), 0, axis)
    return cost


def _reduce_leading_axes(fanout: np.ndarray) -> np.ndarray:
    for axis in range(fanout.ndim):
        first = fanout.take([0], axis=axis)
        if not (fanout == first).all():
            break
        fanout = first
    return fanout
