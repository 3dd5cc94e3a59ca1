"""The native library for another architecture and by another compiler, as far as they are installed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from native_build import build_program, compile_objects, kernel_sources, layer_sources, library_sources, run


def require(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def test_everything_compiles_for_aarch64(tmp_path: Path) -> None:
    compiler = require("aarch64-linux-gnu-g++")
    compile_objects(compiler, library_sources(), ["-O1", "-fPIC", "-fvisibility=hidden"], tmp_path)


def test_kernels_are_exact_on_aarch64(tmp_path: Path) -> None:
    emulator = require("qemu-aarch64-static")
    program = build_program(require("aarch64-linux-gnu-g++"), kernel_sources(), ["-O2", "-static"], tmp_path)
    result = run([emulator, str(program)])
    assert (result.returncode, result.stderr) == (0, ""), result.stdout


def test_layers_are_exact_on_aarch64(tmp_path: Path) -> None:
    emulator = require("qemu-aarch64-static")
    program = build_program(require("aarch64-linux-gnu-g++"), layer_sources(), ["-O2", "-static"], tmp_path)
    result = run([emulator, str(program), "150", "0", "4"])
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    assert result.stdout.startswith("portable:")


def test_everything_compiles_with_clang(tmp_path: Path) -> None:
    compile_objects(require("clang++"), library_sources(), ["-O1", "-fPIC", "-fvisibility=hidden"], tmp_path)


def test_kernels_are_exact_with_clang(tmp_path: Path) -> None:
    result = run([str(build_program(require("clang++"), kernel_sources(), ["-O2"], tmp_path))])
    assert (result.returncode, result.stderr) == (0, "")


def test_layers_are_exact_with_clang(tmp_path: Path) -> None:
    program = build_program(require("clang++"), layer_sources(), ["-O2"], tmp_path)
    result = run([str(program)])
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
