"""Options of a project, from a file in the current folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import FAST, Invoke

from snnc.files import ConvertedFile
from snnc.simulate.ann import load_model


def options_of(path: str) -> dict[str, object]:
    return ConvertedFile(load_model(path), path).options.to_json()


@pytest.mark.parametrize(("file", "head"), [("snnc.toml", ""), ("pyproject.toml", "tool.snnc.")])
def test_options_of_a_project(invoke: Invoke, file: str, head: str) -> None:
    top = f"[{head.rstrip('.')}]\n" if head else ""
    lines = f'{top}seed = 7\nquiet = false\n[{head}convert]\ncalib = "digits:train"\nalpha = 0.7\nrelaxed = true\n'
    Path(file).write_text(lines + "input-scale = 1\ncalib-samples = 48\ncalib-steps = 48\n")
    shown = invoke("convert", "net.onnx", "--steps", "32").stderr
    assert shown.startswith(f"defaults of {file}: seed 7, quiet False, calib digits:train, alpha 0.7, relaxed True, ")
    found = options_of("net.snn.onnx")
    assert (found["seed"], found["alpha"], found["steps"], found["bias"]) == (7, 0.7, 32, "current")
    invoke("convert", "net.onnx", "--steps", "32", "--alpha", "0.5", "--bias", "reject")
    assert options_of("net.snn.onnx")["alpha"] == 0.5
    assert "defaults" not in invoke("explain", "SNN201").stderr
    assert invoke("convert", "net.onnx", "-q").stderr == ""


def test_lists_and_options_of_plug_ins(invoke: Invoke, converted: Path) -> None:
    Path("snnc.toml").write_text("[eval]\nsteps = [2, 4]\nsamples = 8\n[convert]\nset = ['blunt=1']\n")
    found = json.loads(invoke("eval", converted, "--data", "digits:test", "--json", "-").stdout)
    assert [row["steps"] for row in found["summary"]] == [2, 4]
    assert "'blunt'" in invoke("convert", "net.onnx", *FAST, exit_code=2).stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[conver]\nalpha = 1", "snnc.toml: there is no command called 'conver'. Did you mean 'convert'?"),
        ("[convert]\nalhpa = 1", "there is no option of snnc convert called 'alhpa'. Did you mean 'alpha'?"),
        ("alhpa = 1", "there is no option of any command called 'alhpa'. Did you mean 'alpha'?"),
        ("[convert]\nalpha = 'large'", "'large' is neither a number nor auto"),
        ("alpha = ", "snnc.toml cannot be read: "),
    ],
)
def test_a_project_with_mistakes(invoke: Invoke, content: str, message: str) -> None:
    Path("snnc.toml").write_text(content)
    shown = invoke("convert", "net.onnx", exit_code=2).stderr
    assert message in " ".join(shown.split())
