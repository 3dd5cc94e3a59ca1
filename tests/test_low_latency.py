"""The method `low-latency`: its options, its defaults, and what it gives in few steps."""

from __future__ import annotations

from typing import Any

import golden
import networks
import numpy as np
import pytest
from commands import DIGITS, Invoke, refuse
from region_models import network
from test_options import refused

import snnc
from snnc.data import DataSet
from snnc.ir.conversion import Level
from snnc.ir.graph import constant
from snnc.measure import judge
from snnc.methods.defaults import make_options
from snnc.simulate.reference import simulate

METHOD = "low-latency"


def test_defaults() -> None:
    options = make_options(method=METHOD)
    assert (options.coding, options.threshold, options.per_channel) == ("direct", "mmse", True)
    assert (options.v_init, options.steps, options.max_steps) == (0.5, 32, 256)
    assert (options.bias, options.batchnorm, options.max_pool) == ("current", "fold", "exact")
    assert make_options(method=METHOD, steps=300).max_steps == 300
    assert make_options(method=METHOD, max_steps=16).steps == 16
    given = make_options(method=METHOD, per_channel=False, v_init=0, threshold="percentile", bias="reject")
    assert (given.per_channel, given.v_init, given.threshold, given.bias) == (False, 0.0, "percentile", "reject")


@pytest.mark.parametrize(
    ("option", "value"),
    [("reset", "hard"), ("leak", 4), ("alpha", 0.5), ("alpha_when", "after"), ("calib_steps", 8), ("seed", 1)],
)
def test_options_without_a_meaning_are_refused_with_the_reason(option: str, value: Any) -> None:
    assert refused(method=METHOD, **{option: value}).startswith(f"{option} is no option of the method low-latency: ")


def test_other_codings_rules_and_options_are_refused() -> None:
    assert refused(method=METHOD, coding="poisson") == "coding is 'poisson', must be one of direct with low-latency"
    assert refused(method=METHOD, threshold="rate") == (
        "threshold is 'rate', must be one of mmse, percentile, balance, max"
    )
    assert refused(method=METHOD, levels=8) == "levels belongs to the method exact, the method here is low-latency"
    assert refused(levels=8) == "levels belongs to the method exact, the method here is rmp"


def test_counts_are_activations_rounded_to_the_steps() -> None:
    """One layer with constant input: after T steps clip(floor(x·T/λ + 1/2), 0, T) spikes."""
    model = networks.perceptron([6], outputs=3).model()
    data = np.abs(networks.images_for(model, 40))
    conversion = golden.run_to(model, Level.CALIBRATED, data=DataSet(data, None, "test"), method=METHOD, steps=8)
    neuron = next(node for node in conversion.graph.nodes if node.op == "RMP")
    neuron.attrs["v_init"] = 0.5  # what the pass that measures would set
    run = simulate(conversion.graph, data, 8, record=True)
    threshold, weight = constant(neuron, 1), constant(neuron.inputs[0].inputs[0], 1)
    assert threshold is not None
    assert weight is not None
    encoder = conversion.graph.nodes[0]
    units = np.clip(np.rint(data / np.float32(encoder.attrs["scale"])), -255, 255)
    wanted = np.clip((2 * 8 * (units @ weight) + threshold) // (2 * threshold), 0, 8)
    assert np.array_equal(run.spikes[neuron.name].sum(0), wanted)
    assert 0 < wanted.mean() < 8


def test_it_follows_the_digits_in_eight_steps() -> None:
    model = snnc.convert(str(DIGITS), calib="digits:train", method=METHOD, steps=8)
    curve = snnc.evaluate(model, "digits:test", ann=str(DIGITS), steps=[8])
    (point,) = curve.points
    assert point.accuracy is not None
    assert curve.ann_accuracy is not None
    assert point.accuracy >= curve.ann_accuracy - 0.02
    verification = model.report.verification
    assert verification is not None
    assert verification.v_init == 0.5


def test_bias_batch_normalization_and_max_pooling_convert() -> None:
    body = """n = BatchNormalization (x, gamma, beta, mean, variance) r = Relu (n)
        y = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (r)"""
    assert snnc.check(network(body), method=METHOD) == []
    model = snnc.convert(network(body), method=METHOD, accept_poor=True)
    assert [layer.op for layer in model.report.layers][:3] == ["DirectEncode", "RMP", "SpikeMaxPool"]


def test_more_steps_are_tried_with_their_own_thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    model = networks.perceptron([16, 16, 16], outputs=3).model()
    data = networks.images_for(model, 60)
    poor = snnc.convert(model, calib=data, method=METHOD, steps=1, accept_poor=True)
    assert poor.report.verification is not None
    assert poor.report.verification.missed is not None
    assert poor.report.verification.longer == []
    (found,) = [found for found in poor.report.diagnostics.found if found.rule.code == "SNN503"]
    better = snnc.convert(model, calib=data, method=METHOD, steps=4, accept_poor=True).report.verification
    assert better is not None
    assert f"`--steps 4` gave {judge.Result(better.agreement, better.error, better.samples)}" in found.hint


def test_the_command_line(invoke: Invoke) -> None:
    result = invoke(
        "convert", DIGITS, "-o", "x.snn.onnx", "--method", METHOD, "--calib", "digits:train", "--steps", "16"
    )
    assert "RMP" in result.stdout
    assert "16 steps:" in result.stdout
    refuse(invoke, "SNN405", "convert", DIGITS, "--method", METHOD, "--alpha", "0.6", exit_code=2)
    assert invoke("passes", "--method", METHOD).stdout.startswith("ingest")
