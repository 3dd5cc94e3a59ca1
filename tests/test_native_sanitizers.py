"""The C++ kernels alone: exact checks, under sanitizers and at every vector width of this machine."""

from __future__ import annotations

import itertools
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from native_build import build_program, kernel_sources, layer_sources, run

SANITIZERS = ["-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
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


def require_sanitizers(folder: Path) -> None:
    source = folder / "empty.cpp"
    source.write_text("int main() { return 0; }\n")
    built = run([compiler(), *SANITIZERS, str(source), "-o", str(folder / "empty")])
    if built.returncode != 0:
        pytest.skip("the compiler lacks the sanitizers")
    if run([str(folder / "empty")]).returncode != 0:
        pytest.skip("programs with sanitizers do not run here")


@pytest.mark.parametrize("extra", [[], NO_CLONES], ids=["dispatched", "baseline"])
def test_kernels_are_exact_and_clean_under_sanitizers(extra: list[str], tmp_path: Path) -> None:
    require_sanitizers(tmp_path)
    result = run([str(build_program(compiler(), kernel_sources(), [*SANITIZERS, *extra], tmp_path))])
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("flags", "features"),
    [([], set()), (NO_CLONES, set()), (V3, {"avx2", "bmi2", "fma"}), (V4, V4_FEATURES)],
    ids=["dispatched", "baseline", "x86-64-v3", "x86-64-v4"],
)
def test_kernels_are_exact_at_every_vector_width(flags: list[str], features: set[str], tmp_path: Path) -> None:
    if not features <= cpu_features():
        pytest.skip("this CPU lacks the instructions")
    result = run([str(build_program(compiler(), kernel_sources(), [*OPTIMISED, *flags], tmp_path))])
    assert (result.returncode, result.stderr) == (0, "")


# --- event-driven layers ----------------------------------------------------------------------------------------------

# Values of SNNC_SIMD, and the CPU features that they need.
VECTOR_UNITS: dict[str, set[str]] = {
    "portable": set(),
    "avx2": {"avx2", "bmi1", "bmi2"},
    "avx512": {*V4_FEATURES, "bmi2", "avx512_vnni", "avx512vbmi", "avx512_vbmi2", "avx512_vpopcntdq"},
}
KERNELS = ["gather", "chunk", "table", "sparse", ""]
RUNS = [*itertools.product(VECTOR_UNITS, KERNELS)]


@dataclass(frozen=True)
class Build:
    """Flags of a build, how many random layers it runs, how many runs share them, and whether it watches threads."""

    flags: tuple[str, ...]
    layers: int
    shares: int
    threads: bool = False


# As it is built for users, the library is held against the reference by `test_spiking_layer_kernels.py`.
BUILDS = {
    "address": Build(tuple(SANITIZERS), 60, 4),
    # Without clones: the loader chooses them before the sanitizer is there, and its calls in that choice crash.
    "thread": Build(("-O1", "-g1", "-fsanitize=thread", *NO_CLONES), 24, 2 * len(KERNELS), threads=True),
}


def fixed_addresses() -> list[str]:
    """The command before a program with the thread sanitizer: randomised addresses may lie where it has its own."""
    command = [shutil.which("setarch") or "", "-R"]
    return command if command[0] and run([*command, "true"]).returncode == 0 else []


@pytest.fixture(scope="module", params=BUILDS)
def layers_test(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Build]:
    """How to run tests/native/layers_test.cpp as built with one set of flags."""
    build, folder = BUILDS[request.param], tmp_path_factory.mktemp(request.param)
    start = fixed_addresses() if request.param == "thread" else []
    empty = folder / "empty.cpp"
    empty.write_text("int main() { return 0; }\n")
    command = [compiler(), *build.flags, str(empty), "-o", str(folder / "empty")]
    if run(command).returncode != 0 or run([*start, str(folder / "empty")]).returncode != 0:
        pytest.skip("programs with this sanitizer cannot be built or do not run here")
    return [*start, str(build_program(compiler(), layer_sources(), build.flags, folder))], build


@pytest.mark.parametrize(("unit", "kernel"), RUNS, ids=[f"{unit}-{kernel or 'chosen'}" for unit, kernel in RUNS])
def test_layers_are_exact_and_clean(layers_test: tuple[list[str], Build], unit: str, kernel: str) -> None:
    if not VECTOR_UNITS[unit] <= cpu_features():
        pytest.skip("this CPU lacks the instructions")
    program, build = layers_test
    if build.threads and unit != ("avx2" if VECTOR_UNITS["avx2"] <= cpu_features() else "portable"):
        pytest.skip("threads share the same memory at every vector width")
    share = RUNS.index((unit, kernel))
    result = run([*program, str(build.layers), "0", str(build.shares), str(share)], SNNC_SIMD=unit, SNNC_KERNEL=kernel)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    name, counts = result.stdout.split(":")
    layers = {kind: int(number) for number, kind in map(str.split, counts.split(","))}
    assert name == unit
    assert layers[kernel or "gather"] > 0
