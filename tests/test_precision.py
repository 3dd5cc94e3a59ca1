"""Files that compute in other types than float32, or take integers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import golden
import numpy as np
import onnx
import onnxruntime
import pytest
from commands import run_command, save
from onnx import helper, numpy_helper

import snnc
from snnc.diagnostics import Diagnostic, DiagnosticError
from snnc.reading.precision import in_float32, takes_integers
from snnc.simulate.ann import Ann

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 3, 4, 4)).astype(np.uint8)
WEIGHTS = "# random: K [4,3,3,3] seed 2\n# random: V [16,3] seed 3\n# random: W [3,3] seed 4\n"


def net(body: str, inputs: str, outputs: str = "float[N,3] y") -> onnx.ModelProto:
    return golden.model(f"{WEIGHTS}net ({inputs}) => ({outputs}) {{ {body} }}")


def dense(kind: str) -> onnx.ModelProto:
    """A network of which all is in another type of floats."""
    code = {"double": 11, "float16": 10}[kind]
    return net(
        f"v = Cast <to = {code}> (V) w = Cast <to = {code}> (W) m = MatMul (x, v) h = Relu (m) "
        f"half = Constant <value_float = 0.5> () b = Cast <to = {code}> (half) n = MatMul (h, w) y = Add (n, b)",
        f"{kind}[N,16] x",
        f"{kind}[N,3] y",
    )


@pytest.mark.parametrize("kind", ["double", "float16"])
def test_other_floats(kind: str) -> None:
    model, images = dense(kind), np.random.default_rng(0).random((40, 16), np.float32)
    assert snnc.check(model, relaxed=True) == []
    expected = Ann(model).run(images)["y"]
    assert expected.dtype == np.float32
    plain = Ann(in_float32(model)).run(images)["y"]
    assert np.allclose(plain, expected, atol=1e-6 if kind == "double" else 0.01)
    converted = snnc.convert(model, relaxed=True, calib=images, steps=1024, calib_steps=64)
    outputs = converted.run(images).outputs["y"]
    assert outputs.dtype == np.float32
    assert np.linalg.norm(outputs - expected) < 0.1 * np.linalg.norm(expected)
    assert snnc.compare(converted, model, images)
    assert snnc.error_budget(converted, model, images).layers


def test_types_that_onnxruntime_does_not_compute_with() -> None:
    model = net("k = Cast <to = 11> (K) c = Conv (x, k) y = Relu (c)", "double[N,3,4,4] x", "double[N,4,2,2] y")
    (found,) = snnc.check(model)
    assert found.rule.code == "SNN103"
    assert "Conv" in found.message


def test_types_that_disagree() -> None:
    model = net("m = MatMul (x, V) h = Relu (m) n = MatMul (h, W) y = Add (n, b)", "float[N,16] x")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0.5, -1.0, 2.0]), "b"))
    images = np.random.default_rng(0).random((40, 16), np.float32)
    (found,) = snnc.check(model, relaxed=True)
    assert (found.rule.code, found.op) == ("SNN532", "Add")
    converted = snnc.convert(model, relaxed=True, method="exact", levels=64, calib=images)
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    expected = np.maximum(images @ weights["V"], 0) @ weights["W"] + weights["b"]
    outputs = converted.run(images).outputs["y"]
    assert np.linalg.norm(outputs - expected) < 0.1 * np.linalg.norm(expected)


def test_floats_that_float32_does_not_have() -> None:
    """1 + 1e-12 - 1 is nothing in float32, and everything in this network."""
    body = (
        "e = Constant <value = double {1e-12}> () one = Constant <value = double {1}> () s = Mul (x, e) "
        "p = Add (s, one) d = Sub (p, one) u = Div (d, e) y = Relu (u)"
    )
    (found,) = (
        problem
        for problem in snnc.check(net(body, "double[N,4] x", "double[N,4] y"), relaxed=True)
        if problem.rule.code == "SNN103"
    )
    assert "float32" in found.message


READ = {
    "cast": "p = Cast <to = 1> (x)",
    "moved and cast": "t = Transpose <perm = [0,1,3,2]> (x) p = Cast <to = 1> (t)",
    "widened and cast": "w = Cast <to = 7> (x) p = Cast <to = 1> (w)",
    "dequantised": "s = Constant <value = float {0.5}> () z = Constant <value = uint8 {3}> () "
    "p = DequantizeLinear (x, s, z)",
}


def pixels(read: str) -> onnx.ModelProto:
    body = "d = Constant <value = float {255}> () q = Div (p, d) c = Conv (q, K) h = Relu (c) f = Flatten (h)"
    return net(f"{read} {body} y = MatMul (f, V)", "uint8[N,3,4,4] x")


def check(model: onnx.ModelProto) -> list[Diagnostic]:
    return snnc.check(model, relaxed=True, method="exact")


@pytest.mark.parametrize("name", READ)
def test_integers_at_the_input(name: str) -> None:
    """Data stay as they are: nothing is divided by 255 that the network divides itself."""
    model = pixels(READ[name])
    assert takes_integers(model)
    assert check(model) == []
    converted = snnc.convert(model, relaxed=True, method="exact", calib=PIXELS, levels=64)
    expected = Ann(model).run(PIXELS.astype(np.float32))["y"]
    outputs = converted.run(PIXELS.astype(np.float32)).outputs["y"]
    assert np.linalg.norm(outputs - expected) < 0.1 * np.linalg.norm(expected)
    error = snnc.evaluate(converted, PIXELS, ann=model).points[-1].error
    assert error is not None
    assert error < 0.1


def test_integers_without_data() -> None:
    converted = snnc.convert(pixels(READ["cast"]), relaxed=True, method="exact")
    assert converted.report.calibration is not None
    assert "0 to 255" in " ".join(found.message for found in converted.report.diagnostics.found)


def test_an_input_of_truth_values() -> None:
    model = net(
        "f = Cast <to = 1> (p) c = Conv (f, K) h = Relu (c) g = Flatten (h) y = MatMul (g, V)", "bool[N,3,4,4] p"
    )
    converted = snnc.convert(model, relaxed=True, method="exact")
    outputs = converted.run((PIXELS > 127).astype(np.float32)).outputs["y"]
    expected = Ann(model).run((PIXELS > 127).astype(np.float32))["y"]
    assert np.linalg.norm(outputs - expected) < 0.2 * np.linalg.norm(expected)


def test_samples_that_are_no_integers() -> None:
    with pytest.raises(DiagnosticError, match=r"SNN303.*uint8"):
        snnc.convert(pixels(READ["cast"]), relaxed=True, method="exact", calib=(PIXELS / 255).astype(np.float32))


def test_arithmetic_of_integers_is_refused() -> None:
    model = pixels(
        "w = Cast <to = 6> (x) three = Constant <value = int32 {3}> () a = Mul (w, three) p = Cast <to = 1> (a)"
    )
    (found,) = snnc.check(model, relaxed=True)
    assert (found.rule.code, found.op) == ("SNN105", "Mul")


def test_on_the_command_line(tmp_path: Path) -> None:
    path, data = tmp_path / "net.onnx", tmp_path / "x.npz"
    save(pixels(READ["cast"]), path)
    np.savez(data, x=PIXELS, y=np.arange(40) % 3)
    run_command("convert", path, "--calib", data, "--relaxed", "--method", "exact")
    run_command("eval", tmp_path / "net.snn.onnx", "--data", data, "--ann", path)


def test_pixels_as_they_are_stored_run_in_python_too() -> None:
    """A message told to divide by 255, which the network does itself."""
    model = pixels(READ["cast"])
    found = snnc.convert(model, method="exact", calib=PIXELS, accept_poor=True)
    assert np.array_equal(found.run(PIXELS).logits, found.run(PIXELS.astype(np.float32)).logits)


@pytest.mark.parametrize("kind", ["INT8", "UINT8", "INT4", "UINT4", "FLOAT8E4M3FN", "INT16"])
def test_quantised_weights(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever they are stored in. Models that are made on the way are of a version that any onnxruntime reads."""
    stored = helper.tensor_dtype_to_np_dtype(getattr(onnx.TensorProto, kind))
    weight = (np.arange(48).reshape(16, 3) % 4).astype(stored)
    model = net("v = DequantizeLinear (q, scale, zero) h = MatMul (x, v) y = Relu (h)", "float[N,16] x")
    model.opset_import[0].version, model.ir_version = 21, 10
    values = {"q": weight, "scale": np.array(0.1, np.float32), "zero": np.zeros((), stored)}
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in values.items())
    versions, loaded = [], onnxruntime.InferenceSession

    def load(content: bytes, *more: Any, **options: Any) -> onnxruntime.InferenceSession:
        versions.append(onnx.load_model_from_string(content).ir_version)
        return loaded(content, *more, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", load)
    assert snnc.check(model, relaxed=True) == []
    assert versions
    assert max(versions) <= 10
