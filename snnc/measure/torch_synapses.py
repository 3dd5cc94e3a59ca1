"""The linear operators of a calibrated graph in torch, for simulators that are written in it.

Each is a function of tensors `[rows, ...]`, where rows are samples, or samples times steps. Weights are the integers of
the grid in float32, so that sums are exact there too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.graph import activation_inputs, constant, producer, sample_shape

#: Operands to output, all of torch.
Function = Callable[..., Any]


def synapse(node: gs.Node, factor: np.ndarray | None = None, *, channels_last: bool = False) -> Function | None:
    """The function of a linear operator, its outputs times `factor` (by channel, see `foldable`); None where there is
    none here. `channels_last`: kernels along two axes lie in memory as activations of that format want them."""
    if node.op == "Conv":
        return _conv(node, factor, channels_last)
    write = _WRITERS.get(node.op)
    return None if write is None else write(node, factor)


def foldable(tensor: gs.Tensor) -> list[gs.Node] | None:
    """The operators with weights whose sum is `tensor`, and nothing else reads: what stands by channel on their weights
    stands on the sum. None where it is another one."""
    node = producer(tensor)
    if node is None or len(tensor.outputs) > 1:
        return None
    if node.op in ("Conv", "Gemm", "Scale"):
        return [node]
    if node.op != "Add":
        return None
    found = [foldable(operand) for operand in activation_inputs(node)]
    return None if any(part is None for part in found) else [one for part in found for one in part or []]


def _conv(node: gs.Node, factor: np.ndarray | None, channels_last: bool) -> Function:
    import torch
    from torch.nn import functional

    weight, bias = constant(node, 1), constant(node, 2)
    assert weight is not None
    kernel, offset = _tensor(_scaled(weight, factor, 0)), None if bias is None else _tensor(_scaled(bias, factor, 0))
    rank, group = weight.ndim - 2, int(node.attrs["group"])
    strides, dilations = _sizes(node, "strides"), _sizes(node, "dilations")
    begins, around = _pads(node)
    convolve = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}[rank]
    if rank == 2 and channels_last:
        kernel = kernel.contiguous(memory_format=torch.channels_last)
    if begins is not None:
        return lambda x: convolve(x, kernel, offset, strides, begins, dilations, group)
    return lambda x: convolve(functional.pad(x, around), kernel, offset, strides, 0, dilations, group)


def _gemm(node: gs.Node, factor: np.ndarray | None) -> Function:
    from torch.nn import functional

    weight, bias = constant(node, 1), constant(node, 2)
    assert weight is not None
    rows = _tensor(_scaled(weight, factor, 1).T)
    offset = None if bias is None else _tensor(np.broadcast_to(_scaled(bias, factor, -1), rows.shape[:1]))
    return lambda x: functional.linear(x, rows, offset)


def _scale(node: gs.Node, factor: np.ndarray | None) -> Function:
    shape = sample_shape(node.outputs[0])
    times, shift = (_sample(value, shape, factor) for value in (constant(node, 1), constant(node, 2)))
    return (lambda x: x * times) if shift is None else (lambda x: x * times + shift)


def _sample(value: np.ndarray | None, shape: tuple[int, ...], factor: np.ndarray | None) -> Any:
    """A constant that broadcasts against a sample, times the factors of its channels."""
    if value is None:
        return None
    by_channel = 1.0 if factor is None else factor.reshape(-1, *[1] * (len(shape) - 1))
    return _tensor(value.astype(np.float64) * by_channel)


def _sum_pool(node: gs.Node, factor: np.ndarray | None) -> Function:
    from torch.nn import functional

    kernel, strides, times = _sizes(node, "kernel_shape"), _sizes(node, "strides"), constant(node, 1)
    _, around = _pads(node)
    by_element = None if times is None else _tensor(times)
    elements = float(np.prod(kernel))

    def sums(x: Any) -> Any:
        if len(kernel) == 1:
            return functional.avg_pool1d(x, kernel, strides) * elements
        pool = functional.avg_pool2d if len(kernel) == 2 else functional.avg_pool3d
        return pool(x, kernel, strides, divisor_override=1)

    def run(x: Any) -> Any:
        found = sums(functional.pad(x, around) if any(around) else x)
        return found if by_element is None else found * by_element

    return run


def _reshape(node: gs.Node, factor: np.ndarray | None) -> Function:
    shape = sample_shape(node.outputs[0])
    return lambda x: x.reshape(len(x), *shape)


def _transpose(node: gs.Node, factor: np.ndarray | None) -> Function:
    order = [int(axis) for axis in node.attrs["perm"]]
    return lambda x: x.permute(order)


def _depth_to_space(node: gs.Node, factor: np.ndarray | None) -> Function:
    size, by_columns = int(node.attrs["blocksize"]), node.attrs.get("mode", "DCR") != "CRD"

    def run(x: Any) -> Any:
        rows, depth, height, width = x.shape
        channels = depth // size**2
        if by_columns:
            blocks = x.reshape(rows, size, size, channels, height, width).permute(0, 3, 4, 1, 5, 2)
        else:
            blocks = x.reshape(rows, channels, size, size, height, width).permute(0, 1, 4, 2, 5, 3)
        return blocks.reshape(rows, channels, height * size, width * size)

    return run


def _gather(node: gs.Node, factor: np.ndarray | None) -> Function:
    import torch

    indices = constant(node, 1)
    assert indices is not None
    axis, size = int(node.attrs["axis"]), sample_shape(node.inputs[0])[int(node.attrs["axis"]) - 1]
    chosen = torch.from_numpy(np.asarray(indices, np.int64).reshape(-1) % size)
    shape = sample_shape(node.outputs[0])
    return lambda x: x.index_select(axis, chosen).reshape(len(x), *shape)


def _concat(node: gs.Node, factor: np.ndarray | None) -> Function:
    import torch

    axis = int(node.attrs["axis"])
    return lambda *parts: torch.cat(parts, axis)


def _add(node: gs.Node, factor: np.ndarray | None) -> Function:
    return lambda first, second: first + second


def _scaled(values: np.ndarray, factor: np.ndarray | None, axis: int) -> np.ndarray:
    """Times the factors, one for each element of `axis`."""
    values = np.asarray(values, np.float64)
    if factor is None:
        return values
    by_axis = [1] * values.ndim
    by_axis[axis] = -1
    scaled: np.ndarray = values * factor.reshape(by_axis)
    return scaled


def _sizes(node: gs.Node, name: str) -> list[int]:
    return [int(size) for size in node.attrs[name]]


def _pads(node: gs.Node) -> tuple[list[int] | None, list[int]]:
    """By axis where both sides have the same, else None; and all as torch's `pad` takes them, last axis first."""
    begins, ends = np.reshape(_sizes(node, "pads"), (2, -1)).tolist()
    around = [int(size) for sides in reversed(list(zip(begins, ends, strict=True))) for size in sides]
    return (begins if begins == ends else None), around


def _tensor(values: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(np.array(values, np.float32, order="C"))


_WRITERS: Mapping[str, Callable[[gs.Node, np.ndarray | None], Function]] = {
    "Gemm": _gemm,
    "Scale": _scale,
    "SumPool": _sum_pool,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "DepthToSpace": _depth_to_space,
    "Gather": _gather,
    "Concat": _concat,
    "Add": _add,
}
