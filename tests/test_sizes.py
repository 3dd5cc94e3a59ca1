"""Networks that take samples of any size: converted for one, from `shape` or from the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import golden
import numpy as np
import onnx
import pytest
from commands import run_command, save

import snnc
from snnc.diagnostics import DiagnosticError
from snnc.simulate.ann import Ann

IMAGES = np.random.default_rng(0).random((20, 1, 6, 9), np.float32)


def net(sample: str = "1,H,W") -> onnx.ModelProto:
    return golden.model(
        "# random: K [4,1,3,3] seed 2\n# random: F [4,3] seed 3\n"
        f"net (float[N,{sample}] x) => (float[N,3] y) {{ c = Conv (x, K) h = Relu (c) g = GlobalAveragePool (h) "
        "f = Flatten (g) y = MatMul (f, F) }"
    )


def convert(model: onnx.ModelProto, **options: Any) -> snnc.SpikingModel:
    return snnc.convert(model, steps=64, calib_steps=32, accept_poor=True, **options)


@pytest.mark.parametrize("shape", ["1,6,9", "1x6x9", "5x1x6x9", "x=1,6,9", "[1, 6, 9]", (1, 6, 9), [np.int64(1), 6, 9]])
def test_a_shape_is_said(shape: Any) -> None:
    model = convert(net(), shape=shape)
    assert model.report.layers[0].shape == (1, 6, 9)
    assert not [found for found in model.report.diagnostics.found if found.rule.code == "SNN531"]
    outputs = model.run(IMAGES, 2048).outputs["y"]
    expected = Ann(net()).run(IMAGES)["y"]
    assert np.linalg.norm(outputs - expected) < 0.1 * np.linalg.norm(expected)


def test_the_data_say_the_shape() -> None:
    model = convert(net(), calib=IMAGES)
    assert model.report.layers[0].shape == (1, 6, 9)
    (found,) = [found for found in model.report.diagnostics.found if found.rule.code == "SNN531"]
    assert "1,6,9" in found.message
    assert snnc.evaluate(model, IMAGES, ann=net(), steps=[64]).points[0].error is not None
    assert snnc.compare(model, net(), IMAGES)
    assert snnc.error_budget(model, net(), IMAGES).layers


def test_data_of_another_shape_than_said() -> None:
    with pytest.raises(DiagnosticError, match="SNN302"):
        convert(net(), calib=IMAGES, shape="1,7,7")


@pytest.mark.parametrize(
    "shape", ["6,9,0", "a", "1,6", "2,6,9", "z=1,6,9", "1,,6", "-1,6,9", "1.5,6,9", "1,6,9,1,1", "="]
)
def test_shapes_that_make_no_sense(shape: str) -> None:
    with pytest.raises(DiagnosticError, match=r"SNN405.*shape"):
        convert(net(), shape=shape)


def test_a_shape_beside_one_that_the_file_has() -> None:
    convert(net("1,6,9"), shape="1,6,9")
    with pytest.raises(DiagnosticError, match=r"SNN405.*\[N, 1, 6, 9\]"):
        convert(net("1,6,9"), shape="1,6,8")


def test_without_a_shape_both_ways_out_are_named() -> None:
    (found,) = snnc.check(net())
    assert found.rule.code == "SNN105"
    assert "--shape 1,SIZE,SIZE" in found.hint
    assert "--calib" in found.hint
    assert snnc.check(net(), shape="1,6,9") == []


def test_on_the_command_line(tmp_path: Path) -> None:
    path, data = tmp_path / "net.onnx", tmp_path / "x.npy"
    save(net(), path)
    np.save(data, IMAGES)
    assert "SNN105" in run_command("check", path, exit_code=1).stderr
    run_command("check", path, "--shape", "1x6x9")
    run_command("convert", path, "--calib", data, "--shape", "1,6,9", "--steps", "16", "--accept-poor")
    run_command("eval", tmp_path / "net.snn.onnx", "--data", data, "--ann", path)
