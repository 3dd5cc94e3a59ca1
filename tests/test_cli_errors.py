"""The command line where something is wrong: what it says, which exit code it has, and that nothing is written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from commands import DIGITS, FAST, Invoke, dense_model, model_with_everything_wrong, process, refuse, save

from snnc.cli.app import snnc

# --- bad input: exit code 1, a diagnostic, no file -------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, b"", b"no model", b"\x08\x08\x12", DIGITS.read_bytes()[:5000]])
@pytest.mark.parametrize("command", ["convert", "check", "inspect"])
def test_unreadable_files(invoke: Invoke, tmp_path: Path, content: bytes | None, command: str) -> None:
    if content is not None:
        (tmp_path / "bad.onnx").write_bytes(content)
    refuse(invoke, "SNN101", command, "bad.onnx")


def test_eval_against_another_network(invoke: Invoke, converted: Path, tmp_path: Path) -> None:
    save(dense_model(), tmp_path / "other.onnx")
    refuse(invoke, "SNN405", "eval", converted, "--data", "digits:test", "--ann", "other.onnx", exit_code=2)


def test_fixed_controls_cannot_be_chosen(invoke: Invoke, tmp_path: Path) -> None:
    save(dense_model(), tmp_path / "dense.onnx")
    np.save("x.npy", np.random.default_rng(0).random((9, 4)))
    invoke("convert", "dense.onnx", "--steps", "16", "--controls", "fixed")
    assert invoke("run", "dense.snn.onnx", "--input", "x.npy").stdout.count("class") == 9
    refuse(invoke, "SNN405", "run", "dense.snn.onnx", "--input", "x.npy", "--steps", "8", exit_code=2)


def test_a_network_of_no_use_is_not_written(invoke: Invoke) -> None:
    """All thresholds halved behind each other, one step: the hint tells what was measured to help."""
    poor = ("convert", "net.onnx", "--calib", "digits:train", *FAST, "--steps", "1")
    result = refuse(invoke, "SNN408", *poor)
    assert "the bar is 80 % agreement" in result.stderr
    assert "`--steps 4` gave agreement" in result.stderr
    assert "`--accept-poor` writes it all the same" in result.stderr
    accepted = invoke(*poor, "--accept-poor")
    assert "warning[SNN503]" in accepted.stderr
    assert "wrote net.snn.onnx" in accepted.stdout


def test_synthetic_data_can_be_asked_for(invoke: Invoke, tmp_path: Path) -> None:
    asked = ("convert", "net.onnx", "--calib", "synthetic:5", "--input-range", "0,1", *FAST, "--json", "report.json")
    result = invoke(*asked)
    assert "warning[SNN507] 48 random images with values from 0 to 1 (--input-range) calibrate" in result.stderr
    calibration = json.loads((tmp_path / "report.json").read_text())["calibration"]
    assert (calibration["data"], calibration["synthetic"], calibration["input_scale"]) == ("synthetic:5", True, 1.0)
    os.remove("net.snn.onnx")
    refuse(invoke, "SNN301", "convert", "net.onnx", "--calib", "synthetic:x")


def test_a_folder_is_wrong_usage(invoke: Invoke, tmp_path: Path) -> None:
    assert "is a directory" in invoke("convert", tmp_path, exit_code=2).stderr


def test_output_folder_missing(invoke: Invoke) -> None:
    refuse(invoke, "SNN401", "convert", "net.onnx", "-o", "missing/out.onnx")
    refuse(invoke, "SNN401", "convert", "net.onnx", "--json", "missing/report.json")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_output_folder_not_writable(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    refuse(invoke, "SNN401", "convert", "net.onnx", "-o", "locked/out.onnx")


def test_plot_of_unknown_format(invoke: Invoke, converted: Path) -> None:
    arguments = ("eval", converted, "--data", "digits:test", "--samples", "2", "--steps", "1", "--plot", "plot.docx")
    refuse(invoke, "SNN401", *arguments)


def test_linear_networks(invoke: Invoke, tmp_path: Path) -> None:
    save(dense_model(relu=False), tmp_path / "linear.onnx")
    refuse(invoke, "SNN205", "convert", "linear.onnx")


def test_everything_wrong_at_once(invoke: Invoke, tmp_path: Path) -> None:
    save(model_with_everything_wrong(), tmp_path / "bad.onnx")
    result = refuse(invoke, "SNN203", "convert", "bad.onnx", "--calib", "digits:train")
    assert result.stderr.count("error[SNN2") == 4
    assert "error[SNN302]" in result.stderr  # 8x8 digits for a network of 4x4 images


def test_cyclic_graph(invoke: Invoke, tmp_path: Path) -> None:
    model = dense_model()
    model.graph.node[0].input[0] = "y"
    save(model, tmp_path / "cycle.onnx")
    refuse(invoke, "SNN103", "convert", "cycle.onnx")


def test_missing_external_data(invoke: Invoke, tmp_path: Path) -> None:
    onnx.save(dense_model(), tmp_path / "big.onnx", save_as_external_data=True, location="big.data", size_threshold=0)
    (tmp_path / "big.data").unlink()
    assert "'big.data'" in refuse(invoke, "SNN104", "convert", "big.onnx").stderr


@pytest.mark.parametrize("opset", [5, 10_000])
def test_unsupported_opset(invoke: Invoke, tmp_path: Path, opset: int) -> None:
    model = dense_model()
    model.opset_import[0].version = opset
    save(model, tmp_path / "opset.onnx")
    refuse(invoke, "SNN102", "convert", "opset.onnx")


def test_bad_data(invoke: Invoke, converted: Path) -> None:
    images = np.zeros((5, 1, 8, 8), np.float32)
    np.save("shape.npy", np.zeros((5, 3, 7, 8), np.float32))
    np.save("nan.npy", np.where(np.arange(64).reshape(8, 8) == 9, np.nan, images))
    np.save("empty.npy", images[:0])
    np.save("text.npy", np.array(["a"] * 5))
    np.save("one.npy", images[:1] + 1)
    np.savez("labels.npz", x=images, y=np.array([0, 1, 2, 3, 10]))
    codes = {"shape.npy": "SNN302", "nan.npy": "SNN304", "empty.npy": "SNN306", "text.npy": "SNN303", "no": "SNN301"}
    for data, code in codes.items():
        refuse(invoke, code, "convert", "net.onnx", "--calib", data)
        refuse(invoke, code, "eval", converted, "--data", data)
        refuse(invoke, code, "run", converted, "--input", data, "-o", "y.npy")
    refuse(invoke, "SNN306", "convert", "net.onnx", "--calib", "one.npy")
    refuse(invoke, "SNN305", "eval", converted, "--data", "labels.npz")
    refuse(invoke, "SNN402", "eval", "net.onnx", "--data", "digits:test")


def test_steps_out_of_range(invoke: Invoke, converted: Path) -> None:
    for steps in ("0", "-1", "4097"):
        refuse(invoke, "SNN404", "run", converted, "--input", "digits:test", "--steps", steps)
        refuse(invoke, "SNN404", "eval", converted, "--data", "digits:test", "--steps", f"1,{steps}")
    refuse(invoke, "SNN404", "convert", "net.onnx", "--steps", "4097")


# --- wrong usage: exit code 2 ----------------------------------------------------------------------------------------


def test_wrong_usage(invoke: Invoke, converted: Path) -> None:
    for arguments in (
        ("convert",),
        ("convert", "net.onnx", "--reset", "medium"),
        ("convert", "net.onnx", "--method", "exactly"),
        ("eval", converted, "--data", "digits:test", "--steps", "1,two"),
        ("eval", converted, "--data", "digits:test", "--seed", "1", "--seeds", "1,2"),
        ("convert", "net.onnx", "--input-range", "1"),
        ("convert", "net.onnx", "--input-range", "a,b"),
        ("nonsense",),
    ):
        assert "Usage: " in invoke(*arguments, exit_code=2).stderr
    for contradiction in (
        ("--alpha", "0"),
        ("--alpha", "nan"),
        ("--steps", "0"),
        ("--seed", str(2**63)),
        ("--rate-quantile", "0"),
        ("--rate-quantile", "0.9", "--alpha", "0.6"),
        ("--rate-quantile", "0.9", "--reset", "hard"),
        ("--input-scale", "-1"),
        ("--input-range", "1,0"),
        ("--input-range", "0,nan"),
        ("--calib", "digits:train", "--scale", "nan"),
    ):
        refuse(invoke, "SNN405", "convert", "net.onnx", *contradiction, exit_code=2)
    sweep = ("sweep", "net.onnx", "--calib", "digits:train", "--data", "digits:test")
    refuse(invoke, "SNN405", *sweep, "--reset", "soft,medium", exit_code=2)
    refuse(invoke, "SNN405", *sweep, "--steps", "0,4", exit_code=2)
    exact = (*sweep, "--method", "exact")
    assert "give `--levels`" in refuse(invoke, "SNN405", *exact, "--steps", "4", exit_code=2).stderr
    refuse(invoke, "SNN405", *exact, "--levels", "0,4", exit_code=2)
    refuse(invoke, "SNN405", *exact, "--alpha", "0.5", exit_code=2)
    refuse(invoke, "SNN405", *exact, "--reset", "hard", exit_code=2)
    refuse(invoke, "SNN405", *sweep, "--levels", "4", exit_code=2)
    refuse(invoke, "SNN405", *sweep, "--method", "low-latency", "--levels", "4", exit_code=2)


# --- whatever else goes wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "exit_code", "message"),
    [
        (RuntimeError("broken"), 70, "internal error, please report: RuntimeError: broken"),
        (AssertionError("broken"), 70, "internal error, please report: AssertionError: broken"),
        (MemoryError(), 1, "out of memory"),
        (OSError(28, "No space left on device"), 1, "No space left on device"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_unexpected_errors(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, error: BaseException, exit_code: int, message: str
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("snnc.api.convert", broken)
    assert message in invoke("convert", "net.onnx", exit_code=exit_code).stderr
    assert sorted(os.listdir()) == ["net.onnx"]


def test_internal_errors_have_a_traceback_with_v(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snnc.api.check", lambda *_, **__: 1 / 0)
    result = CliRunner().invoke(snnc, ["check", str(DIGITS), "-v"])
    assert result.exit_code == 70
    assert "Traceback" in result.stderr
    assert "internal error, please report" in result.stderr


def test_processes_end_with_the_right_codes(tmp_path: Path) -> None:
    assert process("explain", "SNN203", cwd=tmp_path).returncode == 0
    assert process("explain", "SNN999", cwd=tmp_path).returncode == 2
    refused = process("convert", "nothing.onnx", cwd=tmp_path)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert "Traceback" not in refused.stderr
    assert "\033" not in refused.stderr  # colours are for terminals


def test_interrupt(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "snnc", "convert", str(DIGITS), "-v", "--calib", "digits:train"]
    command += ["--calib-steps", "4096", "-o", "out.onnx"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        while "calibrating" not in running.stderr.readline():
            pass
        time.sleep(0.2)
        running.send_signal(signal.SIGINT)
        rest = running.stderr.read()
        assert running.wait(30) == 130
    assert "interrupted" in rest
    assert "Traceback" not in rest
    assert os.listdir(tmp_path) == []


def test_light_commands_do_not_import_onnx(tmp_path: Path) -> None:
    script = """if True:
        import sys
        from snnc.cli.app import snnc
        snnc(sys.argv[1:], standalone_mode=False)
        assert not {"onnx", "onnxruntime", "numpy", "matplotlib"} & set(sys.modules)
    """
    for arguments in (["--help"], ["library"], ["explain", "SNN203"]):
        command = [sys.executable, "-c", script, *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_two_outputs_are_two_files(invoke: Invoke) -> None:
    """The second one would silently take the place of the network."""
    for option in ("--json", "--quantised"):
        chosen = ("--method", "exact", "-o", "k.onnx", option, "./k.onnx")
        refuse(invoke, "SNN401", "convert", "net.onnx", "--calib", "digits:train", *chosen)
        assert not Path("k.onnx").exists()
