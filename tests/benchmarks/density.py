"""One layer at a time: `SpikingConv` against onnxruntime's dense `Conv` on the same spikes, over densities.

    python -m tests.benchmarks.density --batch 4

Input spikes are random at the given density, weights random integers; thresholds are set so that about 2 % of the
neurons fire per step. Times are per image and step, paired and alternating, on one thread unless told otherwise.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from snnc.ir.domain import BLOCK_STEPS, DOMAIN, DOMAIN_VERSION, IR_VERSION, OPSET
from snnc.operators.functions import functions_used_by
from snnc.runtime.session import make_session
from snnc.simulate.word_trains import unpack_words

from .opponents import FOLDS, Dense, best_within, clock

SHAPES = {"64x32x32": (64, 32), "256x8x8": (256, 8), "512x4x4": (512, 4), "16x32x32": (16, 32)}
DENSITIES = (0.5, 1, 2, 5, 10, 20, 50)
OUTPUT_RATE = 0.02
SHORTEST_RUN = 0.2
LARGEST_WEIGHT = 2000


class Layer:
    """A 3x3 convolution of C to C channels with neurons: words, weights, threshold, and the two models."""

    def __init__(self, channels: int, size: int, density: float, batch: int) -> None:
        rng = np.random.default_rng(channels + size)
        self.dims = (channels, size, size)
        self.words = _random_words(rng, (batch, *self.dims), density)
        drawn = rng.normal(0, LARGEST_WEIGHT / 4, (channels, channels, 3, 3))
        self.weight = np.clip(np.rint(drawn), -LARGEST_WEIGHT, LARGEST_WEIGHT).astype(np.float32)
        self.dense = _dense_model(self.weight, size)
        self.threshold = self._find_threshold()
        self.feeds = {
            "spikes": self.words,
            "v": np.zeros((batch, *self.dims), np.int32),
            "count": np.array(BLOCK_STEPS, np.int64),
        }

    def unpacked(self, rows: int) -> np.ndarray:
        """The spikes as floats, image-steps in a row: `[rows, C, H, W]`."""
        images = -(-rows // BLOCK_STEPS)
        words = np.resize(self.words, (images, *self.dims))
        steps = np.concatenate([unpack_words(word[None], BLOCK_STEPS)[:, 0] for word in words])
        return steps[:rows].astype(np.float32)

    def _find_threshold(self) -> int:
        """The even threshold at which about 2 % fire in the block, on one image, by bisection."""
        session = onnxruntime.InferenceSession(self.dense.SerializeToString(), providers=["CPUExecutionProvider"])
        currents = session.run(None, {"x": self.unpacked(BLOCK_STEPS)})[0]
        low, high = 2.0, 64 * float(np.abs(currents).max()) + 4
        for _ in range(20):
            middle = float(np.sqrt(low * high))
            low, high = (middle, high) if _rate(currents, middle) > OUTPUT_RATE else (low, middle)
        return 2 * round(high / 2)

    def model(self, functions: bool) -> onnx.ModelProto:
        """One `SpikingConv`; with `functions` it runs without the library, without them only with it."""
        channels, size, _ = self.dims
        node = helper.make_node(
            "SpikingConv",
            ["spikes", "weight", "v", "threshold", "count"],
            ["fired", "v_out"],
            domain=DOMAIN,
            strides=[1, 1],
            dilations=[1, 1],
            pads=[1] * 4,
            group=1,
            soft_reset=1,
            copies=1,
            signed=0,
        )
        dims: list[str | int | None] = ["N", channels, size, size]
        inputs = [
            helper.make_tensor_value_info("spikes", TensorProto.UINT64, dims),
            helper.make_tensor_value_info("v", TensorProto.INT32, dims),
            helper.make_tensor_value_info("count", TensorProto.INT64, []),
        ]
        outputs = [
            helper.make_tensor_value_info("fired", TensorProto.UINT64, dims),
            helper.make_tensor_value_info("v_out", TensorProto.INT32, dims),
        ]
        constants = [
            numpy_helper.from_array(self.weight, "weight"),
            numpy_helper.from_array(np.array(self.threshold, np.int32), "threshold"),
        ]
        graph = helper.make_graph([node], "layer", inputs, outputs, constants)
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, DOMAIN_VERSION)],
            functions=functions_used_by(graph) if functions else [],
            ir_version=IR_VERSION,
        )


class Ours:
    """`SpikingConv`: the native kernel, or the function in the file."""

    name = "SpikingConv"

    def __init__(self, layer: Layer, threads: int, native: bool, cpu_time: bool) -> None:
        self.layer, self.now = layer, clock(cpu_time)
        model = layer.model(functions=not native)
        self.session = make_session(model.SerializeToString(), native=native, threads=threads)
        self.repeats = max(1, round(SHORTEST_RUN / best_within(0, self.results, self.now)))

    def results(self) -> list[np.ndarray]:
        """Spike words and potentials."""
        found: list[np.ndarray] = self.session.run(None, self.layer.feeds)
        return found

    def seconds(self) -> float:
        """Run once; seconds per image and step."""
        start = self.now()
        for _ in range(self.repeats):
            self.results()
        return (self.now() - start) / (self.repeats * len(self.layer.words) * BLOCK_STEPS)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, nargs="+", default=list(SHAPES))
    parser.add_argument("--density", type=float, nargs="+", default=list(DENSITIES), help="percent")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--functions", action="store_true", help="measure the function form, without the library")
    parser.add_argument("--cpu-time", action="store_true", help="CPU time: for one thread on a machine with other load")
    parser.add_argument("--results", type=Path, help="append lines of JSON to this file")
    options = parser.parse_args(arguments)
    print("    shape  density  dense ms   ours ms   ratio       quartiles     spikes rate")
    for shape in options.shape:
        for density in options.density:
            record = sweep(shape, density, options)
            if options.results is not None:
                with options.results.open("a") as file:
                    file.write(json.dumps(record) + "\n")


def sweep(shape: str, density: float, options: argparse.Namespace) -> dict[str, object]:
    """Measure one shape at one density (percent), print a line; ends the program where spikes differ."""
    batch, threads, rounds = options.batch, options.threads, options.rounds
    layer = Layer(*SHAPES[shape], density / 100, batch)
    ours = Ours(layer, threads, not options.functions, options.cpu_time)
    fired, v_out = ours.results()
    spikes = int(np.unpackbits(fired.view(np.uint8)).sum())
    functions = make_session(layer.model(functions=True).SerializeToString(), native=False)
    expected, expected_v = functions.run(None, layer.feeds)
    if not (np.array_equal(fired, expected) and np.array_equal(v_out, expected_v)):
        sys.exit(f"{shape} at {density} %: the spikes differ from those of the function")
    dense = Dense(layer.dense, threads, layer.unpacked(max(FOLDS)), cpu_time=options.cpu_time)
    pairs = np.array([(dense.seconds(), ours.seconds()) for _ in range(rounds)])
    low, ratio, high = np.percentile(pairs[:, 0] / pairs[:, 1], [25, 50, 75])
    dense_ms, ours_ms = 1e3 * np.median(pairs, axis=0)
    print(
        f"{shape:>9} {density:>7g}% {dense_ms:>9.4f} {ours_ms:>9.4f} {ratio:>7.2f} {low:>7.2f}-{high:<7.2f} "
        f"{spikes:>10} {spikes / (fired.size * BLOCK_STEPS):.2%}, fold {dense.fold}",
        flush=True,
    )
    return {
        "shape": shape,
        "density": density,
        "batch": batch,
        "threads": threads,
        "dense_ms": dense_ms,
        "ours_ms": ours_ms,
        "ratio": ratio,
        "quartiles": [low, high],
        "spikes": spikes,
        "fold": dense.fold,
    }


def _random_words(rng: np.random.Generator, dims: tuple[int, ...], density: float) -> np.ndarray:
    """Words of 64 steps, every bit set with probability `density`."""
    bits = rng.random((*dims, BLOCK_STEPS), np.float32) < density
    packed = np.packbits(bits, axis=-1, bitorder="little")
    return np.ascontiguousarray(packed).view("<u8")[..., 0].astype(np.uint64)


def _dense_model(weight: np.ndarray, size: int) -> onnx.ModelProto:
    dims = ["N", weight.shape[1], size, size]
    node = helper.make_node("Conv", ["x", "weight"], ["y"], kernel_shape=[3, 3], pads=[1] * 4)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", weight.shape[0], size, size])]
    graph = helper.make_graph([node], "dense", inputs, outputs, [numpy_helper.from_array(weight, "weight")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _rate(currents: np.ndarray, threshold: float) -> float:
    """Spikes per neuron and step of soft-reset neurons on `currents` `[T, ...]`."""
    v = np.zeros_like(currents[0])
    spikes = 0
    for current in currents:
        v += current
        fired = v >= threshold
        v -= np.float32(threshold) * fired
        spikes += int(np.count_nonzero(fired))
    return spikes / currents.size


if __name__ == "__main__":
    main()
