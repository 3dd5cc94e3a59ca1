"""Networks that were trained with quantisers: their thresholds are read from the file (`--method low-latency`)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import golden
import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from commands import Invoke, save
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from region_models import network

import snnc
from snnc.data import DataSet
from snnc.diagnostics import DiagnosticError
from snnc.integers.activations import Activations
from snnc.ir.conversion import Conversion, Level
from snnc.ir.graph import constant
from snnc.measure.trials import start_from
from snnc.operators.layer import scale_of
from snnc.simulate.ann import Ann, layer_probe
from snnc.simulate.reference import simulate

METHOD = "low-latency"
CASES = Path(os.environ.get("SNNC_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "cases"
# λ = 2, L = 4.
QCFS = """a = Div (x, two)  b = Clip (a, zero, one)  c = Mul (b, four)  d = Add (c, half)  e = Floor (d)
    f = Div (e, four)  y = Mul (f, two)"""
FLOOR = """a = Div (x, two)  b = Clip (a, zero, one)  c = Mul (b, four)  e = Floor (c)  f = Div (e, four)
    y = Mul (f, two)"""
UNSIGNED = "q = QuantizeLinear (x, scale, none)  y = DequantizeLinear (q, scale, none)"
BY_CHANNEL = """r = Div (x, caps)  b = Clip (r, zero, one)  c = Mul (b, four)  d = Add (c, half)  e = Floor (d)
    f = Div (e, four)  y = Mul (f, caps)"""


def dyadic(model: onnx.ModelProto) -> onnx.ModelProto:
    """With weights that are multiples of 1/8, so that all sums are exact in float32 too."""
    for tensor in model.graph.initializer:
        if tensor.name in ("K", "L", "M"):
            values = np.clip(np.rint(8 * numpy_helper.to_array(tensor)), -8, 8) / 8
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))
    return model


def images(samples: int, seed: int = 0) -> np.ndarray:
    """Multiples of 1/64 in [-2, 2]."""
    return (np.random.default_rng(seed).integers(-128, 129, (samples, 2, 6, 6)) / 64).astype(np.float32)


def calibrated(model: onnx.ModelProto, **options: Any) -> Conversion:
    """Whose input unit is 1/64."""
    given = {"method": METHOD, "input_scale": 255 / 64, **options}
    conversion = golden.run_to(model, Level.FUSED, data=DataSet(images(20, 1), None, "dyadic"), **given)
    start_from(conversion, 0.5)
    return conversion


def neurons(graph: gs.Graph) -> list[gs.Node]:
    return [node for node in graph.nodes if node.op == "RMP"]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), body=st.sampled_from([QCFS, BY_CHANNEL]))
def test_after_as_many_steps_as_levels_counts_are_the_levels(seed: int, body: str) -> None:
    """Constant input, one layer: exactly, integer for integer."""
    model = dyadic(network(body))
    conversion = calibrated(model, steps=4)
    (neuron,) = neurons(conversion.graph)
    steps = np.array([2.0] if body == QCFS else [1.0, 2.0, 6.0]).reshape(-1, 1, 1) / 4
    assert np.array_equal(scale_of(neuron), 4 * steps)
    probe, tensors = layer_probe(model, [neuron.name])
    x = images(8, seed)
    levels = probe.run(x)[tensors[neuron.name]] / steps
    run = simulate(conversion.graph, x, 4, record=True)
    assert np.array_equal(run.spikes[neuron.name].astype(np.int64).sum(0), np.rint(levels))
    assert np.allclose(levels, np.rint(levels), atol=1e-6)
    assert 0 < np.rint(levels).max() == 4


def test_the_last_layer_gives_the_values_of_the_ann_after_as_many_steps() -> None:
    """All that is lost on the way is the grid of the weights, and these are exact here."""
    model = dyadic(network(QCFS))
    x = images(8)
    run = simulate(calibrated(model, steps=4).graph, x, 4)
    assert np.allclose(run.outputs["z"], next(iter(Ann(model).run(x).values())), atol=1e-6)


def test_thresholds_need_no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Activations, "walk")
    model = network(QCFS)
    converted = snnc.convert(model, method=METHOD, steps=4, accept_poor=True)
    calibration = converted.report.calibration
    assert calibration is not None
    assert (calibration.given, calibration.samples) == (1, 0)
    (warning,) = [found for found in converted.report.diagnostics.found if found.rule.code == "SNN507"]
    assert "verify; the thresholds are those that the network was trained with" in warning.message
    (layer,) = [layer for layer in converted.report.layers if layer.kind == "neuron"]
    assert layer.scale == 2.0
    assert layer.name.startswith("Mul")  # the node that gives its value in the ANN


def test_quantisers_beside_relus() -> None:
    model = network(QCFS.replace("y = Mul", "g = Mul") + " h = Conv <pads = [1, 1, 1, 1]> (g, M)  y = Relu (h)")
    conversion = calibrated(model, steps=4)
    assert [("value" in node.attrs) for node in neurons(conversion.graph)] == [True, False]
    assert conversion.report.calibration is not None
    assert (conversion.report.calibration.given, conversion.report.calibration.samples) == (1, 16)


def test_a_quantiser_of_integers() -> None:
    conversion = calibrated(network(UNSIGNED), steps=32)
    (neuron,) = neurons(conversion.graph)
    assert scale_of(neuron).item() == pytest.approx(255 * 0.05, rel=1e-6)
    threshold = constant(neuron, 1)
    assert threshold is not None
    assert (threshold % 2 == 0).all()


def test_pools_stand_behind_the_quantiser() -> None:
    body = QCFS.replace("(x, two)", "(p, two)")
    body = f"p = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x)  {body}"
    model = dyadic(network(body))
    x = images(8)
    run = simulate(calibrated(model, steps=4).graph, x, 4)
    assert np.allclose(run.outputs["z"], next(iter(Ann(model).run(x).values())), atol=1e-6)


@pytest.mark.parametrize(
    "body",
    [FLOOR, "q = QuantizeLinear (x, scale, signed)  y = DequantizeLinear (q, scale, signed)", "y = Sigmoid (x)"],
)
def test_other_functions_are_refused(body: str) -> None:
    with pytest.raises(DiagnosticError, match="SNN204"):
        calibrated(network(body))


def test_rate_coding_does_not_take_them() -> None:
    with pytest.raises(DiagnosticError, match="SNN204"):
        golden.run_to(network(QCFS), Level.CANONICAL)


def test_channels_that_cannot_be_told_apart() -> None:
    """A neuron that reads the planes of all channels as one channel."""
    behind = "t = Transpose <perm = [0, 2, 1, 3]> (y)  k = AveragePool <kernel_shape = [2, 2]> (t) z = Relu (k)"
    model = network(BY_CHANNEL, outputs="float[N,4,2,3] z", behind=behind)
    try:
        conversion = calibrated(model, steps=4)
    except DiagnosticError as error:
        (found,) = error.diagnostics
        assert found.rule.code == "SNN406"
    else:
        assert scale_of(neurons(conversion.graph)[0]).size == 3


@pytest.mark.skipif(not CASES.is_dir(), reason="no models: set SNNC_SHARED")
def test_a_network_of_the_paper_as_torch_exports_it() -> None:
    path = CASES / "26-qcfs-activation.onnx"
    converted = snnc.convert(path, method=METHOD, steps=4, accept_poor=True)
    calibration = converted.report.calibration
    assert calibration is not None
    neurons = [layer for layer in converted.report.layers if layer.kind == "neuron"]
    assert (calibration.given, calibration.samples) == (len(neurons), 0)


def test_the_command_line_says_where_they_come_from(invoke: Invoke, tmp_path: Path) -> None:
    save(network(QCFS), tmp_path / "net.onnx")
    result = invoke("convert", "net.onnx", "--method", METHOD, "--steps", "4", "--accept-poor")
    line = (
        "thresholds   of 1 layer are those that the network was trained with: all of them, no data was needed for any"
    )
    assert line in result.stdout.replace("\n             ", " ")
