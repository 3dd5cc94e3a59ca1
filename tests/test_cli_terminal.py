"""A diagnostic on a terminal has lines that fit; elsewhere it is one line for the finding and one for its hint."""

from __future__ import annotations

import os
import pty
import re
import struct
import sys
import termios
from contextlib import nullcontext
from fcntl import ioctl
from pathlib import Path
from subprocess import Popen

import pytest
from commands import DIGITS, FAST, model_with_everything_wrong, process, save

from snnc.cli.console import Console
from snnc.diagnostics import Diagnostics

_COLUMNS = 80
_CODES = re.compile(r"(\x1b\[[0-9;?]*[A-Za-z]|\r|\n)")

#: A finding of the model, one of the options, and a warning that tells what was measured.
FINDINGS = {
    "SNN203": ("check", "bad.onnx"),
    "SNN405": ("convert", "net.onnx", "--method", "exact", "--reset", "hard"),
    "SNN503": ("convert", "net.onnx", "--calib", "digits:train", *FAST, "--steps", "1", "--accept-poor"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "net.onnx").write_bytes(DIGITS.read_bytes())
    save(model_with_everything_wrong(), tmp_path / "bad.onnx")
    return tmp_path


def on_a_terminal(*arguments: str | Path, cwd: Path, columns: int = _COLUMNS, **environment: str) -> str:
    """All that `snnc` writes to a terminal, codes included."""
    ours, its = pty.openpty()
    ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    named = ("COLUMNS", "NO_COLOR", "FORCE_COLOR")
    kept = {name: value for name, value in os.environ.items() if name not in named}
    with Popen(
        [sys.executable, "-m", "snnc", *map(str, arguments)],
        cwd=cwd, stdout=its, stderr=its, stdin=its, env={**kept, "TERM": "xterm-256color", **environment},
    ):  # fmt: skip
        os.close(its)
        text = b""
        while True:
            try:
                part = os.read(ours, 2**16)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            text += part
    os.close(ours)
    return text.decode()


def screen(text: str) -> str:
    """What is to be seen in the end: a line is where it was wiped and written again."""
    lines, row = [""], 0
    column = 0
    for part in _CODES.split(text):
        if part == "\n":
            row, column = row + 1, 0
            if row == len(lines):
                lines.append("")
        elif part == "\r":
            column = 0
        elif part.startswith("\x1b"):
            if part.endswith("A"):
                row -= int(part[2:-1] or 1)
            elif part.endswith("K"):
                lines[row] = "" if part == "\x1b[2K" else lines[row][:column]
        elif part:
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
            column += len(part)
    return "\n".join(lines)


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
@pytest.mark.parametrize("code", FINDINGS)
def test_diagnostics_wrap_alike(folder: Path, code: str) -> None:
    shown = screen(on_a_terminal(*FINDINGS[code], cwd=folder))
    piped = process(*FINDINGS[code], cwd=folder).stderr
    (line,) = [line for line in piped.splitlines() if f"[{code}]" in line]
    assert len(line) > _COLUMNS
    assert max(map(len, shown.splitlines())) <= _COLUMNS
    assert " ".join(line.split()) in " ".join(shown.split())


@pytest.mark.parametrize("columns", [40, 60, 120])
def test_any_width(folder: Path, converted: Path, columns: int) -> None:
    """Of names that are longer nothing is broken off."""
    (folder / "net.snn.onnx").write_bytes(converted.read_bytes())
    commands = (
        ("eval", "net.snn.onnx", "--data", "digits:test", "--ann", "net.onnx", "--samples", "20", "--steps", "4,64"),
        ("inspect", "net.snn.onnx"),
        ("check", "bad.onnx"),
    )
    for command in commands:
        shown = screen(on_a_terminal(*command, cwd=folder, columns=columns))
        assert max(map(len, shown.splitlines())) <= columns, shown
        assert "Traceback" not in shown


def test_colours_are_asked_for_and_refused(folder: Path) -> None:
    coloured = on_a_terminal("check", "bad.onnx", cwd=folder)
    assert "\x1b[1;31merror[SNN201]\x1b[0m" in coloured
    assert "\x1b" not in on_a_terminal("check", "bad.onnx", cwd=folder, NO_COLOR="1")
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    assert "\x1b" not in process("check", "bad.onnx", cwd=folder, env=kept).stderr
    forced = process("check", "bad.onnx", cwd=folder, env={**kept, "FORCE_COLOR": "1"}).stderr
    assert "\x1b[1;31merror[SNN201]\x1b[0m" in forced
    assert "━" not in forced


def test_one_bar_for_all_stages(folder: Path) -> None:
    """It never goes back, says how long it will take, and is gone in the end."""
    text = on_a_terminal("convert", "net.onnx", "--calib", "digits:train", "--method", "exact", cwd=folder)
    shares = [int(share) for share in re.findall(r"(\d+)%\x1b\[0m", text)]
    assert shares == sorted(shares)
    assert shares[-1] >= 90
    assert re.search(r"\d:\d\d:\d\d", text)
    assert "━" not in screen(text)


def report_many(together: bool) -> None:
    found = Diagnostics()
    with found.together() if together else nullcontext():
        for index in range(60):
            found.report("SNN504", "no neuron fired", node=f"layer{index}", op="Relu")


@pytest.mark.parametrize("together", [True, False])
def test_many_warnings_of_one_rule_are_summed_up(together: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with Console() as console:
        report_many(together)
        console.result("done")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert [line.count("hint") for line in lines] == [0, 1, 0, 0, 0]
    assert lines[-1] == "warning[SNN504] 57 more like these: -v lists them"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_as_documented(tmp_path: Path, shell: str) -> None:
    """The scripts come from click; the last words complete."""
    command = f"_SNNC_COMPLETE={shell}_source snnc"
    documented = (Path(__file__).parent.parent / "docs" / "cli.md").read_text(encoding="utf-8")
    assert command in documented
    environment = {**os.environ, "_SNNC_COMPLETE": f"{shell}_complete", "COMP_WORDS": "snnc convert --rel"}
    environment |= {"COMP_CWORD": "--rel" if shell == "fish" else "2"}
    completed = process(cwd=tmp_path, env=environment)
    assert "--relaxed" in completed.stdout
