"""The C++ kernels alone: exact checks, under sanitizers and at every vector width of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "native" / "kernels_test.cpp"
FLAGS = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fno-trapping-math", "-ffp-contract=off"]
SANITIZERS = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
OPTIMISED = ["-O3"]
NO_CLONES = ["-DSNNC_NO_VECTOR_CLONES"]
V3 = [*NO_CLONES, "-march=x86-64-v3"]
V4_EXTENSIONS = ["-mavx512vnni", "-mavx512vbmi", "-mavx512vbmi2", "-mavx512vpopcntdq"]
V4 = [*NO_CLONES, "-march=x86-64-v4", "-mprefer-vector-width=512", *V4_EXTENSIONS]
V4_FEATURES = {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
V4_FEATURES |= {"avx512_vnni", "avx512vbmi", "avx512_vbmi2", "avx512_vpopcntdq"}


def compiler() -> str:
    found = shutil.which(os.environ.get("CXX", "c++"))
    if found is None:
        pytest.skip("no C++ compiler")
    return found


def cpu_features() -> set[str]:
    """Feature flags of this CPU as Linux names them; empty where there is no such list."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith("flags") for flag in line.split()}


def build_and_run(source: Path, flags: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    program = folder / "program"
    command = [compiler(), *FLAGS, *flags, str(source), "-o", str(program)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return subprocess.run([str(program)], capture_output=True, text=True)


def require_sanitizers(folder: Path) -> None:
    source = folder / "empty.cpp"
    source.write_text("int main() { return 0; }\n")
    try:
        result = build_and_run(source, SANITIZERS, folder)
    except subprocess.CalledProcessError:
        pytest.skip("the compiler lacks the sanitizers")
    if result.returncode != 0:
        pytest.skip("programs with sanitizers do not run here")


@pytest.mark.parametrize("extra", [[], NO_CLONES], ids=["dispatched", "baseline"])
def test_kernels_are_exact_and_clean_under_sanitizers(extra: list[str], tmp_path: Path) -> None:
    require_sanitizers(tmp_path)
    result = build_and_run(SOURCE, [*SANITIZERS, *extra], tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("flags", "features"),
    [([], set()), (NO_CLONES, set()), (V3, {"avx2", "bmi2", "fma"}), (V4, V4_FEATURES)],
    ids=["dispatched", "baseline", "x86-64-v3", "x86-64-v4"],
)
def test_kernels_are_exact_at_every_vector_width(flags: list[str], features: set[str], tmp_path: Path) -> None:
    if not features <= cpu_features():
        pytest.skip("this CPU lacks the instructions")
    result = build_and_run(SOURCE, [*OPTIMISED, *flags], tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
