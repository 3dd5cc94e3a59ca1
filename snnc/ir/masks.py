"""Constant masks in front of a Softmax: which elements it must not see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_graphsurgeon as gs

from snnc.ir.graph import activation_inputs, constant, producer, sample_shape

# What has this or less added is not seen: exp of it is 0 beside anything else.
_NEVER = -1e4


@dataclass(frozen=True)
class Mask:
    """`source` is what a Softmax compares where `seen` `[C, ...]`, of the shape of a sample, says so, plus `addend`
    (float32, the same shape; 0 elsewhere)."""

    source: gs.Variable
    seen: npt.NDArray[np.bool_]
    addend: npt.NDArray[np.float32]


def mask_of(tensor: gs.Variable) -> Mask | None:
    """The mask that the node in front of `tensor` puts on its operand, the same for all samples; None where there is
    none."""
    node = producer(tensor)
    if node is None or len(activation_inputs(node)) != 1 or activation_inputs(node)[0].shape != tensor.shape:
        return None
    (source,) = activation_inputs(node)
    shape = sample_shape(tensor)
    if node.op == "Add":
        added = _of_sample(constant(node, 0 if node.inputs[1] is source else 1), shape)
        if added is None or not (added <= _NEVER).any():
            return None
        seen = added > _NEVER
        return Mask(source, seen, np.where(seen, added, 0).astype(np.float32))
    if node.op != "Where":
        return None
    chosen, other = (_of_sample(constant(node, at), shape) for at in (0, 1 if node.inputs[2] is source else 2))
    if chosen is None or other is None or not (other <= _NEVER).all():
        return None
    seen = chosen.astype(bool) if node.inputs[1] is source else ~chosen.astype(bool)
    return None if seen.all() else Mask(source, seen, np.zeros(shape, np.float32))


def _of_sample(value: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """A constant in the shape of a sample; None where it differs from sample to sample."""
    if value is None or (value.ndim == len(shape) + 1 and len(value) > 1):
        return None
    whole: np.ndarray = np.broadcast_to(value, (1, *shape))[0]
    return whole
