"""`--json` is alike in every command: a FILE, or `-` for stdout, which has the JSON and nothing else then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from commands import CALIBRATED, FAST, Invoke, dense_model, model_with_everything_wrong, process, refuse, save

from snnc.cli.app import COMMANDS

#: Where nothing is reported: the path of a file, a demonstration, and pictures.
SILENT = {"library", "demo", "plot"}
EXACT = ("--method", "exact", "--levels", "4", "--calib", "digits:train", "--calib-samples", "32")
DIGITS_TEST = ("--data", "digits:test", "--samples", "8")

#: Every command with what it needs, and what its JSON holds at least.
REPORTS: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "convert": (("net.onnx", *CALIBRATED), {"layers", "calibration", "verification", "certificate"}),
    "export": (("rmp.snn.onnx", "--nir", "generic", "-o", "net.nir"), {"model"}),
    "check": (("net.onnx",), {"model", "convertible"}),
    "eval": (("rmp.snn.onnx", *DIGITS_TEST, "--steps", "4,8"), {"model", "data", "summary", "curves"}),
    "verify": (("exact.snn.onnx", *DIGITS_TEST), {"model", "data", "layers", "steps", "accuracy"}),
    "compare": (("rmp.snn.onnx", "--ann", "net.onnx", *DIGITS_TEST, "--steps", "8"), {"samples", "steps", "layers"}),
    "sweep": (
        ("net.onnx", "--calib", "digits:train", *DIGITS_TEST, "--steps", "4", *FAST[:4]),
        {"model", "calib", "data", "options", "cells"},
    ),
    "run": (("rmp.snn.onnx", "--input", "x.npy", "--steps", "4"), {"model", "data", "steps", "classes", "outputs"}),
    "stream": (("exact.snn.onnx", "--frames", "x.npy"), {"model", "data", "layers", "frames", "cold"}),
    "bench": (("rmp.snn.onnx", "--batch", "2", "--steps", "4", "--repeats", "1"), {"model", "data", "layers", "seed"}),
    "inspect": (("rmp.snn.onnx",), {"model", "bytes", "format", "version", "options", "inputs", "outputs", "layers"}),
    "passes": ((), {"method", "passes"}),
    "explain": (("SNN203",), {"rules"}),
}  # fmt: skip


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Converted digits networks by the method that made them."""
    from commands import DIGITS, run_command

    folder = tmp_path_factory.mktemp("networks")
    options = {"rmp": CALIBRATED, "exact": EXACT}
    for method, chosen in options.items():
        run_command("convert", DIGITS, "-o", folder / method, *chosen)
    return {method: (folder / method).read_bytes() for method in options}


@pytest.fixture
def command(invoke: Invoke, networks: dict[str, bytes]) -> Invoke:
    """`snnc` in a folder with everything that `REPORTS` names."""
    for method, content in networks.items():
        Path(f"{method}.snn.onnx").write_bytes(content)
    np.save("x.npy", np.random.default_rng(0).random((3, 1, 8, 8), np.float32))
    save(model_with_everything_wrong(), Path("bad.onnx"))
    return invoke


def test_every_command_that_reports_is_here() -> None:
    names = {command.name for command in COMMANDS}
    assert names - SILENT == set(REPORTS)
    for found in COMMANDS:
        flags = [name for parameter in found.params if isinstance(parameter, click.Option) for name in parameter.opts]
        assert ("--json" in flags) == (found.name in REPORTS)


@pytest.mark.parametrize("name", REPORTS)
def test_printed_and_written_alike(command: Invoke, name: str) -> None:
    """The same JSON twice; printed, it is alone on stdout, and the tables are on stderr."""
    arguments, fields = REPORTS[name]
    plain = command(name, *arguments)
    assert plain.stdout
    printed = command(name, *arguments, "--json", "-")
    assert not Path("-").exists()
    found = json.loads(printed.stdout)
    assert set(found) >= fields | {"diagnostics"}
    assert len(printed.stderr.splitlines()) >= len(plain.stdout.splitlines())
    written = command(name, *arguments, "--json", "found.json")
    assert written.stdout.splitlines()[-1] == "wrote found.json"
    assert shape_of(json.loads(Path("found.json").read_text(encoding="utf-8"))) == shape_of(found)


def shape_of(document: Any) -> Any:
    """The names in a document, without the numbers, of which some are times."""
    if isinstance(document, dict):
        return {name: shape_of(value) for name, value in document.items()}
    if isinstance(document, list):
        return [shape_of(value) for value in document]
    return None if isinstance(document, (int, float)) else document


@pytest.mark.parametrize("name", [name for name in REPORTS if name not in ("passes", "explain", "inspect")])
def test_quiet_prints_the_json_alone(command: Invoke, name: str) -> None:
    printed = command(name, *REPORTS[name][0], "--json", "-", "-q")
    assert json.loads(printed.stdout)
    assert printed.stderr == ""


@pytest.mark.parametrize("name", ["check", "convert"])
def test_a_refused_network_has_its_diagnostics_in_the_json(command: Invoke, name: str) -> None:
    printed = command(name, "bad.onnx", "--json", "-", exit_code=1)
    found = json.loads(printed.stdout)["diagnostics"]
    assert [entry["code"] for entry in found] == ["SNN201", "SNN202", "SNN203", "SNN201"]
    assert set(found[0]) == {"code", "severity", "node", "op", "shape", "message", "hint", "module", "source"}
    assert all(
        entry["node"] and entry["op"] and entry["shape"] and entry["message"] and entry["hint"] for entry in found
    )
    assert printed.stderr.count("error[SNN") == 4
    command(name, "bad.onnx", "--json", "found.json", exit_code=1)
    assert not Path("found.json").exists()
    assert not Path("bad.snn.onnx").exists()


def test_warnings_stand_beside_errors(command: Invoke) -> None:
    """A poor network: that no data were given, and that it is of no use; both also when quiet."""
    poor = ("convert", "net.onnx", "--calib", "synthetic:1", *FAST, "--steps", "1", "-q", "--json", "-")
    found = json.loads(command(*poor, exit_code=1).stdout)["diagnostics"]
    assert (found[0]["code"], found[-1]["code"]) == ("SNN507", "SNN408")
    assert (found[0]["severity"], found[-1]["severity"]) == ("warning", "error")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("eval", "rmp.snn.onnx", "--data", "none.npy"), "SNN301"),
        (("verify", "rmp.snn.onnx", "--data", "digits:test"), "SNN402"),
        (("compare", "net.onnx", "--ann", "net.onnx", "--data", "digits:test"), "SNN402"),
        (("sweep", "bad.onnx", "--calib", "digits:train", "--data", "digits:test"), "SNN201"),
        (("run", "rmp.snn.onnx", "--input", "none.npy"), "SNN301"),
        (("stream", "exact.snn.onnx", "--frames", "none.npy"), "SNN301"),
        (("bench", "net.onnx"), "SNN402"),
        (("inspect", "net.onnx"), "SNN402"),
        (("check", "none.onnx"), "SNN101"),
        (("convert", "net.onnx", "-o", "missing/out.onnx"), "SNN401"),
        (("convert", "net.onnx", "--levels", "3"), "SNN405"),
    ],
)
def test_every_failure_is_in_the_json(command: Invoke, arguments: tuple[str, ...], code: str) -> None:
    printed = command(*arguments, "--json", "-", exit_code=2 if code == "SNN405" else 1)
    assert code in [entry["code"] for entry in json.loads(printed.stdout)["diagnostics"]]
    assert f"error[{code}]" in printed.stderr


def test_a_file_that_is_an_input_stays(command: Invoke) -> None:
    before = Path("bad.onnx").read_bytes()
    refuse(command, "SNN401", "check", "bad.onnx", "--json", "./bad.onnx")
    refuse(command, "SNN401", "inspect", "rmp.snn.onnx", "--json", "rmp.snn.onnx")
    assert Path("bad.onnx").read_bytes() == before


@pytest.mark.parametrize("value", [(), ("--relaxed",)])
def test_without_a_place_it_is_wrong_usage(command: Invoke, value: tuple[str, ...]) -> None:
    """`--json` was a flag of `snnc check` once: the option behind it is no file."""
    before = sorted(os.listdir())
    result = command("check", "net.onnx", "--json", *value, exit_code=2)
    assert "--json" in result.stderr
    assert (result.stdout, sorted(os.listdir())) == ("", before)


def test_a_file_can_be_called_dash(command: Invoke) -> None:
    save(dense_model(), Path("dense.onnx"))
    command("convert", "dense.onnx", "-o", "./-", "--steps", "16", "--json", "-")
    assert Path("-").stat().st_size > 1000


def test_interrupted_before_the_json_prints_none() -> None:
    """Internal errors and interruptions are no reports."""
    script = (
        "import sys, snnc.api as api\n"
        "def stop(*_, **__): raise KeyboardInterrupt\n"
        "api.check = stop\n"
        "from snnc.cli.app import snnc\n"
        "snnc(['check', 'net.onnx', '--json', '-'])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "")


def test_the_bytes_on_stdout_are_utf8(command: Invoke, tmp_path: Path) -> None:
    Path("nét.onnx").write_bytes(Path("net.onnx").read_bytes())
    done = process("check", "nét.onnx", "--json", "-", cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert json.loads(done.stdout)["model"] == "nét.onnx"


def test_what_is_not_finite_is_null() -> None:
    from snnc.cli.run import run_numbers

    outputs: dict[str, np.ndarray] = {
        "y": np.array([[1.0, np.inf], [np.nan, 0.5]], np.float32),
        "spike_totals": np.zeros((2, 1), np.int64),
        "synaptic_operations": np.zeros(2, np.int64),
    }
    found = run_numbers(outputs)
    assert found["outputs"]["y"] == [[1.0, None], [None, 0.5]]
    assert json.dumps(found, allow_nan=False)
