"""Two builds of snnc on the same network: is the new one as fast as the old one?

    python -m tests.benchmarks.builds --old OLD_ENVIRONMENT/bin/python --file NET.snn.onnx --rounds 9
    python -m tests.benchmarks.builds --old OLD_ENVIRONMENT/bin/python --file NEW.snn.onnx --old-file OLD.snn.onnx

In each round both run in processes of their own, one after the other, in turn first. Both get the same images and give
CPU time on one thread, so that other load on the machine counts less. With one file for both, spikes must be equal.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

WORKER = Path(__file__).with_name("build_worker.py")


@dataclass(frozen=True)
class Run:
    """What one process measured: CPU seconds of its best run, and what was computed."""

    seconds: float
    spikes: int
    operations: int
    version: str


def measure(python: Path, file: Path, options: argparse.Namespace) -> Run:
    """A fresh process; `-P` keeps this checkout out of the module path of the other build."""
    command = [python, "-P", WORKER, file, options.batch, options.steps, options.repeats]
    found = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if found.returncode:
        sys.exit(f"{python} with {file}:\n{found.stderr}")
    return Run(**json.loads(found.stdout.splitlines()[-1]))


def compare(options: argparse.Namespace) -> list[tuple[Run, Run]]:
    """Pairs of an old and a new run."""
    new_file, old_file = options.file, options.old_file or options.file
    pairs = []
    for round_number in range(options.rounds):
        if round_number % 2:
            new, old = measure(options.new, new_file, options), measure(options.old, old_file, options)
        else:
            old, new = measure(options.old, old_file, options), measure(options.new, new_file, options)
        if old_file == new_file and (old.spikes, old.operations) != (new.spikes, new.operations):
            sys.exit(f"the builds differ in their spikes: {asdict(old)}, {asdict(new)}")
        pairs.append((old, new))
        print(f"old {old.seconds:.3f} s, new {new.seconds:.3f} s, new/old {new.seconds / old.seconds:.3f}", flush=True)
    return pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", type=Path, required=True, help="Python in which the old build is installed")
    parser.add_argument("--new", type=Path, default=Path(sys.executable), help="that of the new build (default: this)")
    parser.add_argument("--file", type=Path, required=True, help="converted network")
    parser.add_argument("--old-file", type=Path, help="what the old build runs (default: the same file)")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=4, help="runs in a process; the fastest counts")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    pairs = compare(options)
    low, middle, high = np.quantile([new.seconds / old.seconds for old, new in pairs], (0.25, 0.5, 0.75))
    old, new = pairs[0]
    print(f"old {old.version}: {old.spikes:,} spikes; new {new.version}: {new.spikes:,} spikes")
    print(f"new/old: {middle:.3f} ({low:.3f} to {high:.3f}), {len(pairs)} rounds")


if __name__ == "__main__":
    main()
