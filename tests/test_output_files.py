"""Where outputs go: files are replaced whole or not at all, links are followed, devices and pipes are written to, `-`
is stdout, and a command that fails writes nothing."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from commands import CALIBRATED, DIGITS, FAST, Invoke, dense_model, process, refuse, save

import snnc
from snnc.api import SpikingModel
from snnc.diagnostics import DiagnosticError
from snnc.files import check_writable, write_atomically
from snnc.places import write_together

CONVERT = ("convert", "net.onnx", "--calib", "digits:train", *FAST)

# --- links, devices, pipes --------------------------------------------------------------------------------------------


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    real = tmp_path / "there" / "real.bin"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link, hollow = tmp_path / "link", tmp_path / "hollow"
    link.symlink_to("there/real.bin")
    hollow.symlink_to("there/new.bin")
    for path in (link, hollow):
        check_writable(path)
        write_atomically(path, b"new")
        assert path.is_symlink()
    assert real.read_bytes() == (tmp_path / "there" / "new.bin").read_bytes() == b"new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert sorted(os.listdir(tmp_path / "there")) == ["new.bin", "real.bin"]


def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "lost").symlink_to("missing/out.bin")
    for name in ("a", "lost"):
        for attempt in (check_writable, lambda path: write_atomically(path, b"")):
            with pytest.raises(DiagnosticError, match="SNN401"):
                attempt(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "lost"]


def test_devices_are_written_to(tmp_path: Path) -> None:
    """Behind a link, so that it is the link that suffers where the code is wrong."""
    (tmp_path / "null").symlink_to("/dev/null")
    check_writable(tmp_path / "null")
    write_atomically(tmp_path / "null", b"content")
    assert (tmp_path / "null").is_symlink()
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert os.listdir(tmp_path) == ["null"]


def test_pipes_are_written_to(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    check_writable(path)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(path.read_bytes()))
    reader.start()
    write_atomically(path, b"content" * 100_000)
    reader.join()
    assert found == [b"content" * 100_000]
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_no_file_is_written_where_the_reader_of_a_pipe_has_gone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = threading.Thread(target=lambda: os.close(os.open(tmp_path / "pipe", os.O_RDONLY)))
    reader.start()
    with pytest.raises(DiagnosticError, match="pipe: Broken pipe"):
        write_together([(tmp_path / "out", b"content"), (tmp_path / "pipe", b"more than a pipe holds" * 100_000)])
    reader.join()
    assert os.listdir(tmp_path) == ["pipe"]


def test_long_names(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    check_writable(path)
    write_atomically(path, b"content")
    assert path.read_bytes() == b"content"
    with pytest.raises(DiagnosticError, match="too long"):
        check_writable(tmp_path / ("n" * 256))


def test_all_files_or_none(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"old")
    (tmp_path / "two").mkdir()
    with pytest.raises(DiagnosticError, match="SNN401"):
        write_together([(tmp_path / "one", b"new"), (tmp_path / "missing" / "two", b"new")])
    assert (tmp_path / "one").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["one", "two"]


# --- stdout -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_a_network_on_stdout(tmp_path: Path, name: str) -> None:
    (tmp_path / "net.onnx").write_bytes(DIGITS.read_bytes())
    command = [sys.executable, "-m", "snnc", *CONVERT, "-o", name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert any(entry.key == "snnc.options" for entry in onnx.load_from_string(done.stdout).metadata_props)
    assert b"agreement with the ANN" in done.stderr
    assert os.listdir(tmp_path) == ["net.onnx"]


def test_outputs_on_stdout(invoke: Invoke, converted: Path) -> None:
    arguments = ("run", converted, "--input", "digits:test", "--steps", "4")
    logits = np.load(io.BytesIO(invoke(*arguments, "-o", "-").stdout_bytes))
    assert logits.shape == (500, 10)
    picture = invoke("eval", converted, "--data", "digits:test", "--samples", "4", "--plot", "-").stdout_bytes
    assert picture.startswith(b"\x89PNG")
    assert "stdout" in refuse(invoke, "SNN401", *arguments, "-o", "-", "--json", "-").stderr
    assert "neither a FILE nor -" in invoke(*arguments, "-o", "-q", exit_code=2).stderr
    assert os.listdir() == ["net.onnx"]


# --- nothing is written where a command fails -------------------------------------------------------------------------


def test_reports_are_left_alone_where_a_command_fails(invoke: Invoke, tmp_path: Path) -> None:
    save(dense_model(bias=True), tmp_path / "biased.onnx")
    Path("report.json").write_text("of an earlier run")
    for command in ("convert", "check"):
        refuse(invoke, "SNN201", command, "biased.onnx", "--json", "report.json")
    assert Path("report.json").read_text() == "of an earlier run"
    printed = invoke("check", "biased.onnx", "--json", "-", exit_code=1)
    assert json.loads(printed.stdout)["convertible"] is False


def test_no_output_is_written_where_another_cannot_be(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is there when the command begins, and gone when it is done."""
    Path("folder").mkdir()
    convert = snnc.convert

    def slow(*arguments: Any, **options: Any) -> SpikingModel:
        model = convert(*arguments, **options)
        Path("folder").rmdir()
        return model

    monkeypatch.setattr("snnc.api.convert", slow)
    result = invoke(*CONVERT, "--json", "folder/report.json", exit_code=1)
    assert "error[SNN401] folder/report.json: No such file or directory" in result.stderr
    assert "wrote" not in result.output
    assert sorted(os.listdir()) == ["net.onnx", "net.snn.onnx.resume"]  # to go on from


@pytest.mark.parametrize(
    "wrong",
    [
        ("--plot", "plot.docx"),
        ("--plot", "missing/plot.png"),
        ("--json", "missing/report.json"),
        ("--neurobench", "/"),
        ("--neurobench", "/dev/mem/x"),
    ],
)
def test_outputs_are_checked_before_any_work(invoke: Invoke, converted: Path, wrong: tuple[str, str]) -> None:
    """The data are not even looked for."""
    result = invoke("eval", converted, "--data", "nowhere.npz", *wrong, exit_code=2 if wrong[1] == "/" else 1)
    assert "nowhere" not in result.stderr
    assert wrong[1] in result.stderr


def test_a_device_has_no_file_to_go_on_from(invoke: Invoke) -> None:
    os.symlink("/dev/null", "null.onnx")
    invoke(*CONVERT, "-o", "null.onnx")
    assert os.readlink("null.onnx") == "/dev/null"
    assert not Path("/dev/null.resume").exists()


# --- letters that an encoding has not ---------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_any_encoding(tmp_path: Path, converted: Path, encoding: str) -> None:
    (tmp_path / "net.onnx").write_bytes(DIGITS.read_bytes())
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    commands: tuple[tuple[str | Path, ...], ...] = (
        ("passes",),
        ("convert", "net.onnx", "-v", *CALIBRATED),
        ("bench", converted, "--batch", "1", "--steps", "4", "--repeats", "1"),
    )
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "snnc", *command], cwd=tmp_path, env=environment, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
        (done.stdout + done.stderr).decode(encoding)


def test_names_that_are_no_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"n\xff\xe4.npz")
    np.savez(tmp_path / name, x=np.random.default_rng(0).random((40, 1, 8, 8), np.float32))
    (tmp_path / "net.onnx").write_bytes(DIGITS.read_bytes())
    command = [sys.executable, "-m", "snnc", "convert", "net.onnx", "--calib", name, *FAST[:4], "--json", "-"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["calibration"]["data"] == name
    assert os.fsencode(name) in done.stderr
    assert process("run", "net.snn.onnx", "--input", name, "--steps", "4", "-q", cwd=tmp_path).returncode == 0
