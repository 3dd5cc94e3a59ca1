"""Neurons of a calibrated graph as nodes of NIR.

snnc: V ← V + I, s = V ≥ θ, then V - θs (soft reset) or 0 where s (hard), with V(0) = V₀. NIR: s = V > θ, V(0) = 0, and
an IF resets to v_reset. So potentials are counted from V₀, and because they are integers, V ≥ θ is V > θ - 1/2, which
also holds for readers that compare with ≥:

    IF        v_threshold = θ - V₀ - 1/2, v_reset = -V₀
    loop      I → Threshold(θ - V₀ - 1/2) → Scale(-θ) → I: the edge that closes a loop arrives in the next step
    slow      LIF with tau = 1e10 s and r = tau / step: in float32 1 - step/tau is 1 and r·step/tau is 1
    lowered   IF with v_threshold = θ - δ, which its reader takes off: V grows by δ with every spike, so that it fires
              where V ≥ θ as long as there are fewer than 1/δ spikes; δ = 2^-j is the largest below 1/(steps + 1)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from snnc.export.nir_targets import Form, Reset, Target
from snnc.export.nir_writer import GraphWriter, Unwritable, Value, require_nir
from snnc.ir.graph import constant, sample_shape
from snnc.ir.signal import FloatArray

#: What a leak of float32 does not notice.
SLOW = 1e10
# float32 holds every integer up to here, and every half up to a half of it.
_EXACT = 2.0**24
#: The reset of a neuron.
RESETS: Mapping[str, Reset] = {"RMP": "soft", "IF": "hard"}


@dataclass(frozen=True)
class Neuron:
    """A neuron of the network: threshold and V(0), float64, in the shape of a sample."""

    name: str
    threshold: FloatArray
    start: FloatArray

    @staticmethod
    def of(node: gs.Node, shape: tuple[int, ...]) -> Neuron:
        """`shape` is the one that NIR has for a sample."""
        threshold = constant(node, 1)
        assert threshold is not None
        sample = sample_shape(node.outputs[0])
        by_element = np.broadcast_to(threshold.astype(np.float64), sample).reshape(shape)
        return Neuron(node.name, by_element, by_element * node.attrs.get("v_init", 0.0))


def form_of(node: gs.Node, target: Target, steps: int) -> Form:
    """How the target has this neuron, for so many steps. Unwritable: not at all."""
    if node.attrs.get("leak"):
        raise Unwritable(
            f"it leaks floor(V / 2^{node.attrs['leak']}), which NIR has no node for", "leave `--leak` away"
        )
    reset = RESETS[node.op]
    form = target.forms.get(reset)
    if form is None:
        (other,) = target.forms
        hint = f"convert the network with `--reset {other}`, or export it with `--nir generic`"
        raise Unwritable(f"it has {reset} reset, and {target.refusals[reset]}", hint)
    if node.attrs.get("v_init", 0.0) and not target.starts:
        hint = "convert the network with `--v-init 0`, or export it with `--nir generic`"
        raise Unwritable(f"its potential starts at {node.attrs['v_init']:g} thresholds, in {target.name} at 0", hint)
    unit = lowered_by(steps) if form == "lowered" else 0.5
    threshold = constant(node, 1)
    assert threshold is not None
    if (threshold >= _EXACT * unit).any():
        hint = "convert the network with fewer `--weight-bits`, or export it for fewer `--steps`"
        raise Unwritable(f"float32 has no {unit:g} beside its threshold of {threshold.max()}", hint)
    return form


def factors_of(neuron: Neuron) -> FloatArray:
    """By how much, by channel, currents are to grow so that all thresholds are the largest one. Unwritable unless these
    are powers of two, which change no digit."""
    by_channel = neuron.threshold.reshape(len(neuron.threshold), -1)[:, 0]
    factors: FloatArray = by_channel.max() / by_channel
    if (np.exp2(np.rint(np.log2(factors))) != factors).any():
        raise Unwritable(
            "its channels have thresholds of their own, and the target has one for all of a layer",
            "convert it with `--weight-bits 16` and without `--per-channel`, or export it with `--nir generic`",
        )
    return factors


def lowered_by(steps: int) -> float:
    """δ for so many steps."""
    return float(2.0 ** -np.ceil(np.log2(steps + 1)))


def write_neuron(
    graph: GraphWriter, neuron: Neuron, form: Form, current: Value, target: Target, steps: int
) -> tuple[Value, float]:
    """The spikes, and the largest power of two of which all potentials are multiples."""
    nir, shape = require_nir(), current.shape
    threshold = _float(neuron.threshold - neuron.start - 0.5)
    ones = np.ones(shape, np.float32)

    def add(node: object) -> Value:
        return graph.add(neuron.name, node, current.names, shape, flat=current.flat)

    if form == "IF":
        return add(nir.IF(ones, threshold, _float(-neuron.start))), 1.0
    if form == "slow":
        tau = np.full(shape, SLOW, np.float32)
        resistance = _float(tau / np.float32(target.time_step))
        return add(nir.LIF(tau, resistance, 0 * ones, threshold, 0 * ones)), 1.0
    if form == "lowered":
        change = lowered_by(steps)
        return add(nir.IF(ones, _float(neuron.threshold - change), 0 * ones)), change
    spikes = graph.name(neuron.name)
    graph.nodes[spikes] = nir.Threshold(threshold)
    potential = graph.add(f"{neuron.name}/potential", nir.I(ones), current.names, shape)
    reset = graph.add(f"{neuron.name}/reset", nir.Scale(_float(-neuron.threshold)), [spikes], shape)
    graph.edges += [(potential.names[0], spikes), (reset.names[0], potential.names[0])]
    return Value((spikes,), shape, current.flat), 1.0


def exact_steps(bound: float, unit: float) -> int:
    """For how many steps a potential, a multiple of `unit` that changes by at most `bound` in each, is a number of
    float32."""
    return int(_EXACT * unit // bound) if bound else 2**31


def _float(values: FloatArray) -> np.ndarray:
    return np.ascontiguousarray(values, np.float32)
