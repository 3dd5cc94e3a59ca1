"""Which layers of the graded form are one operator with their synapses, and how large what they read can be.

    Conv(changes)                                                → GradedConv
    Add(Conv(changes), Scale(changes) or 1x1 Conv(changes))      → GradedConvAdd, branches in either order
    Gemm(changes)                                                → GradedGemm

under `Staircase` neurons whose potentials are proven to stay in int32. Changes are those of counts of sources, only
moved or summed over windows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from snnc.emit.layer_operators import Pattern, Synapses, pattern
from snnc.ir.graph import activation_inputs, constant, producer, sample_shape
from snnc.ir.trees import is_source
from snnc.operators import SOURCES, operator_of
from snnc.operators.layer import initial_potential
from snnc.operators.staircase import Staircase
from snnc.operators.sum_pool import SumPool

#: What the operators hold: Σ|W| of a neuron (functions sum in float32), changes, how far limits of counts are apart,
#: potentials.
LARGEST_SUM, LARGEST_CHANGE, LARGEST_COUNT_RANGE, POTENTIALS = 2**24 - 1, 2**15 - 1, 2**16, 2**31
#: Sums over windows, and counts that are compared, are exact in float32 below it.
_EXACT = 2**24


@dataclass(frozen=True)
class GradedLayer:
    """One operator for a neuron and its synapses.

    `dims` and `initial` are those of its potential, channels last.
    """

    pattern: Pattern
    low: int
    high: int
    threshold: np.ndarray
    dims: tuple[int, ...]
    initial: Any

    @property
    def op(self) -> str:
        return f"Graded{self.pattern.shape}"

    @property
    def synapses(self) -> list[Synapses]:
        """The main branch, and what is added to it."""
        residual = self.pattern.residual
        return [self.pattern.main] if residual is None else [self.pattern.main, residual]

    def attributes(self) -> dict[str, Any]:
        """Of the operator."""
        main, residual = self.pattern.main, self.pattern.residual
        attrs: dict[str, Any] = {"low": self.low, "high": self.high, "bits": _bits(main)}
        if main.node.op == "Conv":
            attrs |= {name: list(main.node.attrs[name]) for name in ("strides", "dilations", "pads")}
            attrs["group"] = main.group
        if residual is not None:
            attrs |= {"residual_group": residual.group, "residual_bits": _bits(residual)}
        return attrs


def graded_layer(layer: gs.Node) -> GradedLayer | None:
    """The operator for a neuron, with integer weights, and its tree; None where there is none."""
    room = SOURCES[layer.op]
    found = pattern(layer, lambda tensor: largest_change(tensor) is not None)
    if found is None or not isinstance(room, Staircase):
        return None
    threshold, (low, high) = constant(layer, 1), room.count_range(layer)
    assert threshold is not None
    initial = np.asarray(initial_potential(layer, threshold), np.int64)
    channels, *plane = sample_shape(layer.outputs[0])
    last = np.moveaxis(initial, 0, -1) if initial.ndim else initial
    graded = GradedLayer(found, low, high, threshold, (*plane, channels), last.tolist())
    if high - low > LARGEST_COUNT_RANGE or not all(map(_fits, graded.synapses)):
        return None
    return graded if _largest_potential(graded, initial) < POTENTIALS else None


def largest_change(tensor: gs.Tensor) -> int | None:
    """The largest magnitude of a change between two frames where nothing is computed but sums over windows; None where
    something is, or where it is beyond what operators hold."""
    node = producer(tensor)
    assert node is not None
    if is_source(tensor):
        if SOURCES[node.op].kind == "pool":
            return largest_change(node.inputs[0])
        limits = SOURCES[node.op].count_range(node)
        return None if limits is None else limits[1] - limits[0]
    operands = [largest_change(operand) for operand in activation_inputs(node)]
    known = [largest for largest in operands if largest is not None]
    if len(known) < len(operands):
        return None
    if sums_windows(node):
        summed = known[0] * math.prod(node.attrs["kernel_shape"])
        return summed if summed < _EXACT else None
    return max(known) if operator_of(node).copies(node, [1] * len(known)) == 1 and node.op != SumPool.name else None


def sums_windows(node: gs.Node) -> bool:
    """Whether a linear node is a plain sum over windows."""
    return node.op == SumPool.name and constant(node, 1) is None


def _bits(synapses: Synapses) -> int:
    return _largest(synapses).bit_length()


def _largest(synapses: Synapses) -> int:
    largest = largest_change(synapses.words)
    assert largest is not None
    return largest


def _fits(synapses: Synapses) -> bool:
    """Whether an operator holds these synapses: a bias would be a current of every step."""
    if constant(synapses.node, 2) is not None or _largest(synapses) > LARGEST_CHANGE:
        return False
    weight = synapses.weight()
    one_each = synapses.group == len(weight) and weight.shape[1] == 1
    return (synapses.group == 1 or one_each) and _largest_sum(synapses) <= LARGEST_SUM


def _largest_potential(layer: GradedLayer, initial: np.ndarray) -> int:
    """No potential between two sweeps, before or behind the current of one, is larger in magnitude."""
    spent = int(np.abs(layer.threshold.astype(np.int64)).max()) * max(-layer.low, layer.high)
    brought = sum(_largest_sum(synapses) * _largest(synapses) for synapses in layer.synapses)
    return int(np.abs(initial).max()) + brought + spent


def _largest_sum(synapses: Synapses) -> int:
    """The largest Σ|W| of a neuron."""
    weight = np.abs(synapses.weight().astype(np.int64))
    by_neuron = weight.sum(0) if synapses.node.op == "Gemm" else weight.reshape(len(weight), -1).sum(1)
    return int(by_neuron.max(initial=0))
