"""Runs a converted network with whichever snnc this Python has, and prints the CPU time of its best run as JSON.

    python -P build_worker.py NET.snn.onnx BATCH STEPS REPEATS

Uses only what every version of the runtime has.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

import snnc
from snnc.runtime import SpikingSession


def main(path: str, batch: int, steps: int, repeats: int) -> None:
    session = SpikingSession(path, threads=1)
    shape = (batch, *session.session.get_inputs()[0].shape[1:])
    images = np.random.default_rng(2).uniform(-1, 1, shape).astype(np.float32)
    seconds = []
    for _ in range(repeats + 1):  # the first one warms up
        start = time.process_time()
        result = session.run(images, steps, warn=False)
        seconds.append(time.process_time() - start)
    found = {
        "seconds": min(seconds[1:]),
        "spikes": int(result.spike_totals.sum()),
        "operations": int(result.synaptic_operations.sum()),
        "version": snnc.__version__,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
