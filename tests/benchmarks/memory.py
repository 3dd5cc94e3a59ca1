"""Peak memory of a process that runs a network, for several numbers of steps, beside what is promised for it.

    python -m tests.benchmarks.memory --net vgg16 --batch 16 --steps 64 256 1024

Promised: twice the weights, 2 bits per neuron and step of a block (its own word and one in passing), membrane
potentials, and a constant. Printed is what remains for the constant, which must not grow with the number of steps.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from snnc.ir.domain import BLOCK_STEPS

from . import networks
from .architectures import NETWORKS

_WORKER = Path(__file__).with_name("memory_worker.py")
_MIB = 2**20
_COLUMNS = ("before", "loaded", "load peak", "run peak", "run - before", "constant")
_WIDTH = 12


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", choices=sorted(NETWORKS), default="vgg16")
    parser.add_argument("--rate", type=float, default=2.0, help="spikes per neuron and step, percent")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, nargs="+", default=[64, 256, 1024])
    parser.add_argument("--graph", choices=("fused", "plain"), default="fused")
    parser.add_argument("--cache", type=Path, default=Path("build/benchmarks"), help="folder for thresholds")
    options = parser.parse_args(arguments)
    net = networks.with_rate(options.net, options.rate / 100, cache=options.cache)
    model = net.fused if options.graph == "fused" else net.plain
    assert model is not None
    expected = promised(net, options.batch)
    parts = ", ".join(f"{name} {size / _MIB:.1f}" for name, size in expected.items())
    total = sum(expected.values())
    print(f"{options.net}, {options.graph}, batch {options.batch}, in MiB; promised {total / _MIB:.1f}: {parts}")
    print(" ".join(["steps", *(f"{name:>{_WIDTH}}" for name in _COLUMNS)]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.snn.onnx"
        onnx.save(model, path)
        for steps in options.steps:
            found = measure(path, options.batch, steps)
            used = found["run_peak"] - found["before"]
            columns = [found["before"], found["loaded"], found["load_peak"], found["run_peak"], used, used - total]
            print(" ".join([f"{steps:>5}", *(f"{value / _MIB:>{_WIDTH}.1f}" for value in columns)]), flush=True)


def promised(net: networks.Converted, batch: int) -> dict[str, float]:
    """Bytes by cause."""
    weights = sum(math.prod(tensor.dims) for tensor in net.ann.graph.initializer)
    neurons = sum(layer.neurons for layer in net.layers if layer.kind != "readout")
    itemsize = np.dtype(np.float32).itemsize
    return {
        "weights twice": 2.0 * itemsize * weights,
        "2 bits per neuron and step of a block": batch * neurons * 2 * BLOCK_STEPS / 8,
        "membrane potentials": batch * neurons * np.dtype(np.int32).itemsize,
    }


def measure(path: Path, batch: int, steps: int) -> dict[str, int]:
    """Memory of a fresh process, in bytes."""
    command = [sys.executable, str(_WORKER), str(path), str(batch), str(steps)]
    found: dict[str, int] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


if __name__ == "__main__":
    main()
