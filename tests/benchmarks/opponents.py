"""What a network is compared with. Every opponent measures one run: `seconds()` gives seconds per image and step."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import onnxruntime

from snnc.measure.int8 import quantised_ann
from snnc.runtime.session import make_session

FOLDS = (1, 4, 16, 64, 256)
# Share of ones in the input of the dense opponent, and how long one of its measured runs takes at least, in seconds.
DENSITY = 0.02
SHORTEST_RUN = 0.5
PEERS_PYTHON = "SNNC_PEERS_PYTHON"
PEER_MODES = ("step", "multi", "step-nhwc", "multi-nhwc")
_WORKER = Path(__file__).with_name("peer_worker.py")


class Opponent(Protocol):
    """One side of a comparison."""

    name: str

    def seconds(self) -> float:
        """Run once; seconds per image and step."""

    def describe(self) -> str:
        """How it runs: fold, mode, version."""

    def close(self) -> None:
        """Free what it holds."""


def clock(cpu: bool) -> Callable[[], float]:
    """Wall-clock time, or CPU time of this process: on one thread, other programs disturb that less."""
    return time.process_time if cpu else time.perf_counter


def best_within(seconds: float, run: Callable[[], object], now: Callable[[], float]) -> float:
    """The smallest time of the runs that fit into `seconds` (two at least), after one that does not count."""
    run()
    found: list[float] = []
    while len(found) < 2 or sum(found) < seconds:
        start = now()
        run()
        found.append(now() - start)
    return min(found)


class Spiking:
    """An emitted network in onnxruntime: the whole graph, all steps, decoding and spike totals included."""

    def __init__(
        self,
        name: str,
        model: onnx.ModelProto,
        images: np.ndarray,
        steps: int,
        threads: int,
        *,
        native: bool = True,
        cpu_time: bool = False,
    ) -> None:
        self.name, self.steps, self.threads, self.now = name, steps, threads, clock(cpu_time)
        self.session = make_session(model.SerializeToString(), native=native, threads=threads)
        self.feeds = {self.session.get_inputs()[0].name: images, "steps": np.array(steps, np.int64)}
        self.batch = len(images)
        self._names = [value.name for value in self.session.get_outputs()]

    def results(self) -> dict[str, np.ndarray]:
        """All outputs by name."""
        return dict(zip(self._names, self.session.run(None, self.feeds), strict=True))

    def seconds(self) -> float:
        """Run once; seconds per image and step."""
        start = self.now()
        self.session.run(None, self.feeds)
        return (self.now() - start) / (self.batch * self.steps)

    def describe(self) -> str:
        return f"batch {self.batch}, {self.steps} steps, {self.threads} thread(s)"

    def close(self) -> None:
        """Nothing to do."""


class Dense:
    """The ANN's linear operators alone in onnxruntime, on images times steps folded into the batch.

    There are no neurons. `Relu` stays or goes, whichever is faster; the fold is the fastest of `folds`. `spikes`:
    float32 `[max(folds), ...]`, random with `DENSITY` if None.
    """

    def __init__(
        self,
        ann: onnx.ModelProto,
        threads: int,
        spikes: np.ndarray | None = None,
        *,
        folds: Sequence[int] = FOLDS,
        cpu_time: bool = False,
    ) -> None:
        self.name, self.threads, self.now = "dense", threads, clock(cpu_time)
        self.input = ann.graph.input[0].name
        if spikes is None:
            dims = [dim.dim_value for dim in ann.graph.input[0].type.tensor_type.shape.dim[1:]]
            spikes = (np.random.default_rng(0).random((max(folds), *dims)) < DENSITY).astype(np.float32)
        candidates = {"with Relu": _session(ann, threads), "without Relu": _session(without_relu(ann), threads)}
        self.tried: dict[tuple[str, int], float] = {}
        for fold in folds:
            for kind, session in candidates.items():
                feeds = {self.input: spikes[:fold]}
                self.tried[kind, fold] = best_within(0.2, partial(session.run, None, feeds), self.now) / fold
        self.kind, self.fold = min(self.tried, key=lambda key: self.tried[key])
        self.session, self.spikes = candidates[self.kind], spikes[: self.fold]
        fastest = self.tried[self.kind, self.fold] * self.fold
        self.repeats = max(1, round(SHORTEST_RUN / fastest))

    def seconds(self) -> float:
        """Run once; seconds per image and step."""
        start = self.now()
        for _ in range(self.repeats):
            self.session.run(None, {self.input: self.spikes})
        return (self.now() - start) / (self.repeats * self.fold)

    def describe(self) -> str:
        tried = ", ".join(f"{kind} {fold}: {1e3 * time:.3f} ms" for (kind, fold), time in self.tried.items())
        return f"{self.threads} thread(s), fold {self.fold}, {self.kind} (tried {tried})"

    def close(self) -> None:
        """Nothing to do."""


def without_relu(ann: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `ann` in which every `Relu` is skipped; one that gives an output becomes an `Identity`."""
    copy = onnx.ModelProto()
    copy.CopyFrom(ann)
    outputs = {value.name for value in copy.graph.output}
    kept: list[onnx.NodeProto] = []
    renamed: dict[str, str] = {}
    for node in copy.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
        if node.op_type == "Relu" and node.output[0] not in outputs:
            renamed[node.output[0]] = node.input[0]
            continue
        if node.op_type == "Relu":
            node.op_type = "Identity"
        kept.append(node)
    del copy.graph.node[:]
    copy.graph.node.extend(kept)
    del copy.graph.value_info[:]
    return copy


def _session(model: onnx.ModelProto, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


class Int8:
    """The ANN in int8 as `snnc bench --against int8` has it, on the images of our run, all at once. Its time is divided
    by our steps, which it has none of: so the ratio is that of whole runs."""

    def __init__(
        self,
        ann: onnx.ModelProto,
        images: np.ndarray,
        calibration: np.ndarray,
        steps: int,
        threads: int,
        *,
        cpu_time: bool = False,
    ) -> None:
        self.name, self.steps, self.now = "int8", steps, clock(cpu_time)
        self.made, quantised = quantised_ann(ann, calibration, threads=threads)
        self._run = partial(quantised.session.run, None, {ann.graph.input[0].name: images})
        self._batch = len(images)
        self._repeats = max(1, round(SHORTEST_RUN / 4 / best_within(0.2, self._run, self.now)))

    def seconds(self) -> float:
        """Run once; seconds per image and step of ours."""
        start = self.now()
        for _ in range(self._repeats):
            self._run()
        return (self.now() - start) / (self._repeats * self._batch * self.steps)

    def describe(self) -> str:
        return f"batch {self._batch}, {self.made}; times are divided by {self.steps} steps"

    def close(self) -> None:
        """Nothing to do."""


class Peer:
    """SpikingJelly or sinabs in a process of its own, at its fastest mode and number of steps at once."""

    def __init__(
        self, tool: str, net: str, batch: int, steps: Sequence[int], threads: int, *, cpu_time: bool = False
    ) -> None:
        self.name, self.batch, self.threads = tool, batch, threads
        self.time_key = "cpu_seconds" if cpu_time else "seconds"
        self.tried: dict[tuple[str, int], float] = {}
        for mode in PEER_MODES:
            for count in steps:
                self._start(net, mode, count)
                self.seconds()
                self.tried[mode, count] = min(self.seconds() for _ in range(2))
                self.close()
        self.mode, fastest = min(self.tried, key=lambda key: self.tried[key])
        self._start(net, self.mode, fastest)
        self.seconds()

    def _start(self, net: str, mode: str, steps: int) -> None:
        self.steps = steps
        command = [os.environ[PEERS_PYTHON], str(_WORKER), "--tool", self.name, "--net", net, "--mode", mode]
        command += ["--batch", str(self.batch), "--steps", str(steps), "--threads", str(self.threads)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(self.threads), "MKL_NUM_THREADS": str(self.threads)}
        environment.pop("PYTHONPATH", None)
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.set_up = self._reply()

    def _reply(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} stopped: run {_WORKER.name} by hand to see why")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def seconds(self) -> float:
        """Run once; seconds per image and step."""
        assert self.process.stdin is not None
        self.process.stdin.write("run\n")
        self.process.stdin.flush()
        return float(self._reply()[self.time_key]) / (self.batch * self.steps)

    def describe(self) -> str:
        rates = self.set_up["spike_rates"]
        tried = ", ".join(f"{mode} {steps}: {1e3 * time:.2f} ms" for (mode, steps), time in self.tried.items())
        return (
            f"{self.set_up['version']} with torch {self.set_up['torch']}, batch {self.batch}, {self.steps} steps, "
            f"{self.threads} thread(s), mode {self.mode} (tried {tried}), "
            f"layers at {min(rates)} to {max(rates)} % spikes"
        )

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
