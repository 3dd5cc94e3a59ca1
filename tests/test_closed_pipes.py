"""Commands whose output nobody reads any more: the work goes on, and the exit code is that of the work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import DIGITS, FAST

CONVERT = ["convert", str(DIGITS), *FAST, "-o", "net.snn.onnx"]


def without_reader(*arguments: str, cwd: Path, gone: tuple[str, ...] = ("stdout",)) -> tuple[int, str]:
    """Run a command whose streams that are `gone` nobody reads: its exit code, and what it says on the other."""
    read, write = os.pipe()
    os.close(read)
    streams: dict[str, Any] = {name: write if name in gone else subprocess.PIPE for name in ("stdout", "stderr")}
    command = [sys.executable, "-m", "snnc", *arguments]
    with subprocess.Popen(command, cwd=cwd, text=True, **streams) as running:
        os.close(write)
        said = "".join(filter(None, running.communicate(timeout=120)))
        return running.returncode, said


@pytest.mark.parametrize("gone", [("stdout",), ("stdout", "stderr")], ids=" ".join)
def test_files_are_written(gone: tuple[str, ...], tmp_path: Path) -> None:
    code, said = without_reader(*CONVERT, "--json", "found.json", cwd=tmp_path, gone=gone)
    assert code == 0
    assert sorted(os.listdir(tmp_path)) == ["found.json", "net.snn.onnx"]
    assert "error" not in said


def test_an_output_called_minus_is_dropped_too(tmp_path: Path) -> None:
    code, said = without_reader(*CONVERT, "--json", "-", cwd=tmp_path)
    assert code == 0
    assert "wrote net.snn.onnx" in said
    assert (tmp_path / "net.snn.onnx").exists()


@pytest.mark.parametrize("gone", ["stdout", "stderr"])
def test_what_is_refused_is_refused(gone: str, tmp_path: Path) -> None:
    code, said = without_reader("check", "missing.onnx", "--json", "-", cwd=tmp_path, gone=(gone,))
    assert code == 1
    assert "SNN101" in said
    assert without_reader("explain", "SNN000", cwd=tmp_path, gone=(gone,))[0] == 2


def test_readers_may_leave_in_the_middle(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "snnc", "explain"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.read(3) == b"SNN"
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait(120) == 0


@pytest.mark.parametrize("closing", [">&-", "2>&-", ">&- 2>&-"])
def test_streams_may_be_closed_from_the_start(closing: str, tmp_path: Path) -> None:
    command = ["sh", "-c", f'exec "$@" {closing}', "sh", sys.executable, "-m", "snnc", "explain"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.startswith("SNN") == (closing == "2>&-")
