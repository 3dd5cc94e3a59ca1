"""Whole evaluations (`snnc eval`) by two builds of snnc: a process each, from the command line to the JSON.

    python -m tests.benchmarks.evaluations --old OLD/bin/python --file NET.snn.onnx --data DATA --threads 2
    python -m tests.benchmarks.evaluations --old OLD/bin/python --file NEW.snn.onnx --old-file OLD.snn.onnx --data DATA

In each round both run, in turn first; the times are those of a clock on the wall, as threads are part of the matter, so
nothing else may run on the machine. With one file for both, what they measure has to be the same at every step count.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# What every version of snnc writes of a point, and no version computes in another order.
_COMPARED = ("steps", "accuracy", "agreement", "layer_rates", "operations")


@dataclass(frozen=True)
class Run:
    """Seconds of a process, and what it measured at each step count."""

    seconds: float
    points: list[dict[str, Any]]


def measure(python: Path, file: Path, options: argparse.Namespace) -> Run:
    """A fresh process: the command `snnc` beside this Python."""
    command = [python.parent / "snnc", "eval", file, "--data", options.data, "--json", "-"]
    command += ["--threads", options.threads]
    for name in ("ann", "samples", "steps"):
        value = getattr(options, name)
        command += [] if value is None else [f"--{name}", value]
    start = time.perf_counter()
    found = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if found.returncode:
        sys.exit(f"{python} with {file}:\n{found.stderr}")
    points = json.loads(found.stdout)["curves"][0]["points"]
    return Run(seconds, [{name: point[name] for name in _COMPARED} for point in points])


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    options = _parse(arguments)
    old_file = options.old_file or options.file
    ratios = []
    for number in range(options.rounds):
        sides = [(options.old, old_file), (options.new, options.file)]
        runs = [measure(*side, options) for side in (sides[::-1] if number % 2 else sides)]
        old, new = runs[::-1] if number % 2 else runs
        if old_file == options.file and old.points != new.points:
            sys.exit(f"the builds differ in what they measure:\n{old.points}\n{new.points}")
        ratios.append(old.seconds / new.seconds)
        print(f"old {old.seconds:.2f} s, new {new.seconds:.2f} s, old/new {ratios[-1]:.3f}", flush=True)
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    last = new.points[-1]
    print(f"after {last['steps']} steps: accuracy {last['accuracy']}, {last['operations']:,.0f} operations per sample")
    print(f"old/new: {middle:.3f} ({low:.3f} to {high:.3f}), {len(ratios)} rounds, {options.threads} threads")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", type=Path, required=True, help="Python in which the old build is installed")
    parser.add_argument("--new", type=Path, default=Path(sys.executable), help="that of the new build (default: this)")
    parser.add_argument("--file", type=Path, required=True, help="converted network")
    parser.add_argument("--old-file", type=Path, help="what the old build runs (default: the same file)")
    parser.add_argument("--data", required=True, help="samples, as `snnc eval` reads them")
    parser.add_argument("--ann", type=Path, help="the ANN that both are compared with")
    parser.add_argument("--samples", type=int, help="as many samples of DATA (default: all)")
    parser.add_argument("--steps", help="as in `snnc eval`")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
