"""Exported C gives the spikes of the reference simulator, in every step, and takes the memory that it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import c_programs
import networks
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings

from snnc.api.exporting_c import CExport, export_c
from snnc.api.model import SpikingModel
from snnc.ir.conversion import Conversion
from snnc.simulate.reference import simulate

STEPS = 20
Choices = dict[str, Any]


def exported(conversion: Conversion, **options: Any) -> CExport:
    return export_c(SpikingModel(conversion.emitted, conversion.report), **options)


def assert_same_spikes(conversion: Conversion, export: CExport, binary: Path, images: np.ndarray, seed: int) -> None:
    """Spikes of every layer in every step, sums of outputs, outputs in units of the ANN, the size of the struct."""
    found = c_programs.run(export, binary, images, STEPS, seed, 11)
    expected = simulate(conversion.graph, images, STEPS, seed, 11, record=True)
    assert set(found.spikes) == set(expected.spikes)
    for name, spikes in expected.spikes.items():
        assert np.array_equal(found.spikes[name].reshape(spikes.shape), spikes), name
    for readout in export.program.readouts:
        sums = expected.membranes[readout.state.layer]
        assert np.array_equal(found.sums[readout.output].reshape(sums.shape), sums)
        values = expected.outputs[readout.output].astype(np.float32)
        assert np.array_equal(found.values[readout.output].reshape(values.shape), values)
    assert found.struct_bytes == export.program.struct_bytes


def residual() -> onnx.ModelProto:
    net = networks.Network((3, 6, 6), np.random.default_rng(2))
    net.convolve(4, 3, 1, 1, 1, 1, True)
    net.then("Relu")
    net.residual(False, 4, True)
    net.then("Relu")
    net.residual(True, 6, True)
    net.then("Relu")
    net.then("GlobalAveragePool", shape=(6, 1, 1))
    net.dense(3, True)
    net.output()
    return net.model()


def pooled() -> onnx.ModelProto:
    """Depthwise and dilated convolutions, max-pooling with pads, averages that overlap, a shuffle of channels."""
    net = networks.Network((4, 9, 8), np.random.default_rng(3))
    net.convolve(4, 3, 1, 2, 2, 4, True)
    net.then("Relu")
    net.largest(3, 2, 1, 1)
    net.shuffle([2, 0, 3, 1, 1])
    net.convolve(6, 3, 1, 1, 1, 1, False)
    net.then("Relu")
    net.average(3, 2, 1, False)
    net.beside(2, True, fires=True)
    net.transpose()
    net.dense(3, True)
    net.output()
    return net.model()


def signal() -> onnx.ModelProto:
    net = networks.Network((2, 31), np.random.default_rng(5))
    net.convolve(3, 5, 2, 2, 1, 1, True)
    net.then("Relu")
    net.largest(2, 2, 0, 1)
    net.beside(2, True, fires=True, spatial=True)
    net.then("Relu")
    net.output()
    net.dense(3, False)
    net.output()
    return net.model()


CASES: dict[str, tuple[Callable[[], onnx.ModelProto], Choices]] = {
    "soft": (residual, {"per_channel": True, "v_init": 0.5}),
    "hard": (residual, {"reset": "hard", "seed": -3}),
    "leak": (pooled, {"leak": 3, "seed": 2**40 + 1}),
    "pools": (pooled, {"coding": "direct", "per_channel": True}),
    "staircase": (pooled, {"neurons": "staircase"}),
    "table": (residual, {"neurons": "table"}),
    "signal": (signal, {"v_init": 0.5}),
    "few steps": (signal, {"max_steps": 30, "steps": 20, "weight_bits": 4}),
    "delay": (residual, {"method": "low-latency", "delay": 5}),
}


@c_programs.needs_compiler
@pytest.mark.parametrize("case", CASES)
def test_spikes_are_those_of_the_reference(case: str, tmp_path: Path) -> None:
    make, choices = CASES[case]
    model = make()
    conversion = networks.emit(model, **choices)
    export = exported(conversion)
    binary = c_programs.build(export, tmp_path)
    assert_same_spikes(conversion, export, binary, networks.images_for(model, 2), choices.get("seed", 0))


@c_programs.needs_compiler
@settings(max_examples=4, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(model=networks.models(), choices=networks.options())
def test_random_networks(model: onnx.ModelProto, choices: Choices, tmp_path_factory: pytest.TempPathFactory) -> None:
    conversion = networks.emit(model, **choices)
    export = exported(conversion)
    binary = c_programs.build(export, tmp_path_factory.mktemp("c"))
    assert_same_spikes(conversion, export, binary, networks.images_for(model, 2), choices["seed"])
