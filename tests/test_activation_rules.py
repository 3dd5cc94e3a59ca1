"""Threshold rules that look at activations of the ANN."""

from __future__ import annotations

from typing import Any

import networks
import numpy as np
import onnx
import pytest

import snnc
from snnc.data import DataSet
from snnc.diagnostics import DiagnosticError
from snnc.integers.activations import Activations
from snnc.integers.calibration_split import calibration_split
from snnc.integers.layer_simulation import SpikeTrains
from snnc.ir.conversion import Conversion
from snnc.methods.defaults import make_options
from snnc.simulate.ann import layer_probe
from snnc.thresholds import RULES
from snnc.thresholds.balance import RATE, UPDATES
from snnc.thresholds.sharing import dependencies

FROM_ACTIVATIONS = [name for name, rule in RULES.own.items() if rule.needs == "activations"]


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return networks.small().model()


def activations(model: onnx.ModelProto, names: list[str]) -> dict[str, np.ndarray]:
    """Of the samples that calibrate in `networks.emit`, `[C, any]`."""
    data = DataSet(networks.images_for(model, 6, seed=1), None, "random")
    probe, tensors = layer_probe(model, names)
    outputs = probe.run(calibration_split(data, 512)[0].images)
    return {
        name: np.moveaxis(outputs[tensor], 1, 0).reshape(outputs[tensor].shape[1], -1)
        for name, tensor in tensors.items()
    }


# A threshold is an even number of units of its grid: with many bits it is what a rule asks for.
FINE: dict[str, Any] = {"weight_bits": 16}


def scales(conversion: Conversion) -> dict[str, np.ndarray]:
    """λ by neuron layer, `[C]` or `[1]`."""
    return {layer.name: layer.scales().ravel() for layer in conversion.report.layers if layer.kind == "neuron"}


def rows_of(values: np.ndarray, per_channel: bool) -> np.ndarray:
    return values if per_channel else values.reshape(1, -1)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("coding", ["poisson", "direct"])
@pytest.mark.parametrize(("rule", "options"), [("max", {}), ("percentile", {"percentile": 80.0})])
def test_thresholds_are_what_activations_need(
    model: onnx.ModelProto, rule: str, options: dict[str, Any], coding: str, per_channel: bool
) -> None:
    found = scales(networks.emit(model, threshold=rule, per_channel=per_channel, coding=coding, **FINE, **options))
    share = options.get("percentile", 100.0) / 100
    for name, values in activations(model, list(found)).items():
        rows = rows_of(values, per_channel)
        wanted = np.quantile(rows, share, axis=1, method="inverted_cdf")
        wanted = np.where(wanted > 0, wanted, rows.max(1))
        wanted = np.where(wanted > 0, wanted, wanted.max())  # a silent channel has the largest of the others
        assert np.allclose(found[name], wanted, rtol=5e-3), name


@pytest.mark.parametrize("per_channel", [False, True])
def test_mmse_is_the_least_squared_error_at_the_steps_of_the_file(model: onnx.ModelProto, per_channel: bool) -> None:
    few, many = (
        scales(networks.emit(model, threshold="mmse", per_channel=per_channel, steps=steps, **FINE))
        for steps in (4, 64)
    )
    for name, values in activations(model, list(few)).items():
        for found, steps in ((few[name], 4), (many[name], 64)):
            for scale, row in zip(found, rows_of(values, per_channel), strict=True):
                if not row.any():
                    continue

                def error(scale: float, row: np.ndarray = row, steps: int = steps) -> float:
                    step = scale / steps
                    return float(np.square(step * np.clip(np.floor(row / step + 0.5), 0, steps) - row).mean())

                best = min(error(row.max() * fraction) for fraction in np.geomspace(1 / 64, 1, 200))
                assert error(scale) <= 1.2 * best + 0.05 * (scale / steps) ** 2
        assert (few[name] <= 1.001 * many[name]).all()
        assert (few[name] < 0.95 * many[name]).any()


@pytest.mark.parametrize("per_channel", [False, True])
def test_balanced_thresholds_grow_by_the_excess(per_channel: bool) -> None:
    """Held against the algorithm in numpy, on two layers; the second one sees what the first one lets through."""
    net = networks.perceptron([6, 5])
    model = net.model()
    first, second = (np.frombuffer(tensor.raw_data, np.float32).reshape(tensor.dims) for tensor in net.weights[:2])
    data = DataSet(networks.images_for(model, 6, seed=1), None, "random")
    images = calibration_split(data, 512)[0].images
    limits = [np.zeros(6), np.zeros(5)]
    for _ in range(UPDATES):
        one = np.maximum(images @ first, 0)
        two = np.maximum(np.minimum(one, limits[0]) @ second, 0)
        for index, values in enumerate((one, two)):
            excess = np.maximum(values - limits[index], 0).mean(0)
            grown = limits[index] + 2 * RATE * (excess if per_channel else excess.mean())
            largest = values.max(0) if per_channel else np.full(len(grown), values.max())
            limits[index] = np.maximum(limits[index], np.minimum(grown, largest))
    found = scales(networks.emit(model, threshold="balance", per_channel=per_channel, **FINE))
    for values, wanted in zip(found.values(), limits, strict=True):
        wanted = np.where(wanted > 0, wanted, wanted.max())
        assert np.allclose(values, wanted, rtol=5e-3)


@pytest.mark.parametrize("rule", FROM_ACTIVATIONS)
def test_nothing_is_simulated(rule: str, model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("measure", "mean_currents", "fire"):
        monkeypatch.delattr(SpikeTrains, name)
    conversion = networks.emit(model, threshold=rule)
    assert conversion.report.calibration is not None
    assert (conversion.report.calibration.samples, conversion.report.calibration.steps) == (5, 0)


@pytest.mark.parametrize("rule", ["rate", "vmax", "model"])
def test_other_rules_ask_for_no_activations(rule: str, model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Activations, "__init__")
    networks.emit(model, threshold=rule)


@pytest.mark.parametrize("rule", FROM_ACTIVATIONS)
def test_alpha_scales_them(rule: str, model: onnx.ModelProto) -> None:
    one, half = (scales(networks.emit(model, threshold=rule, alpha=alpha)) for alpha in (1.0, 0.5))
    for name in one:
        assert np.allclose(half[name], 0.5 * one[name], rtol=1e-2)


@pytest.mark.parametrize("rule", FROM_ACTIVATIONS)
def test_a_layer_that_is_never_active_has_its_threshold_from_the_weights(rule: str) -> None:
    net = networks.perceptron([4])
    net.weights[0].raw_data = (-np.abs(np.frombuffer(net.weights[0].raw_data, np.float32))).tobytes()
    report = snnc.convert(
        net.model(), calib=np.abs(networks.images_for(net.model(), 20)), threshold=rule, accept_poor=True
    ).report
    assert {"SNN504"} & {found.rule.code for found in report.diagnostics.found}


@pytest.mark.parametrize("rule", FROM_ACTIVATIONS)
def test_rules_choose_the_initial_potential_by_measurement(rule: str) -> None:
    assert make_options(threshold=rule).v_init is None
    assert make_options(threshold=rule, v_init=0.0).v_init == 0


def test_estimates_are_shared_between_steps_unless_they_depend_on_them(model: onnx.ModelProto) -> None:
    for rule in FROM_ACTIVATIONS:
        keys = {dependencies(Conversion(model, make_options(threshold=rule, steps=steps)), "a") for steps in (8, 16)}
        assert len(keys) == (2 if rule == "mmse" else 1), rule


def test_activations_are_measured_once_for_conversions_that_share(monkeypatch: pytest.MonkeyPatch) -> None:
    model = networks.perceptron([6]).model()
    made: list[int] = []
    walk = Activations.walk

    def counting(self: Activations, *limits: Any) -> Any:
        made.append(1)
        return walk(self, *limits)

    monkeypatch.setattr(Activations, "walk", counting)
    images = networks.images_for(model, 20)
    estimates: dict[Any, Any] = {}
    for steps in (16, 32):
        snnc.convert(model, calib=images, threshold="max", steps=steps, estimates=estimates, accept_poor=True)
    assert len(made) == 2


def test_the_percentile_has_a_range() -> None:
    with pytest.raises(DiagnosticError, match="percentile is 20"):
        make_options(threshold="percentile", percentile=20)
    with pytest.raises(DiagnosticError, match="percentile belongs to the threshold rule percentile"):
        make_options(percentile=99)
