"""How much slower a converted network is in JavaScript than in Python with the native operators.

    python tests/benchmarks/javascript.py --rounds 5 --runs 15

One digit in 64 steps: the network of `snnc demo` in Python with the native operators (one thread) and with the
functions inside the file (one thread), in onnxruntime-node (its default threads) and, where Chromium is there, in
onnxruntime-web (one thread). Hosts take turns; the ratio of a round is that of medians, and what is printed are medians
over the rounds. All must give the same spikes. Needs node and npm.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import node_packages  # noqa: E402
import test_embedding_web as web  # noqa: E402

import snnc  # noqa: E402
from snnc.data import load  # noqa: E402
from snnc.runtime import SpikingSession  # noqa: E402

STEPS = 64


def in_python(session: SpikingSession, image: np.ndarray, runs: int) -> tuple[float, list[int]]:
    """Median of milliseconds, and spike totals."""
    result = session.run(image, STEPS)
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        result = session.run(image, STEPS)
        taken.append(1000 * (time.perf_counter() - start))
    return statistics.median(taken), result.spike_totals[0].tolist()


def in_node(folder: Path, runs: int) -> tuple[float, list[int]]:
    """The same with onnxruntime-node."""
    arguments = ("loop.snn.onnx", "image.npy", "--steps", str(STEPS), "--repeat", str(runs))
    found = json.loads(node_packages.run_node("run.mjs", *arguments, cwd=folder).stdout)
    return statistics.median(found["milliseconds"]), found["outputs"]["spike_totals"][0]


def in_chromium(driver: Path, address: str, runs: int) -> tuple[float, list[int]]:
    """The same with onnxruntime-web."""
    arguments = (str(web.CHROMIUM), address, "loop.snn.onnx", str(runs), str(STEPS))
    found = json.loads(node_packages.run_node("measure.mjs", *arguments, cwd=driver).stdout)
    return statistics.median(found["milliseconds"]), found["spike_totals"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=15, help="runs of each host in a round")
    arguments = parser.parse_args()
    network = ROOT / "snnc" / "demo" / "digits.onnx"
    model = snnc.convert(network, calib="digits:train", alpha=0.6, steps=STEPS, controls="required")
    image = load("digits:test", (1, 8, 8)).images[:1]
    native, functions = (model.session(native=native, threads=1) for native in (True, False))
    with tempfile.TemporaryDirectory() as made:
        node = node_packages.laid_out(Path(made, "in-node"), "node")
        page = node_packages.laid_out(Path(made, "in-web"), "web")
        for folder in (node, page):
            model.save(folder / "loop.snn.onnx")
        np.save(node / "image.npy", image)
        subprocess.run([sys.executable, "prepare.py"], cwd=page, check=True, stdout=subprocess.DEVNULL)
        driver = Path(made, "driver")
        driver.mkdir()
        (driver / "measure.mjs").write_bytes((web.DRIVER / "measure.mjs").read_bytes())
        (driver / "node_modules").symlink_to(node_packages.installed(web.DRIVER / "package.json"))
        hosts: dict[str, Callable[[], Any]] = {
            "Python, native operators": lambda: in_python(native, image, arguments.runs),
            "Python, functions": lambda: in_python(functions, image, arguments.runs),
            "onnxruntime-node": lambda: in_node(node, arguments.runs),
        }
        for address in web.served(page):
            if web.CHROMIUM is not None:
                hosts["onnxruntime-web in Chromium"] = partial(in_chromium, driver, address, arguments.runs)
            rounds = [{name: run() for name, run in hosts.items()} for _ in range(arguments.rounds)]
    totals = {tuple(spikes) for found in rounds for _, spikes in found.values()}
    assert len(totals) == 1, f"the hosts give different spikes: {totals}"
    first = next(iter(hosts))
    for name in hosts:
        milliseconds = statistics.median(found[name][0] for found in rounds)
        ratio = statistics.median(found[name][0] / found[first][0] for found in rounds)
        print(f"{name:30} {milliseconds:8.2f} ms {ratio:6.1f} times")


if __name__ == "__main__":
    main()
