"""Every check of a calibrated graph can fail: integers, scales, thresholds, overflow, operators noted for layers."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest
from broken_graphs import assert_found, assert_nothing_about, at, nodes

from snnc.ir.conversion import Conversion, Level
from snnc.ir.trees import signal_of

CALIBRATED = [Level.CALIBRATED, Level.FUSED]
calibrated = pytest.mark.parametrize("level", CALIBRATED, ids=lambda level: level.name)


@calibrated
@pytest.mark.parametrize(("op", "index"), [("Conv", 1), ("Conv", 2), ("Gemm", 1)])
def test_a_weight_or_bias_off_the_grid(op: str, index: int, level: Level) -> None:
    conversion = at(level)
    layer = next(node for node in nodes(conversion, op) if len(node.inputs) > index)
    values = layer.inputs[index].values.copy()
    values.flat[-1] += 0.25
    layer.inputs[index].values = values
    assert_found(conversion, repr(layer.name), "integer")


@calibrated
@pytest.mark.parametrize("op", ["PoissonEncode", "RMP", "SpikeReadout"])
@pytest.mark.parametrize("scale", [None, 0.0, -1.0, float("nan")])
def test_no_positive_scale(scale: float | None, op: str, level: Level) -> None:
    conversion = at(level)
    *_, node = nodes(conversion, op)
    if scale is None:
        del node.attrs["scale"]
    else:
        node.attrs["scale"] = scale
    assert_found(conversion, repr(node.name), "no scale")


THRESHOLDS: dict[str, Any] = {
    "odd": np.array(7, np.int32),
    "zero": np.array(0, np.int32),
    "negative": np.array(-2, np.int32),
    "no integer": np.array(8, np.float32),
    "of another width": np.array(8, np.int64),
    "odd in one channel": np.array([8, 7, 8, 8], np.int32).reshape(4, 1, 1),
    "zero in one channel": np.array([8, 8, 8, 0], np.int32).reshape(4, 1, 1),
}


@calibrated
@pytest.mark.parametrize("name", THRESHOLDS)
def test_a_threshold_that_is_no_positive_even_integer(name: str, level: Level) -> None:
    conversion = at(level)
    (neuron, *_) = nodes(conversion, "RMP")
    neuron.inputs[1] = gs.Constant("theta", THRESHOLDS[name])
    assert_found(conversion, repr(neuron.name), "threshold")


@calibrated
@pytest.mark.parametrize("leak", [0, -1, 16, 2.5])
def test_a_leak_out_of_range(leak: float, level: Level) -> None:
    conversion = at(level)
    (neuron, *_) = nodes(conversion, "RMP")
    neuron.attrs["leak"] = leak
    assert_found(conversion, repr(neuron.name), "leak")


@calibrated
def test_no_threshold(level: Level) -> None:
    conversion = at(level)
    (neuron, *_) = nodes(conversion, "RMP")
    del neuron.inputs[1]
    assert_found(conversion, repr(neuron.name), "threshold")


# Overflow


def with_bound(conversion: Conversion, op: str, bound: int, max_steps: int) -> gs.Node:
    """The last neuron or readout, with the weights right before it such that its largest current is `bound`."""
    conversion.options = dataclasses.replace(conversion.options, max_steps=max_steps, steps=1, calib_steps=1)
    target = nodes(conversion, "RMP")[0] if op == "RMP" else dense_readout(conversion)
    layer = target.inputs[0].inputs[0]
    for constant in layer.inputs[1:]:
        constant.values = np.zeros_like(constant.values)
    layer.inputs[1].values.flat[0] = bound
    assert signal_of(target.inputs[0]).magnitude == bound
    return target


def dense_readout(conversion: Conversion) -> gs.Node:
    (readout,) = [node for node in nodes(conversion, "SpikeReadout") if node.inputs[0].inputs[0].op == "Gemm"]
    return readout


# A readout adds up the 64 steps of a block at once, in float64.
@calibrated
@pytest.mark.parametrize(("op", "limit"), [("RMP", 2**24), ("SpikeReadout", 2**47)])
def test_sums_that_floats_round(op: str, limit: int, level: Level) -> None:
    conversion = at(level)
    target = with_bound(conversion, op, limit, max_steps=1)
    assert_found(conversion, repr(target.name), "exact integers")
    conversion = at(level)
    assert_nothing_about(conversion, with_bound(conversion, op, limit // 2, max_steps=1))


@calibrated
@pytest.mark.parametrize(("op", "bound", "max_steps"), [("RMP", 2**10, 2**21), ("SpikeReadout", 2**46, 2**17)])
def test_potentials_that_overflow(op: str, bound: int, max_steps: int, level: Level) -> None:
    conversion = at(level)
    target = with_bound(conversion, op, bound, max_steps)
    assert_found(conversion, repr(target.name), "overflow")
    conversion = at(level)
    assert_nothing_about(conversion, with_bound(conversion, op, bound // 2, max_steps))


@calibrated
def test_a_potential_that_starts_too_high(level: Level) -> None:
    """V(0) counts: what fits from zero does not from half a threshold."""
    conversion = at(level)
    neuron = with_bound(conversion, "RMP", 2**20, max_steps=3 * 2**9)
    neuron.inputs[1].values = np.array(2**31 - 2, np.int32)
    neuron.attrs["v_init"] = 0.0
    assert_nothing_about(conversion, neuron)
    neuron.attrs["v_init"] = 0.5
    assert_found(conversion, repr(neuron.name), "overflow")


# Fused


@pytest.mark.parametrize("note", [None, "SpikingDream"])
@pytest.mark.parametrize("op", ["RMP", "SpikeReadout"])
def test_no_operator_noted_for_a_layer(op: str, note: str | None) -> None:
    conversion = at(Level.FUSED)
    *_, target = nodes(conversion, op)
    if note is None:
        del target.attrs["fused"]
    else:
        target.attrs["fused"] = note
    assert_found(conversion, repr(target.name), "operator")
