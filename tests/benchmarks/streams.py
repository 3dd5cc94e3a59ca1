"""Frames of a stream, at batch 1: a network of the method exact, graded and in steps, against cold runs of it and
against the ANN in int8.

    python -m tests.benchmarks.streams --ann NET.onnx --data DATA --workload shift
    python -m tests.benchmarks.streams --ann NET.onnx --snn NET.snn.onnx --data DATA --workload object
    python -m tests.benchmarks.streams --workload window
    python -m tests.benchmarks.streams --net vgg16 --workload object

Every frame runs on every side, one after the other, each in turn first. The run in steps is asserted to equal the cold
one in all states and outputs, the graded ones in all outputs. See README.md in this folder.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from snnc.api import convert, input_dims, open_converted
from snnc.data import load
from snnc.files import ConvertedFile
from snnc.measure.int8 import MOST_CALIBRATION_SAMPLES, quantised_ann
from snnc.runtime import GradedSession, StreamSession
from snnc.runtime.session import make_session
from snnc.simulate.ann import load_model

from .architectures import NETWORKS, images, keyword
from .frames import WORKLOADS, signals
from .opponents import clock

# Shares of input integers that changed, in percent: a row for each.
BINS = (0, 0.001, 1, 3, 10, 30, 100)
SIDES = ("graded", "graded cold", "steps", "steps cold", "int8", "float32")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    options = _parse(arguments)
    ann = _ann(options)
    samples = _images(options, tuple(size or 1 for size in input_dims(ann)))
    if options.snn is None:
        calib = samples[-4 * MOST_CALIBRATION_SAMPLES :]
        bits = options.weight_bits
        converted = convert(ann, method="exact", levels=options.levels, weight_bits=bits, calib=calib, accept_poor=True)
        file = open_converted(converted)
    else:
        file = open_converted(options.snn)
    frames = WORKLOADS[options.workload](samples, options.frames)
    sides = Sides(file, ann, samples[-MOST_CALIBRATION_SAMPLES:], options.threads)
    name = options.ann or (f"a random {options.net}" if options.net else "a random network for signals")
    print(f"{name}, {options.workload}, {len(frames)} frames; int8: {sides.scheme}", flush=True)
    runs = [sides.measure(frames, clock(options.cpu_time), first) for first in range(options.rounds)]
    seconds = np.stack([run.seconds for run in runs])
    print_times(seconds)
    print_by_change(seconds, runs[0])
    print_agreement(runs[0])
    if options.results is not None:
        record = {key: str(value) for key, value in vars(options).items()} | _facts(sides)
        record |= {"changed": runs[0].changed.tolist(), "steps": runs[0].steps.tolist()}
        record |= {side: np.median(seconds[:, :, index], 0).tolist() for index, side in enumerate(SIDES)}
        with options.results.open("a") as results:
            results.write(json.dumps(record) + "\n")


class Run:
    """One pass over the frames: seconds `[T, sides]`, and what ours did: SOPs graded, in steps, and in steps from the
    start."""

    def __init__(self, frames: int) -> None:
        self.seconds = np.zeros((frames, len(SIDES)))
        self.changed, self.steps = np.zeros(frames), np.zeros(frames, np.int64)
        self.operations = np.zeros((frames, 3), np.int64)
        self.outputs: dict[str, list[np.ndarray]] = {side: [] for side in SIDES}


class Sides:
    """What runs each frame: our stream, graded and in steps, the same from the initial states, and the ANN twice."""

    def __init__(self, file: ConvertedFile, ann: onnx.ModelProto, calibration: np.ndarray, threads: int) -> None:
        graded, steps = file.graded_form().SerializeToString(), file.stream_form().SerializeToString()
        self._graded, self._graded_cold = (GradedSession(graded, threads=threads) for _ in range(2))
        self._steps, self._steps_cold = (StreamSession(steps, threads=threads) for _ in range(2))
        self._input = ann.graph.input[0].name
        self._float = make_session(ann.SerializeToString(), native=False, threads=threads)
        self.scheme, quantised = quantised_ann(ann, calibration, threads=threads)
        self._int8 = quantised.session

    def measure(self, frames: np.ndarray, now: Callable[[], float], first: int) -> Run:
        """All frames; `first` says which side begins with the first frame."""
        run = Run(len(frames))
        self._graded.reset()
        self._steps.reset()
        runners: list[Callable[[np.ndarray], Any]] = [self._graded.feed, self._graded_cold.feed]
        runners += [self._steps.feed, self._steps_cold.feed]
        runners += [partial(self._run_ann, session) for session in (self._int8, self._float)]
        for index, image in enumerate(frames):
            self._graded_cold.reset()
            self._steps_cold.reset()
            found: dict[str, Any] = {}
            for turn in range(len(SIDES)):
                side = (first + index + turn) % len(SIDES)
                start = now()
                found[SIDES[side]] = runners[side](image[None])
                run.seconds[index, side] = now() - start
            self._note(run, index, found)
        return run

    def _run_ann(self, session: onnxruntime.InferenceSession, image: np.ndarray) -> Any:
        return session.run(None, {self._input: image})

    def _note(self, run: Run, index: int, found: dict[str, Any]) -> None:
        graded, steps, cold = found["graded"], found["steps"], found["steps cold"]
        left, right = self._steps.state, self._steps_cold.state
        assert all(np.array_equal(value, right[name]) for name, value in left.items()), f"states of frame {index}"
        for name, value in cold.outputs.items():
            for side in ("graded", "graded cold", "steps"):
                assert np.array_equal(found[side].outputs[name], value), f"frame {index}, {side}"
        run.changed[index], run.steps[index] = steps.changed[0], steps.steps[0]
        run.operations[index] = [frame.synaptic_operations.sum() for frame in (graded, steps, cold)]
        for side in SIDES:
            value = found[side]
            run.outputs[side].append(value[0] if isinstance(value, list) else value.logits)


def print_times(seconds: np.ndarray) -> None:
    """Medians over rounds and frames, the first frame left out, and ratios of the same frame and round."""
    warm = seconds[:, 1:]
    for index, side in enumerate(SIDES):
        line = f"{side:11} {1e6 * np.median(warm[..., index]):9.0f} µs per frame"
        if index:
            low, median, high = np.percentile(warm[..., index] / warm[..., 0], [25, 50, 75])
            line += f"; {side}/graded {median:.2f} ({low:.2f} to {high:.2f})"
        print(line)


def print_by_change(seconds: np.ndarray, run: Run) -> None:
    """A row for frames that change about as much."""
    print(" changed %  frames  steps  SOPs: graded  steps   graded µs  cold µs  steps µs  int8 µs  int8/graded")
    percent = 100 * run.changed
    for low, high in pairwise(BINS):
        chosen = (percent >= low) & ((percent < high) | (high == BINS[-1]))
        chosen[0] = False
        if not chosen.any():
            continue
        graded, cold, steps, int8 = (np.median(seconds[:, chosen, side]) * 1e6 for side in (0, 1, 2, 4))
        operations = run.operations[chosen].sum(0)
        share = operations / max(1, operations[2])
        ratio = np.median(seconds[:, chosen, 4] / seconds[:, chosen, 0])
        print(
            f"{percent[chosen].mean():10.2f} {chosen.sum():7} {run.steps[chosen].mean():6.1f} {share[0]:13.3f} "
            f"{share[1]:6.3f} {graded:11.0f} {cold:8.0f} {steps:9.0f} {int8:8.0f} {ratio:12.2f}"
        )


def print_agreement(run: Run) -> None:
    """How often the others are of the float ANN's opinion."""
    if run.outputs["float32"][0].ndim == 2:
        classes = {side: np.concatenate(values).argmax(1) for side, values in run.outputs.items()}
        shares = [f"{side} {100 * (classes[side] == classes['float32']).mean():.1f} %" for side in ("graded", "int8")]
        print(f"same class as float32: {', '.join(shares)}; graded, in steps and cold are equal in every frame")


def _ann(options: argparse.Namespace) -> onnx.ModelProto:
    if options.ann is not None:
        return load_model(options.ann)
    return keyword() if options.net is None else NETWORKS[options.net](0)


def _images(options: argparse.Namespace, dims: tuple[int, ...]) -> np.ndarray:
    if options.data is None:
        return signals(MOST_CALIBRATION_SAMPLES, dims) if options.net is None else images(2 * MOST_CALIBRATION_SAMPLES)
    return load(options.data, dims, scale=options.scale, mean=options.mean, std=options.std).images


def _facts(sides: Sides) -> dict[str, str]:
    return {"onnxruntime": onnxruntime.__version__, "int8": sides.scheme, "date": time.strftime("%Y-%m-%d %H:%M")}


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    def numbers(text: str) -> list[float]:
        return [float(part) for part in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--snn", help="network of the method exact; default: the ANN is converted")
    parser.add_argument("--ann", help="the ANN that it was converted from; default: a random network for signals")
    parser.add_argument("--net", choices=sorted(NETWORKS), help="a network with random weights in the place of --ann")
    parser.add_argument("--data", help="images for frames and, the last ones, for calibration; default: random signals")
    parser.add_argument("--levels", type=int, default=8)
    parser.add_argument("--weight-bits", type=int, default=16)
    parser.add_argument("--scale", type=float)
    parser.add_argument("--mean", type=numbers)
    parser.add_argument("--std", type=numbers)
    parser.add_argument("--workload", choices=WORKLOADS, default="shift")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpu-time", action="store_true", help="CPU time instead of wall-clock time, on all sides")
    parser.add_argument("--results", type=Path, help="append a line of JSON")
    options = parser.parse_args(arguments)
    if options.net is not None and options.ann is not None:
        parser.error("--net is a network of its own: leave out --ann, or --net")
    return options


if __name__ == "__main__":
    main()
