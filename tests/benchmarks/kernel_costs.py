"""What the kernels of layers cost: the coefficients of `runtime/native/kernels/layers/costs.hpp`, measured.

    python -m tests.benchmarks.kernel_costs

Layers of several sizes and densities are run by every kernel that can run them, each kernel in a process of its own, on
one thread. The time of an image is the least of some blocks. For each kernel, non-negative coefficients are fitted to
these times, relative errors squared; printed are they, the machine, and how far off the fit is. A coefficient that the
layers hardly tell from another one is better left alone: only the choice between kernels matters. How much that is,
the last lines tell: the time of the kernels that the library chooses, by the coefficients it was built with, over that
of the fastest ones.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from snnc.ir.domain import BLOCK_STEPS, DOMAIN, DOMAIN_VERSION, IR_VERSION, OPSET
from snnc.runtime import statistics
from snnc.runtime.session import make_session

Array = npt.NDArray[np.float64]

# Input channels, output channels, size of the plane; kernels of 3x3.
SHAPES = (
    (3, 16, 32), (3, 64, 32), (6, 64, 16), (8, 32, 32), (16, 16, 32), (16, 32, 16),
    (32, 32, 16), (64, 64, 8), (64, 64, 32), (128, 128, 16), (256, 256, 8),
)  # fmt: skip
DENSITIES = (0.005, 0.02, 0.1, 0.3)
KERNEL = 3
IMAGES = 4
WEIGHT_BITS = 8  # which most layers have
CHOSEN = "chosen"  # by the library
TERMS = {
    "gather": ("pixel", "listed_word", "row", "vector"),
    "chunk": ("vector_step", "piece", "run", "run_vector"),
    "table": ("pixel", "lookup", "lookup_vector"),
}


@dataclass(frozen=True)
class Sample:
    """A layer that was run: its numbers, and nanoseconds of an image."""

    kernel: str
    inputs: int
    outputs: int
    size: int
    density: float
    spikes: float
    nanoseconds: float

    @property
    def layer(self) -> tuple[int, int, int, float]:
        """What tells layers apart."""
        return self.inputs, self.outputs, self.size, self.density

    def features(self, kernel: str) -> list[float]:
        """What each coefficient of a kernel is multiplied with, as in `costs.hpp`."""
        tiles, vectors = ceil(self.outputs / 64), ceil(self.outputs / 16)
        pixel_steps = self.size**2 * BLOCK_STEPS
        if kernel == "gather":
            rows = self.spikes * KERNEL**2
            words = KERNEL * ceil(self.inputs / 64)
            return [pixel_steps * tiles, pixel_steps * words, rows * tiles, rows * vectors]
        if kernel == "chunk":
            runs = self.spikes * KERNEL * KERNEL
            return [pixel_steps * vectors, pixel_steps * self.inputs / 64, runs, runs * vectors]
        lookups = KERNEL * ceil(self.inputs / 3)  # sets of three channels: nine bits
        return [pixel_steps * tiles, pixel_steps * lookups * tiles, pixel_steps * lookups * vectors]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--blocks", type=int, default=12, help="blocks of 64 steps; the fastest counts (default 12)")
    parser.add_argument("--weight-bits", type=int, default=WEIGHT_BITS, help=f"default {WEIGHT_BITS}")
    parser.add_argument("--worker", choices=[*TERMS, CHOSEN], help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        print(json.dumps([asdict(sample) for sample in measure(options.worker, options.blocks, options.weight_bits)]))
        return
    print(f"{platform.processor() or platform.machine()}, {statistics.vector_unit()}, {time.strftime('%Y-%m-%d')}")
    times: dict[tuple[int, int, int, float], dict[str, float]] = {}
    for kernel, terms in TERMS.items():
        samples = _in_process(kernel, options.blocks, options.weight_bits)
        for sample in samples:
            times.setdefault(sample.layer, {})[kernel] = sample.nanoseconds
        coefficients, error = fit(kernel, samples)
        values = ", ".join(f"{term} {value:.2f}" for term, value in zip(terms, coefficients, strict=True))
        print(f"{kernel:>8}: {values}   ({len(samples)} layers, median error {error:.0%})")
    print_choices(_in_process(CHOSEN, options.blocks, options.weight_bits), times)


def print_choices(chosen: list[Sample], times: dict[tuple[int, int, int, float], dict[str, float]]) -> None:
    """How much slower the chosen kernels are than the fastest ones, by their times when they were asked for."""
    lost = {sample: times[sample.layer][sample.kernel] / min(times[sample.layer].values()) - 1 for sample in chosen}
    print(f"  chosen: {np.mean(list(lost.values())):.1%} slower on average; by more than 10 %:")
    for sample, share in lost.items():
        if share > 0.1:
            name = f"{sample.inputs} to {sample.outputs} channels, {sample.size}x{sample.size}"
            print(f"          {name}, {sample.density:.1%} spikes: {sample.kernel}, {share:.0%}")


def _in_process(kernel: str, blocks: int, bits: int) -> list[Sample]:
    """`measure` in a process of its own: the library reads its environment once."""
    values = {"--worker": kernel, "--blocks": blocks, "--weight-bits": bits}
    options = [str(part) for option in values.items() for part in option]
    command = [sys.executable, "-m", "tests.benchmarks.kernel_costs", *options]
    environment = {**os.environ, "SNNC_KERNEL": "" if kernel == CHOSEN else kernel}
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return [Sample(**entry) for entry in json.loads(output)]


def measure(kernel: str, blocks: int, bits: int) -> list[Sample]:
    """Run all layers that `kernel` computes (which the environment asks for), or by the chosen ones."""
    samples = []
    for inputs, outputs, size in SHAPES:
        for density in DENSITIES:
            sample = _run(kernel, bits, inputs, outputs, size, density, blocks)
            if sample is not None:
                samples.append(sample)
    return samples


def fit(kernel: str, samples: list[Sample]) -> tuple[Array, float]:
    """Coefficients with the least squares of relative errors, and the median of these; none below zero but `pixel`."""
    times = np.array([sample.nanoseconds for sample in samples])
    features = np.array([sample.features(kernel) for sample in samples]) / times[:, None]
    wanted = np.ones(len(samples))
    used = list(range(features.shape[1]))
    while True:
        found, *_ = np.linalg.lstsq(features[:, used], wanted, rcond=None)
        negative = [i for i, value in zip(used, found, strict=True) if value < 0 and TERMS[kernel][i] != "pixel"]
        if not negative:
            break
        used.remove(negative[0])
    coefficients = np.zeros(features.shape[1])
    coefficients[used] = found
    return coefficients, float(np.median(abs(features @ coefficients - 1)))


def _run(kernel: str, bits: int, inputs: int, outputs: int, size: int, density: float, blocks: int) -> Sample | None:
    """The least time of an image of one layer; None where another kernel computes it."""
    rng = np.random.default_rng(inputs + outputs + size)
    largest = 2 ** (bits - 1) - 1
    model = _model(rng.integers(-largest, largest + 1, (outputs, inputs, KERNEL, KERNEL)), size)
    session = make_session(model.SerializeToString(), threads=1)
    words = np.zeros((IMAGES, inputs, size, size), np.uint64)
    for step in range(BLOCK_STEPS):
        words |= (rng.random(words.shape) < density).astype(np.uint64) << np.uint64(step)
    v = np.zeros((IMAGES, outputs, size, size), np.int32)
    feeds = {"spikes": words, "v": v, "count": np.array(BLOCK_STEPS)}
    best, spikes = float("inf"), 0.0
    for _ in range(blocks):
        with statistics.collecting():
            session.run(None, feeds)
            node = next(node for node in statistics.read() if node.sample_steps)
        if kernel not in (CHOSEN, *node.kernels):
            return None
        best, spikes = min(best, node.nanoseconds / IMAGES), node.spikes / IMAGES
    return Sample(next(iter(node.kernels)), inputs, outputs, size, density, spikes, best)


def _model(weight: npt.NDArray[np.int64], size: int) -> onnx.ModelProto:
    """One `SpikingConv` whose neurons seldom fire."""
    outputs, inputs = weight.shape[:2]
    layer: dict[str, Any] = {"strides": [1, 1], "dilations": [1, 1], "pads": [1] * 4, "group": 1, "soft_reset": 1}
    names = ["spikes", "weight", "v", "threshold", "count"]
    node = helper.make_node("SpikingConv", names, ["fired", "v_out"], domain=DOMAIN, copies=1, signed=0, **layer)
    graph = helper.make_graph(
        [node],
        "layer",
        [
            helper.make_tensor_value_info("spikes", TensorProto.UINT64, ["N", inputs, size, size]),
            helper.make_tensor_value_info("v", TensorProto.INT32, ["N", outputs, size, size]),
            helper.make_tensor_value_info("count", TensorProto.INT64, []),
        ],
        [
            helper.make_tensor_value_info("fired", TensorProto.UINT64, None),
            helper.make_tensor_value_info("v_out", TensorProto.INT32, None),
        ],
        [
            numpy_helper.from_array(weight.astype(np.float32), "weight"),
            numpy_helper.from_array(np.array(50 * int(np.abs(weight).max()), np.int32), "threshold"),
        ],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, DOMAIN_VERSION)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


if __name__ == "__main__":
    main()
