"""Rounding of a tree of synapses to integers, and the largest current these can give.

Along an edge flows an integer tensor n, worth σ·n in ANN units. Rules, top down from the root's σ:

    source with value λ          σ = λ
    operator without weights     σ_in = σ·d, with its divisor d
    operator with weights        W' = round(W·σ_in/σ),  c' = round(c/σ)

Where k weights stand above each other, the σ between them are free: the bits are shared evenly, the i-th product from
the input staying below limit^(i/k); a share below 2^5, and a layer whose weights all become zero, are refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.graph import activation_inputs, producer
from snnc.ir.trees import is_source, tree
from snnc.operators import operator_of, weighted
from snnc.operators.contract import Bounds, Weights

# Powers of two tried for the grid, relative to the input scale of the layer.
_FINEST, _COARSEST = 60, -60
_LEAST_BOUND = 2.0**5


@dataclass
class Rounded:
    """A tree on its grid. `scale` is σ at the root, `weights` holds the integers (in float64) by node name.

    `bounds` are those of the current of one step. `main_scale` is the σ that enters the first weight of the main
    branch, so that `scale / main_scale` is the grid step of an ordinary layer's weights.
    """

    scale: float
    main_scale: float
    bounds: Bounds
    weights: dict[str, Weights] = field(default_factory=dict)


def weights_of(nodes: Iterable[gs.Node]) -> dict[str, Weights]:
    """Weights by node name, as the graph has them."""
    return {node.name: room.weights(node) for node in nodes if (room := weighted(node)) is not None}


def round_tree(
    root: gs.Tensor, weights: dict[str, Weights], source_scales: dict[str, float], limit: float
) -> Rounded | None:
    """Round the tree under `root` to the finest power-of-two grid whose currents stay below `limit`.

    `weights` are the floats by node name; `source_scales` maps the names of spike tensors to λ. None if no grid fits.
    """
    if limit < _LEAST_BOUND:
        return None
    inner: dict[str, Rounded] = {}
    for operand, depth in _weighted_operands(root):
        found = round_tree(operand, weights, source_scales, limit ** (depth / (depth + 1)))
        if found is None:
            return None
        inner[operand.name] = found
    rounding = _Rounding(weights, source_scales, inner)
    main_scale = _main_scale(root, source_scales)
    finest = rounding.at(root, main_scale * 2.0**-_FINEST, main_scale)
    if finest.bounds.magnitude == 0:
        return rounding.at(root, main_scale, main_scale)
    if not math.isfinite(finest.bounds.magnitude):
        return None
    guess = math.floor(math.log2(limit) - math.log2(finest.bounds.magnitude)) + _FINEST + 1
    for exponent in range(min(_FINEST, guess), _COARSEST, -1):
        rounded = rounding.at(root, main_scale * 2.0**-exponent, main_scale)
        if rounded.bounds.magnitude < limit:
            return None if _loses_a_layer(rounded, weights) else rounded
    return None


def _loses_a_layer(rounded: Rounded, weights: dict[str, Weights]) -> bool:
    """Whether all weights of some node were rounded to zero."""
    return any(weights[name].weight.any() and not found.weight.any() for name, found in rounded.weights.items())


def _weighted_operands(tensor: gs.Tensor) -> Iterator[tuple[gs.Tensor, int]]:
    """Operands of the lowest weights of a tree that have weights above them, with how many stand above each other."""
    node = producer(tensor)
    if is_source(tensor) or node is None:
        return
    operands = activation_inputs(node)
    if weighted(node) is None:
        for operand in operands:
            yield from _weighted_operands(operand)
        return
    depth = _weight_depth(operands[0])
    if depth:
        yield operands[0], depth


def _weight_depth(tensor: gs.Tensor) -> int:
    node = producer(tensor)
    if is_source(tensor) or node is None:
        return 0
    above = max(_weight_depth(operand) for operand in activation_inputs(node))
    return above if weighted(node) is None else above + 1


def _main_scale(root: gs.Tensor, source_scales: dict[str, float]) -> float:
    """σ that enters the first weight of the main branch: the one that starts at the deepest source.

    `source_scales` is in the order of the graph. Where branches start at the same source, the first one counts.
    """
    order = {name: index for index, name in enumerate(source_scales)}
    best, main = -1, 0.0
    for source, divisor in _paths(root):
        if order[source] > best:
            best, main = order[source], source_scales[source] / divisor
    return main


def _paths(tensor: gs.Tensor, divisor: int = 1) -> Iterator[tuple[str, int]]:
    """Source and product of the pooling divisors of every path into a tree."""
    node = producer(tensor)
    if is_source(tensor) or node is None:
        yield tensor.name, divisor
        return
    for operand in activation_inputs(node):
        yield from _paths(operand, divisor * operator_of(node).divisor(node))


def _fixed_scale(tensor: gs.Tensor, source_scales: dict[str, float]) -> float:
    """σ of a tensor without a weight above it."""
    node = producer(tensor)
    if is_source(tensor):
        return source_scales[tensor.name]
    assert node is not None
    return _fixed_scale(activation_inputs(node)[0], source_scales) / operator_of(node).divisor(node)


@dataclass(frozen=True)
class _Rounding:
    """Rounds a tree at a given σ. `inner` holds the finished trees above weights, by the name of their root."""

    weights: dict[str, Weights]
    source_scales: dict[str, float]
    inner: dict[str, Rounded]

    def at(self, root: gs.Tensor, scale: float, main_scale: float) -> Rounded:
        """The tree under `root`, worth `scale`."""
        found: dict[str, Weights] = {}
        return Rounded(scale, main_scale, self._descend(root, scale, found), found)

    def _descend(self, tensor: gs.Tensor, scale: float, found: dict[str, Weights]) -> Bounds:
        """Round everything above `tensor` so that it is worth `scale`; return its bounds."""
        node = producer(tensor)
        if is_source(tensor):
            return source_bounds(tensor)
        assert node is not None
        room, operands = operator_of(node), activation_inputs(node)
        if weighted(node) is None:
            scale_in = scale * room.divisor(node)
            return room.bounds(node, [self._descend(operand, scale_in, found) for operand in operands], None)
        finished = self.inner.get(operands[0].name)
        if finished is not None:
            found.update(finished.weights)
            scale_in, bounds = finished.scale, finished.bounds
        else:
            scale_in = _fixed_scale(operands[0], self.source_scales)
            bounds = self._descend(operands[0], scale_in, found)
        found[node.name] = self.weights[node.name].round(scale_in, scale)
        return room.bounds(node, [bounds], found[node.name])


def source_bounds(tensor: gs.Tensor) -> Bounds:
    """Of the spikes of a source: signed for the encoder."""
    node = producer(tensor)
    assert node is not None
    channels = int(tensor.shape[1])
    lowest = -1.0 if node.op == "SpikeEncode" else 0.0
    return Bounds(np.full(channels, lowest), np.ones(channels))


def rounding_error(rounded: Rounded, weights: dict[str, Weights]) -> float:
    """The largest ‖rounded - exact‖/‖exact‖ of the weights of a tree, each on its best common scale."""
    worst = 0.0
    for name, found in rounded.weights.items():
        exact = weights[name].weight.astype(np.float64).ravel()
        integer = np.asarray(found.weight, np.float64).ravel()
        if exact.any():
            fitted = integer * (float(exact @ integer) / max(float(integer @ integer), 1.0))
            worst = max(worst, float(np.linalg.norm(fitted - exact) / np.linalg.norm(exact)))
    return worst


def write_weights(root: gs.Tensor, rounded: Rounded) -> None:
    """Replace the weights of the tree under `root` by the rounded ones."""
    for node in tree(root):
        room = weighted(node)
        if room is not None:
            room.write_weights(node, rounded.weights[node.name])


def integer_bound(root: gs.Tensor) -> float:
    """The largest magnitude of a partial sum in a tree whose weights are integers already."""

    def bounds(tensor: gs.Tensor) -> Bounds:
        node = producer(tensor)
        if is_source(tensor):
            return source_bounds(tensor)
        assert node is not None
        room = weighted(node)
        weights = None if room is None else room.weights(node)
        return operator_of(node).bounds(node, [bounds(operand) for operand in activation_inputs(node)], weights)

    return bounds(root).magnitude
