"""What is said once, what is said of the right thing, and hints that work where they are followed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import golden
import numpy as np
import onnx
import pytest
from commands import DIGITS, dense_model, model_with_everything_wrong, run_command, save

import snnc
from snnc.diagnostics import Diagnostic


def errors(text: str, **options: Any) -> list[Diagnostic]:
    """What keeps a network in ONNX text from being converted."""
    model = golden.model(f"# random: W [5, 6] seed 1\n# random: V [6, 3] seed 2\n{text}")
    return [found for found in snnc.check(model, **options) if found.severity == "error"]


def behind_a_layer(*lines: str) -> str:
    """A network in which a dense layer and a ReLU `r` [N, 4, 6] stand before these nodes, and one behind `d`."""
    return "\n".join(
        [
            "net (float[N, 4, 5] x) => (float[N, 4, 3] y) <int64[2] axes = {1, 2}> {",
            *("a = MatMul (x, W)", "r = Relu (a)", *lines, "y = MatMul (d, V)", "}"),
        ]
    )


# --- one finding for all layers with the same cause -------------------------------------------------------------------


def pools(count: int) -> str:
    rows = [f"p{index + 1} = MaxPool <kernel_shape = [1]> (p{index})" for index in range(count)]
    return "\n".join(
        [
            "net (float[N, 4, 5] x) => (float[N, 4, 3] y) {",
            *("a = MatMul (x, W)", "p0 = Relu (a)", *rows, f"y = MatMul (p{count}, V)", "}"),
        ]
    )


def test_max_pools_are_reported_together() -> None:
    (found,) = errors(pools(3), max_pool="reject")
    assert (found.rule.code, found.node, found.op) == ("SNN203", "MaxPool_2", "MaxPool")
    assert found.message.endswith("they stand for; the same at 'MaxPool_3', 'MaxPool_4'")
    assert "--max-pool exact" in (found.hint or found.rule.hint)
    assert errors(pools(3), max_pool="exact") == []


def test_of_many_the_first_are_named() -> None:
    (found,) = errors(pools(20), max_pool="reject")
    assert found.message.endswith("'MaxPool_13', 'MaxPool_14' and 7 more")


def test_other_causes_stay_apart() -> None:
    text = """net (float[N, 4, 6] x) => (float[N, 4, 3] y) <float[4] b = {1.0, 2.0, 3.0, 4.0}> {
      p = MaxPool <kernel_shape = [1]> (x)
      q, indices = MaxPool <kernel_shape = [1]> (p)
      i = Cast <to = 1> (indices)
      s = Add (q, i)
      r = Relu (s)
      y = MatMul (r, V)
    }"""
    found = [error for error in errors(text, max_pool="reject") if error.rule.code == "SNN203"]
    assert [error.node for error in found] == ["MaxPool_0", "MaxPool_1"]
    assert "the same at" not in " ".join(error.message for error in found)


# --- activations that are combined ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["exact", "rmp"])
@pytest.mark.parametrize("sign", ["Sub (r, m)", "Sub (m, r)", "Add (r, m)"])
@pytest.mark.parametrize("reduction", ["ReduceMean", "ReduceMax", "ReduceSum"])
def test_an_activation_and_its_reduction_combine(reduction: str, sign: str, method: str) -> None:
    """[N, 4, 6] and [N, 1, 1]: the smaller one is repeated."""
    lines = (f"m = {reduction} (r, axes)", f"s = {sign}", "d = Relu (s)")
    assert errors(behind_a_layer(*lines), method=method, relaxed=True) == []


@pytest.mark.parametrize("method", ["exact", "rmp"])
def test_a_reduction_that_leaves_the_batch_alone_should_keep_its_axes(method: str) -> None:
    """The batch is there; what is missing is an axis behind it."""
    lines = ("m = ReduceMean <keepdims = 0> (r, axes)", "u = Unsqueeze (m, axes)", "d = Sub (r, u)")
    (found,) = errors(behind_a_layer(*lines), method=method, relaxed=True)
    assert (found.op, found.message) == ("ReduceMean", "no axis is left behind the batch in 'm' [N]")
    assert "keepdims" in found.hint
    kept = ("m = ReduceMean <keepdims = 1> (r, axes)", "d = Sub (r, m)")
    assert errors(behind_a_layer(*kept), method=method, relaxed=True) == []


@pytest.mark.parametrize("method", ["exact", "rmp"])
@pytest.mark.parametrize(
    ("op", "written"),
    [
        ("Max", ("s = Sub (r, m)", "t = Relu (s)", "d = Add (m, t)")),
        ("Min", ("s = Sub (r, m)", "t = Relu (s)", "d = Sub (r, t)")),
    ],
)
def test_larger_and_smaller_ones_can_be_written_with_a_relu(op: str, written: tuple[str, ...], method: str) -> None:
    mean = "m = ReduceMean (r, axes)"
    (found,) = errors(behind_a_layer(mean, f"d = {op} (r, m)"), method=method, relaxed=True)
    assert found.op == op
    assert "Relu(a - b)" in found.hint
    assert errors(behind_a_layer(mean, *written), method=method, relaxed=True) == []


def test_no_hint_names_the_method_that_was_chosen() -> None:
    lines = ("m = ReduceMean (r, axes)", "g = Greater (r, m)", "d = Cast <to = 1> (g)")
    found = errors(behind_a_layer(*lines), method="exact", relaxed=True)
    assert found
    assert not any("--method exact" in (error.hint or error.rule.hint) for error in found)


# --- outputs, inputs, files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["exact", "rmp"])
@pytest.mark.parametrize(
    "node",
    ["z = Constant <value = float[2] {1.0, 2.0}> ()", "z = Identity (k)", "one = Identity (k)\nz = Add (one, k)"],
)
def test_a_constant_output(node: str, method: str) -> None:
    body = "<float[2] k = {{1.0, 2.0}}> {{\na = MatMul (x, W)\ny = Relu (a)\n{}\n}}"
    text = "net (float[N, 4, 5] x) => (float[N, 4, 6] y{}) " + body
    (found,) = errors(text.format(", float[2] z", node), method=method, relaxed=True)
    assert (found.rule.code, found.message) == ("SNN207", "output 'z' does not depend on the input")
    assert "take it from the outputs of the model" in found.hint
    assert errors(text.format("", ""), method=method, relaxed=True) == []


def test_a_shape_for_a_model_without_input() -> None:
    text = "net () => (float[1, 6] y) <float[1, 5] x = {1.0, 1.0, 1.0, 1.0, 1.0}> {\na = MatMul (x, W)\ny = Relu (a)\n}"
    (found,) = errors(text, shape="5")
    assert (found.rule.code, found.message) == ("SNN105", "outputs depend on 0 inputs: none")


@pytest.mark.parametrize("missing", [1, 20])
def test_external_data_that_is_cut_short(tmp_path: Path, missing: int) -> None:
    path, data = tmp_path / "net.onnx", tmp_path / "net.data"
    onnx.save(dense_model(), path, save_as_external_data=True, location=data.name, size_threshold=0)
    whole = data.read_bytes()
    (tensor,) = [each for each in onnx.load(path, load_external_data=False).graph.initializer if each.name == "w2"]
    entries = {entry.key: int(entry.value) for entry in tensor.external_data if entry.key in ("offset", "length")}
    data.write_bytes(whole[: entries["offset"] + entries["length"] - missing])
    (found,) = snnc.check(path)
    assert (found.rule.code, found.node, found.op) == ("SNN104", "w2", "initializer")
    left = entries["offset"] + entries["length"] - missing
    assert found.message == (
        f"'net.data' ends after {left} bytes, and its {entries['length']} bytes begin at byte {entries['offset']}"
    )
    assert "cut short" in found.hint
    data.write_bytes(whole)
    assert [each for each in snnc.check(path) if each.severity == "error"] == []


def test_external_data_without_a_length_that_is_cut_short(tmp_path: Path) -> None:
    """What lies behind the offset is all there is."""
    path, data = tmp_path / "net.onnx", tmp_path / "net.data"
    onnx.save(dense_model(), path, save_as_external_data=True, location=data.name, size_threshold=0)
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        kept = [entry for entry in tensor.external_data if entry.key != "length"]
        del tensor.external_data[:]
        tensor.external_data.extend(kept)
    path.write_bytes(model.SerializeToString())
    data.write_bytes(data.read_bytes()[:40])
    (found,) = snnc.check(path)
    assert (found.rule.code, found.node) == ("SNN104", "w2")
    assert "ends after 40 bytes, and it begins at byte " in found.message


# --- the command that was run -----------------------------------------------------------------------------------------


def test_a_hint_that_rows_share_is_said_once(tmp_path: Path) -> None:
    """Also where other findings stand between them: behind the last one."""
    save(model_with_everything_wrong(), tmp_path / "bad.onnx")
    lines = run_command("check", tmp_path / "bad.onnx", exit_code=1).stderr.splitlines()
    assert [line for line in lines if "train without bias" in line] == [lines[-2]]
    assert lines[-1].endswith("bad.onnx cannot be converted like this, with --relaxed it can")
    save(dense_model(relu=False, bias=True), tmp_path / "linear.onnx")
    assert run_command("check", tmp_path / "linear.onnx", exit_code=1).stderr.endswith(
        "cannot be converted like this\n"
    )


def test_the_help_of_the_command_that_was_run(tmp_path: Path, converted: Path) -> None:
    save(dense_model(), tmp_path / "other.onnx")
    wrong = ("run", converted, "--input", "digits:test", "--seed", str(2**70))
    assert "see `snnc run --help`" in run_command(*wrong, exit_code=2).stderr
    with pytest.raises(snnc.DiagnosticError, match=r"see `help\(snnc.convert\)`"):
        snnc.convert(DIGITS, alpha=7)


def test_the_split_to_name(tmp_path: Path) -> None:
    images = np.zeros((4, 1, 8, 8), np.float32)
    np.savez(tmp_path / "data.npz", x_train=images, x_test=images)
    refused = run_command("convert", DIGITS, "--calib", tmp_path / "data.npz", exit_code=1)
    assert "data.npz:train to calibrate, " in refused.stderr
    assert "data.npz:test to measure" in refused.stderr
