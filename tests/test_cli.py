"""The command line end to end: what it prints and writes."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
import pytest
from commands import CALIBRATED, FAST, Invoke, dense_model, model_with_everything_wrong, refuse, save, tensor

from snnc.cli.app import snnc
from snnc.data import load
from snnc.diagnostics.rules import RULES
from snnc.ir.options import Options
from snnc.measure.table import shorten, table

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
    result = invoke("convert", "net.onnx", *CALIBRATED, "-o", "out.onnx", "--json", "report.json")
    assert result.stderr == "data: digits:train, 1,297 samples: 8x8 -> 1x8x8; uint8 divided by 16\n"
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["layer", "op", "neurons", "fan-in", "V_th", "bits", "rate"]
    assert [line.split()[0] for line in lines[2:7]] == ["image", "/1/Relu", "/4/Relu", "/7/Relu", "snnc/logits/readout"]
    assert max(map(len, lines)) <= 80
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["calibration"]["samples"] == 48
    low, high = report["verification"]["agreement_interval"]
    assert 0.9 < low < report["verification"]["agreement"] <= high <= 1
    assert max(report["verification"]["carried"].values()) < 1.2
    assert any(line.startswith("potentials that start at 0 reach ") for line in lines[-4:-2])
    assert lines[-2:] == ["wrote out.onnx", "wrote report.json"]
    assert sorted(os.listdir(tmp_path)) == ["net.onnx", "out.onnx", "report.json"]


def test_convert_passes_every_option_on(invoke: Invoke, tmp_path: Path) -> None:
    chosen: dict[str, Any] = {
        "method": "rmp", "reset": "hard", "alpha": 0.7, "alpha_when": "after", "threshold": "rate",
        "rate_quantile": 0.99, "plugin_options": {},
        "calib_samples": 20, "calib_steps": 30, "v_init": 0.5, "steps": 40, "seed": 5, "input_scale": 2.0,
        "input_range": [0.0, 1.5], "max_steps": 50, "bias": "current", "batchnorm": "fold", "schedule": "stream",
        "coding": "direct", "per_channel": True, "weight_bits": 12, "max_pool": "exact", "leak": 6,
        "controls": "required", "accept_poor": True, "shape": "1,8,8",
    }  # fmt: skip
    of_others = {name: getattr(Options, name) for name in ("percentile", "levels", "target_drop", "delay")}
    of_others["layer_levels"] = {}
    assert set(chosen) | set(of_others) == {field.name for field in dataclasses.fields(Options)}
    written = {**chosen, "input_range": "0,1.5"}
    refuse(invoke, "SNN405", "convert", "net.onnx", "--calib", "digits:train", "--input-range", "0,1.5", exit_code=2)
    unvalued = ("accept_poor", "per_channel", "plugin_options")
    valued = [(name, value) for name, value in written.items() if name not in unvalued]
    flags = [text for name, value in valued for text in (f"--{name.replace('_', '-')}", str(value))]
    invoke("convert", "net.onnx", "--calib", "synthetic:3", *flags, "--per-channel", "--accept-poor")
    assert written_options(tmp_path / "net.snn.onnx") == {**chosen, **of_others}
    outputs = invoke("run", "net.snn.onnx", "--input", "digits:test", "--steps", "3").stdout
    assert outputs.count("class") == 500
    invoke("convert", "net.onnx", "--threshold", "percentile", "--percentile", "90", "--accept-poor", *FAST)
    assert written_options(tmp_path / "net.snn.onnx")["percentile"] == 90


def written_options(path: Path) -> dict[str, Any]:
    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    found: dict[str, Any] = json.loads(metadata["snnc.options"])
    return found


def test_convert_with_a_leak(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("convert", "net.onnx", "--calib", "digits:train", "--leak", "6", "--schedule", "stream")
    assert "warning[SNN508] in every step 1/64 of each potential leaks away" in result.stderr
    nodes = onnx.load(tmp_path / "net.snn.onnx").graph.node
    leaks = [
        attr.i for node in nodes if node.op_type == "SpikingConv" for attr in node.attribute if attr.name == "leak"
    ]
    assert leaks == [6, 6, 6]
    assert "leak=6" in " ".join(invoke("inspect", "net.snn.onnx").stdout.split())
    evaluated = invoke("eval", "net.snn.onnx", "--data", "digits:test", "--steps", "64", "--json", "e.json")
    assert "warning" not in evaluated.stderr
    (point,) = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))["curves"][0]["points"]
    assert point["accuracy"] > 0.95
    refuse(invoke, "SNN405", "convert", "net.onnx", "--leak", "16", exit_code=2)


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
    assert (text.stderr.count("  hint: "), text.stderr.count("error[")) == (3, 4)
    findings = json.loads(invoke("check", "bad.onnx", "--json", "-", exit_code=1).stdout)["diagnostics"]
    assert sorted(finding["code"] for finding in findings) == ["SNN201", "SNN201", "SNN202", "SNN203"]
    assert set(findings[0]) == {"code", "severity", "node", "op", "shape", "message", "hint", "module", "source"}
    relaxed = json.loads(
        invoke("check", "bad.onnx", "--json", "-", "--relaxed", "--max-pool", "reject", exit_code=1).stdout
    )
    assert [finding["code"] for finding in relaxed["diagnostics"]] == ["SNN203"]
    assert json.loads(invoke("check", "bad.onnx", "--json", "-", "--relaxed").stdout)["diagnostics"] == []


def test_a_hint_that_layers_share_is_said_once(invoke: Invoke, tmp_path: Path) -> None:
    model = dense_model(bias=True)
    second = model.graph.node[2]
    second.input.append("b2")
    model.graph.initializer.append(tensor("b2", 2))
    save(model, tmp_path / "biased.onnx")
    lines = invoke("check", "biased.onnx", exit_code=1).stderr.splitlines()
    assert [line[:13] for line in lines] == ["error[SNN201]", "error[SNN201]", "  hint: train", "2 errors: bia"]


def test_check_of_a_good_network(invoke: Invoke) -> None:
    assert invoke("check", "net.onnx").stdout == "net.onnx can be converted\n"
    printed = json.loads(invoke("check", "net.onnx", "--json", "-").stdout)
    assert printed == {"model": "net.onnx", "convertible": True, "diagnostics": []}


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
    assert "0.9 pJ per SOP, 4.6 pJ per MAC. No neuron updates, no memory" in result.stdout
    assert result.stdout.count("Break-even with ") == 2
    assert "At T = 32: accuracy " in result.stdout
    assert "6 bits at T = 32" in result.stdout
    document = json.loads((tmp_path / "eval.json").read_text())
    assert document["data"]["samples"] == 100
    assert [row["steps"] for row in document["summary"]] == [4, 32]
    assert document["curves"][0]["points"][1]["accuracy"] > 0.9
    for row, point in zip(document["summary"], document["break_even"]["float32"]["points"], strict=True):
        assert (point["operations"], point["energy_uj"]) == pytest.approx((row["operations"], row["energy_uj"]))
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
    for label in ("hard α=1", "hard α=0.6"):
        assert result.stderr.count(f"warning[SNN508] {label}: hard reset drops") == 1
    cells = json.loads((tmp_path / "sweep.json").read_text())["cells"]
    assert [(cell["reset"], cell["alpha"]) for cell in cells] == [
        ("soft", 1.0), ("soft", 0.6), ("hard", 1.0), ("hard", 0.6),
    ]  # fmt: skip
    assert "<svg" in (tmp_path / "sweep.svg").read_text()


def test_sweep_of_levels(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke(
        "sweep", "net.onnx", "--calib", "digits:train", "--data", "digits:test", "--samples", "40", "--method", "exact",
        "--levels", "2,8", "--calib-samples", "32", "--json", "sweep.json",
    )  # fmt: skip
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    cells = json.loads((tmp_path / "sweep.json").read_text())["cells"]
    assert [cell["levels"] for cell in cells] == [2, 8]
    for cell, row in zip(cells, result.stdout.splitlines()[2:4], strict=True):
        curve, words = cell["curve"], row.split()
        last = curve["points"][-1]
        assert words[:2] == [str(cell["levels"]), f"{100 * last['accuracy']:.2f}"]
        assert float(words[4]) == pytest.approx(np.mean(curve["settled"]), abs=0.05)
        assert int(words[5]) == max(curve["settled"])
        assert words[6] == f"{last['spikes_per_neuron']:.2f}"
    few, many = (cell["curve"]["points"][-1] for cell in cells)
    assert few["spikes_per_neuron"] < many["spikes_per_neuron"]
    assert "ANN: " in result.stdout


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


# --- tables ----------------------------------------------------------------------------------------------------------


def test_long_names_are_shortened_in_the_middle() -> None:
    assert shorten("short", 10) == "short"
    assert shorten("/features/stage3/block17/relu_2/Relu", 20) == "/featu…7/relu_2/Relu"
    lines = table(["name", "value"], [["x" * 200, "1"]]).splitlines()
    assert {len(line) for line in lines[1:]} == {80}


def test_shortened_names_stay_apart() -> None:
    names = [f"node_Softmax_{index}/result/relay" for index in (17, 88, 89)]
    shown = table(["layer", *"abcdefgh"], [[name, *["1234567"] * 8] for name in names]).splitlines()
    first = [line.split()[0] for line in shown[2:5]]
    assert len(set(first)) == 3
    assert max(map(len, shown)) <= 80


def test_a_table_in_a_pipe_is_as_wide_as_columns_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert "x" * 150 in table(["name", "value"], [["x" * 150, "1"]])


def test_commands_have_help() -> None:
    for name, command in snnc.commands.items():
        assert command.help, name
        for parameter in command.params:
            assert not isinstance(parameter, click.Option) or parameter.help, parameter.name
