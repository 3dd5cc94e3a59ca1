"""The linear operators of the reference simulator, in numpy on int64.

They share no code with the compiler, whose account of the same operators they check.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Ints = NDArray[np.int64]

FLOAT64_LIMIT = 2**53  # float64 holds every integer up to here
_SNNC = "ai.snnc"


def convolve(
    x: Ints,
    weight: Ints,
    bias: Ints | None = None,
    *,
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    group: int = 1,
) -> Ints:
    """ONNX Conv over any number of spatial axes: x [N, C, ...], weight [M, C/group, ...] → [N, M, ...]."""
    windows = _windows(x, weight.shape[2:], strides, pads, dilations)
    kernel = tuple(range(2, weight.ndim))
    window = tuple(range(weight.ndim, windows.ndim))
    parts = [
        _contract(channels, filters, (1, *window), (1, *kernel))  # [N, output..., M/group]
        for channels, filters in zip(np.split(windows, group, axis=1), np.split(weight, group), strict=True)
    ]
    out = np.concatenate(parts, axis=-1)
    return np.moveaxis(out if bias is None else out + bias, -1, 1)


def _contract(x: Ints, weight: Ints, axes: Sequence[int], weight_axes: Sequence[int]) -> Ints:
    """`np.tensordot` of integers. Only its floating-point products are fast; while sums stay below 2^53, float64 is
    exact."""
    terms = math.prod(weight.shape[axis] for axis in weight_axes)
    largest = terms * int(np.abs(x).max(initial=0)) * int(np.abs(weight).max(initial=0))
    number = np.float64 if largest < FLOAT64_LIMIT else np.int64
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    kept_of_weight = [axis for axis in range(weight.ndim) if axis not in weight_axes]
    # A product for each sample: small ones take less time one by one than spread over threads.
    shape = [x.shape[axis] for axis in kept]
    rows = x.astype(number).transpose([*kept, *axes]).reshape(len(x), math.prod(shape[1:]), terms)
    columns = weight.astype(number).transpose([*weight_axes, *kept_of_weight]).reshape(terms, -1)
    product = np.matmul(rows, columns).reshape(*shape, *(weight.shape[axis] for axis in kept_of_weight))
    integers: Ints = product.astype(np.int64)
    return integers


def sum_pool(
    x: Ints,
    kernel_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
) -> Ints:
    """Sums over windows: [N, C, ...] → [N, C, ...]."""
    windows = _windows(x, kernel_shape, strides, pads, None)
    sums: Ints = windows.sum(axis=tuple(range(x.ndim, windows.ndim)))
    return sums


def _windows(
    x: Ints,
    kernel_shape: Sequence[int],
    strides: Sequence[int] | None,
    pads: Sequence[int] | None,
    dilations: Sequence[int] | None,
) -> Ints:
    """The window under each output element, zeros around x: [N, C, ...] → [N, C, output..., window...]."""
    rank = len(kernel_shape)
    strides, dilations = strides or [1] * rank, dilations or [1] * rank
    begins, ends = (pads[:rank], pads[rank:]) if pads else ([0] * rank, [0] * rank)
    padded = np.pad(x, [(0, 0), (0, 0), *zip(begins, ends, strict=True)])
    extents = [(size - 1) * dilation + 1 for size, dilation in zip(kernel_shape, dilations, strict=True)]
    windows = sliding_window_view(padded, extents, axis=tuple(range(2, 2 + rank)))
    every = (1, 1, *strides, *dilations)
    return windows[tuple(slice(None, None, stride) for stride in every)]


def _conv(attrs: dict[str, Any], x: Ints, weight: Ints, bias: Ints | None = None) -> Ints:
    if attrs.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise ValueError(f"auto_pad={attrs['auto_pad']}: a calibrated graph has explicit pads")
    options = {name: attrs.get(name) for name in ("strides", "pads", "dilations")}
    return convolve(x, weight, bias, group=attrs.get("group", 1), **options)


def _gemm(attrs: dict[str, Any], x: Ints, weight: Ints, bias: Ints | None = None) -> Ints:
    if any(attrs.get(name, default) != default for name, default in _GEMM_DEFAULTS.items()):
        raise ValueError(f"Gemm with {attrs}: a calibrated graph has x·W + c without attributes")
    product = _contract(x, weight, [x.ndim - 1], [0])
    return product if bias is None else product + bias


def _sum_pool(attrs: dict[str, Any], x: Ints, multiplicity: Ints | None = None) -> Ints:
    sums = sum_pool(x, attrs["kernel_shape"], attrs.get("strides"), attrs.get("pads"))
    return sums if multiplicity is None else sums * multiplicity


def _depth_to_space(attrs: dict[str, Any], x: Ints) -> Ints:
    size = attrs["blocksize"]
    samples, depth, height, width = x.shape
    channels = depth // size**2
    out = np.empty((samples, channels, height * size, width * size), np.int64)
    for place in range(size**2):
        if attrs.get("mode", "DCR") == "CRD":
            pixels = x[:, place :: size**2]
        else:
            pixels = x[:, place * channels : (place + 1) * channels]
        out[:, :, place // size :: size, place % size :: size] = pixels
    return out


_GEMM_DEFAULTS = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}
LINEAR: dict[tuple[str, str], Callable[..., Ints]] = {
    ("", "Conv"): _conv,
    ("", "Gemm"): _gemm,
    ("", "MatMul"): lambda attrs, x, weight: x @ weight,
    ("", "Add"): lambda attrs, a, b: a + b,
    ("", "Reshape"): lambda attrs, x, shape: x.reshape(len(x), *shape[1:]),
    ("", "Transpose"): lambda attrs, x: x.transpose(attrs["perm"]),
    ("", "DepthToSpace"): _depth_to_space,
    ("", "Gather"): lambda attrs, x, channels: np.take(x, channels, axis=attrs["axis"]),
    ("", "Concat"): lambda attrs, *parts: np.concatenate(parts, axis=attrs["axis"]),
    (_SNNC, "SumPool"): _sum_pool,
    (_SNNC, "Scale"): lambda attrs, x, factor, shift=0: x * factor + shift,
}
