"""The commands and the Python of README and docs run as they are written, block by block, one folder for each page."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from commands import DIGITS, FAST, run_command

import snnc
from snnc.cli.app import snnc as command_line
from snnc.cli.demo import COMMANDS
from snnc.data import load
from snnc.runtime.library import library_path

ROOT = Path(__file__).parent.parent
PAGES = {
    path.relative_to(ROOT).as_posix(): path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
#: Pages without anything to run, and the one that describes a pass (tests/test_passes.py has such).
SILENT = {f"docs/{name}.md" for name in ("architecture", "attention", "event-driven", "format", "methods", "ops")} | {
    f"docs/{name}.md" for name in ("plugins", "streams", "contributing", "rules")
}
#: What a block starts from that the page only tells of, by a word in the block.
SESSION = """
import onnxruntime
options = onnxruntime.SessionOptions()
options.register_custom_ops_library(library_path)
session = onnxruntime.InferenceSession("net.snn.onnx", options)
"""
PRELUDES = {
    "EarlyExitSession": 'snnc.convert("net.onnx", calib=images, schedule="stream", **chosen).save("net.snn.onnx")',
    '"steps": np.array(128)': 'snnc.convert("net.onnx", calib=images, **chosen).save("net.snn.onnx")',
    "StreamSession": 'snnc.convert("net.onnx", calib=images, method="exact", schedule="stream").save("net.snn.onnx")',
    "def feed(frame)": 'snnc.convert("net.onnx", calib=images, method="exact", schedule="stream", controls="required")'
    '.save("net.snn.onnx")' + SESSION,
    "io_binding": 'snnc.convert("net.onnx", calib=images, schedule="stream", controls="required", **chosen)'
    '.save("net.snn.onnx")',
    "ResidualNoise": """
import torch
torch.manual_seed(0)
network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 16), torch.nn.ReLU(), torch.nn.Linear(16, 10))
example, epochs = torch.rand(4, 1, 8, 8), 1
held_out = [example]
""",
}


def blocks(page: str) -> list[tuple[str, str]]:
    """Language and content of the blocks that are run."""
    return BLOCK.findall(PAGES[page].read_text(encoding="utf-8"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, converted: Path) -> Path:
    """What the pages take for granted: a network, converted too, data under the names that they use, the library."""
    monkeypatch.chdir(tmp_path)
    Path("net.onnx").write_bytes(DIGITS.read_bytes())
    Path("net.snn.onnx").write_bytes(converted.read_bytes())
    Path("libsnnc_ops.so").symlink_to(library_path())
    for name, split in (("train", "train"), ("val", "train"), ("test", "test")):
        digits = load(f"digits:{split}", (1, 8, 8))
        assert digits.labels is not None
        np.savez(f"{name}.npz", x=digits.images[:60], y=digits.labels[:60])
    for name in ("x", "images"):
        np.save(f"{name}.npy", digits.images[:5])
    return tmp_path


def run_lines(text: str) -> None:
    """Every line is a command of snnc that succeeds."""
    for line in text.replace("\\\n", " ").splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "snnc"
        result = CliRunner().invoke(command_line, arguments)
        assert result.exit_code == 0, f"{line}\n{result.output}"


def test_pages_that_run_are_known() -> None:
    """A page without blocks is one that was meant to have none."""
    assert {page for page in PAGES if not blocks(page)} | {"docs/contributing.md"} == SILENT


@pytest.mark.parametrize("page", sorted(set(PAGES) - SILENT - {"docs/exact.md", "docs/tutorial.md"}))
@pytest.mark.usefixtures("folder")
def test_a_page_runs(page: str) -> None:
    images = load("digits:test", (1, 8, 8)).images[:7]
    names: dict[str, Any] = {"snnc": snnc, "images": images, "library_path": str(library_path())}
    names |= {"video": images[:4].reshape(2, 2, 1, 8, 8), "chosen": {"steps": 128, "calib_steps": 32}}
    for language, text in blocks(page):
        if language == "sh":
            run_lines(text)
            continue
        for word, prelude in PRELUDES.items():
            if word in text:
                exec(prelude, names)
        exec(compile(text, page, "exec"), names)


@pytest.mark.usefixtures("folder")
def test_the_page_on_exact_runs() -> None:
    run_command("convert", "net.onnx", "--method", "exact", *FAST[:2], "--calib", "train.npz", "-o", "exact.snn.onnx")
    for _, text in blocks("docs/exact.md"):
        run_lines(text)


def test_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for language, text in blocks("docs/tutorial.md"):
        if language == "sh":
            run_lines(text)
        else:
            exec(compile(text, "tutorial", "exec"), names)
    assert names["accuracy"] > 0.9
    shown = run_command("check", "net.onnx", exit_code=1).stderr
    assert "in: module 1\n" in shown
    assert shown.endswith("4 errors: net.onnx cannot be converted like this, with --relaxed it can\n")


def test_what_the_demo_keeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = run_command("demo", "--keep", "kept", "--plot", "kept.png").stdout
    assert sorted(path.name for path in Path("kept").iterdir()) == ["commands.sh", "digits.npz", "net.onnx"]
    assert shown.endswith(COMMANDS)
    monkeypatch.chdir("kept")
    assert Path("commands.sh").read_text(encoding="utf-8") == COMMANDS
    run_lines(COMMANDS)
