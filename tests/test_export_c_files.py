"""The files of exported C: what they say of memory, the example, what is refused, the command."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import c_programs
import exact_networks
import networks
import numpy as np
import pytest
from commands import Invoke

import snnc
from snnc.api.exporting_c import export_c
from snnc.api.model import open_converted
from snnc.diagnostics import DiagnosticError
from snnc.export.c import planner
from snnc.export.c.integers import BYTES, potential_type, runs
from snnc.export.c.memory import place
from snnc.export.c.program import Identifiers, Scratch, shown

Choices = dict[str, Any]


@c_programs.needs_compiler
def test_memory_is_what_is_said(tmp_path: Path) -> None:
    """Constants by the symbols of the object file; README tells the same numbers."""
    export = c_programs.exported(networks.emit(c_programs.pooled(), per_channel=True, neurons="table"))
    export.save(tmp_path)
    c_programs.compile_objects(tmp_path, "net_weights.c")
    listed = subprocess.run(["nm", "-S", "net_weights.o"], cwd=tmp_path, capture_output=True, text=True, check=True)
    sizes = {line.split()[3]: int(line.split()[1], 16) for line in listed.stdout.splitlines()}
    program = export.program
    assert sizes == {f"net_{constant.name}": constant.bytes for constant in program.constants}
    assert sum(sizes.values()) == program.flash_bytes
    text = export.files["README.md"]
    assert f"all constants: {program.flash_bytes:,} bytes" in text
    assert f"`net_state`: {program.struct_bytes:,} bytes" in text
    rows = {
        match[1]: (match[2], match[3]) for match in re.finditer(r"^\| (\S+) \| ([\d,]+) \| ([\d,]+) \|$", text, re.M)
    }
    flash, states = (sum(int(row[column].replace(",", "")) for row in rows.values()) for column in (0, 1))
    assert (flash, states) == (program.flash_bytes, program.state_bytes - 4)  # the number of steps is of no layer


@c_programs.needs_compiler
@pytest.mark.parametrize("method", ["rmp", "exact"])
def test_the_example_finds_what_snnc_found(method: str, tmp_path: Path) -> None:
    """From pixels, through the table of the encoder; and it notices another weight."""
    pixels = (255 * np.random.default_rng(1).random((20, 2, 6, 6))).astype(np.uint8)
    preparation = snnc.data.Preparation(mean=(0.4, 0.5), std=(0.3, 0.2))
    ann = exact_networks.body("max-pool and biases")
    options: Choices = (
        {} if method == "exact" else {"bias": "current", "max_pool": "exact", "calib_steps": 20, "steps": 30}
    )
    model = snnc.convert(ann, calib=pixels, preparation=preparation, method=method, accept_poor=True, **options)
    export = snnc.export_c(model, name="tiny")
    export.save(tmp_path)
    done = c_programs.make(tmp_path, "check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("as in snnc\n")
    own = subprocess.run(["./example", "-"], cwd=tmp_path, input="200 " * 72, capture_output=True, text=True)
    assert own.returncode == 0
    short = subprocess.run(["./example", "-"], cwd=tmp_path, input="200 256", capture_output=True, text=True)
    assert short.returncode == 2
    assert "number 2 of 72" in short.stderr
    weights = tmp_path / "tiny_weights.c"
    first = next(constant for constant in export.program.constants if constant.name.startswith("weight"))
    weights.write_text(changed(weights.read_text(), f"tiny_{first.name}"))
    assert c_programs.make(tmp_path, "check").returncode != 0


def changed(text: str, array: str) -> str:
    """The C with an array of another sign."""
    head, body = text.split(f"{array}[", 1)
    numbers, rest = body.split("};", 1)
    start, values = numbers.split("{", 1)
    negated = ", ".join(str(-int(value)) for value in values.split(",") if value.strip())
    return f"{head}{array}[{start}{{{negated}}};{rest}"


@c_programs.needs_compiler
def test_other_compilers_and_instances(tmp_path: Path) -> None:
    """clang has no warnings either; two networks have names of their own, in C++ too."""
    conversion = networks.emit(c_programs.signal(), coding="direct")
    for name, compiler in (("ears", None), ("eyes", shutil.which("clang"))):
        export = c_programs.exported(conversion, name=name)
        folder = tmp_path / name
        c_programs.build(export, folder, "-O2", compiler=compiler)
        assert all(re.match(rf"({name}|main|README|Makefile)", file) for file in export.files)


def test_what_no_c_can_do_is_refused(tmp_path: Path) -> None:
    """All of it at once, with rule, node, operator, shape and hint."""
    model = c_programs.exported_model(networks.emit(c_programs.signal()))
    file = open_converted(model)
    graph = file.calibrated()
    for node in graph.nodes:
        if node.op in ("Conv", "SpikeMaxPool"):
            node.op, node.domain = f"Other{node.op}", "com.example"
    with pytest.raises(DiagnosticError) as caught:
        planner.check(graph)
    found = caught.value.diagnostics
    assert [each.rule.code for each in found] == ["SNN423"] * 3
    assert {each.op for each in found} == {"OtherConv", "OtherSpikeMaxPool"}
    assert all(each.node and each.shape and "plug-in" in each.hint for each in found)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"name": "a-b"}, "SNN405"),
        ({"name": ""}, "SNN405"),
        ({"name": "int"}, "SNN405"),
        ({"most_steps": 0}, "SNN404"),
        ({"most_steps": 10**9}, "SNN404"),
        ({"most_steps": 1.5}, "SNN405"),
    ],
)
def test_bad_arguments(options: Choices, code: str) -> None:
    model = c_programs.exported_model(networks.emit(networks.perceptron([3]).model()))
    with pytest.raises(DiagnosticError) as caught:
        export_c(model, **options)
    assert [each.rule.code for each in caught.value.diagnostics] == [code]


def test_networks_that_settle_need_no_number_of_steps() -> None:
    """Their types are those for any number, and a number that is given is refused."""
    model = exact_networks.converted(exact_networks.body("max-pool and biases"))
    with pytest.raises(DiagnosticError, match=r"SNN405.*needs no number\n.*leave `most_steps` away"):
        export_c(model, most_steps=10)
    program = export_c(model).program
    assert program.most_steps is None
    graph = open_converted(model).calibrated()
    neurons = [node for node in graph.nodes if node.op == "Staircase"]
    assert neurons
    for neuron in neurons:
        assert potential_type(neuron, None) == potential_type(neuron, 2**25)
        assert BYTES[potential_type(neuron, 1)] <= BYTES[potential_type(neuron, None)]


def test_a_folder_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    export = c_programs.exported(networks.emit(networks.perceptron([3]).model()))
    (tmp_path / "file").write_text("mine")
    (tmp_path / "taken" / "net.c").mkdir(parents=True)
    for taken in ("file", "nothing/here", "taken"):
        with pytest.raises(DiagnosticError) as caught:
            export.save(tmp_path / taken)
        assert [each.rule.code for each in caught.value.diagnostics] == ["SNN401"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "net.c", "taken"]
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "mine.c").write_text("mine")
    export.save(tmp_path / "kept")
    export.save(tmp_path / "kept")
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == sorted([*export.files, "mine.c"])


@pytest.mark.parametrize("header", [None, "#define NET 1\n"])
def test_files_of_others_are_not_replaced(header: str | None, tmp_path: Path) -> None:
    export = c_programs.exported(networks.emit(networks.perceptron([3]).model()))
    (tmp_path / "Makefile").write_text("mine")
    if header is not None:
        (tmp_path / "net.h").write_text(header)
    before = {path: path.read_text() for path in tmp_path.iterdir()}
    with pytest.raises(DiagnosticError, match=r"SNN401.*Makefile") as caught:
        export.save(tmp_path)
    assert len(caught.value.diagnostics) == 1
    assert {path: path.read_text() for path in tmp_path.iterdir()} == before


def test_names_of_c_are_safe() -> None:
    identifiers = Identifiers()
    names = ["/1/Relu", "1.Relu", "", "ü", "a*/b", "a b", "A_B", "x" * 100, "x" * 101]
    found = [identifiers.of(name) for name in names]
    assert len({name.lower() for name in found}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_]+", name) for name in found)
    assert identifiers.of("/1/Relu") == found[0]
    for text in ("*/", "/*", "a\nb", "\\", "ü"):
        assert not re.search(r"\*/|/\*|[^ -~]|\\", shown(text))


def test_scratch_memory_is_shared_by_what_is_not_needed_at_once() -> None:
    def piece(count: int, born: int, dies: int, ctype: str = "int8_t") -> Scratch:
        return Scratch("", ctype, count, born, dies)

    pieces = [piece(10, 0, 2), piece(6, 1, 3), piece(8, 3, 4), piece(2, 4, 4), piece(5, 0, 9, "int32_t")]
    place(pieces)
    assert [each.offset for each in pieces] == [0, 10, 0, 8, 0]


@pytest.mark.parametrize("values", [[[1, 1], [1, 1]], [[1, 1], [2, 2]], [[1, 2], [1, 2]]])
def test_runs_of_equal_neighbours(values: list[list[int]]) -> None:
    each, size = runs(np.array(values), (2, 2))
    assert np.repeat(each, size).tolist() == np.array(values).reshape(-1).tolist()
    assert size == {1: 4, 2: 2}.get(len(each), 1)


def test_the_command_writes_a_folder(invoke: Invoke, tmp_path: Path) -> None:
    conversion = networks.emit(networks.perceptron([3]).model())
    c_programs.exported_model(conversion).save(tmp_path / "net.snn.onnx")
    out = invoke(
        "export",
        tmp_path / "net.snn.onnx",
        "--c",
        "-o",
        tmp_path / "c",
        "--name",
        "tiny",
        "--json",
        tmp_path / "c.json",
    )
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "README.md").write_text("mine")
    refused = invoke("export", tmp_path / "net.snn.onnx", "--c", "-o", tmp_path / "own", exit_code=1)
    assert "README.md" in refused.stderr
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["README.md"]
    assert "wrote 9 files" in out.stdout
    document = json.loads((tmp_path / "c.json").read_text())
    assert set(document["files"]) == {path.name for path in (tmp_path / "c").iterdir()}
    assert document["struct_bytes"] >= document["state_bytes"] + document["scratch_bytes"]
    for wrong in (["--nir", "generic"], ["--samples", "3"], ["--layout", "NHWC"]):
        assert (
            invoke("export", tmp_path / "net.snn.onnx", "--c", "-o", tmp_path / "d", *wrong, exit_code=2).exit_code == 2
        )
    assert invoke(
        "export", tmp_path / "net.snn.onnx", "--nir", "generic", "--name", "x", "-o", tmp_path / "d", exit_code=2
    )
    assert not (tmp_path / "d").exists()


def test_pixels_go_through_the_preparation_of_the_file_or_the_one_that_is_given() -> None:
    model = c_programs.exported_model(networks.emit(networks.perceptron([3]).model(), coding="direct"))
    bytes_of = {"p / 255": np.arange(256) / np.float32(255), "p * 0.0625": np.arange(256) * np.float32(0.0625)}
    for text, preparation in (("p / 255", None), ("p * 0.0625", snnc.data.Preparation(scale=1 / 16))):
        export = export_c(model, preparation=preparation)
        given, pixels = export.program.input, export.program.input.pixels
        assert pixels is not None
        units = np.clip(bytes_of[text].astype(np.float32) / given.unit, given.low, given.high)
        assert np.array_equal(pixels.values, np.rint(units).astype(np.int64))
        assert f"of which the network sees {text}. */" in export.files["net.h"]
