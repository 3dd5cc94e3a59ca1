"""Rounding to the integer grid, and what spikes are worth on it."""

from __future__ import annotations

import golden
import networks
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from snnc.data import DataSet
from snnc.integers.calibration_split import calibration_split
from snnc.ir.conversion import Level
from snnc.ir.graph import constant, producer
from snnc.ir.trees import targets, tree
from snnc.operators import weighted
from snnc.operators.contract import Weights
from snnc.operators.layer import scale_of
from snnc.simulate.reference_coding import poisson_spikes


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(model=networks.models(), choices=networks.options())
def test_a_calibrated_graph_is_on_its_grid(model: object, choices: dict[str, object]) -> None:
    """Integers everywhere; even thresholds; λ = σ·θ; weights rounded to the nearest."""
    same = {"bias": "current", "max_pool": "exact", "reset": choices["reset"]}
    spiking = golden.run_to(model, Level.SPIKING, **same)  # type: ignore[arg-type]
    floats = {node.name: constant(node, 1) for target in targets(spiking.graph) for node in tree(target.inputs[0])}
    conversion = networks.emit(model, **choices)  # type: ignore[arg-type]
    worth = {node.outputs[0].name: scale_of(node) for node in networks.source_nodes(conversion)}
    for target in targets(conversion.graph):
        if target.op == "StaircaseTable":
            continue  # λ is given there, not made
        threshold = constant(target, 1) if target.op != "SpikeReadout" else None
        if threshold is not None:
            assert threshold.dtype == np.int32
            assert (threshold > 0).all()
            assert not (threshold % 2).any()
        rank = len(target.inputs[0].shape) - 1
        sigma = scale_of(target) / (1.0 if threshold is None else threshold.reshape((-1,) + (1,) * (rank - 1)))
        root = producer(target.inputs[0])
        assert root is not None
        for node in tree(target.inputs[0]):
            weight = constant(node, 1)
            if node.op not in ("Conv", "Gemm", "Scale") or weight is None:
                continue
            assert np.array_equal(weight, np.rint(weight))
            source = node.inputs[0].name
            if source in worth and node is root:
                original = floats[node.name]
                assert original is not None
                heavy = weighted(node)
                assert heavy is not None
                exact = heavy.on_grid(node, Weights(original.astype(float)), worth[source], sigma)
                assert exact is not None
                error = np.abs(weight - exact.weight)
                assert error.max() <= 0.5 + 1e-6 * np.abs(weight).max()


def test_alpha_after_multiplies_every_layer() -> None:
    """λ_l = α^l·Π V_th (up to the rounding of thresholds): `after` estimates all thresholds with α = 1."""
    net = networks.perceptron([5, 5, 5])
    scales = {}
    for alpha in (1.0, 0.5):
        conversion = networks.emit(net.model(), alpha=alpha, threshold="vmax", alpha_when="after")
        scales[alpha] = [node.attrs["scale"] for node in networks.source_nodes(conversion)[1:]]
    for layer, (whole, half) in enumerate(zip(scales[1.0], scales[0.5], strict=True), start=1):
        assert half == pytest.approx(0.5**layer * whole, rel=1e-3)


def test_model_thresholds_are_the_largest_sum_of_positive_weights() -> None:
    """Diehl et al. 2015; |w| on the signed input."""
    net = networks.Network((4,), np.random.default_rng(1))
    net.dense(3, False)
    net.then("Relu")
    net.dense(2, False)
    net.then("Relu")
    net.output()
    first, second = (np.frombuffer(tensor.raw_data, np.float32).reshape(tensor.dims) for tensor in net.weights)
    conversion = networks.emit(net.model(), threshold="model")
    layers = [layer for layer in conversion.report.layers if layer.kind == "neuron"]
    assert layers[0].threshold == pytest.approx(np.abs(first).sum(0).max(), rel=1e-4)
    assert layers[1].threshold == pytest.approx(np.maximum(second, 0).sum(0).max(), rel=1e-4)


def test_vmax_thresholds_are_the_largest_sum_on_the_data() -> None:
    """Held against the reference simulator: no current of the first layer is larger, and one is as large."""
    net = networks.Network((4,), np.random.default_rng(1))
    net.dense(3, False)
    net.then("Relu")
    net.output()
    conversion = networks.emit(net.model(), threshold="vmax", calib_steps=70)
    images = calibration_split(DataSet(networks.images_for(net.model(), 6, seed=1), None, "random"), 512)[0].images
    encoder = networks.source_nodes(conversion)[0]
    spikes = poisson_spikes(images, encoder.attrs["scale"], 0, 0, 0, 70)
    weight = np.frombuffer(net.weights[0].raw_data, np.float32).reshape(4, 3)
    largest = float((spikes @ weight).max())
    assert encoder.attrs["scale"] == np.abs(images).max()
    assert conversion.report.layers[1].threshold == pytest.approx(largest, rel=1e-4)
