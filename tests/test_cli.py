"""The command line end to end: what it prints, writes, refuses, and with which exit code."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper

from snnc.cli.app import snnc
from snnc.data import load
from snnc.diagnostics.rules import RULES
from snnc.ir.options import Options
from snnc.measure.report import shorten, table

DIGITS = Path(__file__).parent.parent / "snnc" / "demo" / "digits.onnx"
FAST = ("--calib-samples", "48", "--calib-steps", "48", "--steps", "64")
CALIBRATED = ("--calib", "digits:train", "--alpha", "0.6", *FAST)

Invoke = Callable[..., Result]


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Run a command in an empty folder that has `net.onnx`, the digits network."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.onnx").write_bytes(DIGITS.read_bytes())

    def run(*arguments: str | Path, exit_code: int = 0) -> Result:
        result = CliRunner().invoke(snnc, [str(argument) for argument in arguments])
        assert result.exit_code == exit_code, result.output + repr(result.exception)
        assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted digits network."""
    path = tmp_path_factory.mktemp("converted") / "digits.snn.onnx"
    result = CliRunner().invoke(snnc, ["convert", str(DIGITS), "-o", str(path), *CALIBRATED])
    assert result.exit_code == 0, result.output
    return path


def process(*arguments: str | Path, cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `snnc` in a process of its own."""
    command = [sys.executable, "-m", "snnc.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False, **options)


# --- convert ----------------------------------------------------------------------------------------------------------


def test_convert_as_in_the_readme(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("convert", "net.onnx", "--reset", "soft", "--alpha", "0.6")
    assert "wrote net.snn.onnx" in result.stdout
    assert "verified on 64 held-back samples of synthetic:0, 256 steps:\nagreement with the ANN " in result.stdout
    assert result.stderr.count("warning") == 1
    assert "warning[SNN507] 128 random images with values from " in result.stderr
    model = onnx.load(tmp_path / "net.snn.onnx")
    assert model.graph.output[0].name == "logits"


def test_convert_with_data(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("convert", "net.onnx", *CALIBRATED, "-o", "out.onnx", "--report", "report.json")
    assert result.stderr == "data: digits:train, 1,297 samples: 8x8 -> 1x8x8; uint8 divided by 16\n"
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["layer", "op", "neurons", "fan-in", "V_th", "weight", "bits", "rate"]
    assert [line.split()[0] for line in lines[2:7]] == ["image", "/1/Relu", "/4/Relu", "/7/Relu", "snnc/logits/readout"]
    assert max(map(len, lines)) <= 80
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["calibration"]["samples"] == 48
    low, high = report["verification"]["agreement_interval"]
    assert 0.9 < low < report["verification"]["agreement"] <= high <= 1
    assert max(report["verification"]["carried"].values()) < 1.2
    assert "V(0) = 0: " in lines[-2]
    assert sorted(os.listdir(tmp_path)) == ["net.onnx", "out.onnx", "report.json"]


def test_convert_passes_every_option_on(invoke: Invoke, tmp_path: Path) -> None:
    chosen: dict[str, Any] = {
        "reset": "hard", "alpha": 0.7, "alpha_when": "after", "threshold": "rate", "rate_quantile": 0.99,
        "calib_samples": 20, "calib_steps": 30, "v_init": 0.5, "steps": 40, "seed": 5, "input_scale": 2.0,
        "input_range": [0.0, 1.5], "max_steps": 50, "bias": "current", "batchnorm": "fold", "schedule": "stream",
        "controls": "required", "accept_poor": True,
    }  # fmt: skip
    assert set(chosen) == {field.name for field in dataclasses.fields(Options)}
    written = {**chosen, "input_range": "0,1.5"}
    refuse(invoke, "SNN405", "convert", "net.onnx", "--calib", "digits:train", "--input-range", "0,1.5", exit_code=2)
    valued = [(name, value) for name, value in written.items() if name != "accept_poor"]
    flags = [text for name, value in valued for text in (f"--{name.replace('_', '-')}", str(value))]
    invoke("convert", "net.onnx", "--calib", "synthetic:3", *flags, "--accept-poor")
    metadata = {entry.key: entry.value for entry in onnx.load(tmp_path / "net.snn.onnx").metadata_props}
    assert json.loads(metadata["snnc.options"]) == chosen
    outputs = invoke("run", "net.snn.onnx", "--input", "digits:test", "--steps", "3").stdout
    assert outputs.count("class") == 500


def test_defaults_are_those_of_the_python_interface() -> None:
    defaults = {parameter.name: parameter.default for parameter in snnc.commands["convert"].params}
    for field in dataclasses.fields(Options):
        shown = defaults[field.name]
        if isinstance(shown, int | float | str):
            assert type(field.default)(shown) == field.default, field.name


def test_relaxed_yields_to_explicit_options(invoke: Invoke, tmp_path: Path) -> None:
    save(dense_model(bias=True), tmp_path / "bias.onnx")
    invoke("check", "bias.onnx", "--relaxed")
    assert "SNN201" in invoke("check", "bias.onnx", "--relaxed", "--bias", "reject", exit_code=1).stderr
    invoke("convert", "bias.onnx", "--relaxed", "--steps", "16")


def test_quiet_prints_nothing_but_errors(invoke: Invoke) -> None:
    assert invoke("convert", "net.onnx", "-q", "--steps", "8").output == ""
    assert "SNN101" in invoke("convert", "nothing.onnx", "-q", exit_code=1).stderr


def test_verbose_names_the_stages(invoke: Invoke) -> None:
    assert "verifying" in invoke("convert", "net.onnx", "-v", "--steps", "8").stderr


# --- check, inspect, explain, passes, library ------------------------------------------------------------------------


def test_check_lists_every_problem(invoke: Invoke, tmp_path: Path) -> None:
    save(model_with_everything_wrong(), tmp_path / "bad.onnx")
    text = invoke("check", "bad.onnx", exit_code=1)
    for code, node in (("SNN201", "conv"), ("SNN202", "norm"), ("SNN203", "pool"), ("SNN201", "dense")):
        found = [line for line in text.stderr.splitlines() if f"[{code}]" in line and f"'{node}'" in line]
        assert len(found) == 1, (code, node, text.stderr)
    assert text.stderr.count("  hint: ") == text.stderr.count("error[") == 4
    findings = json.loads(invoke("check", "bad.onnx", "--json", exit_code=1).stdout)
    assert sorted(finding["code"] for finding in findings) == ["SNN201", "SNN201", "SNN202", "SNN203"]
    assert set(findings[0]) == {"code", "severity", "node", "op", "shape", "message", "hint"}
    relaxed = json.loads(invoke("check", "bad.onnx", "--json", "--relaxed", exit_code=1).stdout)
    assert [finding["code"] for finding in relaxed] == ["SNN203"]


def test_check_of_a_good_network(invoke: Invoke) -> None:
    assert invoke("check", "net.onnx").stdout == "net.onnx can be converted\n"
    assert json.loads(invoke("check", "net.onnx", "--json").stdout) == []


def test_inspect(invoke: Invoke, converted: Path) -> None:
    text = invoke("inspect", converted).stdout
    for expected in ("format 2", "alpha=0.6", "data=digits:train", "spike_totals  int64 [batch, 4]", "/4/Relu"):
        assert expected in text
    assert max(map(len, text.splitlines()[1:])) <= 80
    assert "SNN402" in invoke("inspect", "net.onnx", exit_code=1).stderr


def test_inspect_refuses_newer_formats(invoke: Invoke, converted: Path, tmp_path: Path) -> None:
    model = onnx.load(converted)
    next(entry for entry in model.metadata_props if entry.key == "snnc.format_version").value = "99"
    save(model, tmp_path / "newer.snn.onnx")
    for command in (("inspect",), ("run", "--input", "digits:test"), ("eval", "--data", "digits:test")):
        assert "SNN403" in invoke(command[0], "newer.snn.onnx", *command[1:], exit_code=1).stderr


@pytest.mark.parametrize("code", RULES)
def test_explain_every_rule(invoke: Invoke, code: str) -> None:
    text = invoke("explain", code.lower()).stdout
    assert text.startswith(f"{code} (")
    assert "hint: " in text
    assert max(map(len, text.splitlines())) <= 80


def test_explain_lists_rules_and_near_codes(invoke: Invoke) -> None:
    assert [line.split()[0] for line in invoke("explain").stdout.splitlines()] == list(RULES)
    assert "SNN203" in invoke("explain", "SNN23", exit_code=2).stderr


def test_passes_and_library(invoke: Invoke) -> None:
    names = [line.split()[0] for line in invoke("passes").stdout.splitlines() if not line.startswith(" ")]
    assert names[0] == "ingest"
    assert names[-1] == "verify"
    assert Path(invoke("library").stdout.strip()).is_file()


# --- eval, sweep, run, demo ------------------------------------------------------------------------------------------


def test_eval(invoke: Invoke, converted: Path, tmp_path: Path) -> None:
    result = invoke(
        "eval", converted, "--data", "digits:test", "--ann", "net.onnx", "--steps", "4,32", "--samples", "100",
        "--json", "eval.json", "--plot", "eval.png",
    )  # fmt: skip
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[2:4]] == ["4", "32"]
    assert max(map(len, lines)) <= 80
    assert "0.9 pJ per accumulate, 4.6 pJ per" in result.stdout
    assert "6 bits at T = 32" in result.stdout
    document = json.loads((tmp_path / "eval.json").read_text())
    assert document["data"]["samples"] == 100
    assert [row["steps"] for row in document["summary"]] == [4, 32]
    assert document["curves"][0]["points"][1]["accuracy"] > 0.9
    assert (tmp_path / "eval.png").read_bytes().startswith(b"\x89PNG")


def test_eval_with_seeds(invoke: Invoke, converted: Path, tmp_path: Path) -> None:
    result = invoke(
        "eval", converted, "--data", "digits:test", "--samples", "50", "--steps", "8", "--seeds", "0,1,2",
        "--json", "eval.json",
    )  # fmt: skip
    assert " ± " in result.stdout
    document = json.loads((tmp_path / "eval.json").read_text())
    accuracies = [curve["points"][0]["accuracy"] for curve in document["curves"]]
    assert document["seeds"] == [0, 1, 2]
    assert document["summary"][0]["accuracy"] == pytest.approx(np.mean(accuracies))
    assert document["summary"][0]["accuracy_std"] == pytest.approx(np.std(accuracies, ddof=1))


def test_sweep(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke(
        "sweep", "net.onnx", "--calib", "digits:train", "--data", "digits:test", "--samples", "60", "--reset",
        "soft,hard", "--alpha", "1,0.6", "--steps", "4,16", "--calib-samples", "32", "--calib-steps", "32", "--json",
        "sweep.json", "--plot", "sweep.svg",
    )  # fmt: skip
    for label in ("soft α=1 ", "soft α=0.6", "hard α=1 ", "hard α=0.6"):
        assert result.stdout.count(f"\n{label}") == 2  # accuracy and spike rate
    cells = json.loads((tmp_path / "sweep.json").read_text())["cells"]
    assert [(cell["reset"], cell["alpha"]) for cell in cells] == [
        ("soft", 1.0), ("soft", 0.6), ("hard", 1.0), ("hard", 0.6),
    ]  # fmt: skip
    assert "<svg" in (tmp_path / "sweep.svg").read_text()


def test_run(invoke: Invoke, converted: Path, tmp_path: Path) -> None:
    images = load("digits:test", (1, 8, 8)).images[:12]
    for dtype in ("float16", "float32", "float64"):
        np.save("x.npy", images.astype(dtype))
        invoke("run", converted, "--input", "x.npy", "--steps", "20", "-o", f"{dtype}.npy")
    expected = np.load("float32.npy")
    assert expected.shape == (12, 10)
    assert np.array_equal(np.load("float64.npy"), expected)
    assert np.array_equal(np.load("float16.npy"), expected)  # pixels of 4 bits are exact in half precision
    printed = invoke("run", converted, "--input", "x.npy", "--steps", "20").stdout
    assert [int(line.split()[2]) for line in printed.splitlines()] == expected.argmax(1).tolist()
    invoke("run", converted, "--input", "x.npy", "--steps", "20", "-o", "all.npz")
    everything = np.load("all.npz")
    assert np.array_equal(everything["logits"], expected)
    assert everything["spike_totals"].shape == everything["synaptic_operations"].shape == (12, 4)


def test_demo(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("demo")
    assert "soft reset, alpha 0.6" in result.stdout
    assert "hard reset, alpha 1" in result.stdout
    assert (tmp_path / "snnc-demo.png").stat().st_size > 10_000


# --- bad input: exit code 1, a diagnostic, no file -------------------------------------------------------------------


def refuse(invoke: Invoke, code: str, *arguments: str | Path, exit_code: int = 1) -> Result:
    """The command ends with this diagnostic, and leaves the folder as it was."""
    before = sorted(os.listdir())
    result = invoke(*arguments, exit_code=exit_code)
    assert f"error[{code}]" in result.stderr, result.stderr
    assert "  hint: " in result.stderr
    assert sorted(os.listdir()) == before
    return result


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
    poor = ("convert", "net.onnx", "--calib", "digits:train", *FAST, "--steps", "1", "--report", "report.json")
    result = refuse(invoke, "SNN408", *poor)
    assert "the bar is 80 % agreement" in result.stderr
    assert "`--steps 4` gave agreement" in result.stderr
    assert "`--accept-poor` writes it all the same" in result.stderr
    accepted = invoke(*poor, "--accept-poor")
    assert "warning[SNN503]" in accepted.stderr
    assert "wrote net.snn.onnx" in accepted.stdout


def test_synthetic_data_can_be_asked_for(invoke: Invoke, tmp_path: Path) -> None:
    asked = ("convert", "net.onnx", "--calib", "synthetic:5", "--input-range", "0,1", *FAST, "--report", "report.json")
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
    refuse(invoke, "SNN401", "convert", "net.onnx", "--report", "missing/report.json")


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
        ("convert", "net.onnx", "--method", "exact"),
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
    command = [sys.executable, "-m", "snnc.cli", "convert", str(DIGITS), "-v", "--calib", "digits:train"]
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


def test_a_closed_pipe_is_no_error_message(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "snnc.cli", "explain"]
    read, write = os.pipe()
    os.close(read)
    with subprocess.Popen(command, stdout=write, stderr=subprocess.PIPE, text=True) as running:
        os.close(write)
        assert running.stderr is not None
        assert running.stderr.read() == ""


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


# --- tables ----------------------------------------------------------------------------------------------------------


def test_long_names_are_shortened_in_the_middle() -> None:
    assert shorten("short", 10) == "short"
    assert shorten("/features/stage3/block17/relu_2/Relu", 20) == "/featu…7/relu_2/Relu"
    lines = table(["name", "value"], [["x" * 200, "1"]]).splitlines()
    assert {len(line) for line in lines[1:]} == {80}


# --- networks --------------------------------------------------------------------------------------------------------


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


def test_commands_have_help() -> None:
    for name, command in snnc.commands.items():
        assert command.help, name
        for parameter in command.params:
            assert not isinstance(parameter, click.Option) or parameter.help, parameter.name
