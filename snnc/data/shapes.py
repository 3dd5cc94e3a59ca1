"""Samples as stored against the shape of the network's input.

Nothing is cropped, resized or padded: only axes of size 1, flattening, and the place of the channel axis may
differ.
"""

from __future__ import annotations

import math

import numpy as np

from snnc.data.rows import Array
from snnc.diagnostics import fail

Shape = tuple[int | None, ...]


def fit_to_input(images: Array, input_shape: Shape | None, layout: str | None, name: str) -> tuple[Array, list[str]]:
    """Bring `images` `[S, ...]` to `[S, *input_shape]`; returns them and what was done, in words.

    The first of these that gives the network's shape is taken (None in `input_shape` matches any size):

    1. the samples as they are;
    2. channels moved first (NHWC data, NCHW network), or last (NCHW data, NHWC network);
    3. axes of size 1 added or removed: 28x28 -> 1x28x28;
    4. flattened, or unflattened, in the order of storage: 1x28x28 -> 784, or 784x1.

    With `layout` "NHWC", channels are moved first if that fits, even where the samples fit as they are; with
    "NCHW" they are never moved first. Without `input_shape`, only NHWC is turned into NCHW. SNN302 if nothing
    fits.
    """
    if input_shape is None:
        is_nhwc = layout == "NHWC" and images.ndim == 4
        return _channels_first(images) if is_nhwc else (images, [])
    for arrange in ARRANGEMENTS[layout]:
        arranged, notes = arrange(images)
        if _matches(arranged.shape[1:], input_shape):
            return arranged, notes
    sample = images.shape[1:]
    target = _same_but_for_ones(sample, input_shape) or _unflattened(sample, input_shape)
    if target is None:
        message = f"{name}: samples are {_text(sample)}, the network takes {_text(input_shape)}"
        if _matches(images.shape, input_shape):
            fail("SNN302", message, hint="the first axis of the data counts the samples: add one, images[None]")
        fail("SNN302", message)
    return images.reshape(len(images), *target), [f"{_text(sample)} -> {_text(target)}"]


def _as_stored(images: Array) -> tuple[Array, list[str]]:
    return images, []


def _channels_first(images: Array) -> tuple[Array, list[str]]:
    return (np.moveaxis(images, -1, 1), ["NHWC -> NCHW"]) if images.ndim == 4 else (images, [])


def _channels_last(images: Array) -> tuple[Array, list[str]]:
    return (np.moveaxis(images, 1, -1), ["NCHW -> NHWC"]) if images.ndim == 4 else (images, [])


ARRANGEMENTS = {
    None: (_as_stored, _channels_first, _channels_last),
    "NCHW": (_as_stored, _channels_last),
    "NHWC": (_channels_first, _as_stored),
}


def _matches(shape: tuple[int, ...], wanted: Shape) -> bool:
    return len(shape) == len(wanted) and all(
        size is None or size == actual for actual, size in zip(shape, wanted, strict=True)
    )


def _same_but_for_ones(sample: tuple[int, ...], wanted: Shape) -> tuple[int, ...] | None:
    """`wanted` with its unknown sizes filled in from `sample`, if the two differ by axes of size 1 only."""
    sizes = [size for size in sample if size != 1]
    if not _matches(tuple(sizes), tuple(size for size in wanted if size != 1)):
        return None
    remaining = iter(sizes)
    return tuple(1 if size == 1 else next(remaining) for size in wanted)


def _unflattened(sample: tuple[int, ...], wanted: Shape) -> tuple[int, ...] | None:
    """`wanted`, if it or `sample` is flat and both have the same number of elements."""
    sizes = tuple(size for size in wanted if size is not None)
    is_flat = any(sum(size != 1 for size in shape) <= 1 for shape in (sample, wanted))
    return sizes if is_flat and len(sizes) == len(wanted) and math.prod(sizes) == math.prod(sample) else None


def _text(shape: Shape) -> str:
    return "x".join("?" if size is None else str(size) for size in shape) or "single numbers"
