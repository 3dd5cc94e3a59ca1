"""Where the elements of a tensor come from that nodes of an ANN have only moved, repeated or left out.

That is found out by running the nodes on numbers that name the elements, never from the names of their operators.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx_graphsurgeon as gs

from snnc.ir.alone import model_of, run_model, unlinked
from snnc.ir.graph import constant, sample_shape
from snnc.ir.picks import ZERO, Picks

# Elements are told apart by integers that float32 has, and so are two samples.
_SAMPLES = 2
_MOST_ELEMENTS = 2**24 // _SAMPLES - 1

Elements = npt.NDArray[np.int64]


def elements_of(source: gs.Variable, result: gs.Variable, nodes: Sequence[gs.Node], opset: int) -> Elements | None:
    """Which element of a sample of `source` each element of a sample of `result` is, as an index into the flattened
    sample, or `ZERO` where a zero stands; int64 of the shape of a sample of `result`.

    None where `nodes`, which compute it, do anything else with an element, or anything with the batch.
    """
    shape = sample_shape(source)
    size = math.prod(shape)
    if not 0 < size <= _MOST_ELEMENTS:
        return None
    model = model_of([_for_samples(node) for node in nodes], [source], [result], opset)
    found: list[Elements] = []
    for seed in (1, 2):  # what is computed from elements, a mean for instance, is no element in both
        numbers = 1 + np.random.default_rng(seed).permutation(_SAMPLES * size)
        values = numbers.reshape(_SAMPLES, *shape).astype(np.float32)
        try:
            (moved,) = run_model(model, {source.name: values})
        except Exception:  # onnxruntime raises several kinds, all about nodes that do not take these samples
            return None
        known = _known_elements(moved, numbers)
        if known is None:
            return None
        found.append(known)
    first, other = found
    if not np.array_equal(first, other):
        return None
    begins = size * np.arange(_SAMPLES).reshape(-1, *[1] * (first.ndim - 1))
    samples = np.where(first == ZERO, ZERO, first - begins)
    alike = all(np.array_equal(samples[0], sample) for sample in samples[1:])
    return samples[0] if alike and ((samples >= ZERO) & (samples < size)).all() else None


def _for_samples(node: gs.Node) -> gs.Node:
    """A `Resize` to constant sizes, which include that of the batch, as one for two samples; any other as it is."""
    sizes = constant(node, 3) if node.op == "Resize" else None
    if sizes is None or len(sizes) < len(node.inputs[0].shape):
        return node
    copy = unlinked(node, node.attrs)
    copy.inputs[3] = gs.Constant(node.inputs[3].name, np.array([_SAMPLES, *sizes[1:]], np.int64))
    return copy


def _known_elements(moved: np.ndarray, numbers: Elements) -> Elements | None:
    """Of which element of all samples each of `moved` has the number; None where one is no such number."""
    if moved.ndim < 2 or len(moved) != _SAMPLES or not np.array_equal(moved, np.rint(moved)):
        return None
    integers = moved.astype(np.int64)
    if integers.size == 0 or integers.min() < 0 or integers.max() > numbers.size:
        return None
    elements = np.full(numbers.size + 1, ZERO)
    elements[numbers] = np.arange(numbers.size)
    return elements[integers]


def along_axes(elements: Elements, shape: tuple[int, ...]) -> Picks | None:
    """The same as indices along every axis of a sample of `shape`; None where axes are mixed."""
    if elements.ndim != len(shape):
        return None
    places = np.unravel_index(np.maximum(elements, 0), shape)
    picked = elements != ZERO
    picks: Picks = []
    for axis, place in enumerate(places):
        others = tuple(other for other in range(elements.ndim) if other != axis)
        here = picked.any(others)
        picks.append(np.where(here, np.where(picked, place, 0).max(others, initial=0), ZERO))
    return picks if np.array_equal(elements, flattened(picks, shape)) else None


def flattened(picks: Picks, shape: tuple[int, ...]) -> Elements:
    """Indices along every axis as indices into the flattened sample of `shape`."""
    total = np.zeros((), np.int64)
    zero = np.zeros((), bool)
    for picked, size in zip(picks, shape, strict=True):
        total = total[..., None] * size + np.maximum(picked, 0)
        zero = zero[..., None] | (picked == ZERO)
    return np.where(zero, ZERO, total)
