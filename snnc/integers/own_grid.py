"""The grid that the network's own quantisers give: every weight an integer of it, nothing rounded.

Where the sources of a tree are worth s_x and a row of weights consists of integer multiples of s_w, sums are integer
multiples of s_x·s_w, the user's own integers. Where two branches of different units meet, the unit is a share of both:

    u = p/q·v with the best p and q below a bound:   both are integer multiples of v/q

That is off by at most 1/q² of a unit, which is beyond what float32 can tell. A bias finer than its weights makes the
unit finer. Weights are known by their values, whatever nodes they came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import onnx_graphsurgeon as gs

from snnc.integers.grid import (
    Limits,
    Rounded,
    Rounding,
    exceeds,
    fixed_scale,
    main_scale_of,
    unread_exceeds,
    weight_depth,
)
from snnc.integers.limits import LARGEST_CHARGE
from snnc.ir.graph import activation_inputs, producer, sample_shape
from snnc.ir.signal import FloatArray, per_channel
from snnc.ir.trees import is_source
from snnc.operators import operator_of, weighted
from snnc.operators.contract import Weights

#: The largest integer that a weight of a quantised network is: 8 bits with a zero point.
LARGEST_WEIGHT = 255
# Denominators tried for the ratio of two units, and how often a unit may be halved.
_MOST_PARTS, _HALVINGS = (2**18, 2**15, 2**12), 12
# How far from an integer a weight may be, in units: what float32 leaves of LARGEST_WEIGHT.
_OFF = LARGEST_WEIGHT * 2.0**-22
# Rounding by this share of a current is none: float32 products of weights and scales are off by as much.
_NOTHING = 2.0**-20


def round_on_own_grid(
    root: gs.Tensor,
    weights: Mapping[str, Weights],
    source_scales: Mapping[str, FloatArray],
    limits: Limits,
    charge: FloatArray,
) -> Rounded | None:
    """The tree under `root` on the finest grid of its own that keeps the limits; None where it has none.

    `charge` is the bias of the neuron in ANN units; it broadcasts against a sample of the root.
    """
    shape = sample_shape(root)
    pattern = (shape[0], *[1] * (len(shape) - 1))
    rounding = Rounding(weights, source_scales, {}, main_scale_of(root, source_scales), root)
    for most in _MOST_PARTS:
        units = _Units(weights, source_scales, most).of(root)
        if units is None or any(size > 1 for size in units.shape[1:]):
            return None
        units = np.broadcast_to(units / _parts_of(charge, units), pattern)
        rounded = _finest(rounding, units, limits, charge, pattern)
        if rounded is not None and (rounded.noise <= _NOTHING * np.sqrt(rounded.signal.power)).all():
            rounded.own = bool(_are_whole(charge / rounded.scale).all())
            return rounded
    return None


def _finest(
    rounding: Rounding, units: FloatArray, limits: Limits, charge: FloatArray, pattern: tuple[int, ...]
) -> Rounded | None:
    halvings = np.full(pattern, float(_HALVINGS))
    while (halvings >= 0).all():
        scale = units * np.exp2(-halvings)
        rounded = rounding.at(scale)
        axes = tuple(axis for axis, size in enumerate(pattern) if size == 1)
        largest = np.abs(np.broadcast_to(charge, np.broadcast_shapes(charge.shape, pattern))).max(axes, keepdims=True)
        too_fine = exceeds(rounded.signal, limits, pattern) | (largest / scale >= LARGEST_CHARGE)
        if not too_fine.any() and not unread_exceeds(rounded, limits):
            return rounded
        too_fine = too_fine if too_fine.any() else np.ones(pattern, bool)
        halvings = np.where(too_fine, halvings - 1, halvings)
    return None


@dataclass(frozen=True)
class _Units:
    """Finds what the values of a tree are integer multiples of; `most` bounds the denominators of ratios."""

    weights: Mapping[str, Weights]
    source_scales: Mapping[str, FloatArray]
    most: int

    def of(self, tensor: gs.Tensor) -> FloatArray | None:
        """An array that broadcasts against a sample of `tensor`."""
        if is_source(tensor):
            return self.source_scales[tensor.name]
        node = producer(tensor)
        assert node is not None
        if weighted(node) is not None:
            return None if weight_depth(node.inputs[0]) else self._behind_weights(node)
        found = [self.of(operand) for operand in activation_inputs(node)]
        units = [unit for unit in found if unit is not None]
        if len(units) < len(found):
            return None
        if node.op == "Add":
            return self._shared(*units)
        carried = operator_of(node).carry(node, units)
        return None if carried is None else carried / operator_of(node).divisor(node)

    def _behind_weights(self, node: gs.Node) -> FloatArray | None:
        entering, weight = fixed_scale(node.inputs[0], self.source_scales), self.weights[node.name].weight
        if node.op == "Scale":
            sizes = np.abs(np.asarray(weight, np.float64))
            scaled: FloatArray = entering * sizes.reshape((1,) * (entering.ndim - sizes.ndim) + sizes.shape)
            return scaled if sizes.all() else None
        inputs = per_channel(entering, sample_shape(node.inputs[0])[0])
        if node.op not in ("Conv", "Gemm") or inputs is None or np.ptp(inputs) > 2.0**-40 * inputs.max():
            return None
        rows = weight.T if node.op == "Gemm" else weight.reshape(len(weight), -1)
        steps = steps_of_rows(rows)
        if steps is None:
            return None
        unit = float(inputs[0])
        return unit * steps.reshape(-1, *[1] * (len(sample_shape(node.outputs[0])) - 1))

    def _shared(self, first: FloatArray, second: FloatArray) -> FloatArray:
        ratios = np.asarray(first / second, np.float64)
        parts = [Fraction(float(ratio)).limit_denominator(self.most) for ratio in ratios.reshape(-1)]
        denominators = np.array([part.denominator for part in parts], np.float64).reshape(ratios.shape)
        found: FloatArray = second / denominators
        return found


def steps_of_rows(rows: np.ndarray) -> FloatArray | None:
    """The largest number of which all weights of a row `[rows, ...]` are integer multiples, up to 255 times; of a row
    of zeros that of the others. None where some row has none."""
    steps = np.array([_step_of(np.unique(np.abs(row[row != 0])).astype(np.float64)) for row in rows])
    if (steps < 0).any() or not steps.any():
        return None
    return np.where(steps == 0, steps[steps > 0].min(), steps)


def _step_of(values: FloatArray) -> float:
    """Of `values`, ascending and positive; 0 if there are none, -1 if there is no such number."""
    if not 0 < values.size <= LARGEST_WEIGHT:
        return 0.0 if values.size == 0 else -1.0
    candidates = values[-1] / np.arange(1, LARGEST_WEIGHT + 1)
    counts = values / candidates[:, None]
    fits = (np.abs(counts - np.rint(counts)) <= _OFF).all(1) & (counts[:, 0] > 0.5)
    if not fits.any():
        return -1.0
    return _exact(values, np.rint(counts[fits.argmax()]))


def _exact(values: FloatArray, counts: FloatArray) -> float:
    """The float32 number whose products, as float32, are the values; their best common one if there is none."""
    guess = np.float32(values[-1] / counts[-1])
    for step in (guess, np.nextafter(guess, np.float32(0)), np.nextafter(guess, np.float32(np.inf))):
        if np.array_equal((step * counts.astype(np.float32)), values.astype(np.float32)):
            return float(step)
    return float((values * counts).sum() / (counts * counts).sum())


def _parts_of(charge: FloatArray, units: FloatArray) -> FloatArray:
    """Into how many parts a unit must be cut so that the charge is a whole number of them: 1 where up to 255 are of no
    help."""
    shares = np.abs(charge / units)
    inner = tuple(range(1, shares.ndim))
    found = np.zeros((len(shares), *[1] * len(inner)))
    for parts in range(1, LARGEST_WEIGHT + 1):
        found = np.where((found == 0) & _are_whole(shares * parts).all(inner, keepdims=True), float(parts), found)
        if found.all():
            break
    return np.maximum(found, 1.0)


def _are_whole(numbers: FloatArray) -> npt.NDArray[np.bool_]:
    """Where they are integers, as far as float32 can tell."""
    off: FloatArray = np.abs(numbers - np.rint(numbers))
    return np.asarray(off <= 2.0**-22 * np.abs(numbers) + 2.0**-20)
