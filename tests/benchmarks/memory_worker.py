"""Loads a converted network, runs it, and prints the memory of the process as JSON, in bytes.

    python memory_worker.py NET.snn.onnx BATCH STEPS

Reads the counters of Linux.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from snnc.runtime.session import make_session


def main(path: str, batch: int, steps: int) -> None:
    """Memory before loading, after it, its peak while loading, and its peak while running."""
    before = _read("VmRSS")
    session = make_session(path, threads=1)
    pixels = session.get_inputs()[0]
    images = np.random.default_rng(0).random((batch, *pixels.shape[1:]), np.float32)
    loaded, load_peak = _read("VmRSS"), _read("VmHWM")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    session.run(None, {pixels.name: images, "steps": np.array(steps, np.int64)})
    print(json.dumps({"before": before, "loaded": loaded, "load_peak": load_peak, "run_peak": _read("VmHWM")}))


def _read(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
