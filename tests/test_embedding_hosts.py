"""The hosts of examples/embedding give what `SpikingSession` and `StreamSession` give, and clear errors."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import onnxruntime
import pytest
from native_build import run

import snnc
from snnc.runtime import SpikingSession, StreamSession
from snnc.runtime.library import library_path

EXAMPLES = Path(__file__).parent.parent / "examples" / "embedding"
SANITIZERS = "-O0 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all"
FLAGS = {
    "release": {"CFLAGS": "-Werror", "CXXFLAGS": "-Werror"},
    "sanitized": {"CFLAGS": f"-Werror {SANITIZERS}", "CXXFLAGS": f"-Werror {SANITIZERS}"},
}
HOSTS = ["python", *(f"{language} {build}" for language in ("c", "cpp") for build in FLAGS)]
STEPS, SEED, SAMPLES = 100, 7, 3  # two blocks

COUNTS = ("spike_totals", "synaptic_operations", "steps_used")

Printed = list[dict[str, list[float]]]


def require_sanitizers(folder: Path) -> None:
    """Skip where programs with them cannot be built or do not run."""
    (folder / "empty.c").write_text("int main(void) { return 0; }\n")
    compiler = shutil.which(os.environ.get("CC", "cc")) or pytest.skip("no C compiler")
    command = [compiler, *SANITIZERS.split(), str(folder / "empty.c"), "-o", str(folder / "empty")]
    if run(command).returncode != 0 or run([str(folder / "empty")]).returncode != 0:
        pytest.skip("programs with sanitizers cannot be built or do not run here")


def commands(start: str) -> list[str]:
    """The commands of the README that begin like this."""
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    lines = "".join(re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)).splitlines()
    found = [line for line in lines if line.startswith(start)]
    assert found, start
    return found


def in_shell(lines: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run commands of the README, with the `python` and the `snnc` of the tests."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return run(["sh", "-c", 'set -e; cd "$0"\n' + "\n".join(lines), str(folder)], PATH=path, **environment)


def built(language: str, build: str, folder: Path) -> Path:
    """The program of examples/embedding/c or cpp, by the commands of the README; a warning fails the test."""
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    if shutil.which(os.environ.get("CC", "cc")) is None or shutil.which(os.environ.get("CXX", "c++")) is None:
        pytest.skip("no C and C++ compiler")
    if not list((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*")):
        pytest.skip("the Python package of onnxruntime has no shared library here")
    if build == "sanitized":
        require_sanitizers(folder)
    for part in ("common", language):
        shutil.copytree(EXAMPLES / part, folder / part)
    lines = [
        *commands("ONNXRUNTIME="),
        *commands(f"cmake -S {language} "),
        *commands(f"cmake --build build/{language}"),
    ]
    if build == "sanitized":
        lines = [line.replace("-DONNX", "-DCMAKE_BUILD_TYPE=None -DONNX") for line in lines]
    result = in_shell([line for line in lines if "cpp" not in line or language == "cpp"], folder, **FLAGS[build])
    assert (result.returncode, result.stderr) == (0, ""), result.stdout + result.stderr
    return folder / "build" / language / "host"


@pytest.fixture(scope="module", params=HOSTS)
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of a host."""
    if request.param == "python":
        return [sys.executable, str(EXAMPLES / "python" / "host.py")]
    language, build = request.param.split()
    return [str(built(language, build, tmp_path_factory.mktemp("host")))]


def ann(*, named: bool = True) -> onnx.ModelProto:
    """Convolutions, pooling, a junction and two outputs; names that JSON must escape."""
    model = networks.small().model()
    for number, node in enumerate(model.graph.node if named else []):
        node.name = f'Schicht "{number}" \\ é 😀'
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network in every form, and images."""
    folder = tmp_path_factory.mktemp("networks")
    model, images = ann(), networks.images_for(ann(), 24, seed=1)
    files: dict[str, dict[str, Any]] = {
        "loop": {},
        "required": {"controls": "required"},
        "unrolled": {"schedule": "unrolled"},
        "stream": {"schedule": "stream"},
    }
    for name, options in files.items():
        given: dict[str, Any] = {
            "steps": STEPS,
            "calib_steps": 16,
            "accept_poor": True,
            "seed": SEED,
            "relaxed": True,
            **options,
        }
        snnc.convert(model, calib=images, **given).save(folder / f"{name}.snn.onnx")
    frames = snnc.convert(model, calib=images, method="exact", levels=6, schedule="stream", accept_poor=True)
    frames.save(folder / "frames.snn.onnx")
    np.save(folder / "images.npy", images[:SAMPLES].astype(np.float32))
    return folder


def results(text: str) -> Printed:
    """What a host printed: for each sample its values by name."""
    samples: Printed = []
    for line in text.splitlines():
        if re.fullmatch(r"(sample|frame) \d+", line):
            assert line.endswith(f" {len(samples)}")
            samples.append({})
        else:
            name, values = line.strip().rsplit(":", 1)
            # Nine digits are exactly one float32; counts are integers.
            samples[-1][name] = [int(v) if name in COUNTS else float(np.float32(v)) for v in values.split()]
    return samples


def expected(folder: Path, form: str, steps: int, seed: int) -> Printed:
    """The same from Python."""
    images = np.load(folder / "images.npy")
    if form == "frames":
        session = StreamSession(folder / "frames.snn.onnx")
        frames = [session.feed(images[i : i + 1]) for i in range(SAMPLES)]
        totals = [
            {"spike_totals": f.spikes, "synaptic_operations": f.synaptic_operations, "steps_used": f.steps}
            for f in frames
        ]
        rows = [{**frame.outputs, **more} for frame, more in zip(frames, totals, strict=True)]
        return [{name: [float(v) for v in np.ravel(value)] for name, value in row.items()} for row in rows]
    result = SpikingSession(folder / "loop.snn.onnx").run(images, steps, seed=seed)
    values = {
        **result.outputs,
        "spike_totals": result.spike_totals,
        "synaptic_operations": result.synaptic_operations,
    }
    return [{name: [float(v) for v in np.ravel(value[i])] for name, value in values.items()} for i in range(SAMPLES)]


CALLS: dict[str, tuple[str, list[str], int, int]] = {
    "loop, its own steps and seed": ("loop", [], STEPS, SEED),
    "loop, chosen": ("loop", ["--steps", "70", "--seed", "3"], 70, 3),
    "controls that must be fed": ("required", ["--steps", "70", "--seed", "3"], 70, 3),
    "unrolled": ("unrolled", ["--seed", "3"], STEPS, 3),
    "stream": ("stream", ["--steps", "70", "--seed", "3"], 70, 3),
    "frames": ("frames", [], 0, 0),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_host_gives_what_python_gives(
    host: list[str], folder: Path, call: str, request: pytest.FixtureRequest
) -> None:
    form, options, steps, seed = CALLS[call]
    files = [str(folder / f"{form}.snn.onnx"), str(folder / "images.npy")]
    native = run([*host, *files, *options, "--library", str(library_path())])
    assert (native.returncode, native.stderr) == (0, "")
    assert results(native.stdout) == expected(folder, form, steps, seed)
    assert any(sum(sample["spike_totals"]) for sample in results(native.stdout))
    if request.node.callspec.params["host"].endswith("sanitized"):
        return  # the host does the same, whatever the session computes with
    functions = run([*host, *files, *options])
    assert (functions.returncode, functions.stderr) == (0, "")
    assert functions.stdout == native.stdout


def write_bad_files(folder: Path) -> None:
    """What is no network, and what are no images."""
    images = np.load(folder / "images.npy")
    np.save(folder / "flat.npy", images.reshape(SAMPLES, -1))
    np.save(folder / "wide.npy", np.repeat(images, 2, 3))
    np.save(folder / "double.npy", images.astype(np.float64))
    np.save(folder / "none.npy", images[:0])
    np.save(folder / "scalar.npy", np.float32(1))
    np.save(folder / "nan.npy", np.where(images == images.flat[5], np.nan, images).astype(np.float32))
    content = (folder / "images.npy").read_bytes()
    (folder / "short.npy").write_bytes(content[:-4])
    (folder / "cut.npy").write_bytes(content[:20])
    (folder / "empty.npy").write_bytes(b"")
    huge = content.replace(b"(3, 2, 6, 6)", b"(9999999999, 9999999999, 9999999999)")
    (folder / "huge.npy").write_bytes(huge[:8] + bytes([huge[8] + len(huge) - len(content)]) + huge[9:])
    onnx.save(ann(named=False), folder / "ann.onnx")
    broken = onnx.load(folder / "stream.snn.onnx")
    for entry in broken.metadata_props:
        if entry.key == "snnc.states":
            entry.value = entry.value[: len(entry.value) // 2]
    onnx.save(broken, folder / "broken.snn.onnx")


#: Network, images, options, and what the message says.
BAD: dict[str, tuple[str, str, list[str], str]] = {
    "no network": ("nothing.snn.onnx", "images.npy", [], "nothing.snn.onnx"),
    "another file as the network": ("images.npy", "images.npy", [], "images.npy failed"),
    "the ANN": ("ann.onnx", "images.npy", [], "is no network converted by snnc"),
    "damaged metadata": ("broken.snn.onnx", "images.npy", ["--steps", "4"], "cannot be read|Unterminated|Expecting"),
    "no images": ("loop.snn.onnx", "nothing.npy", [], "[Nn]o such file"),
    "another file as images": ("loop.snn.onnx", "ann.onnx", [], "no .npy file"),
    "an empty file": ("loop.snn.onnx", "empty.npy", [], "no .npy file"),
    "too few axes": ("loop.snn.onnx", "flat.npy", [], r"\[N, 2, 6, 6\]"),
    "another shape": ("loop.snn.onnx", "wide.npy", [], r"\[N, 2, 6, 6\]"),
    "a scalar": ("loop.snn.onnx", "scalar.npy", [], r"\[N, 2, 6, 6\]"),
    "float64": ("loop.snn.onnx", "double.npy", [], "must be float32"),
    "nothing in it": ("loop.snn.onnx", "none.npy", [], "no images"),
    "NaN": ("loop.snn.onnx", "nan.npy", [], "NaN"),
    "cut elements": ("loop.snn.onnx", "short.npy", [], "shorter|215 elements"),
    "a cut header": ("loop.snn.onnx", "cut.npy", [], "no .npy file"),
    "a size beyond memory": ("loop.snn.onnx", "huge.npy", [], "shorter|no .npy file"),
    "no library": ("loop.snn.onnx", "images.npy", ["--library", "./nothing.so"], "nothing.so"),
    "no steps": ("loop.snn.onnx", "images.npy", ["--steps", "0"], "steps must be from 1 to 4096"),
    "too many steps": ("stream.snn.onnx", "images.npy", ["--steps", "4097"], "steps must be from 1 to 4096"),
    "steps of a stream": ("stream.snn.onnx", "images.npy", [], "give --steps"),
    "steps that must be fed": ("required.snn.onnx", "images.npy", [], "give --steps"),
    "steps that are fixed": ("unrolled.snn.onnx", "images.npy", ["--steps", "8"], "steps is fixed in this file"),
    "steps of frames": ("frames.snn.onnx", "images.npy", ["--steps", "8"], "no --steps"),
}


@pytest.mark.parametrize("host", [name for name in HOSTS if "release" not in name], indirect=True)
@pytest.mark.parametrize("what", BAD)
def test_bad_input_gives_a_message(host: list[str], folder: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network, images, options, message = BAD[what]
    monkeypatch.chdir(folder)
    if not Path("broken.snn.onnx").exists():
        write_bad_files(folder)
    result = run([*host, network, images, *options])
    assert (result.returncode, result.stdout) == (1, ""), result.stderr
    assert re.fullmatch(f"error: .*(?:{message}).*\n", result.stderr, re.DOTALL), result.stderr
    assert "Sanitizer" not in result.stderr


@pytest.mark.parametrize(
    "words", [["net.snn.onnx"], ["a", "b", "c"], ["a", "b", "--unknown", "1"], ["a", "b", "--steps"]]
)
def test_bad_arguments_show_how_it_is_called(host: list[str], words: list[str]) -> None:
    result = run([*host, *words])
    assert result.returncode in (1, 2)
    assert re.match("(error: )?usage: host", result.stderr), result.stderr
    number = run([*host, "a", "b", "--steps", "8x"])
    assert number.returncode in (1, 2)
    assert "8x" in number.stderr


def test_the_commands_of_the_readme_run(folder: Path) -> None:
    """Those in Python; the fixture `host` builds with the others, and the tests above run what they build."""
    work = folder / "readme"
    shutil.copytree(EXAMPLES / "python", work / "python")
    shutil.copy(folder / "loop.snn.onnx", work / "net.snn.onnx")
    shutil.copy(folder / "images.npy", work / "images.npy")
    lines = commands("python ")
    result = in_shell([lines[0], lines[1] + " --pairs 2"], work)
    assert (result.returncode, result.stderr) == (0, "")
    assert re.search(r"\nratio: \d+\.\d \(from \d+\.\d to \d+\.\d\), 2 pairs\n$", result.stdout)
    for line in commands("build/"):
        assert re.fullmatch(
            r'build/(c|cpp)/host net.snn.onnx images.npy( --(steps|seed) \d+)*( --library "\S+ \S+")?', line
        )


def test_the_python_host_needs_onnxruntime_and_numpy_alone() -> None:
    tree = ast.parse((EXAMPLES / "python" / "host.py").read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported - set(sys.stdlib_module_names) == {"numpy", "onnxruntime"}


def slots(header: str) -> dict[str, int]:
    """The place of every function that the hosts' own header declares."""
    table = header[header.index("typedef struct OrtApi {") : header.index("} OrtApi;")]
    found, place = {}, 0
    for unused, name in re.findall(r"SnncUnused unused_\d+\[(\d+)\];|\(\*(\w+)\)\(", table):
        if name:
            found[name] = place
        place += int(unused or 1)
    return found


def test_both_declarations_of_the_function_table_agree() -> None:
    """The hosts' header against what the library of operators declares; both name the place of a function."""
    own = slots((EXAMPLES / "common" / "onnxruntime" / "onnxruntime_c_api.h").read_text(encoding="utf-8"))
    text = (EXAMPLES.parent.parent / "runtime" / "native" / "ort_abi.hpp").read_text(encoding="utf-8")
    library = {name: int(slot) for slot, name in re.findall(r"Function<(\d+), .*?>\s+(\w+)\{\};", text, re.DOTALL)}
    shared = own.keys() & library.keys()
    assert len(shared) > 6
    assert {name: own[name] for name in shared} == {name: library[name] for name in shared}
    assert own["RegisterCustomOpsLibrary_V2"] == 228
