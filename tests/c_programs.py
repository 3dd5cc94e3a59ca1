"""Compiling exported C and running it step by step, for tests."""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import pytest

from snnc.api.exporting_c import CExport, export_c
from snnc.api.model import SpikingModel
from snnc.ir.conversion import Conversion

WARNINGS = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-Wconversion")
SANITIZERS = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
COMPILER = shutil.which("gcc") or shutil.which("cc")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")

# Reads steps, seed, number of the first sample and samples; writes every spike, the sums of readouts, their values.
HARNESS = """
#include <stdio.h>
#include <stdlib.h>
#include "NAME.h"
#include "NAME_float.h"
void record(int layer, const int8_t *spikes, size_t count);
void record(int layer, const int8_t *spikes, size_t count)
{
    (void)layer;
    fwrite(spikes, 1, count, stdout);
}
static void take(void *place, size_t size)
{
    if (fread(place, 1, size, stdin) != size) exit(3);
}
int main(void)
{
    static NAME_state net;
    static NAME_input input[NUMBERS];
    static float x[NUMBERS];
    uint64_t head[4], sample;
    take(head, sizeof head);
    for (sample = 0; sample < head[3]; sample++) {
        uint32_t step;
        size_t i;
        QUOTAS
        take(x, sizeof x);
        NAME_start(&net);
        for (step = 0; step < head[0]; step++) {
            uint32_t fired;
            ENCODE
            fired = NAME_step(&net, input);
            fwrite(&fired, sizeof fired, 1, stdout);
        }
        OUTPUTS
    }
    {
        const uint32_t bytes = (uint32_t)sizeof net;
        fwrite(&bytes, sizeof bytes, 1, stdout);
    }
    return 0;
}
"""
_ENCODE = "for (i = 0; i < NUMBERS; i++) input[i] = NAME_encode(x[i], i);"
_DRAW = """for (i = 0; i < NUMBERS; i++) quotas[i] = NAME_quota(x[i]);
            NAME_draw(quotas, head[1], head[2] + sample, step, input);"""
_OUTPUT = """for (i = 0; i < SIZE; i++) {
            const int64_t sum = net.STATE[i];
            fwrite(&sum, sizeof sum, 1, stdout);
        }
        for (i = 0; i < SIZE; i++) {
            const float value = NAME_value_of_STATE(&net, i);
            fwrite(&value, sizeof value, 1, stdout);
        }
"""


@dataclass
class Run:
    """What a program did: `spikes` by layer `[T, N, ...flat]`, `fired` `[T, N]`, `sums` and `values` by output
    `[N, ...flat]`, the size of its struct."""

    spikes: dict[str, np.ndarray]
    fired: np.ndarray
    sums: dict[str, np.ndarray]
    values: dict[str, np.ndarray]
    struct_bytes: int


def harness(export: CExport) -> str:
    program = export.program
    poisson = program.input.coding == "poisson"
    outputs = ""
    for readout in program.readouts:
        outputs += _OUTPUT.replace("SIZE", str(readout.state.count)).replace("STATE", readout.state.name)
    text = HARNESS.replace("OUTPUTS", outputs).replace("ENCODE", _DRAW if poisson else _ENCODE)
    text = text.replace("QUOTAS", "static int32_t quotas[NUMBERS];" if poisson else "")
    return text.replace("NAME", program.name).replace("NUMBERS", str(program.input.count))


def build(export: CExport, folder: Path, *flags: str, compiler: str | None = None) -> Path:
    """Compile the files with the harness, with all warnings as errors."""
    found = compiler or COMPILER
    assert found is not None
    export.save(folder)
    name = export.program.name
    (folder / "harness.c").write_text(harness(export))
    files = [f"{name}.c", f"{name}_weights.c", "harness.c"]
    trace = f"-D{name.upper()}_TRACE=record"
    command = [found, *WARNINGS, *(flags or SANITIZERS), trace, *files, "-o", "harness", "-lm"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "harness"


def run(
    export: CExport,
    binary: Path,
    images: np.ndarray,
    steps: int,
    seed: int,
    first_sample: int = 0,
    *,
    emulator: tuple[str, ...] = (),
) -> Run:
    """Run the harness on samples, float32 `[N, ...]`."""
    head = struct.pack("<4Q", steps, seed % 2**64, first_sample, len(images))
    given = head + np.ascontiguousarray(images, np.float32).tobytes()
    done = subprocess.run([*emulator, str(binary)], input=given, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return _read(export, done.stdout, len(images), steps)


def _read(export: CExport, content: bytes, samples: int, steps: int) -> Run:
    layers = [(name, count) for name, _, count in export.program.layers if count]
    of_step = np.dtype(
        [*((f"layer{index}", np.int8, count) for index, (_, count) in enumerate(layers)), ("fired", np.uint32)]
    )
    of_outputs = []
    for index, readout in enumerate(export.program.readouts):
        of_outputs += [
            (f"sums{index}", np.int64, readout.state.count),
            (f"values{index}", np.float32, readout.state.count),
        ]
    of_sample = np.dtype([("steps", of_step, steps), ("outputs", np.dtype(of_outputs))])
    assert len(content) == samples * of_sample.itemsize + 4
    found = np.frombuffer(content[:-4], of_sample)
    trains = {name: found["steps"][f"layer{index}"].swapaxes(0, 1) for index, (name, _) in enumerate(layers)}
    outputs = [readout.output for readout in export.program.readouts]
    sums, values = (
        {name: found["outputs"][f"{what}{index}"] for index, name in enumerate(outputs)} for what in ("sums", "values")
    )
    (size,) = struct.unpack("<I", content[-4:])
    return Run(trains, found["steps"]["fired"].T, sums, values, size)


def compile_objects(folder: Path, *files: str) -> None:
    assert COMPILER is not None
    subprocess.run([COMPILER, *WARNINGS, "-Os", "-c", *files], cwd=folder, check=True)


def make(folder: Path, target: str) -> subprocess.CompletedProcess[str]:
    """`make` of the exported Makefile, without hints of what it does."""
    command = ["make", "-s", target, "CFLAGS=-O1 -Werror"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def exported_model(conversion: Conversion) -> SpikingModel:
    assert conversion.emitted is not None
    return SpikingModel(conversion.emitted, conversion.report)


def exported(conversion: Conversion, **options: Any) -> CExport:
    return export_c(exported_model(conversion), **options)


def residual() -> onnx.ModelProto:
    net = networks.Network((3, 6, 6), np.random.default_rng(2))
    net.convolve(4, 3, 1, 1, 1, 1, True)
    net.then("Relu")
    net.residual(False, 4, True)
    net.then("Relu")
    net.residual(True, 6, True)
    net.then("Relu")
    net.then("GlobalAveragePool", shape=(6, 1, 1))
    net.dense(3, True)
    net.output()
    return net.model()


def pooled() -> onnx.ModelProto:
    """Depthwise and dilated convolutions, max-pooling with pads, averages that overlap, a shuffle of channels."""
    net = networks.Network((4, 9, 8), np.random.default_rng(3))
    net.convolve(4, 3, 1, 2, 2, 4, True)
    net.then("Relu")
    net.largest(3, 2, 1, 1)
    net.shuffle([2, 0, 3, 1, 1])
    net.convolve(6, 3, 1, 1, 1, 1, False)
    net.then("Relu")
    net.average(3, 2, 1, False)
    net.beside(2, True, fires=True)
    net.transpose()
    net.dense(3, True)
    net.output()
    return net.model()


def signal() -> onnx.ModelProto:
    net = networks.Network((2, 31), np.random.default_rng(5))
    net.convolve(3, 5, 2, 2, 1, 1, True)
    net.then("Relu")
    net.largest(2, 2, 0, 1)
    net.beside(2, True, fires=True, spatial=True)
    net.then("Relu")
    net.output()
    net.dense(3, False)
    net.output()
    return net.model()
