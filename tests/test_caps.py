"""Clipped ReLUs with rate coding: a spike in every step is worth no more than the cap."""

from __future__ import annotations

from typing import Any

import golden
import networks
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from region_models import network

from snnc.data import DataSet
from snnc.diagnostics import DiagnosticError
from snnc.ir.conversion import Conversion, Level
from snnc.ir.graph import constant
from snnc.operators.layer import scale_of
from snnc.simulate.reference import simulate

CAPS = {"number": "y = Clip (x, zero, half)", "channels": "a = Relu (x)  y = Min (a, caps)"}


def calibrated(body: str, **options: Any) -> tuple[Conversion, np.ndarray]:
    """The conversion, and λ of its neurons by channel."""
    model = network(body)
    data = np.abs(networks.images_for(model, 16)) * 4
    conversion = golden.run_to(model, Level.CALIBRATED, data=DataSet(data, None, "test"), calib_steps=32, **options)
    (neuron,) = [node for node in conversion.graph.nodes if node.op in ("RMP", "IF")]
    return conversion, np.broadcast_to(scale_of(neuron), (3, 1, 1)).reshape(-1)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    body=st.sampled_from(sorted(CAPS.values())),
    rule=st.sampled_from(["rate", "vmax", "model"]),
    alpha=st.sampled_from([0.1, 1.0]),
    when=st.sampled_from(["during", "after"]),
    per_channel=st.booleans(),
    reset=st.sampled_from(["soft", "hard"]),
)
def test_no_spike_is_worth_more_than_the_cap(
    body: str, rule: str, alpha: float, when: str, per_channel: bool, reset: str
) -> None:
    options = {"threshold": rule, "alpha": alpha, "alpha_when": when, "per_channel": per_channel, "reset": reset}
    conversion, found = calibrated(body, **options)
    free = calibrated("y = Relu (x)", **options)[1]
    caps = np.array([0.5] * 3 if "half" in body else [1.0, 2.0, 6.0])
    assert (found <= caps).all()
    wanted = np.minimum(free, caps)
    assert (found > wanted * 0.99).all()
    (neuron,) = [node for node in conversion.graph.nodes if node.op in ("RMP", "IF")]
    threshold = constant(neuron, 1)
    assert threshold is not None
    assert (threshold % 2 == 0).all()


def test_a_saturated_neuron_gives_its_cap() -> None:
    conversion, found = calibrated(CAPS["number"], threshold="vmax")
    assert found == pytest.approx(0.5, rel=2e-3)
    (neuron,) = [node for node in conversion.graph.nodes if node.op == "RMP"]
    images = np.abs(networks.images_for(network(CAPS["number"]), 3)) * 4
    run = simulate(conversion.graph, images, 64, seed=0, record=True)
    rates = run.spikes[neuron.name].astype(np.int64).mean(0)
    assert rates.max() == 1.0
    assert rates.max() * found.max() <= 0.5


def test_a_cap_beyond_every_grid() -> None:
    model = network("y = Clip (x, zero, cap)")
    model.graph.initializer.append(numpy_helper.from_array(np.array(1e-30, np.float32), "cap"))
    with pytest.raises(DiagnosticError, match="SNN406"):
        golden.run_to(model, Level.CALIBRATED, threshold="model", input_scale=1.0)
