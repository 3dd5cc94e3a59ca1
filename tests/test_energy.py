"""Synaptic operations, multiply-accumulates and what they cost, counted again by hand or by brute force."""

from __future__ import annotations

import functools
from typing import Any

import networks
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, numpy_helper

import snnc
from snnc.api import SpikingModel
from snnc.measure.energy import FLOAT32, INT8, break_even, multiplications
from snnc.measure.evaluation import Curve, Point
from snnc.measure.report import break_even_lines

INPUTS, HIDDEN, OUTPUTS = 4, (5, 6), 3
ANN = networks.perceptron(list(HIDDEN), inputs=INPUTS, outputs=OUTPUTS).model()
IMAGES = networks.images_for(ANN, 12)


def converted(model: onnx.ModelProto, **choices: Any) -> SpikingModel:
    images = networks.images_for(model, 24, seed=1)
    return snnc.convert(model, calib=images, accept_poor=True, **choices)


def rated(**choices: Any) -> SpikingModel:
    return converted(ANN, steps=130, calib_steps=64, **choices)


# --- what is counted --------------------------------------------------------------------------------------------------


def test_the_rate_leaves_out_input_and_output() -> None:
    """R of RMP-SNN, equation 8, of two hidden layers."""
    model = rated()
    point = snnc.evaluate(model, IMAGES, steps=[130]).points[-1]
    spikes = model.session().run(IMAGES, 130).spike_totals.sum(0)
    assert spikes[0] > 0  # the input spikes too
    assert len(spikes) == 1 + len(HIDDEN)
    assert point.spike_rate == pytest.approx(100 * spikes[1:].sum() / (sum(HIDDEN) * 130 * len(IMAGES)))


def test_numbers_of_every_step_multiply_once_in_a_block() -> None:
    curve = snnc.evaluate(rated(coding="direct"), IMAGES, steps=[3, 64, 65, 130])
    assert [point.macs for point in curve.points] == [blocks * INPUTS * HIDDEN[0] for blocks in (1, 1, 2, 3)]


def test_a_charge_multiplies_once_in_all() -> None:
    model = converted(ANN, method="exact", levels=100)
    curve = snnc.evaluate(model, IMAGES, steps=[1, 3, 64, 65, 200])
    assert [point.macs for point in curve.points] == [INPUTS * HIDDEN[0]] * 5
    for point in curve.points:
        expected = point.operations * 0.9 + INPUTS * HIDDEN[0] * 4.6
        assert point.energy_uj == pytest.approx(expected * 1e-6)


def test_poisson_spikes_do_not_multiply() -> None:
    assert [point.macs for point in snnc.evaluate(rated(), IMAGES, steps=[3, 130]).points] == [0, 0]


def test_what_reads_currents_multiplies_in_every_step() -> None:
    """Two convolutions with no neuron between: spikes reach the first one, sums the second one."""
    network = onnx.parser.parse_model("""
        <ir_version: 9, opset_import: ["" : 18]>
        net (float[N, 2, 4, 4] x) => (float[N, 3, 4, 4] y)
        <float[3, 2, 1, 1] w = {1, 2, 3, 4, 5, 6}, float[3, 3, 3, 3] u, float[3, 3, 1, 1] i>
        { a = Conv(x, w)  b = Relu(a)  c = Conv(b, i)
          d = Conv<pads = [1, 1, 1, 1]>(c, u)  e = Relu(d)  y = Conv(e, i) }
    """)
    random = np.random.default_rng(0)
    weights = {"u": random.normal(0, 1, (3, 3, 3, 3)), "i": random.normal(0, 1, (3, 3, 1, 1))}
    network.graph.initializer.extend(numpy_helper.from_array(w.astype(np.float32), n) for n, w in weights.items())
    model = converted(network, steps=8, calib_steps=8)
    taps = 10 * 10  # of a 3x3 kernel inside a 4x4 plane
    second = next(layer for layer in model.report.layers if layer.fan_in == 3 + 27)
    assert (second.macs, second.macs_on_currents) == (9 * 16 + 9 * taps, 9 * taps)
    curve = snnc.evaluate(model, networks.images_for(network, 2), steps=[1, 8])
    assert [point.macs for point in curve.points] == [9 * taps, 8 * 9 * taps]


def test_nothing_multiplies_once_a_network_is_quiet() -> None:
    layers = converted(ANN, method="exact", levels=8).report.layers
    layers[2].macs_on_currents = 7
    assert multiplications(layers, 100, 5.5) == INPUTS * HIDDEN[0] + 7 * 5.5


# --- signed spikes and true fan-out -----------------------------------------------------------------------------------


def all_ones(name: str, *dims: int) -> TensorProto:
    return numpy_helper.from_array(np.ones(dims, np.float32), name)


@functools.cache
def reached(text: str, *shapes: tuple[int, ...]) -> np.ndarray:
    """Fan-out of every input of a linear network whose weights (`w0`, `w1`...) are all 1: how much one spike gives."""
    model = onnx.parser.parse_model(text)
    model.graph.initializer.extend(all_ones(f"w{index}", *dims) for index, dims in enumerate(shapes))
    session = ort.InferenceSession(model.SerializeToString())
    dims = session.get_inputs()[0].shape[1:]
    one_spike_each = np.eye(int(np.prod(dims)), dtype=np.float32).reshape(-1, *dims)
    outputs = session.run(None, {"x": one_spike_each})
    found: np.ndarray = sum(output.reshape(len(output), -1).sum(1) for output in outputs).reshape(dims)
    return found


HEAD = '<ir_version: 8, opset_import: ["" : 18]> net '


def small_fanouts() -> list[np.ndarray]:
    """Of `networks.small`: what spikes of its first and of its second ReLU reach."""
    pool = "p = AveragePool<kernel_shape = [2, 2], strides = [2, 2]>(x)  "
    both = "c = Conv<pads = [1, 1, 1, 1], strides = [2, 2]>(p, w0)  d = Conv<strides = [2, 2]>(p, w1)"
    first = reached(
        f"{HEAD} (float[N, 4, 6, 6] x) => (float[N, 4, 2, 2] c, float[N, 4, 2, 2] d) {{ {pool} {both} }}",
        (4, 4, 3, 3),
        (4, 4, 1, 1),
    )
    # The pool is a mean of 4, through which every spike passes whole.
    return [4 * first, np.full((4, 2, 2), 3.0)]


@pytest.mark.parametrize("method", ["rmp", "exact"])
def test_operations_are_spikes_times_what_they_reach(method: str) -> None:
    """Groups, borders, strides, pools, junctions; spikes of either sign count once each."""
    network = networks.small(hidden_output=False).model()
    by_method: dict[str, dict[str, Any]] = {
        "rmp": {"coding": "direct", "bias": "current", "steps": 40, "calib_steps": 40},
        "exact": {"levels": 20},
    }
    model = converted(network, method=method, **by_method[method])
    images, steps = networks.images_for(network, 6), 40
    point = snnc.evaluate(model, images, steps=[steps]).points[0]
    names = [layer.name for layer in model.report.layers if layer.kind == "neuron"]
    trains = snnc.record(model, images, steps=steps, layers=names)
    if method == "exact":
        assert any((train.astype(np.int8) < 0).any() for train in trains.values())
    expected = sum(
        (np.abs(train.astype(np.int8)) * fanout).sum()
        for train, fanout in zip(trains.values(), small_fanouts(), strict=True)
    )
    assert point.operations == pytest.approx(expected / len(images))
    assert point.operations > 0


# --- break-even -------------------------------------------------------------------------------------------------------


def curve_of(*points: tuple[int, float, float], ann_macs: int = 1000) -> Curve:
    """A curve of (steps, operations, macs)."""
    made = [
        Point(
            steps=steps,
            accuracy=None,
            agreement=None,
            error=None,
            spike_rate=1.0,
            layer_rates={},
            spikes_per_neuron=1.0,
            operations=operations,
            macs=macs,
            energy_uj=FLOAT32.energy_uj(operations, macs),
        )
        for steps, operations, macs in points
    ]
    return Curve(made, 10, 0, None, ann_macs, 0.0)


def test_prices_are_those_of_the_table() -> None:
    assert (FLOAT32.accumulate, FLOAT32.mac, FLOAT32.ann_mac) == pytest.approx((0.9, 4.6, 4.6))
    assert (INT8.accumulate, INT8.mac, INT8.ann_mac) == pytest.approx((0.1, 0.5, 0.23))


def test_break_even_is_where_both_cost_the_same() -> None:
    lines = break_even([curve_of((4, 500.0, 100.0), (8, 4000.0, 100.0))])
    assert list(lines) == ["float32", "int8"]
    for line in lines.values():
        assert line.operations is not None
        assert line.prices.energy_uj(line.operations, 100.0) == pytest.approx(line.ann_energy_uj)
        for point in line.points:
            assert point.ratio == pytest.approx(point.energy_uj / line.ann_energy_uj)
    assert lines["float32"].ann_energy_uj == pytest.approx(1000 * 4.6e-6)
    assert lines["float32"].operations == pytest.approx((1000 - 100) * 4.6 / 0.9)
    assert lines["int8"].operations == pytest.approx((1000 * 0.23 - 100 * 0.5) / 0.1)
    assert [point.ratio > 1 for point in lines["float32"].points] == [False, False]
    assert [point.ratio > 1 for point in lines["int8"].points] == [False, True]


def test_the_step_at_which_a_network_costs_what_its_ann_does() -> None:
    """Between two step counts the energy is taken for a straight line."""
    line = break_even([curve_of((2, 1000.0, 0.0), (4, 2000.0, 0.0), (8, 3000.0, 0.0))])["int8"]
    assert line.operations == pytest.approx(2300)
    assert line.steps == pytest.approx(4 + 4 * 0.3)
    below, above = curve_of((2, 10.0, 0.0), (4, 20.0, 0.0)), curve_of((2, 1e6, 0.0), (4, 2e6, 0.0))
    assert break_even([below])["int8"].steps is None
    assert break_even([above])["int8"].steps is None


def test_break_even_of_several_seeds_is_that_of_their_mean() -> None:
    lines = break_even([curve_of((8, 100.0, 0.0)), curve_of((8, 300.0, 0.0))])
    assert lines["int8"].last.operations == 200.0
    assert lines["int8"].last.ratio == pytest.approx(200 * 0.1 / (1000 * 0.23))


def test_multiplications_alone_may_cost_more() -> None:
    lines = break_even([curve_of((8, 10.0, 900.0))])
    assert lines["int8"].operations is None
    assert lines["int8"].last.ratio > 1
    assert "nowhere" in break_even_lines(lines)[1]


def test_an_ann_that_multiplies_nothing_has_no_line() -> None:
    assert break_even([curve_of((8, 10.0, 0.0), ann_macs=0)]) == {}


def test_lines_say_what_was_charged_and_promise_nothing() -> None:
    float_line, int8_line = break_even_lines(break_even([curve_of((8, 4000.0, 100.0))]))
    assert "0.9 pJ per SOP, 4.6 pJ per MAC" in " ".join(float_line.split())
    assert "0.1 pJ per SOP, 0.23 pJ per MAC" in " ".join(int8_line.split())
    assert "costs more" not in float_line
    assert "costs more" in " ".join(int8_line.split())
    assert max(len(line) for line in f"{float_line}\n{int8_line}".splitlines()) <= 80
