"""The linear operators of the reference simulator, in numpy on int64.

They share no code with the compiler, whose account of the same operators they check.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
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
    number = _exact_type(x, weight, math.prod(weight.shape[1:]))
    fields = _fields(x.astype(number), weight.shape[2:], strides, pads, dilations)
    sizes = fields.shape[3:]
    filters = weight.astype(number).reshape(group, len(weight) // group, math.prod(weight.shape[1:]))
    product = np.matmul(filters, fields.reshape(len(x), group, filters.shape[2], math.prod(sizes)))
    out: Ints = product.reshape(len(x), len(weight), *sizes).astype(np.int64)
    return out if bias is None else out + bias.reshape(-1, *[1] * len(sizes))


def _exact_type(x: Ints, weight: Ints, terms: int) -> type[np.float64] | type[np.int64]:
    """What sums of so many products are exact in. Only floating-point products are fast; while sums stay below 2^53,
    float64 is exact."""
    largest = terms * int(np.abs(x).max(initial=0)) * int(np.abs(weight).max(initial=0))
    return np.float64 if largest < FLOAT64_LIMIT else np.int64


def sum_pool(
    x: Ints,
    kernel_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
) -> Ints:
    """Sums over windows: [N, C, ...] → [N, C, ...]."""
    sums: Ints = _fields(x, kernel_shape, strides, pads, None).sum(axis=2)
    return sums


def _fields(
    x: NDArray[Any],
    kernel_shape: Sequence[int],
    strides: Sequence[int] | None,
    pads: Sequence[int] | None,
    dilations: Sequence[int] | None,
) -> NDArray[Any]:
    """What each output element sees, zeros around x: [N, C, ...] → [N, C, taps, output...]."""
    rank = len(kernel_shape)
    strides, dilations = strides or [1] * rank, dilations or [1] * rank
    if pads and any(pads):
        x = np.pad(x, [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)])
    sizes = [
        (size - (kernel - 1) * dilation - 1) // stride + 1
        for size, kernel, dilation, stride in zip(x.shape[2:], kernel_shape, dilations, strides, strict=True)
    ]
    taps = list(itertools.product(*map(range, kernel_shape)))
    fields = np.empty((*x.shape[:2], len(taps), *sizes), x.dtype)
    for index, tap in enumerate(taps):
        firsts = [place * dilation for place, dilation in zip(tap, dilations, strict=True)]
        ends = [first + (size - 1) * stride + 1 for first, size, stride in zip(firsts, sizes, strides, strict=True)]
        seen = [slice(*each) for each in zip(firsts, ends, strides, strict=True)]
        everywhere = (slice(None), slice(None), *seen)
        fields[:, :, index] = x[everywhere]
    return fields


def _conv(attrs: dict[str, Any], x: Ints, weight: Ints, bias: Ints | None = None) -> Ints:
    if attrs.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise ValueError(f"auto_pad={attrs['auto_pad']}: a calibrated graph has explicit pads")
    options = {name: attrs.get(name) for name in ("strides", "pads", "dilations")}
    return convolve(x, weight, bias, group=attrs.get("group", 1), **options)


def _gemm(attrs: dict[str, Any], x: Ints, weight: Ints, bias: Ints | None = None) -> Ints:
    if any(attrs.get(name, default) != default for name, default in _GEMM_DEFAULTS.items()):
        raise ValueError(f"Gemm with {attrs}: a calibrated graph has x·W + c without attributes")
    number = _exact_type(x, weight, len(weight))
    product: Ints = (x.astype(number) @ weight.astype(number)).astype(np.int64)
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
