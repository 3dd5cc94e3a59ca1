"""Every number of an evaluation, worked out again from one run of the file."""

from __future__ import annotations

from typing import Any

import networks
import numpy as np
import onnxruntime as ort
import pytest

import snnc
from snnc.api import SpikingModel

INPUTS, HIDDEN, OUTPUTS = 4, 5, 3
STEPS = 130  # three blocks, the last one cut short
ANN = networks.perceptron([HIDDEN], inputs=INPUTS, outputs=OUTPUTS).model()
IMAGES = networks.images_for(ANN, 20)
LABELS = np.arange(len(IMAGES)) % OUTPUTS
PICOJOULE_PER_ACCUMULATE, PICOJOULE_PER_MAC = 0.9, 4.6


def converted(**choices: Any) -> SpikingModel:
    return snnc.convert(ANN, calib=IMAGES, steps=STEPS, calib_steps=STEPS, accept_poor=True, **choices)


@pytest.mark.parametrize("coding", ["poisson", "direct"])
def test_what_a_point_says(coding: str) -> None:
    model = converted(coding=coding)
    curve = snnc.evaluate(model, (IMAGES, LABELS), ann=ANN, steps=[3, STEPS])
    result = model.session().run(IMAGES, STEPS)
    expected = ort.InferenceSession(ANN.SerializeToString()).run(None, {"x": IMAGES})[0]
    point = curve.points[-1]
    found, wanted = result.logits.argmax(1), expected.argmax(1)
    assert point.accuracy == pytest.approx((found == LABELS).mean())
    assert point.agreement == pytest.approx((found == wanted).mean())
    assert curve.ann_accuracy == pytest.approx((wanted == LABELS).mean())
    assert point.error == pytest.approx(np.linalg.norm(result.logits - expected) / np.linalg.norm(expected), rel=1e-4)
    hidden = result.spike_totals[:, -1].sum()  # the only layer behind the input
    assert point.spike_rate == pytest.approx(100 * hidden / (HIDDEN * STEPS * len(IMAGES)))
    assert 0 < point.spike_rate < 100


def test_a_part_of_the_data_gets_the_spikes_that_it_has_in_the_whole() -> None:
    model = converted(coding="poisson")
    parts = [snnc.evaluate(model, IMAGES[at : at + 10], steps=STEPS, first_sample=at).points[0] for at in (0, 10)]
    whole = snnc.evaluate(model, IMAGES, steps=STEPS).points[0]
    assert whole.spike_rate == pytest.approx((parts[0].spike_rate + parts[1].spike_rate) / 2)
    again = snnc.evaluate(model, IMAGES[10:], steps=STEPS).points[0]
    assert again.spike_rate != parts[1].spike_rate


def test_energy_of_spikes_is_accumulations() -> None:
    curve = snnc.evaluate(converted(), IMAGES, steps=[3, STEPS])
    for point in curve.points:
        assert point.operations > 0
        assert point.energy_uj == pytest.approx(point.operations * PICOJOULE_PER_ACCUMULATE * 1e-6)


def test_energy_of_a_first_layer_that_reads_numbers() -> None:
    """It multiplies INPUTS · HIDDEN times in every block of 64 steps; spikes of the hidden layer only add."""
    curve = snnc.evaluate(converted(coding="direct"), IMAGES, steps=[3, 64, 65, STEPS])
    for point, blocks in zip(curve.points, (1, 1, 2, 3), strict=True):
        accumulations = point.operations * PICOJOULE_PER_ACCUMULATE
        multiplications = blocks * INPUTS * HIDDEN * PICOJOULE_PER_MAC
        assert point.energy_uj == pytest.approx((accumulations + multiplications) * 1e-6)
        hidden_rate = point.spike_rate / 100
        assert point.operations == pytest.approx(hidden_rate * HIDDEN * OUTPUTS * point.steps)


def test_clipped_counts_the_inputs_beyond_the_scale() -> None:
    model = converted(input_scale=0.5)
    assert snnc.evaluate(model, IMAGES, steps=[3]).clipped == pytest.approx((np.abs(IMAGES) > 0.5).mean())
