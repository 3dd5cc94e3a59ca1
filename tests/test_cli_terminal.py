"""A diagnostic on a terminal has lines that fit; elsewhere it is one line for the finding and one for its hint."""

from __future__ import annotations

import os
import pty
import re
import struct
import sys
import termios
from fcntl import ioctl
from pathlib import Path
from subprocess import Popen

import pytest
from commands import DIGITS, FAST, model_with_everything_wrong, process, save

_COLUMNS = 80
_COLOURS = re.compile(r"\x1b\[[0-9;]*[mK]")

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


def on_a_terminal(*arguments: str, cwd: Path) -> str:
    """What `snnc` writes to a terminal of 80 columns, without colours and progress."""
    ours, its = pty.openpty()
    ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, _COLUMNS, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    with Popen([sys.executable, "-m", "snnc", *arguments], cwd=cwd, stdout=its, stderr=its, stdin=its, env=environment):
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
    shown = _COLOURS.sub("", text.decode()).replace("\r\n", "\n")
    return "\n".join(line.rpartition("\r")[2] for line in shown.split("\n"))


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
@pytest.mark.parametrize("code", FINDINGS)
def test_diagnostics_wrap_alike(folder: Path, code: str) -> None:
    shown = on_a_terminal(*FINDINGS[code], cwd=folder)
    piped = process(*FINDINGS[code], cwd=folder).stderr
    (line,) = [line for line in piped.splitlines() if f"[{code}]" in line]
    assert len(line) > _COLUMNS
    assert max(map(len, shown.splitlines())) <= _COLUMNS
    assert " ".join(line.split()) in " ".join(shown.split())
