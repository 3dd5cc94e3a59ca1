"""Threshold rules, and what they are estimated from."""

from __future__ import annotations

import dataclasses
from typing import Any

import networks
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import snnc
from snnc.data import DataSet
from snnc.integers.calibration_split import calibration_split
from snnc.integers.layer_simulation import SpikeTrains
from snnc.integers.quantile import LargestValues
from snnc.ir.conversion import Conversion, LayerReport
from snnc.ir.graph import constant
from snnc.ir.trees import leaves, targets
from snnc.measure.report import layer_table
from snnc.methods.defaults import make_options
from snnc.simulate.reference import simulate
from snnc.simulate.reference_coding import poisson_spikes
from snnc.simulate.word_trains import unpack_words
from snnc.thresholds.sharing import dependencies


@settings(max_examples=100)
@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300),
    share=st.sampled_from([0.001, 0.5, 0.9, 0.999, 1.0]),
    parts=st.integers(1, 4),
)
def test_the_largest_values_give_the_quantile(values: list[float], share: float, parts: int) -> None:
    """Of every row, whatever the batches."""
    rows = np.array([values, [-value for value in values]])
    kept = LargestValues(share, 2, len(values))
    for part in np.array_split(rows, parts, axis=1):
        kept.add(part)
    assert np.array_equal(kept.at_share(), np.quantile(rows, share, axis=1, method="inverted_cdf"))
    assert np.array_equal(kept.largest, rows.max(1))


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(model=networks.models(), v_init=st.sampled_from([0.0, 0.5]), schedule=st.sampled_from([(3,), (70,)]))
def test_mean_currents_obey_the_conservation_law(model: onnx.ModelProto, v_init: float, schedule: tuple[int]) -> None:
    """θ·n + V(T) - V(0) = Σ I(t), in every neuron: held against the reference simulator, for soft reset."""
    (steps,) = schedule
    conversion = networks.emit(model, reset="soft", v_init=v_init, threshold="vmax")
    images = networks.images_for(model, 4, seed=2)
    reference = simulate(conversion.graph, images, steps, seed=3, record=True)
    trains = SpikeTrains(images, steps, 3, 64)
    trains.fire(networks.source_nodes(conversion)[0])
    for target in networks.source_nodes(conversion)[1:]:
        if target.op != "RMP":
            trains.fire(target)
            continue
        one = np.ones((1,) * (len(target.outputs[0].shape) - 1))
        found = np.concatenate(list(trains.mean_currents(target, one, lambda share: None)))
        threshold = constant(target, 1)
        assert threshold is not None
        spikes = reference.spikes[target.name].astype(np.int64).sum(0)
        charge = threshold * spikes + reference.membranes[target.name] - np.int64(threshold * v_init)
        assert np.array_equal(np.rint(found * steps), charge)
        trains.fire(target)
    for target in targets(conversion.graph):
        assert all(trains.words(leaf.name, 0, 0).size for leaf in leaves(target.inputs[0]))


def test_calibration_fires_leaky_neurons_and_measures_their_currents_without_the_leak() -> None:
    steps, model = 70, two_layers().model()
    conversion = networks.emit(model, leak=2, v_init=0.5, threshold="vmax")
    images = networks.images_for(model, 4, seed=2)
    first, second = (node for node in networks.source_nodes(conversion) if node.op == "RMP")
    trains = SpikeTrains(images, steps, 3, 64)
    for node in networks.source_nodes(conversion)[:2]:
        trains.fire(node)
    name = first.outputs[0].name
    fired = [unpack_words(trains.words(name, 0, block), count) for block, (_, count) in enumerate(trains.blocks)]
    spikes = simulate(conversion.graph, images, steps, seed=3, record=True).spikes[first.name]
    assert np.array_equal(np.concatenate(fired), spikes)
    (found,) = trains.mean_currents(second, np.ones((1,)), lambda share: None)
    weight = constant(second.inputs[0].inputs[0], 1)
    assert weight is not None
    assert np.array_equal(np.rint(found * steps), spikes.sum(0, dtype=np.int64) @ weight.astype(np.int64))
    assert second.attrs["leak"] == 2


def two_layers() -> networks.Network:
    return networks.perceptron([6, 6])


@pytest.mark.parametrize("share", [1.0, 0.9])
def test_the_rule_rate_is_the_quantile_of_mean_input_sums(share: float) -> None:
    net = two_layers()
    conversion = networks.emit(net.model(), threshold="rate", rate_quantile=share, calib_steps=70, weight_bits=16)
    images = calibration_split(DataSet(networks.images_for(net.model(), 6, seed=1), None, "random"), 512)[0].images
    encoder = networks.source_nodes(conversion)[0]
    spikes = poisson_spikes(images, encoder.attrs["scale"], 0, 0, 0, 70)
    weight = np.frombuffer(net.weights[0].raw_data, np.float32).reshape(4, 6)
    expected = np.quantile((spikes @ weight).mean(0), share, method="inverted_cdf")
    layer = conversion.report.layers[1]
    assert layer.threshold == pytest.approx(expected, rel=2e-3)
    assert layer.f_in is not None
    assert layer.v_in is not None
    assert 0 < layer.f_in < 1


def test_the_rule_rate_falls_back_to_the_largest_mean() -> None:
    """One neuron of 20 is ever excited: the 0.9-quantile over all is not positive, and that one must not saturate."""
    weight = -np.ones((2, 20), np.float32)
    weight[:, 3] = 1.0
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
    net (float[N, 2] x) => (float[N, 20] y) { a = MatMul (x, W)  y = Relu (a) }""")
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "W"))
    images = np.full((10, 2), 0.5, np.float32)
    report = snnc.convert(model, calib=images, rate_quantile=0.9, input_scale=1.0).report
    assert report.layers[1].threshold == pytest.approx(1.0, abs=0.1)
    assert not {"SNN504"} & {found.rule.code for found in report.diagnostics.found}


def test_a_small_threshold_is_rounded_on_the_grid_of_each_channel() -> None:
    """One λ for all would be as coarse as the grid of the largest weights."""
    net = networks.perceptron([3])
    weight = np.frombuffer(net.weights[0].raw_data, np.float32).reshape(4, 3).copy()
    weight[:, 1:] /= 1000
    net.weights[0].raw_data = weight.tobytes()
    conversion = networks.emit(net.model(), threshold="model", alpha=0.001, weight_bits=16)
    encoder, neuron = networks.source_nodes(conversion)
    wanted = 0.001 * np.abs(weight).sum(0).max() * encoder.attrs["scale"]
    assert neuron.attrs["scale"].ravel()[1:] == pytest.approx(wanted, rel=1e-4)
    assert neuron.attrs["scale"].ravel()[0] != pytest.approx(wanted, rel=1e-4)


def test_the_rule_rate_gives_a_small_channel_a_threshold_of_its_own() -> None:
    """One whose means are below a thirty-second of the layer's; the others share one."""
    net = networks.perceptron([3])
    weight = np.abs(np.frombuffer(net.weights[0].raw_data, np.float32).reshape(4, 3))
    weight[:, 1] /= 1000
    net.weights[0].raw_data = weight.tobytes()
    scale = (
        networks.source_nodes(networks.emit(net.model(), threshold="rate", weight_bits=16))[1].attrs["scale"].ravel()
    )
    assert scale[0] == pytest.approx(scale[2], rel=1e-3)
    assert 0 < scale[1] < scale[0] / 32


def test_a_threshold_is_at_least_two_units_of_the_grid() -> None:
    conversion = networks.emit(networks.perceptron([3]).model(), threshold="model", alpha=1e-7)
    threshold = constant(networks.source_nodes(conversion)[1], 1)
    assert threshold is not None
    assert (threshold == 2).all()


def test_alpha_during_is_the_default_and_measures_at_the_rates_to_come() -> None:
    """Halving a threshold gives more spikes, so the next layer's mean sums are measured at higher rates."""
    assert make_options(alpha=0.5).alpha_when == "during"
    model = two_layers().model()
    thresholds: dict[str, list[Any]] = {}
    for when in ("during", "after"):
        report = networks.emit(
            model, alpha=0.5, threshold="rate", alpha_when=when, calib_steps=256, weight_bits=16
        ).report
        thresholds[when] = [layer.threshold for layer in report.layers if layer.kind == "neuron"]
    assert thresholds["during"][0] == pytest.approx(thresholds["after"][0])
    assert thresholds["during"][1] > 1.2 * thresholds["after"][1]


def test_defaults_depend_on_alpha_and_reset() -> None:
    assert make_options().threshold == "rate"
    assert make_options().v_init is None
    assert (make_options(alpha=1.0).threshold, make_options(alpha=1.0).v_init) == ("vmax", 0.0)
    assert (make_options(reset="hard").threshold, make_options(reset="hard").v_init) == ("vmax", 0.0)
    assert make_options(reset="hard", threshold="rate").threshold == "rate"
    assert (make_options(max_steps=64).steps, make_options(max_steps=64, steps=8).calib_steps) == (64, 64)


def test_estimates_are_shared_where_they_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model = two_layers().model()
    images = networks.images_for(model, 20, seed=1)
    measured: list[str] = []
    measure = SpikeTrains.measure

    def counting(self: SpikeTrains, target: object, *rest: object, **more: object) -> object:
        measured.append(str(target))
        return measure(self, target, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(SpikeTrains, "measure", counting)
    common = {"calib": images, "calib_steps": 32, "accept_poor": True}
    estimates: dict[object, object] = {}
    shared = [
        snnc.convert(model, alpha=alpha, alpha_when="after", steps=steps, estimates=estimates, **common)  # type: ignore[arg-type]
        for alpha, steps in ((1.0, 16), (0.5, 16), (0.5, 32))
    ]
    assert len(measured) == 2
    alone = snnc.convert(model, alpha=0.5, alpha_when="after", steps=32, **common)  # type: ignore[arg-type]
    assert len(measured) == 4
    assert [layer.threshold for layer in shared[2].report.layers] == [layer.threshold for layer in alone.report.layers]
    snnc.convert(model, alpha=0.5, alpha_when="during", steps=32, estimates=estimates, **common)  # type: ignore[arg-type]
    snnc.convert(model, alpha=0.25, alpha_when="during", steps=32, estimates=estimates, **common)  # type: ignore[arg-type]
    assert len(measured) == 8


def test_estimates_depend_on_network_data_and_options() -> None:
    one, other = two_layers().model(), networks.Network((4,), np.random.default_rng(1)).model()
    options = make_options(alpha=0.5, alpha_when="after")
    keys = {
        dependencies(Conversion(one, options), "a"),
        dependencies(Conversion(one, options), "b"),
        dependencies(Conversion(other, options), "a"),
        dependencies(Conversion(one, make_options(alpha=0.5, seed=1, alpha_when="after")), "a"),
        dependencies(Conversion(one, make_options(alpha=0.5)), "a"),
        dependencies(Conversion(one, make_options(alpha=0.5, leak=6, alpha_when="after")), "a"),
    }
    assert len(keys) == 6
    assert dependencies(Conversion(one, make_options(alpha=0.6, alpha_when="after", steps=3)), "a") in keys


@pytest.mark.parametrize(
    ("threshold", "place"),
    [
        (0.99, "below"),
        (1.0, "inside"),
        (4.0, "inside"),
        (4.1, "above"),
        ([0.1, 0.2], "below"),
        ([0.1, 3], "inside"),
        (None, None),
    ],
)
def test_where_a_threshold_stands(threshold: float | list[float] | None, place: str | None) -> None:
    """f_in·V_in ≤ V_th ≤ V_in (RMP-SNN, eq. 7); that of channels by the largest."""
    layer = LayerReport("relu", "neuron", "RMP", (2,), 2, 1.0, threshold=threshold, f_in=0.25, v_in=4.0)
    assert layer.place == place
    assert dataclasses.replace(layer, f_in=None).place is None
    header, _, row = layer_table([layer], fused=True).splitlines()
    assert header.split()[6:] == ["range", "bits", "rate"]
    assert (row.split()[4:] == [place]) == (place is not None)


def test_rules_that_simulate_know_the_range() -> None:
    """V_max is above every mean; the rule model above all."""
    places = {}
    for rule in ("rate", "vmax", "model", "max"):
        layers = networks.emit(two_layers().model(), threshold=rule, calib_steps=64).report.layers
        places[rule] = {layer.place for layer in layers if layer.kind == "neuron"}
    assert places["vmax"] == {"above"}
    assert places["rate"] <= {"inside", "above"}
    assert places["model"] == places["max"] == {None}
