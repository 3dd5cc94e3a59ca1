"""Commands of `snnc` and networks to give them, for the tests of the command line (fixtures in conftest.py)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper

from snnc.cli.app import snnc

DIGITS = Path(__file__).parent.parent / "snnc" / "demo" / "digits.onnx"
FAST = ("--calib-samples", "48", "--calib-steps", "48", "--steps", "64")
CALIBRATED = ("--calib", "digits:train", "--alpha", "0.6", *FAST)

Invoke = Callable[..., Result]


def run_command(*arguments: str | Path, exit_code: int = 0) -> Result:
    """Run `snnc` in this process; it must end with this exit code."""
    result = CliRunner().invoke(snnc, [str(argument) for argument in arguments])
    assert result.exit_code == exit_code, result.output + repr(result.exception)
    assert "Traceback" not in result.output
    return result


def process(*arguments: str | Path, cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `snnc` in a process of its own."""
    command = [sys.executable, "-m", "snnc", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False, **options)


def refuse(invoke: Invoke, code: str, *arguments: str | Path, exit_code: int = 1) -> Result:
    """The command ends with this diagnostic, and leaves the folder as it was."""
    before = sorted(os.listdir())
    result = invoke(*arguments, exit_code=exit_code)
    assert f"error[{code}]" in result.stderr, result.stderr
    assert "  hint: " in result.stderr
    assert sorted(os.listdir()) == before
    return result


def save(model: onnx.ModelProto, path: Path) -> None:
    path.write_bytes(model.SerializeToString())


def tensor(name: str, *dims: int) -> TensorProto:
    values = np.random.default_rng(len(name)).normal(0.1, 1.0, dims).astype(np.float32)
    return numpy_helper.from_array(values, name)


def build(nodes: list[onnx.NodeProto], weights: list[TensorProto], inputs: list[int]) -> onnx.ModelProto:
    """A model from `x` to `y` with two classes."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *inputs])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def dense_model(*, relu: bool = True, bias: bool = False) -> onnx.ModelProto:
    """Two dense layers."""
    nodes = [
        helper.make_node("Gemm", ["x", "w1", *(["b1"] if bias else [])], ["h"], "dense1"),
        helper.make_node("Relu" if relu else "Identity", ["h"], ["r"], "relu"),
        helper.make_node("Gemm", ["r", "w2"], ["y"], "dense2"),
    ]
    weights = [tensor("w1", 4, 3), tensor("w2", 3, 2), *([tensor("b1", 3)] if bias else [])]
    return build(nodes, weights, [4])


def model_with_everything_wrong() -> onnx.ModelProto:
    """A convolution with bias, batch normalization that cannot be folded, max pooling, a dense layer with bias."""
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", "gamma", "beta", "mean", "var"], ["n"], "norm"),
        helper.make_node("Relu", ["n"], ["r"], "relu"),
        helper.make_node("MaxPool", ["r"], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"], "flatten"),
        helper.make_node("Gemm", ["f", "w2", "b2"], ["y"], "dense"),
    ]
    weights = [tensor("w1", 3, 1, 3, 3), tensor("b1", 3), tensor("w2", 12, 2), tensor("b2", 2)]
    weights += [tensor("gamma", 3), tensor("beta", 3), tensor("mean", 3)]
    weights += [numpy_helper.from_array(np.ones(3, np.float32), "var")]
    return build(nodes, weights, [1, 4, 4])
