"""Rounding of a tree of synapses to integers, and the largest current these can give.

Along an edge flows an integer tensor n, worth σ·n in ANN units. Rules, top down from the root's σ:

    source with value λ      σ = λ
    SumPool with divisor d   σ_in = σ·d
    Conv, Gemm, Scale        W' = round(W·σ_in/σ),  c' = round(c/σ)
    Add                      both operands at σ
    Reshape, Transpose       σ_in = σ

Where k weights stand above each other, the σ between them are free: the bits are shared evenly, the i-th product from
the input staying below limit^(i/k); a share below 2^5, and a layer whose weights all become zero, are refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import onnx_graphsurgeon as gs

from snnc.graph import WEIGHTED, activation_inputs, constant, is_source, producer, tree

# Powers of two tried for the grid, relative to the input scale of the layer.
_FINEST, _COARSEST = 60, -60
_LEAST_BOUND = 2.0**5


@dataclass
class Rounded:
    """A tree on its grid. `scale` is σ at the root; `weights` maps node names to (weight, bias) as integers in float32.

    `low` and `high` bound the current of one step, per channel. `main_scale` is the σ that enters the first weight of
    the main branch, so that `scale / main_scale` is the grid step of an ordinary layer's weights.
    """

    scale: float
    main_scale: float
    low: np.ndarray
    high: np.ndarray
    weights: dict[str, tuple[np.ndarray, np.ndarray | None]] = field(default_factory=dict)

    @property
    def bound(self) -> float:
        """The largest magnitude that any partial sum of a step's current can have."""
        return float(max(self.high.max(initial=0.0), -self.low.min(initial=0.0)))


@dataclass(frozen=True)
class TreeWeights:
    """The float weights of a tree before rounding: node name → (weight, bias)."""

    values: dict[str, tuple[np.ndarray, np.ndarray | None]]

    @staticmethod
    def of(nodes: list[gs.Node]) -> TreeWeights:
        """Read them from the graph, before they are overwritten."""
        found: dict[str, tuple[np.ndarray, np.ndarray | None]] = {}
        for node in nodes:
            if node.op in WEIGHTED:
                weight = constant(node, 1)
                assert weight is not None
                found[node.name] = (weight, constant(node, 2))
        return TreeWeights(found)


def round_tree(
    root: gs.Tensor, weights: TreeWeights, source_scales: dict[str, float], limit: float
) -> Rounded | None:
    """Round the tree under `root` to the finest power-of-two grid whose currents stay below `limit`.

    `source_scales` maps the names of spike tensors to λ. None if no grid fits.
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
    if finest.bound == 0:
        return rounding.at(root, main_scale, main_scale)
    if not math.isfinite(finest.bound):
        return None
    guess = math.floor(math.log2(limit) - math.log2(finest.bound)) + _FINEST + 1
    for exponent in range(min(_FINEST, guess), _COARSEST, -1):
        rounded = rounding.at(root, main_scale * 2.0**-exponent, main_scale)
        if rounded.bound < limit:
            return None if _loses_a_layer(rounded, weights) else rounded
    return None


def _loses_a_layer(rounded: Rounded, weights: TreeWeights) -> bool:
    """Whether all weights of some node were rounded to zero."""
    return any(weights.values[name][0].any() and not weight.any() for name, (weight, _) in rounded.weights.items())


def _weighted_operands(tensor: gs.Tensor) -> Iterator[tuple[gs.Tensor, int]]:
    """Operands of the lowest weights of a tree that have weights above them, with how many stand above each other."""
    node = producer(tensor)
    if is_source(tensor) or node is None:
        return
    operands = activation_inputs(node)
    if node.op not in WEIGHTED:
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
    return above + 1 if node.op in WEIGHTED else above


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
        yield from _paths(operand, divisor * node.attrs.get("divisor", 1))


def _fixed_scale(tensor: gs.Tensor, source_scales: dict[str, float]) -> float:
    """σ of a tensor without a weight above it."""
    node = producer(tensor)
    if is_source(tensor):
        return source_scales[tensor.name]
    assert node is not None
    divisor = int(node.attrs.get("divisor", 1))
    return _fixed_scale(activation_inputs(node)[0], source_scales) / divisor


@dataclass(frozen=True)
class _Rounding:
    """Rounds a tree at a given σ. `inner` holds the finished trees above weights, by the name of their root."""

    weights: TreeWeights
    source_scales: dict[str, float]
    inner: dict[str, Rounded]

    def at(self, root: gs.Tensor, scale: float, main_scale: float) -> Rounded:
        """The tree under `root`, worth `scale`."""
        values: dict[str, tuple[np.ndarray, np.ndarray | None]] = {}
        low, high = self._descend(root, scale, values)
        return Rounded(scale, main_scale, low, high, values)

    def _descend(
        self, tensor: gs.Tensor, scale: float, values: dict[str, tuple[np.ndarray, np.ndarray | None]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Round everything above `tensor` so that it is worth `scale`; return its bounds per channel."""
        node = producer(tensor)
        if is_source(tensor):
            return _source_bounds(tensor)
        assert node is not None
        operands = activation_inputs(node)
        if node.op == "Add":
            (low_a, high_a), (low_b, high_b) = (self._descend(operand, scale, values) for operand in operands)
            return low_a + low_b, high_a + high_b
        if node.op not in WEIGHTED:
            return _through(node, *self._descend(operands[0], scale * node.attrs.get("divisor", 1), values))
        finished = self.inner.get(operands[0].name)
        if finished is not None:
            values.update(finished.weights)
            scale_in, low, high = finished.scale, finished.low, finished.high
        else:
            scale_in = _fixed_scale(operands[0], self.source_scales)
            low, high = self._descend(operands[0], scale_in, values)
        weight, bias = self.weights.values[node.name]
        integer_weight = np.rint(weight.astype(np.float64) * (scale_in / scale))
        integer_bias = None if bias is None else np.rint(bias.astype(np.float64) / scale)
        values[node.name] = (integer_weight, integer_bias)
        return weighted_bounds(node.op, node.attrs.get("group", 1), integer_weight, integer_bias, low, high)


def _source_bounds(tensor: gs.Tensor) -> tuple[np.ndarray, np.ndarray]:
    node = producer(tensor)
    assert node is not None
    channels = int(tensor.shape[1])
    lowest = -1.0 if node.op == "SpikeEncode" else 0.0
    return np.full(channels, lowest), np.ones(channels)


def _through(node: gs.Node, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds behind an op without weights. Where the channels are mixed, the widest bounds hold for all."""
    if node.op == "SumPool":
        return low * node.attrs["divisor"], high * node.attrs["divisor"]
    channels = int(node.outputs[0].shape[1])
    if node.op == "Transpose" and node.attrs["perm"][1] == 1:
        return low, high
    return np.full(channels, low.min()), np.full(channels, high.max())


def weighted_bounds(
    op: str, group: int, weight: np.ndarray, bias: np.ndarray | None, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest output per channel of a linear op whose inputs lie in [low, high] (0 included)."""
    if op == "Scale":
        pairs = np.stack([low * weight, high * weight])
        return pairs.min(0), pairs.max(0)
    if op == "Gemm":
        rows = weight.T
        lows, highs = low[None], high[None]
    else:
        outputs, per_group = weight.shape[:2]
        rows = weight.reshape(outputs, per_group, -1)
        group_of = np.arange(outputs) // (outputs // group)
        channel = group_of[:, None] * per_group + np.arange(per_group)[None]
        lows, highs = low[channel][..., None], high[channel][..., None]
    axes = tuple(range(1, rows.ndim))
    positive, negative = np.maximum(rows, 0), np.minimum(rows, 0)
    new_low = (positive * lows + negative * highs).sum(axes)
    new_high = (positive * highs + negative * lows).sum(axes)
    if bias is not None:
        new_low, new_high = new_low + np.minimum(bias, 0), new_high + np.maximum(bias, 0)
    return np.minimum(new_low, 0), np.maximum(new_high, 0)


def rounding_error(root: gs.Tensor, rounded: Rounded, weights: TreeWeights) -> float:
    """The largest ‖rounded - exact‖/‖exact‖ of the weights of a tree, each on its best common scale."""
    worst = 0.0
    for node in tree(root):
        if node.op not in WEIGHTED:
            continue
        exact = weights.values[node.name][0].astype(np.float64).ravel()
        integer = np.asarray(rounded.weights[node.name][0], np.float64).ravel()
        if exact.any():
            fitted = integer * (float(exact @ integer) / max(float(integer @ integer), 1.0))
            worst = max(worst, float(np.linalg.norm(fitted - exact) / np.linalg.norm(exact)))
    return worst


def write_weights(nodes: list[gs.Node], rounded: Rounded) -> None:
    """Replace the weights of the tree's nodes by the rounded ones."""
    for node in nodes:
        if node.op in WEIGHTED:
            weight, bias = rounded.weights[node.name]
            node.inputs[1] = gs.Constant(f"{node.name}/weight", np.asarray(weight, np.float32))
            if bias is not None:
                node.inputs[2] = gs.Constant(f"{node.name}/bias", bias.astype(np.float32))


def integer_bound(root: gs.Tensor) -> float:
    """The largest magnitude of a partial sum in a tree whose weights are integers already."""

    def bounds(tensor: gs.Tensor) -> tuple[np.ndarray, np.ndarray]:
        node = producer(tensor)
        if is_source(tensor):
            return _source_bounds(tensor)
        assert node is not None
        operands = [bounds(operand) for operand in activation_inputs(node)]
        if node.op == "Add":
            return operands[0][0] + operands[1][0], operands[0][1] + operands[1][1]
        if node.op in WEIGHTED:
            weight = constant(node, 1)
            assert weight is not None
            bias = constant(node, 2)
            return weighted_bounds(
                node.op,
                node.attrs.get("group", 1),
                weight.astype(np.float64),
                None if bias is None else bias.astype(np.float64),
                *operands[0],
            )
        return _through(node, *operands[0])

    low, high = bounds(root)
    return float(max(high.max(initial=0.0), -low.min(initial=0.0)))
