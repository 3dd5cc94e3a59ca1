"""Compiles C++ tests and the native library outside of the package's build."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
NATIVE = ROOT / "runtime" / "native"
KERNELS_TEST = ROOT / "tests" / "native" / "kernels"
LAYERS_TESTS = [ROOT / "tests" / "native" / f"{name}_test.cpp" for name in ("layers", "graded", "graded_pools")]

# What setup.py compiles the library with, and every warning an error.
FLAGS = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fno-trapping-math", "-ffp-contract=off"]


def kernel_sources() -> list[Path]:
    """The program that tests the kernels of single operators."""
    return sorted(KERNELS_TEST.glob("*.cpp"))


def layer_sources() -> list[Path]:
    """The event-driven layers and the program that tests them."""
    kernels = [source for room in ("layers", "graded") for source in sorted((NATIVE / "kernels" / room).glob("*.cpp"))]
    return [*kernels, *LAYERS_TESTS]


def library_sources() -> list[Path]:
    return sorted(NATIVE.rglob("*.cpp"))


def compile_objects(compiler: str, sources: Sequence[Path], flags: Sequence[str], folder: Path) -> list[Path]:
    """One object file for each source, several at a time. A compiler that fails or warns fails the test."""

    def compile_one(numbered: tuple[int, Path]) -> Path:
        number, source = numbered
        target = folder / f"{number}-{source.stem}.o"
        result = run([compiler, *FLAGS, *flags, "-c", str(source), "-o", str(target)])
        assert (result.returncode, result.stderr) == (0, ""), f"{source}\n{result.stderr}"
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile_one, enumerate(sources)))


def build_program(compiler: str, sources: Sequence[Path], flags: Sequence[str], folder: Path) -> Path:
    program = folder / "program"
    objects = compile_objects(compiler, sources, flags, folder)
    linked = run([compiler, *flags, *map(str, objects), "-o", str(program), "-pthread"])
    assert linked.returncode == 0, linked.stderr
    return program


def run(command: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command with more environment variables, and keeps what it prints."""
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
