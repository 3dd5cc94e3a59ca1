"""Rounding of a tree of synapses to integers, every output channel on a grid of its own.

Along an edge flows an integer tensor n, worth σ·n in ANN units, where σ varies with the channel. Rules, top down from
the root's σ:

    source with value λ          σ = λ
    operator without weights     σ_in = σ·d, with its divisor d
    operator with weights        W'_mc = round(W_mc·σ_in,c/σ_m),  c'_m = round(c_m/σ_m)

σ_m = σ_main·2^-k_m with the largest k_m for which no current of one step reaches the limit, and no weight the bits that
rows of weights have: 16, or fewer where the user wants it (`Limits.rows`). Of fewer the last one counts: σ_m is then
made finer by up to a half, so that the largest weight of a channel reaches the limit. Where channels cannot be told
apart at the root (a plane flattened in front of a neuron), they share one k.

Where k weights stand above each other, the σ between them are free: the bits are shared evenly, the i-th product from
the input staying below limit^(i/k).

What rounding costs is judged by what it does to the output (`Rounded.noise`), not by what it does to the weights: a
weight that is lost beside a large bias, or in a channel that hardly counts, costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.graph import activation_inputs, producer, sample_shape
from snnc.ir.signal import FloatArray, Signal
from snnc.ir.trees import is_source, source_signal, tree
from snnc.operators import operator_of, weighted
from snnc.operators.contract import Weights

# Powers of two tried for the grid, relative to the input scale of the layer.
_FINEST, _COARSEST = 60, -60
# Of fewer bits all are used.
WIDEST_ROWS = 2.0**15 - 1
_LEAST_BOUND = 2.0**5


@dataclass(frozen=True)
class Limits:
    """What a grid must keep: currents of one step stay below `current`, weights that are packed into rows do not exceed
    `rows`, and none exceeds `weight`. Sums that nobody reads stay below `exact` too: plain layers compute them."""

    current: float
    exact: float
    rows: float = WIDEST_ROWS
    weight: float = 2.0**24 - 1

    def share(self, share: float) -> Limits:
        """The limits of inner products that have this share of the bits."""
        return replace(self, current=self.current**share)


@dataclass
class Rounded:
    """A tree on its grid. `weights` holds the integers (in float64) by node name.

    `scale` is σ at the root and broadcasts against a sample of it; `signal` is what one step gives there. `main_scale`
    is the largest σ that enters the first weight of the main branch, so that `scale / main_scale` is the grid step of
    an ordinary layer's weights. `inside` is what the nodes with weights give, by name. `own`: these integers are the
    user's own, nothing was rounded.
    """

    scale: FloatArray
    main_scale: float
    signal: Signal
    weights: dict[str, Weights] = field(default_factory=dict)
    inside: dict[str, Signal] = field(default_factory=dict)
    own: bool = False

    @property
    def unit(self) -> FloatArray:
        """One unit of the grid, in input spikes of the layer."""
        return self.scale / self.main_scale

    @property
    def noise(self) -> FloatArray:
        """Root mean square error of a step's current that rounding causes, in units of the grid: for independent
        inputs, each as large as it can be."""
        return np.sqrt(self.signal.noise)


def weights_of(nodes: Iterable[gs.Node]) -> dict[str, Weights]:
    """Weights by node name, as the graph has them."""
    return {node.name: room.weights(node) for node in nodes if (room := weighted(node)) is not None}


def round_tree(
    root: gs.Tensor,
    weights: Mapping[str, Weights],
    source_scales: Mapping[str, FloatArray],
    limits: Limits,
    coarsest: FloatArray | None = None,
    multiple: FloatArray | None = None,
) -> Rounded | None:
    """Round the tree under `root` to the finest power-of-two grids that keep the limits; None if there are none.

    `weights` are the floats by node name; `source_scales` maps the names of spike tensors to λ. `coarsest` bounds σ
    from below (it broadcasts against a sample of the root): no grid need be finer than that. Where `multiple` is given,
    σ is then made a little coarser so that `multiple` is an even number of it.
    """
    if limits.current < _LEAST_BOUND:
        return None
    inner: dict[str, Rounded] = {}
    for operand, depth in _weighted_operands(root):
        found = round_tree(operand, weights, source_scales, limits.share(depth / (depth + 1)))
        if found is None:
            return None
        inner[operand.name] = found
    rounding = Rounding(weights, source_scales, inner, main_scale_of(root, source_scales), root)
    shape = sample_shape(root)
    found = rounding.finest((shape[0], *[1] * (len(shape) - 1)), limits, coarsest)
    found = found if found is not None else rounding.finest((1,) * len(shape), limits, coarsest)
    if found is not None and limits.rows < WIDEST_ROWS:
        found = rounding.stretched(found, limits, coarsest)
    if found is None or multiple is None:
        return found
    units = 2 * np.floor(multiple / found.scale / 2)
    try:
        return None if (units < 2).any() else rounding.at(multiple / units)
    except _UnevenError:
        return None


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
    depth = weight_depth(operands[0])
    if depth:
        yield operands[0], depth


def weight_depth(tensor: gs.Tensor) -> int:
    node = producer(tensor)
    if is_source(tensor) or node is None:
        return 0
    above = max(weight_depth(operand) for operand in activation_inputs(node))
    return above if weighted(node) is None else above + 1


def main_scale_of(root: gs.Tensor, source_scales: Mapping[str, FloatArray]) -> float:
    """The largest σ that enters the first weight of the main branch: the one that starts at the deepest source.

    `source_scales` is in the order of the graph. Where branches start at the same source, the first one counts.
    """
    order = {name: index for index, name in enumerate(source_scales)}
    best, main = -1, 0.0
    for source, divisor in _paths(root):
        if order[source] > best:
            best, main = order[source], float(source_scales[source].max()) / divisor
    return main


def _paths(tensor: gs.Tensor, divisor: int = 1) -> Iterator[tuple[str, int]]:
    """Source and product of the pooling divisors of every path into a tree."""
    node = producer(tensor)
    if is_source(tensor) or node is None:
        yield tensor.name, divisor
        return
    for operand in activation_inputs(node):
        yield from _paths(operand, divisor * operator_of(node).divisor(node))


class _UnevenError(Exception):
    """One weight would have to work at several σ."""


@dataclass(frozen=True)
class Rounding:
    """Rounds a tree at a given σ. `inner` holds the finished trees above weights, by the name of their root."""

    weights: Mapping[str, Weights]
    source_scales: Mapping[str, FloatArray]
    inner: Mapping[str, Rounded]
    main_scale: float
    root: gs.Tensor

    def finest(self, pattern: tuple[int, ...], limits: Limits, coarsest: FloatArray | None) -> Rounded | None:
        """The tree on the finest grids, one for each element of `pattern`; None where it cannot be had."""
        try:
            exponents = self._first_guess(pattern, limits, coarsest)
            while exponents is not None and (exponents > _COARSEST).all():
                rounded = self.at(self.main_scale * np.exp2(-exponents))
                too_fine = exceeds(rounded.signal, limits, pattern)
                if not too_fine.any() and not unread_exceeds(rounded, limits):
                    return rounded
                too_fine = too_fine if too_fine.any() else np.ones(pattern, bool)
                exponents = np.where(too_fine, exponents - 1, exponents)
        except _UnevenError:
            pass
        return None

    def stretched(self, rounded: Rounded, limits: Limits, coarsest: FloatArray | None) -> Rounded:
        """The same where the largest weight of every grid is as large as may be: where bits are few, powers of two
        would leave up to one of them unused. No σ falls below `coarsest`, unless it was there before."""
        pattern, signal = rounded.scale.shape, rounded.signal
        # Half a unit may have been rounded away, and less than half is rounded away again.
        pairs = ((signal.largest, limits.current), (signal.peak, limits.weight), (signal.rows, limits.rows))
        used = np.max([(_largest_in(values, pattern) + 0.5) / (limit + 0.49) for values, limit in pairs], 0)
        scale = rounded.scale * np.where((used > 0.5) & (used < 1), used, 1.0)
        if coarsest is not None:
            scale = np.clip(_largest_in(coarsest, pattern), scale, rounded.scale)
        scale = np.where(exceeds(self.at(scale).signal, limits, pattern), rounded.scale, scale)
        found = self.at(scale)
        return rounded if unread_exceeds(found, limits) else found

    def _first_guess(self, pattern: tuple[int, ...], limits: Limits, coarsest: FloatArray | None) -> FloatArray | None:
        """Exponents k of σ = σ_main·2^-k that are no coarser than they must be; None for infinite weights."""
        signal = self.at(np.full(pattern, self.main_scale * 2.0**-_FINEST)).signal
        if not math.isfinite(signal.magnitude):
            return None
        with np.errstate(divide="ignore"):
            pairs = (
                (signal.largest, limits.current),
                (signal.peak, limits.weight),
                (signal.rows, limits.rows),
            )
            excess = np.max([np.log2(_largest_in(values, pattern)) - math.log2(limit) for values, limit in pairs], 0)
        silent = np.isneginf(excess)
        guess = np.minimum(_FINEST, np.floor(_FINEST + 1 - np.where(silent, 0, excess)))
        # A channel without weights is on the coarsest grid of the others, so that it decides nothing for them.
        guess = np.where(silent, 0 if silent.all() else guess[~silent].min(), guess)
        if coarsest is not None:
            with np.errstate(divide="ignore"):
                allowed = np.floor(np.log2(self.main_scale) - np.log2(_largest_in(coarsest, pattern)))
            guess = np.minimum(guess, np.maximum(allowed, _COARSEST + 1))
        exponents: FloatArray = guess
        return exponents

    def at(self, scale: FloatArray) -> Rounded:
        """The tree with this σ at its root."""
        found: dict[str, Weights] = {}
        inside: dict[str, Signal] = {}
        signal = self._descend(self.root, scale, found, inside)
        return Rounded(scale, self.main_scale, signal, found, inside)

    def _descend(
        self, tensor: gs.Tensor, scale: FloatArray, found: dict[str, Weights], inside: dict[str, Signal]
    ) -> Signal:
        """Round everything above `tensor` so that it is worth `scale`; return what flows there."""
        node = producer(tensor)
        if is_source(tensor):
            return source_signal(tensor)
        assert node is not None
        room, operands = operator_of(node), activation_inputs(node)
        heavy = weighted(node)
        if heavy is None:
            scales_in = room.carry_back(node, scale)
            if scales_in is None:
                raise _UnevenError
            signals = [
                self._descend(operand, scale_in * room.divisor(node), found, inside)
                for operand, scale_in in zip(operands, scales_in, strict=True)
            ]
            return room.signal(node, signals, None)
        finished = self.inner.get(operands[0].name)
        if finished is not None:
            found.update(finished.weights)
            entering, signal = finished.scale, finished.signal
        else:
            entering = fixed_scale(operands[0], self.source_scales)
            signal = self._descend(operands[0], entering, found, inside)
        exact = heavy.on_grid(node, self.weights[node.name], entering, scale)
        if exact is None:
            raise _UnevenError
        found[node.name] = exact.rounded()
        inside[node.name] = heavy.signal(node, [signal], found[node.name], exact)
        return inside[node.name]


def fixed_scale(tensor: gs.Tensor, source_scales: Mapping[str, FloatArray]) -> FloatArray:
    """σ of a tensor without a weight above it."""
    node = producer(tensor)
    if is_source(tensor):
        return source_scales[tensor.name]
    assert node is not None
    room = operator_of(node)
    carried = room.carry(node, [fixed_scale(operand, source_scales) for operand in activation_inputs(node)])
    assert carried is not None, f"{node.name!r} cannot carry the scale of its input"
    return carried / room.divisor(node)


def exceeds(signal: Signal, limits: Limits, pattern: tuple[int, ...]) -> np.ndarray:
    """Where the grid is too fine."""
    exceeds: np.ndarray = (
        (_largest_in(signal.largest, pattern) >= limits.current)
        | (_largest_in(signal.peak, pattern) > limits.weight)
        | (_largest_in(signal.rows, pattern) > limits.rows)
    )
    return exceeds


def unread_exceeds(rounded: Rounded, limits: Limits) -> bool:
    """Whether the grid is too fine for channels that do not arrive at the root."""
    return any(
        signal.magnitude >= limits.exact
        or signal.peak.max(initial=0.0) > limits.weight
        or signal.rows.max(initial=0.0) > limits.rows
        for signal in rounded.inside.values()
    )


def _largest_in(values: FloatArray, pattern: tuple[int, ...]) -> FloatArray:
    """The largest of `values`, which broadcast against a sample, for each element of `pattern`."""
    axes = tuple(axis for axis, size in enumerate(pattern) if size == 1)
    return np.broadcast_to(values.max(axes, keepdims=True, initial=0.0), pattern)


def write_weights(root: gs.Tensor, rounded: Rounded) -> None:
    """Replace the weights of the tree under `root` by the rounded ones."""
    for node in tree(root):
        room = weighted(node)
        if room is not None:
            room.write_weights(node, rounded.weights[node.name])
