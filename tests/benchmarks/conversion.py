"""Time and memory of whole conversions, each in a process of its own, beside what the ANN takes.

    python -m tests.benchmarks.conversion --net vgg16 resnet20 --method exact
    python -m tests.benchmarks.conversion --blocks 6 12 24 --method exact
    python -m tests.benchmarks.conversion --file NET.onnx --method rmp --calib mnist.npz:train --passes

Memory is the peak of a process. That of the ANN: a process that loads it into onnxruntime and runs one batch of 16.
Both without what Python takes with all libraries loaded.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx

from .architectures import LARGE, NETWORKS, preactivation

_WORKER = Path(__file__).with_name("conversion_worker.py")
_MIB = 2**20
_NOTABLE = 0.05


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", choices=sorted(NETWORKS | LARGE), nargs="*", default=[])
    parser.add_argument("--blocks", type=int, nargs="*", default=[], help="residual networks with ReLUs in front")
    parser.add_argument("--file", type=Path, nargs="*", default=[])
    parser.add_argument("--method", default="exact")
    parser.add_argument("--calib", default="", help="calibration data for --file (default: synthetic images)")
    parser.add_argument("--passes", action="store_true", help="the passes that take more than 5 % of the time")
    options = parser.parse_args(arguments)
    print("network                    weights     ANN  conversion   peak  x weights   CPU time")
    with tempfile.TemporaryDirectory() as folder:
        for name, path in _files(options, Path(folder)):
            ann, found = _measure(path, "ann"), _measure(path, options.method, options.calib)
            weights = _weights(path)
            print(
                f"{name:24} {weights:6.1f} MB {ann['peak'] / _MIB:5.0f} MB {found['seconds']:7.1f} s "
                f"{found['peak'] / _MIB:6.0f} MB {found['peak'] / _MIB / weights:8.1f} {found['cpu_seconds']:8.1f} s",
                flush=True,
            )
            if options.passes:
                _print_passes(found["passes"], found["seconds"])


def _files(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Path]]:
    made = {name: (NETWORKS | LARGE)[name](0) for name in options.net}
    made |= {f"{blocks} blocks, ReLU in front": preactivation(blocks) for blocks in options.blocks}
    for index, (name, model) in enumerate(made.items()):
        path = folder / f"{index}.onnx"
        onnx.save(model, path)
        yield name, path
    yield from ((path.stem, path) for path in options.file)


def _weights(path: Path) -> float:
    model = onnx.load(path)
    return float(sum(tensor.ByteSize() for tensor in model.graph.initializer)) / _MIB


def _measure(path: Path, method: str, calib: str = "") -> dict[str, Any]:
    command = [sys.executable, str(_WORKER), str(path), method, *([calib] if calib else [])]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def _print_passes(passes: list[tuple[str, float, float]], seconds: float) -> None:
    for name, spent, peak in passes:
        if spent > _NOTABLE * seconds:
            print(f"  {name:22} {spent:7.1f} s {peak / _MIB:6.0f} MB")


if __name__ == "__main__":
    main()
