"""An independent simulator of calibrated graphs, in numpy on int64, one step at a time.

It shares no code with the compiler and knows neither blocks nor packed spikes nor ONNX: what the compiler
emits is held against it, spike by spike. It favours plain loops over speed. The graph is read through `op`,
`domain`, `name`, `inputs`, `outputs` and `attrs` of its nodes, `name` of its tensors and `values` of its
constants, and nothing else.

Neurons and coding follow Han, Srinivasan, Roy: RMP-SNN (CVPR 2020). Its other parts are `reference_coding`,
`reference_layers` and `reference_operators`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnc.simulate.reference_coding import graded, per_sample, poisson_spikes
from snnc.simulate.reference_layers import staircase, staircase_by_table, window_maxima
from snnc.simulate.reference_operators import LINEAR

Array = NDArray[Any]
Ints = NDArray[np.int64]
Reset = Literal["soft", "hard"]

CURRENT_LIMIT = 2**24  # float32 holds every integer up to here
MEMBRANE_LIMIT = 2**31  # membranes are int32 in the emitted graph
LARGEST_LEAK = 15
READOUT_LIMIT = 2**53  # float64 holds every integer up to here; readouts are int64
_SNNC = "ai.snnc"
_RESETS: dict[str, Reset] = {"RMP": "soft", "IF": "hard"}


@dataclass(frozen=True)
class Simulation:
    """What a simulation of N samples leaves behind. Encoder, neurons and readouts go by their node names."""

    outputs: dict[str, NDArray[np.float64]]
    """Readout tensor name → value after the last step, in ANN units; NaN where the sample is not finite."""
    membranes: dict[str, Ints]
    """Neuron or readout → membrane potential after the last step."""
    counts: dict[str, Ints]
    """Neuron with signed spikes → its spikes so far; pool → those of each input; product → those of its first input;
    `ChargeEncode` → what has entered."""
    second_counts: dict[str, Ints]
    """Product → the spikes of its second input so far."""
    totals: dict[str, Ints]
    """Encoder or neuron → spikes per sample, shape [N]; the encoder's spikes of either sign count as one."""
    spikes: dict[str, NDArray[np.int8]]
    """Encoder (signed) or neuron → spike train, shape [T, N, ...]; empty unless recorded."""
    outputs_at: dict[int, dict[str, NDArray[np.float64]]]
    """Requested step count → `outputs` as they would be had the simulation ended there."""


def simulate(
    graph: Any,
    x: Array,
    steps: int,
    seed: int = 0,
    first_sample: int = 0,
    *,
    at: Sequence[int] | None = None,
    record: bool = False,
) -> Simulation:
    """Run a calibrated graph for `steps` steps on the float32 inputs `x`, shape [N, ...].

    `first_sample` is the index of `x[0]` in the whole data set, `at` the step counts to keep outputs of,
    `record` whether to keep spike trains. Nodes behind a readout (Softmax and the like) are not simulated.

    ValueError: the graph is not calibrated, a weight is not an integer, or the arguments are out of range.
    OverflowError: a current reaches 2^24 or a membrane potential 2^31, which a calibrated graph rules out.
    """
    wanted = set(at or ())
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}")
    if wanted and not 1 <= min(wanted) <= max(wanted) <= steps:
        raise ValueError(f"step counts {sorted(wanted)} are not all within 1..{steps}")
    simulator = _Simulator(graph, np.asarray(x, dtype=np.float32), seed, first_sample, record)
    outputs_at = {}
    for t in range(steps):
        simulator.step(t)
        if t + 1 in wanted:
            outputs_at[t + 1] = simulator.outputs(t + 1)
    spikes = {name: np.stack(train) for name, train in simulator.trains.items()}
    return Simulation(
        simulator.outputs(steps),
        simulator.membranes,
        simulator.counts,
        simulator.second_counts,
        simulator.totals,
        spikes,
        outputs_at,
    )


class _Simulator:
    """The state of a running simulation."""

    def __init__(self, graph: Any, x: Array, seed: int, first_sample: int, record: bool) -> None:
        self.nodes = _in_order(graph)
        self.constants = _constants(self.nodes)
        self.x, self.seed, self.first_sample, self.record = x, seed, first_sample, record
        self.membranes: dict[str, Ints] = {}
        self.counts: dict[str, Ints] = {}
        self.second_counts: dict[str, Ints] = {}
        self.totals: dict[str, Ints] = {}
        self.trains: dict[str, list[NDArray[np.int8]]] = {}

    def step(self, t: int) -> None:
        """Step `t`, counted from 0. Every node sees the spikes of this very step: layers add no delay."""
        values: dict[str, Ints] = dict(self.constants)
        for node in self.nodes:
            operands = [values[tensor.name] for tensor in node.inputs if tensor.name in values]
            if node.op == "SpikeReadout":
                self._integrate(node, operands[0] if t >= node.attrs.get("delay", 0) else 0 * operands[0])
                continue
            if node.op in _ENCODERS:
                value = self._enter(node, t)
            elif node.op == "SpikeProduct":
                value = self._multiply(node, *operands)
            elif node.op in _FIRING:
                value = self._count(node, _FIRING[node.op](self, node, *operands))
            else:
                value = LINEAR[_kind(node)](node.attrs, *operands)
            values[node.outputs[0].name] = value

    def outputs(self, steps: int) -> dict[str, NDArray[np.float64]]:
        """Every readout: scale·V/T + bias, where T are the `steps` without its delay (NaN if none are left); scale·V +
        bias of networks that settle."""
        finite = np.isfinite(per_sample(self.x)).all(axis=1)
        outputs = {}
        for node in self.nodes:
            if node.op == "SpikeReadout":
                value = np.asarray(node.attrs["scale"], dtype=np.float64) * self.membranes[node.name]
                read = max(steps - node.attrs.get("delay", 0), 0)
                with np.errstate(invalid="ignore"):
                    value = value / (1 if node.attrs.get("settles") else read)
                for bias in node.inputs[1:]:
                    value = value + np.asarray(bias.values, dtype=np.float64)
                value[~finite] = np.nan
                outputs[node.outputs[0].name] = value
        return outputs

    def _enter(self, node: Any, t: int) -> Ints:
        """What the input gives in step t: spikes, or numbers of which none is a spike."""
        if node.op == "PoissonEncode":
            train = poisson_spikes(self.x, node.attrs["scale"], self.seed, self.first_sample, t, 1)
            return self._count(node, np.asarray(train[0], dtype=np.int64))
        self.totals[node.name] = np.zeros(len(self.x), np.int64)
        limits = node.attrs.get("low", -255), node.attrs.get("high", 255)
        unit = np.asarray(node.attrs["scale"] / np.asarray(node.attrs.get("factor", 1.0)), np.float32)
        values = graded(self.x, unit, *limits, origin=np.asarray(node.attrs.get("origin", 0.0), np.float32))
        if node.op == "DirectEncode":
            return values
        before = self.counts.get(node.name, np.zeros_like(values))
        self.counts[node.name] = values
        return values - before

    def _staircase(self, node: Any, current: Ints, threshold: Ints) -> Ints:
        v = self.membranes.get(node.name)
        if v is None:
            v = _initial(threshold, node.attrs.get("v_init", 0.0), current.shape) + _charge_at_start(node)
        charged = _charge(node.name, v, current)
        limits = (node.attrs["low"], node.attrs["high"])
        spikes, self.membranes[node.name], self.counts[node.name] = staircase(
            charged, self._counts(node, current), threshold, *limits
        )
        return spikes

    def _staircase_by_table(self, node: Any, current: Ints, first: Ints, breaks: Ints, rises: Ints) -> Ints:
        before = self.membranes.get(node.name, np.zeros(current.shape, np.int64) + _charge_at_start(node))
        charge = self.membranes[node.name] = _charge(node.name, before, current)
        spikes, self.counts[node.name] = staircase_by_table(charge, self._counts(node, current), first, breaks, rises)
        return spikes

    def _max_pool(self, node: Any, spikes: Ints) -> Ints:
        before = self._counts(node, spikes)
        self.counts[node.name] = before + spikes
        return window_maxima(self.counts[node.name], node.attrs) - window_maxima(before, node.attrs)

    def _multiply(self, node: Any, first: Ints, second: Ints) -> Ints:
        """What the product of the counts changes by: numbers of which none is a spike."""
        self.totals[node.name] = np.zeros(len(self.x), np.int64)
        counts = self._counts(node, first), self.second_counts.get(node.name, np.zeros(second.shape, np.int64))
        self.counts[node.name], self.second_counts[node.name] = counts[0] + first, counts[1] + second
        return self.counts[node.name] * self.second_counts[node.name] - counts[0] * counts[1]

    def _counts(self, node: Any, like: Ints) -> Ints:
        return self.counts.get(node.name, np.zeros(like.shape, np.int64))

    def _integrate_and_fire(self, node: Any, current: Ints, threshold: Ints) -> Ints:
        v = self.membranes.get(node.name)
        if v is None:
            v = _initial(threshold, node.attrs.get("v_init", 0.0), current.shape)
        v = _leaked(v, node.attrs.get("leak", 0))
        spikes, v = _fire(_charge(node.name, v, current), threshold, _RESETS[node.op])
        self.membranes[node.name] = v
        return spikes

    def _integrate(self, node: Any, current: Ints) -> None:
        v = self.membranes.get(node.name, np.zeros(current.shape, np.int64))
        self.membranes[node.name] = _charge(node.name, v, current, READOUT_LIMIT, READOUT_LIMIT)

    def _count(self, node: Any, spikes: Ints) -> Ints:
        fired = np.abs(per_sample(spikes)).sum(axis=1)
        self.totals[node.name] = self.totals.get(node.name, 0) + fired
        if self.record:
            self.trains.setdefault(node.name, []).append(spikes.astype(np.int8))
        return spikes


# Neurons


def neuron(
    currents: ArrayLike, threshold: ArrayLike, reset: Reset = "soft", v_init: float = 0, leak: int = 0
) -> tuple[NDArray[np.int8], Ints]:
    """Drive one neuron (or an array of them) with integer `currents`, shape [T, ...] (RMP-SNN, equation 2).

    V ← V - floor(V/2^leak) unless `leak` is 0; V ← V + I; s = V ≥ θ; then V ← V - s·θ (soft reset) or V ← 0 where s
    (hard reset). V(0) = `v_init`·θ. Returns the spikes, shape [T, ...], and the last membrane potential.
    """
    drive = _integers(currents, "currents")
    theta = _integers(threshold, "threshold")
    v = _initial(theta, v_init, drive.shape[1:])
    spikes = np.zeros(drive.shape, np.int8)
    for t, current in enumerate(drive):
        spikes[t], v = _fire(_leaked(v, leak) + current, theta, reset)
    return spikes, v


def _leaked(v: Ints, leak: int) -> Ints:
    """V - floor(V/2^leak); V itself where there is no leak."""
    if leak not in range(LARGEST_LEAK + 1):
        raise ValueError(f"a leak of {leak!r} is no integer from 0 to {LARGEST_LEAK}")
    return v - np.floor_divide(v, 2**leak) if leak else v


def _fire(v: Ints, threshold: Ints, reset: Reset) -> tuple[Ints, Ints]:
    spikes = (v >= threshold).astype(np.int64)
    return spikes, v - spikes * threshold if reset == "soft" else v * (1 - spikes)


def _initial(threshold: Ints, fraction: float, shape: tuple[int, ...]) -> Ints:
    """V(0) = fraction·θ for neurons of this shape, an integer because θ is even and the fraction 0 or 1/2."""
    if np.any(threshold <= 0):
        raise ValueError("a threshold is not positive")
    v = np.zeros(shape, np.int64)
    v += _integers(threshold * fraction, "initial membrane potential")
    return v


def _charge_at_start(node: Any) -> Ints:
    """The bias of a neuron that settles: charge that is there before anything comes."""
    return _integers(node.attrs.get("charge", 0), f"charge of {node.name!r}")


def _charge(name: str, v: Ints, current: Ints, current_limit: int = CURRENT_LIMIT, limit: int = MEMBRANE_LIMIT) -> Ints:
    """V + I, where both must keep the bounds that the integer grid promises."""
    charged = v + current
    if np.any(np.abs(current) >= current_limit):
        raise OverflowError(f"{name}: a current of {np.abs(current).max()} reaches 2^{current_limit.bit_length() - 1}")
    if np.any(np.abs(charged) >= limit):
        raise OverflowError(
            f"{name}: a membrane potential of {np.abs(charged).max()} reaches 2^{limit.bit_length() - 1}"
        )
    return charged


_ENCODERS = ("PoissonEncode", "DirectEncode", "ChargeEncode")
_FIRING: dict[str, Callable[..., Ints]] = {
    **dict.fromkeys(_RESETS, _Simulator._integrate_and_fire),
    "Staircase": _Simulator._staircase,
    "StaircaseTable": _Simulator._staircase_by_table,
    "SpikeMaxPool": _Simulator._max_pool,
}
_SPIKING = {(_SNNC, op) for op in ("SpikeReadout", "SpikeProduct", *_ENCODERS, *_FIRING)}
_WITH_THRESHOLD = (*_RESETS, "Staircase")


def knows(node: Any) -> bool:
    """Whether this simulator can run `node`."""
    return _kind(node) in LINEAR or _kind(node) in _SPIKING


def register(domain: str, op: str, function: Callable[..., Ints]) -> None:
    """Add a linear operator: `function(attrs, *operands)` on int64 arrays, `[N, ...]` where they are no constants.

    ValueError: this simulator has its own account of the operator.
    """
    if (domain, op) in LINEAR or (domain, op) in _SPIKING:
        raise ValueError(f"{op} of domain {domain!r} is known")
    LINEAR[domain, op] = function


# Reading the graph


def _kind(node: Any) -> tuple[str, str]:
    domain = node.domain or ""
    return ("" if domain == "ai.onnx" else domain, node.op)


def _is_constant(tensor: Any) -> bool:
    return hasattr(tensor, "values")


def _in_order(graph: Any) -> list[Any]:
    """The nodes to simulate, producers first: all that follows from the input without passing a readout."""
    known = {tensor.name for tensor in graph.inputs}
    waiting = [node for node in graph.nodes if _kind(node) in LINEAR or _kind(node) in _SPIKING]
    ordered: list[Any] = []

    def ready(node: Any) -> bool:
        return all(_is_constant(tensor) or not tensor.name or tensor.name in known for tensor in node.inputs)

    while found := [node for node in waiting if ready(node)]:
        ordered += found
        known.update(tensor.name for node in found if node.op != "SpikeReadout" for tensor in node.outputs)
        waiting = [node for node in waiting if not any(node is other for other in found)]

    if stuck := [node for node in waiting if _kind(node) in _SPIKING]:
        names = ", ".join(f"{node.op} {node.name!r}" for node in stuck)
        raise ValueError(f"no calibrated path from the input of the graph to {names}")
    _check(graph, [node for node in ordered if _kind(node) in _SPIKING])
    return ordered


def _check(graph: Any, nodes: Iterable[Any]) -> None:
    """Spiking nodes have names of their own and what calibration gives them; encoders encode the input."""
    names: set[str] = set()
    for node in nodes:
        if not node.name or node.name in names:
            raise ValueError(f"{node.op} has no name of its own: {node.name!r}")
        names.add(node.name)
        if node.op in _WITH_THRESHOLD and not (len(node.inputs) > 1 and _is_constant(node.inputs[1])):
            raise ValueError(f"{node.op} {node.name!r} has no threshold")
        if node.op in ("SpikeReadout", *_ENCODERS) and "scale" not in node.attrs:
            raise ValueError(f"{node.op} {node.name!r} has no scale")
        if node.op in _ENCODERS and node.inputs[0].name != graph.inputs[0].name:
            raise ValueError(f"{node.op} {node.name!r} does not encode the input of the graph")


def _constants(nodes: Iterable[Any]) -> dict[str, Ints]:
    """Every constant of a step's arithmetic. The bias of a readout is none: it stays in ANN units."""
    constants = {}
    for node in nodes:
        if node.op == "SpikeReadout":
            continue
        for tensor in node.inputs:
            if _is_constant(tensor):
                constants[tensor.name] = _integers(tensor.values, f"{node.op} {node.name!r}: {tensor.name!r}")
        if node.op in _WITH_THRESHOLD and np.any(constants[node.inputs[1].name] % 2):
            raise ValueError(f"{node.op} {node.name!r} has an odd threshold")
    return constants


def _integers(values: ArrayLike, what: str) -> Ints:
    given = np.asarray(values)
    with np.errstate(invalid="ignore"):
        integers = given.astype(np.int64)
    if not np.array_equal(integers, given):
        raise ValueError(f"{what} is not made of integers")
    return integers
