"""Whole networks against their opponents: paired and alternating.

    python -m tests.benchmarks.compare --net vgg16 --rate 2 --batch 16 --steps 256 --opponent dense

Every round runs opponent, ours, opponent, ours, ...; each pair gives a ratio. Printed are medians, and the median of
the ratios with its quartiles. See README.md in this folder.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

import snnc
from snnc.api import open_converted
from snnc.data import as_dataset
from snnc.ir.domain import DOMAIN
from snnc.ir.options import AUTO
from snnc.measure.int8 import MOST_CALIBRATION_SAMPLES

from . import networks
from .architectures import NETWORKS, images
from .opponents import PEERS_PYTHON, Dense, Int8, Opponent, Peer, Spiking

OPPONENTS = ("dense", "int8", "plain", "spikingjelly", "sinabs", "self")
CHECKED_IMAGES = 2


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    options = _parse(arguments)
    net, batch, calibration = _network(options)
    ours = Spiking("ours", net.fused, batch, options.steps, options.threads, cpu_time=options.cpu_time)
    name = options.snn or f"{options.net}, {options.rate:g} %"
    print(f"{name}; ours: {ours.describe()}; operators: {_operators(net.fused)}", flush=True)
    totals = ours.results()["spike_totals"]
    checked = not options.skip_check and _check(net, ours, batch, options.steps)
    _print_layers(net, totals, options.steps)
    record = {"command": " ".join(sys.argv[1:]), **_facts(), "spikes": totals.sum(0).tolist(), "equal": checked}
    record |= {"date": time.strftime("%Y-%m-%d %H:%M"), **{key: str(value) for key, value in vars(options).items()}}
    for name in options.opponent:
        opponent = _opponent(name, net, batch, calibration, options)
        if opponent is None:
            continue
        print(f"{name}: {opponent.describe()}", flush=True)
        record[name] = measure(opponent, ours, options.rounds)
        record[name]["set_up"] = opponent.describe()
        opponent.close()
    print(json.dumps(_facts()))
    if options.results is not None:
        with options.results.open("a") as file:
            file.write(json.dumps(record) + "\n")


def measure(opponent: Opponent, ours: Opponent, rounds: int) -> dict[str, Any]:
    """Alternate `rounds` times; print and return milliseconds per image and step, and ratios of the pairs."""
    pairs = np.array([(opponent.seconds(), ours.seconds()) for _ in range(rounds)])
    ratios = pairs[:, 0] / pairs[:, 1]
    low, median, high = np.percentile(ratios, [25, 50, 75])
    theirs_ms, ours_ms = 1e3 * np.median(pairs, axis=0)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(
        f"{opponent.name:>12} {theirs_ms:9.4f} ms, ours {ours_ms:9.4f} ms per image and step; "
        f"ratio {median:.2f} (quartiles {low:.2f} to {high:.2f}, {rounds} rounds, load {load:.1f})",
        flush=True,
    )
    return {
        "opponent_ms": theirs_ms,
        "ours_ms": ours_ms,
        "ratio": median,
        "quartiles": [low, high],
        "pairs_ms": (1e3 * pairs).round(5).tolist(),
        "load": load,
    }


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", choices=sorted(NETWORKS), default="vgg16")
    parser.add_argument("--snn", type=Path, help="a converted file instead of --net, with --ann and --data")
    parser.add_argument("--ann", type=Path, help="the ONNX file that --snn comes from")
    parser.add_argument("--data", help="images for --snn, as `snnc evaluate` reads them")
    parser.add_argument("--rate", type=float, default=2.0, help="spikes per neuron and step, percent")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1, help="of both sides; `self` stays at one thread")
    parser.add_argument("--opponent", choices=OPPONENTS, nargs="+", default=["dense"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer-steps", type=int, nargs="+", default=[8, 32], help="steps of a run of a peer, to try")
    parser.add_argument("--weight-bits", default=AUTO, help="as in `snnc convert` (default auto)")
    parser.add_argument("--cache", type=Path, default=Path("build/benchmarks"), help="folder for thresholds")
    parser.add_argument("--results", type=Path, help="append a line of JSON to this file")
    parser.add_argument("--skip-check", action="store_true", help="do not compare with the spikes of the plain graph")
    parser.add_argument("--cpu-time", action="store_true", help="CPU time: for one thread on a machine with other load")
    options = parser.parse_args(arguments)
    if options.cpu_time and options.threads != 1:
        parser.error("--cpu-time adds up the threads: it says something for one thread only")
    if options.snn is not None and (options.ann is None or options.data is None):
        parser.error("--snn needs --ann and --data")
    return options


def _network(options: argparse.Namespace) -> tuple[networks.Converted, np.ndarray, np.ndarray]:
    """The network, the images that it runs, and those that calibrate others."""
    if options.snn is None:
        bits = networks.weight_bits(options.weight_bits)
        net = networks.with_rate(options.net, options.rate / 100, cache=options.cache, weight_bits=bits)
        return net, images(options.batch, networks.IMAGES_SEED), images(MOST_CALIBRATION_SAMPLES)
    net = networks.from_files(options.snn, options.ann)
    dataset = as_dataset(options.data, open_converted(options.snn).input_dims)
    return net, np.ascontiguousarray(dataset.images[: options.batch]), dataset.images[-MOST_CALIBRATION_SAMPLES:]


def _operators(model: onnx.ModelProto) -> str:
    """How often the operators of `ai.snnc` stand in the loop."""
    loop = next(node for node in model.graph.node if node.op_type == "Loop")
    found = Counter(node.op_type for node in loop.attribute[0].g.node if node.domain == DOMAIN)
    return ", ".join(f"{count} {op}" for op, count in sorted(found.items()))


def _opponent(
    name: str, net: networks.Converted, batch: np.ndarray, calibration: np.ndarray, options: argparse.Namespace
) -> Opponent | None:
    if name == "dense":
        return Dense(net.ann, options.threads, cpu_time=options.cpu_time)
    if name == "int8":
        steps, threads = options.steps, options.threads
        return Int8(net.ann, batch, calibration, steps, threads, cpu_time=options.cpu_time)
    if name == "self":
        return Spiking("one thread", net.fused, batch, options.steps, 1, cpu_time=options.cpu_time)
    if name == "plain" and net.plain is not None:
        return Spiking("plain", net.plain, batch, options.steps, options.threads, cpu_time=options.cpu_time)
    if options.snn is not None:
        print(f"{name}: skipped, it needs one of the networks of networks.py")
        return None
    if not os.environ.get(PEERS_PYTHON):
        print(f"{name}: skipped, {PEERS_PYTHON} does not name a Python interpreter that has it")
        return None
    steps = options.peer_steps
    return Peer(name, options.net, options.batch, steps, options.threads, cpu_time=options.cpu_time)


def _check(net: networks.Converted, ours: Spiking, batch: np.ndarray, steps: int) -> bool:
    """Whether all outputs equal those of the plain graph on the first images of the batch; ends the program if not.

    A network from a file is compared with its own functions, run without the library."""
    few = batch[:CHECKED_IMAGES]
    if net.plain is not None:
        other = Spiking("plain graph", net.plain, few, steps, ours.threads)
    else:
        other = Spiking("file's functions", net.fused, few, steps, ours.threads, native=False)
    found = ours.results()
    for name, expected in other.results().items():
        if not np.array_equal(found[name][: len(few)], expected):
            sys.exit(f"{name} differs from that of the {other.name}")
    print(f"spikes, operations and outputs equal those of the {other.name} ({len(few)} images)", flush=True)
    return True


def _print_layers(net: networks.Converted, totals: np.ndarray, steps: int) -> None:
    layers = [layer for layer in net.layers if layer.kind != "readout"]
    print(f"{'layer':>12} {'shape':>14} {'weight bits':>12} {'spikes':>12} {'rate':>8}")
    for layer, spikes in zip(layers, totals.sum(0), strict=True):
        rate = spikes / (len(totals) * layer.neurons * steps)
        shape = "x".join(map(str, layer.shape))
        print(f"{layer.name:>12} {shape:>14} {layer.weight_bits or '':>12} {spikes:>12} {rate:>8.2%}")


def _facts() -> dict[str, Any]:
    """The machine and the versions."""
    processor = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [line for line in information.read_text().splitlines() if line.startswith("model name")]
        processor = names[0].split(":")[1].strip() if names else processor
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "numpy": np.__version__,
        "snnc": snnc.__version__,
    }


if __name__ == "__main__":
    main()
