"""Exported C gives the spikes of the reference simulator, in every step, and takes the memory that it says."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import c_programs
import exact_networks
import networks
import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from hypothesis import HealthCheck, given, settings

import snnc
from snnc.api.exporting_c import CExport, export_c
from snnc.api.model import open_converted
from snnc.simulate.reference import Simulation, simulate

STEPS = 20
ZOO = Path(os.environ.get("SNNC_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "zoo"
Choices = dict[str, Any]


def assert_same_spikes(graph: gs.Graph, export: CExport, binary: Path, images: np.ndarray, seed: int) -> None:
    """Spikes of every layer in every step, sums of outputs, outputs in units of the ANN, the size of the struct."""
    found = c_programs.run(export, binary, images, STEPS, seed, 11)
    expected = simulate(graph, images, STEPS, seed, 11, record=True)
    assert set(found.spikes) == set(expected.spikes)
    for name, spikes in expected.spikes.items():
        assert np.array_equal(found.spikes[name].reshape(spikes.shape), spikes), name
    for readout in export.program.readouts:
        sums = expected.membranes[readout.state.layer]
        assert np.array_equal(found.sums[readout.output].reshape(sums.shape), sums)
        values = expected.outputs[readout.output].astype(np.float32)
        assert np.array_equal(found.values[readout.output].reshape(values.shape), values)
    fired = sum(
        np.abs(spikes).sum(tuple(range(2, spikes.ndim)), dtype=np.int64) for spikes in _of_layers(graph, expected)
    )
    assert np.array_equal(found.fired, fired)
    assert found.struct_bytes == export.program.struct_bytes


def _of_layers(graph: gs.Graph, expected: Simulation) -> list[np.ndarray]:
    encoder = graph.nodes[0].name
    return [spikes for name, spikes in expected.spikes.items() if name != encoder]


CASES: dict[str, tuple[Callable[[], onnx.ModelProto], Choices]] = {
    "soft": (c_programs.residual, {"per_channel": True, "v_init": 0.5}),
    "hard": (c_programs.residual, {"reset": "hard", "seed": -3}),
    "leak": (c_programs.pooled, {"leak": 3, "seed": 2**40 + 1}),
    "pools": (c_programs.pooled, {"coding": "direct", "per_channel": True}),
    "staircase": (c_programs.pooled, {"neurons": "staircase"}),
    "table": (c_programs.residual, {"neurons": "table"}),
    "signal": (c_programs.signal, {"v_init": 0.5}),
    "few steps": (c_programs.signal, {"max_steps": 30, "steps": 20, "weight_bits": 4}),
    "delay": (c_programs.residual, {"method": "low-latency", "delay": 5, "calib_steps": None}),
}


@c_programs.needs_compiler
@pytest.mark.parametrize("case", CASES)
def test_spikes_are_those_of_the_reference(case: str, tmp_path: Path) -> None:
    make, choices = CASES[case]
    model = make()
    conversion = networks.emit(model, **choices)
    export = c_programs.exported(conversion)
    if case == "few steps":
        assert "int16_t" in {state.ctype for state in export.program.states if state.name.startswith("v_")}
    binary = c_programs.build(export, tmp_path)
    assert_same_spikes(conversion.graph, export, binary, networks.images_for(model, 2), choices.get("seed", 0))


@c_programs.needs_compiler
@settings(max_examples=4, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(model=networks.models(), choices=networks.options())
def test_random_networks(model: onnx.ModelProto, choices: Choices, tmp_path_factory: pytest.TempPathFactory) -> None:
    conversion = networks.emit(model, **choices)
    export = c_programs.exported(conversion)
    binary = c_programs.build(export, tmp_path_factory.mktemp("c"))
    assert_same_spikes(conversion.graph, export, binary, networks.images_for(model, 2), choices["seed"])


@c_programs.needs_compiler
@pytest.mark.parametrize(
    "body", ["max-pool and biases", "leaky residual", "squeeze and excitation", "gated linear unit"]
)
def test_networks_that_settle(body: str, tmp_path: Path) -> None:
    """Staircases, tables, products of counts, max-pools of signed spikes, charges at the start."""
    model = exact_networks.converted(exact_networks.body(body))
    graph, images = open_converted(model).calibrated(), networks.images_for(model.model, 2)
    export = export_c(model)
    assert export.program.settles
    assert "potentials have room for any number of steps and of inputs" in export.files["net.h"]
    assert_same_spikes(graph, export, c_programs.build(export, tmp_path), images, 0)


@c_programs.needs_compiler
@pytest.mark.skipif(not ZOO.is_dir(), reason="no models: set SNNC_SHARED")
@pytest.mark.parametrize(
    ("method", "options"), [("rmp", {"bias": "current", "steps": 16, "calib_steps": 16}), ("exact", {})]
)
def test_a_real_network(method: str, options: Choices, tmp_path: Path) -> None:
    options = {**options, "method": method, "weight_bits": 8, "calib_samples": 8, "accept_poor": True}
    model = snnc.convert(ZOO / "onnx2c_atmega_mnist14.onnx", **options)
    export = snnc.export_c(model)
    images = networks.images_for(model.model, 1)
    binary = c_programs.build(export, tmp_path)
    assert_same_spikes(open_converted(model).calibrated(), export, binary, images, 0)
