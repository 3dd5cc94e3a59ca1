"""The method exact: spike counts equal those of the quantised ANN, integer for integer, in every form."""

from __future__ import annotations

from typing import Any

import networks
import numpy as np
import onnx
import pytest
from commands import DIGITS
from exact_networks import BODIES, body, compared, converted, converted_or_none
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from snnc.api import SpikingModel, compare, convert, open_converted
from snnc.diagnostics import DiagnosticError
from snnc.files import ConvertedFile
from snnc.ir.domain import BLOCK_STEPS
from snnc.runtime.session import SpikingSession
from snnc.simulate.block_runner import StreamRunner


@pytest.mark.parametrize("name", BODIES)
def test_counts_equal_those_of_the_quantised_network(name: str) -> None:
    model = converted(body(name), levels=6)
    assert model.certificate is not None
    assert model.certificate.samples == 20
    images = networks.images_for(body(name), 50, seed=7)
    found = compared(model, images)
    assert found.differences == []
    assert found.layers == model.certificate.layers >= 2
    assert 0 < found.steps.max() < model.certificate.most_steps


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(
    model=networks.models(),
    levels=st.sampled_from([1, 2, 5, 16, 100]),
    threshold=st.sampled_from(["mmse", "percentile", "max"]),
    per_channel=st.booleans(),
)
def test_random_networks(model: onnx.ModelProto, levels: int, threshold: str, per_channel: bool) -> None:
    found = converted_or_none(model, levels=levels, threshold=threshold, per_channel=per_channel)
    if found is not None:
        assert compared(found, networks.images_for(model, 9, seed=3)).differences == []


@pytest.mark.parametrize("levels", [4, 16, 64, 256])
def test_more_levels_come_closer_to_the_ann(levels: int) -> None:
    """The error is that of quantising, about 1/levels."""
    for name in BODIES:
        verification = converted(body(name), levels=levels).report.verification
        assert verification is not None
        assert verification.error is not None
        assert verification.error < 4 / levels + 0.02, name


def test_a_dense_layer_by_hand() -> None:
    """S = clip(floor((Σ W·n + charge + θ/2) / θ), 0, L) from the integers of the file alone."""
    net = networks.Network((4,), np.random.default_rng(3))
    net.dense(5, True)
    net.then("Relu")
    net.dense(3, True)
    net.output()
    model = converted(net.model(), levels=7)
    file = open_converted(model)
    layer = next(layer for layer in file.layers if layer.kind == "neuron")
    potential, counts = (state for state in file.block.states if state.layer == layer.name)
    weight = weight_of_the_first_layer(file)
    images = networks.images_for(net.model(), 30, seed=5)
    n = np.rint(np.clip(images / np.float32(np.max(file.layers[0].scale)), -255, 255)).astype(np.int64)
    threshold, start = np.asarray(layer.threshold_integer), np.asarray(potential.initial)
    charge = n @ weight.astype(np.int64) + start
    wanted = np.clip(charge // threshold, 0, 7)
    last = StreamRunner(file.block).run_until_quiet(images, file.options.steps)
    assert np.array_equal(last.states[counts.name], wanted)
    assert np.array_equal(last.states[potential.name], charge - wanted * threshold)
    assert last.steps_used is not None
    assert np.array_equal(last.steps_used, np.abs(wanted).max(1))


def weight_of_the_first_layer(file: ConvertedFile) -> np.ndarray:
    """Integers, `[K, M]`."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in file.block.body_constants}
    gemm = next(node for node in file.block.body if node.op_type == "Gemm")
    return constants[gemm.input[1]]


def outputs_of(model: SpikingModel, images: np.ndarray, **options: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    result = model.session(**options).run(images, batch_size=3)
    assert result.sample_steps is not None
    return result.logits, result.spike_totals, result.sample_steps


@pytest.mark.parametrize("name", BODIES)
def test_every_form_gives_the_same(name: str) -> None:
    """The loop natively and as functions, with one thread and two, unrolled, and block by block."""
    images = networks.images_for(body(name), 7, seed=2)
    model = converted(body(name), levels=5)
    wanted = outputs_of(model, images)
    for options in ({"native": False}, {"threads": 1}, {"threads": 2}):
        for found, expected in zip(outputs_of(model, images, **options), wanted, strict=True):
            assert np.array_equal(found, expected), options
    unrolled = converted(body(name), levels=5, schedule="unrolled")
    for found, expected in zip(outputs_of(unrolled, images), wanted, strict=True):
        assert np.array_equal(found, expected)
    stream = open_converted(converted(body(name), levels=5, schedule="stream"))
    last = StreamRunner(stream.block).run_until_quiet(images, stream.options.steps)
    assert np.array_equal(next(iter(last.outputs.values())), wanted[0])
    assert np.array_equal(last.spike_totals, wanted[1])


def test_the_loop_ends_when_the_network_is_quiet() -> None:
    model = converted(body("leaky residual"), levels=40)
    session = model.session()
    result = session.run(networks.images_for(body("leaky residual"), 3))
    assert result.sample_steps is not None
    assert result.steps_used == result.sample_steps.max() < session.options.steps
    nothing = session.run(np.zeros((0, 2, 6, 6), np.float32))
    assert nothing.logits.shape == (0, 3)


def test_fewer_steps_give_what_is_there_by_then() -> None:
    """An answer at any time, and it is said that the network was not quiet yet."""
    model = converted(body("max-pool and biases"), levels=16)
    images = networks.images_for(body("max-pool and biases"), 4)
    early, late = SpikingSession(model.model.SerializeToString()).run(images, 3), outputs_of(model, images)
    assert early.steps_used == 3
    assert not np.array_equal(early.logits, late[0])


@pytest.mark.parametrize(
    "option",
    [
        *({"reset": "hard"}, {"alpha": 0.5}, {"steps": 8}, {"max_steps": 100}, {"coding": "poisson"}, {"leak": 4}),
        *({"seed": 1}, {"threshold": "vmax"}, {"v_init": 0.0}, {"calib_steps": 3}),
        *({"levels": 0}, {"levels": 2.0}, {"levels": True}),
    ],
    ids=str,
)
def test_options_that_make_no_sense(option: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="SNN405"):
        converted(body("leaky residual"), **option)


def test_numpy_scalars_are_numbers() -> None:
    assert converted(body("max-pool and biases"), levels=np.int64(3)).certificate is not None


def test_compare_has_counts_in_units_of_the_ann() -> None:
    """Of the layers that the ANN has: identity neurons have no counterpart."""
    for name in BODIES:
        images = networks.images_for(body(name), 6, seed=1)
        found = compare(converted(body(name), levels=512), body(name), images)
        assert not any(layer.startswith("snnc/") for layer in found)
        for layer, (activation, value) in found.items():
            assert np.abs(activation - value).max() < 0.05 * np.abs(activation).max() + 0.02, (name, layer)


def test_a_poor_network_is_told_what_helps() -> None:
    """More levels, measured; and following the hint gives what it says."""
    options: dict[str, Any] = {"method": "exact", "threshold": "max"}
    with pytest.raises(DiagnosticError) as refused:
        convert(DIGITS, levels=1, **options)
    (found,) = refused.value.diagnostics
    assert found.rule.code == "SNN408"
    assert "--v-init" not in found.hint
    verification = convert(DIGITS, levels=4, **options).report.verification
    assert verification is not None
    assert verification.agreement is not None
    wanted = f"agreement {100 * verification.agreement:.1f} %, output error {verification.error:.3f}"
    assert f"`--levels 4` gave {wanted}" in found.hint


def test_a_warning_tells_what_helps_too() -> None:
    model = convert(DIGITS, method="exact", threshold="max", levels=1, accept_poor=True)
    (warning,) = [found for found in model.report.diagnostics.found if found.rule.code == "SNN503"]
    assert "`--levels 4` gave agreement " in warning.hint


def test_a_far_bound_on_the_steps_costs_no_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """A budget of work is counted by the steps that it may take to settle, not by those that it never takes."""
    model = body("max-pool and biases")
    macs = sum(layer.macs for layer in converted(model, levels=6).report.layers)
    monkeypatch.setattr("snnc.measure.trials._BUDGET", 10 * BLOCK_STEPS * macs)
    found = convert(model, calib=networks.images_for(model, 100), method="exact", levels=600, accept_poor=True).report
    assert found.verification is not None
    assert found.verification.samples == 10
    assert found.certificate is not None
    assert found.certificate.most_steps > 2 * BLOCK_STEPS


def test_what_layers_carry_of_the_ann() -> None:
    """With many levels all of it, however many steps there could be."""
    verification = converted(body("max-pool and biases"), levels=256, threshold="max").report.verification
    assert verification is not None
    assert all(0.9 < share < 1.1 for share in verification.carried.values())
    assert verification.carried
