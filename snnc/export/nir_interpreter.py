"""A small interpreter of NIR graphs, written from the equations of NIR, for the check of what was exported.

It shares no code with what writes graphs and knows them as the package `nir` reads them: nodes by type name, edges by
node name. Forward Euler with steps of `time_step`; whatever flows along an edge arrives in the same step, along an edge
that closes a loop in the next one. Arrays are float64, `[N, ...]`. Potentials start at 0.

    Input, Output   y = x
    Linear, Affine  y = W x [+ b]
    Conv1d, Conv2d  cross-correlation, channels first
    SumPool2d       sums over windows
    Flatten         axes start_dim to end_dim of a sample become one
    Scale           y = s x
    Threshold       y = 1 if x > threshold, else 0
    I               v' = r x;  y = v
    IF              v' = r x;  s = 1 and v = v_reset if v > v_threshold;  y = s
    LIF             tau v' = (v_leak - v) + r x; then as IF

`SubtractingInterpreter` reads an IF as Spyx 1.0 does: s = 1 if v > v_threshold, then v ← v + x - s·v_threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Interpreter:
    """A graph and its potentials, for one batch from the first step on. ValueError: a node is of no known type."""

    def __init__(self, graph: Any, time_step: float = 1.0) -> None:
        self.nodes: Mapping[str, Any] = graph.nodes
        self.time_step = time_step
        self.potentials: dict[str, Array] = {}
        unknown = {type(node).__name__ for node in self.nodes.values()} - set(self._RULES)
        if unknown:
            raise ValueError(f"no equations for nodes of type {', '.join(sorted(unknown))}")
        self._reads: dict[str, list[str]] = {name: [] for name in self.nodes}
        for source, target in graph.edges:
            self._reads[target].append(source)
        self._order, self._closing = _in_order(list(self.nodes), graph.edges)
        self._last: dict[str, Array] = {}
        self.largest: dict[str, float] = {}

    def step(self, x: Array) -> dict[str, Array]:
        """The output of every node in the next step; `x` is what the node Input gets."""
        values: dict[str, Array] = {}
        for name in self._order:
            arriving = [
                self._last.get(source, np.zeros(1)) if (source, name) in self._closing else values[source]
                for source in self._reads[name]
            ]
            total = np.asarray(x, np.float64) if not arriving else sum(arriving[1:], arriving[0])
            values[name] = self._RULES[type(self.nodes[name]).__name__](self, name, self.nodes[name], total)
        self._last = values
        return values

    # Neurons

    def _charge(self, name: str, rate: Array) -> Array:
        potential = self.potentials.get(name, np.zeros(1)) + self.time_step * rate
        self.largest[name] = max(self.largest.get(name, 0.0), float(np.abs(potential).max(initial=0.0)))
        self.potentials[name] = potential
        return potential

    def _integrator(self, name: str, node: Any, x: Array) -> Array:
        return self._charge(name, node.r * x)

    def _fire(self, name: str, node: Any, rate: Array) -> Array:
        potential = self._charge(name, rate)
        fires = potential > node.v_threshold
        self.potentials[name] = np.where(fires, node.v_reset, potential)
        return np.asarray(fires, np.float64)

    def _integrate_and_fire(self, name: str, node: Any, x: Array) -> Array:
        return self._fire(name, node, node.r * x)

    def _leaky(self, name: str, node: Any, x: Array) -> Array:
        potential = self.potentials.get(name, np.zeros(1))
        return self._fire(name, node, ((node.v_leak - potential) + np.float64(node.r) * x) / np.float64(node.tau))

    # What has no state

    def _same(self, name: str, node: Any, x: Array) -> Array:
        return x

    def _dense(self, name: str, node: Any, x: Array) -> Array:
        product: Array = x @ np.asarray(node.weight, np.float64).T
        return product + node.bias if hasattr(node, "bias") else product

    def _scale(self, name: str, node: Any, x: Array) -> Array:
        return np.asarray(node.scale * x, np.float64)

    def _threshold(self, name: str, node: Any, x: Array) -> Array:
        return np.asarray(x > node.threshold, np.float64)

    def _flatten(self, name: str, node: Any, x: Array) -> Array:
        rank = x.ndim - 1
        first, last = int(node.start_dim) % rank, int(node.end_dim) % rank
        shape = x.shape[1:]
        return x.reshape(len(x), *shape[:first], -1, *shape[last + 1 :])

    def _convolve(self, name: str, node: Any, x: Array) -> Array:
        rank = x.ndim - 2
        weight = np.asarray(node.weight, np.float64)
        windows = _windows(
            x, weight.shape[2:], *(_each(value, rank) for value in (node.stride, node.padding, node.dilation))
        )
        groups = int(node.groups)
        outputs, inputs = len(weight) // groups, weight.shape[1]
        taps = list(range(2 + rank, 2 + 2 * rank))
        parts = []
        for index in range(groups):
            some = windows[:, index * inputs : (index + 1) * inputs]
            rows = weight[index * outputs : (index + 1) * outputs]
            parts.append(np.moveaxis(np.tensordot(some, rows, axes=([1, *taps], list(range(1, 2 + rank)))), -1, 1))
        sums: Array = np.concatenate(parts, axis=1)
        return sums + np.asarray(node.bias, np.float64).reshape(-1, *[1] * rank)

    def _sum_pool(self, name: str, node: Any, x: Array) -> Array:
        rank = x.ndim - 2
        kernel = _each(node.kernel_size, rank)
        windows = _windows(x, kernel, _each(node.stride, rank), _each(node.padding, rank), [1] * rank)
        sums: Array = windows.sum(axis=tuple(range(2 + rank, 2 + 2 * rank)))
        return sums

    _RULES: Mapping[str, Callable[[Any, str, Any, Array], Array]] = {
        "Input": _same,
        "Output": _same,
        "Linear": _dense,
        "Affine": _dense,
        "Conv1d": _convolve,
        "Conv2d": _convolve,
        "SumPool2d": _sum_pool,
        "Flatten": _flatten,
        "Scale": _scale,
        "Threshold": _threshold,
        "I": _integrator,
        "IF": _integrate_and_fire,
        "LIF": _leaky,
    }


class SubtractingInterpreter(Interpreter):
    """An IF fires for the potential that the step before has left, and its threshold is subtracted."""

    def _subtract(self, name: str, node: Any, x: Array) -> Array:
        before = self.potentials.get(name, np.zeros(1))
        spikes = np.asarray(np.broadcast_to(before > node.v_threshold, x.shape), np.float64)
        self._charge(name, (x - spikes * node.v_threshold) / self.time_step)
        return spikes

    _RULES: Mapping[str, Callable[[Any, str, Any, Array], Array]] = {**Interpreter._RULES, "IF": _subtract}


def _in_order(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> tuple[list[str], set[tuple[str, str]]]:
    """The nodes, each behind what it reads, and the edges that close loops: seen from the nodes that nothing leads to,
    they lead back."""
    targets: dict[str, list[str]] = {name: [] for name in names}
    for source, target in edges:
        targets[source].append(target)
    read = {target for _, target in edges}
    finished: list[str] = []
    closing: set[tuple[str, str]] = set()
    state: dict[str, str] = {}
    for start in [*(name for name in names if name not in read), *names]:
        if start in state:
            continue
        state[start] = "open"
        path: list[tuple[str, Iterator[str]]] = [(start, iter(targets[start]))]
        while path:
            name, ahead = path[-1]
            following = next(ahead, None)
            if following is None:
                state[name] = "done"
                finished.append(name)
                path.pop()
            elif state.get(following) == "open":
                closing.add((name, following))
            elif following not in state:
                state[following] = "open"
                path.append((following, iter(targets[following])))
    return finished[::-1], closing


def _each(value: Any, rank: int) -> list[int]:
    """One number for each axis."""
    values = [int(number) for number in np.ravel(value)]
    return values * rank if len(values) == 1 else values


def _windows(
    x: Array, kernel: Sequence[int], strides: Sequence[int], pads: Sequence[int], dilations: Sequence[int]
) -> Array:
    """`[N, C, outputs..., taps...]`."""
    padded = np.pad(x, [(0, 0), (0, 0), *((pad, pad) for pad in pads)])
    reach = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True)]
    axes = tuple(range(2, x.ndim))
    every = sliding_window_view(padded, reach, axis=axes)
    places = tuple(slice(None, None, step) for step in (1, 1, *strides, *dilations))
    found: Array = every[places]
    return found
