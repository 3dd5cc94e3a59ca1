"""Converts a network, or runs it as an ANN, and prints time and memory of the process as JSON.

    python conversion_worker.py NET.onnx METHOD [CALIBRATION DATA]
    python conversion_worker.py NET.onnx ann

Peaks, in bytes, are without what the process has at the start, with all libraries loaded. Reads the counters of Linux.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path

import numpy as np
import onnx

import snnc
import snnc.api.conversion
from snnc import pipeline
from snnc.ir.conversion import Conversion, Pass
from snnc.levels import run_pass
from snnc.simulate.ann import Ann

_BATCH = 16


def main(path: str, method: str, calib: str | None = None) -> None:
    """Measure, and print."""
    logging.disable(logging.CRITICAL)
    before = _read("VmRSS")
    passes: list[tuple[str, float, int]] = []
    deepest = [0]  # a conversion may run others on the way

    def timed(step: Pass, conversion: Conversion) -> None:
        begin = time.perf_counter()
        deepest[0] += 1
        run_pass(step, conversion)
        deepest[0] -= 1
        if not deepest[0]:
            passes.append((step.name, time.perf_counter() - begin, _read("VmHWM") - before))
            _forget_peak()

    begin, cpu = time.perf_counter(), time.process_time()
    _forget_peak()
    peak = 0
    if method == "ann":
        model = onnx.load(path)
        dims = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim[1:]]
        Ann(model).run(np.random.default_rng(0).random((_BATCH, *dims), np.float32))
    else:
        vars(pipeline)["run_pass"] = timed
        snnc.convert(path, calib=calib, method=method, relaxed=True, accept_poor=True)
        peak = max(peak for _, _, peak in passes)
    found = {"seconds": time.perf_counter() - begin, "cpu_seconds": time.process_time() - cpu, "passes": passes}
    print(json.dumps({**found, "peak": max(peak, _read("VmHWM") - before)}))


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _read(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
