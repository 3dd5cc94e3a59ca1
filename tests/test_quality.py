"""Bars, confidence, steps that the samples support; warnings, refusals and their remedies; the initial potential."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import networks
import numpy as np
import onnx
import pytest

import snnc
from snnc.curves import Point
from snnc.diagnostics import DiagnosticError
from snnc.quality import GOOD, USABLE, interval, steps_to_reach, supported_steps


def point(steps: int, agreement: float | None, error: float | None = 0.1) -> Point:
    return Point(steps, None, agreement, error, 1.0, {}, 0.0, 0.0)


def points(*agreements: float | None) -> list[Point]:
    return [point(2**power, agreement) for power, agreement in enumerate(agreements)]


def test_wilson_intervals() -> None:
    """Against the closed form by hand: 10 of 10, 0 of 10, 45 of 50 (Wilson 1927)."""
    assert interval(1.0, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert interval(0.0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert interval(0.9, 50) == pytest.approx((0.7864, 0.9565), abs=1e-4)


@pytest.mark.parametrize(
    ("found", "values", "good", "usable"),
    [
        (point(1, 0.96, 0.2), True, True, True),
        (point(1, 0.9, 0.2), True, False, True),
        (point(1, 0.7, 0.2), True, False, False),
        (point(1, 1.0, 0.6), True, False, True),  # the class is right, the values are lost
        (point(1, 1.0, 0.98), True, False, False),
        (point(1, 1.0, None), True, False, False),
        (point(1, 1.0, 0.98), False, True, True),  # hard reset: there are no values to lose
        (point(1, None, 0.2), True, True, True),
        (point(1, None, 0.4), True, False, True),
        (point(1, None, 0.6), True, False, False),
        (point(1, None, 0.6), False, True, True),
    ],
)
def test_bars(found: Point, values: bool, good: bool, usable: bool) -> None:
    assert GOOD.is_met(found, values=values) == good
    assert USABLE.is_met(found, values=values) == usable


def test_steps_are_recommended_only_where_the_samples_support_it() -> None:
    def steps(found: Sequence[Point], samples: int) -> int | None:
        return supported_steps(found, samples, values=True)

    assert steps(points(0.2, 0.97, 0.98, 1.0), 128) == 2
    assert steps(points(0.2, 0.97, 0.9, 1.0), 128) == 8  # what comes later counts too
    assert steps(points(0.2, 1.0, 1.0, 1.0), 8) is None  # eight samples show nothing
    assert steps(points(0.2, 1.0, 1.0, 0.9), 1000) is None
    assert steps([point(1, None, 0.5), point(2, None, 0.2), point(4, None, 0.1)], 8) == 2


def test_steps_to_reach() -> None:
    assert steps_to_reach(points(0.1, 0.9, 0.8, 0.95), 0.9) == 8
    assert steps_to_reach(points(0.1, 0.9, 0.92, 0.95), 0.9) == 2
    assert steps_to_reach(points(0.1, 0.2), 0.9) is None
    assert steps_to_reach([point(1, None, 0.5), point(2, None, 0.2)], 0.2) == 2


def deep(layers: int, width: int = 16) -> onnx.ModelProto:
    net = networks.Network((width,), np.random.default_rng(5))
    for _ in range(layers):
        net.dense(width, False)
        net.then("Relu")
    net.dense(4, False)
    net.output()
    return net.model()


def poor(**options: Any) -> DiagnosticError:
    """The refusal of a deep network; its thresholds compound over the layers."""
    with pytest.raises(DiagnosticError) as refusal:
        snnc.convert(deep(16), alpha=1.0, threshold="vmax", steps=64, **options)
    (diagnostic,) = refusal.value.diagnostics
    assert diagnostic.rule.code == "SNN408"
    return refusal.value


def test_a_refusal_names_the_first_weak_layer_and_a_measured_remedy() -> None:
    text = str(poor())
    assert "the first layer whose rates vanish is layer " in text
    assert " of 16, RMP 'Relu_" in text
    assert "`--threshold rate` without `--alpha` gave agreement" in text
    rated = snnc.convert(deep(16), steps=64, accept_poor=True).report.verification
    claimed = text.split("without `--alpha` gave ")[1].split(";")[0]
    assert claimed == f"agreement {100 * rated['agreement']:.1f} %, output error {rated['error']:.3f}"


def test_a_poor_conversion_can_be_accepted() -> None:
    report = snnc.convert(deep(16), alpha=1.0, steps=64, accept_poor=True).report
    assert "SNN503" in {found.rule.code for found in report.diagnostics.found}
    weak = report.verification["first_weak_layer"]
    assert weak["why"] == "vanishes"
    assert report.verification["carried"][weak["layer"]] == weak["share"] < 0.5
    earlier = [layer.name for layer in report.layers if layer.kind == "neuron"]
    for name in earlier[: earlier.index(weak["layer"])]:
        assert report.verification["carried"].get(name, 1.0) >= 0.5


def test_saturation_is_seen() -> None:
    report = snnc.convert(deep(6), alpha=0.05, steps=64, accept_poor=True).report
    weak = report.verification["first_weak_layer"]
    assert weak["why"] == "saturates"
    assert weak["share"] == report.verification["saturated"][weak["layer"]] > 0.01


def test_carried_shares_are_those_of_a_comparison_with_the_ann() -> None:
    """λ·count/T over the ANN's activation, by `snnc.compare` on the samples that were held back."""
    model = deep(3)
    images = networks.images_for(model, 50, seed=1)
    converted = snnc.convert(model, calib=images, steps=32, accept_poor=True)
    carried = converted.report.verification["carried"]
    samples = snnc.data.as_dataset(images).images[np.random.default_rng(0).permutation(50)[:10]]
    for name, (activation, spikes) in snnc.compare(converted, model, samples).items():
        assert carried[name] == pytest.approx(float(spikes.mean() / activation.mean()), rel=1e-5)


@pytest.mark.parametrize("v_init", [0.0, 0.5, None])
def test_both_initial_potentials_are_measured(v_init: float | None) -> None:
    model = deep(2)
    images = networks.images_for(model, 100, seed=1)
    converted = snnc.convert(model, calib=images, threshold="rate", v_init=v_init, steps=32, accept_poor=True)
    trials = converted.report.verification["initial_potentials"]
    chosen = converted.report.verification["v_init"]
    assert set(trials) == {"0", "0.5"}
    assert converted.report.verification["curve"] == trials[f"{chosen:g}"]["curve"]
    assert [layer.v_init * 2 > 0 for layer in converted.report.layers if layer.kind == "neuron"] == [chosen > 0] * 2
    if v_init is not None:
        assert chosen == v_init
    else:
        late = {name: [row[1] for row in trial["curve"] if row[0] >= 4] for name, trial in trials.items()}
        merit = {name: np.mean(agreements) for name, agreements in late.items()}
        assert merit[f"{chosen:g}"] == max(merit.values())
    if v_init != 0.5:  # calibrated from 0, as here
        alone = snnc.convert(model, calib=images, threshold="rate", v_init=0.0, steps=32, accept_poor=True)
        assert alone.report.verification["curve"] == trials["0"]["curve"]


def test_the_choice_is_that_of_the_file() -> None:
    converted = snnc.convert(deep(2), steps=32, accept_poor=True)
    file = snnc.api.open_converted(converted)
    assert file.options["v_init"] == converted.report.verification["v_init"]
    assert dataclasses.asdict(converted.report.layers[1])["v_init"] == file.layers[1]["v_init"]
