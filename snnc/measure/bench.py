"""How fast a converted network runs, layer by layer, and how close to what the machine could do at most.

The roofline of a layer is the add stream: rows of weights, in memory of the size that its kernel reads over and over,
added one after the other by the same vector unit, with no lists, thresholds or potentials to care for.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from snnc.diagnostics import InternalError
from snnc.emit.layer_operators import PLAIN
from snnc.files import ConvertedFile
from snnc.measure.operations import LayerSpikes, count_accumulations, fused_nodes
from snnc.measure.runner import make_runner
from snnc.runtime import statistics as native

_WARM_UPS = 1
# Statistics are collected in the whole process, and a measurement takes all new nodes for its own.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Roofline:
    """Additions per second of an add stream, on all threads: rows of `width` weights in `working_set` bytes."""

    width: int
    weight_bytes: int
    working_set: int
    additions_per_second: float


@dataclass(frozen=True)
class LayerBench:
    """One layer. Numbers are None where they are not known: a plain layer is several operators.

    `op` is the operator that runs it. `kernels` says how many blocks each kernel computed. `input_density` is in spikes
    of either sign per input neuron and step, None where the input is no spikes; `spikes` (of the input; a residual one
    apart) and `operations` (accumulations that all input spikes cause) belong to one run. `microseconds` are per image
    and step.
    """

    name: str
    op: str
    input_density: float | None
    kernels: dict[str, int]
    spikes: int | None = None
    operations: int | None = None
    microseconds: float | None = None
    operations_per_second: float | None = None
    roofline: Roofline | None = None
    roofline_share: float | None = None

    @property
    def kernel(self) -> str:
        """The kernel that computed most blocks; `plain` for a plain layer."""
        return max(self.kernels, key=self.kernels.__getitem__, default=PLAIN)


@dataclass(frozen=True)
class NetworkBench:
    """The whole network: medians over `repeats` runs of all `images` for `steps` steps, after a warm-up.

    `steps_run` are those that were simulated: a network that settles ends with the block in which it is quiet. What is
    per step is per one of these. `operations` of one run. `other_microseconds` is what the fused layers leave of
    `microseconds`, both per image and step: encoder, plain layers, totals, data movement and the host.
    """

    images: int
    steps: int
    steps_run: int
    threads: int
    repeats: int
    vector_unit: str
    layers: list[LayerBench]
    operations: int
    microseconds: float
    other_microseconds: float
    images_per_second: float
    operations_per_second: float

    def core_hours(self, images: int, steps: int) -> float:
        """What so many images take for so many steps, in hours of a core like these: time grows with both, and with
        threads as it did here."""
        return images * steps * self.microseconds * self.threads / 3.6e9


def measure(
    file: ConvertedFile,
    images: np.ndarray,
    *,
    steps: int,
    seed: int,
    threads: int,
    repeats: int,
    progress: Callable[[str, float], None] = lambda stage, share: None,
) -> NetworkBench:
    """Run `images` as one batch, and measure: 2 + `repeats` simulations.

    Statistics are collected in the whole process meanwhile, so measurements wait for each other.
    """
    with _one_at_a_time:
        return _measure(file, images, steps, seed, threads, repeats, progress)


def _measure(
    file: ConvertedFile,
    images: np.ndarray,
    steps: int,
    seed: int,
    threads: int,
    repeats: int,
    progress: Callable[[str, float], None],
) -> NetworkBench:
    progress("counting spikes", 0.0)
    reached = count_accumulations(file.block, images, steps, seed=seed, threads=threads)
    older = {node.id for node in native.read()}
    run = make_runner(file, steps=steps, seed=seed, threads=threads)
    for index in range(_WARM_UPS):
        progress("warming up", index / _WARM_UPS)
        ran = run(images, 0)
    seconds: list[float] = []
    nodes: list[list[native.NodeStatistics]] = []
    for index in range(repeats):
        progress("measuring", index / repeats)
        with native.collecting():
            start = time.perf_counter()
            run(images, 0)
            seconds.append(time.perf_counter() - start)
        nodes.append([node for node in native.read() if node.id not in older])

    progress("measuring the add stream", 0.0)
    steps_run = steps if file.options.schedule == "unrolled" else reached.steps
    sample_steps = len(images) * steps_run
    per_image_and_step = 1e6 / sample_steps
    times = _median_times(nodes)
    layers = _Layers(file, reached.layers, nodes[-1], times, threads, ran.spike_totals, sample_steps).bench()
    median, operations = statistics.median(seconds), int(ran.synaptic_operations.sum())
    return NetworkBench(
        images=len(images),
        steps=steps,
        steps_run=steps_run,
        threads=threads,
        repeats=repeats,
        vector_unit=native.vector_unit(),
        layers=layers,
        operations=operations,
        microseconds=median * per_image_and_step,
        other_microseconds=(median - sum(times.values())) * per_image_and_step,
        images_per_second=len(images) / median,
        operations_per_second=operations / median,
    )


def _median_times(repeats: Sequence[Sequence[native.NodeStatistics]]) -> dict[str, float]:
    """Seconds of each fused layer."""
    names = [node.name for node in repeats[0]]
    runs = [{node.name: node.nanoseconds * 1e-9 for node in nodes} for nodes in repeats]
    return {name: statistics.median(run[name] for run in runs) for name in names}


class _Layers:
    """Puts together what is known of each layer."""

    def __init__(
        self,
        file: ConvertedFile,
        reached: dict[str, LayerSpikes],
        nodes: Sequence[native.NodeStatistics],
        seconds: dict[str, float],
        threads: int,
        totals: np.ndarray,
        sample_steps: int,
    ) -> None:
        self._file = file
        self._reached = reached
        self._nodes = {node.name: node for node in nodes}
        self._seconds = seconds
        self._threads = threads
        self._sample_steps = sample_steps
        self._rooflines: dict[tuple[int, int, int], Roofline] = {}
        self._producers = {name: node for node in file.block.body for name in node.output}
        self._potentials = {state.layer: state.next_name for state in file.block.states}
        sources = [layer for layer in file.layers if layer.kind != "readout"]
        self._rates = {
            layer.name: float(totals[:, column].sum()) / layer.neurons / sample_steps if layer.levels == 1 else None
            for column, layer in enumerate(sources)
        }

    def bench(self) -> list[LayerBench]:
        """Every layer but the input, in order."""
        ops = {node.name: node.op_type for node in fused_nodes(self._file.block)}
        layers = []
        for layer in self._file.layers:
            name = layer.name
            if layer.kind == "input":
                continue
            density = self._rates[self._source_of(name)]
            fused = self._fused(name, ops[name], density) if name in ops else LayerBench(name, PLAIN, density, {})
            layers.append(fused)
        return layers

    def _fused(self, name: str, op: str, density: float | None) -> LayerBench:
        if name not in self._nodes:
            raise InternalError("bench", f"no operator of the session has the name of layer {name!r}")
        node, reached, seconds = self._nodes[name], self._reached[name], self._seconds[name]
        if node.spikes != reached.spikes:
            raise InternalError("bench", f"layer {name!r} read {node.spikes} spikes, was fed {reached.spikes}")
        speed = reached.operations / seconds
        most_used = max(node.kernels.values(), key=lambda use: use.calls)
        roofline = self._roofline(most_used) if most_used.working_set else None
        return LayerBench(
            name=name,
            op=op,
            input_density=density,
            kernels={kernel: use.calls for kernel, use in node.kernels.items()},
            spikes=reached.spikes,
            operations=reached.operations,
            microseconds=seconds * 1e6 / self._sample_steps,
            operations_per_second=speed,
            roofline=roofline,
            roofline_share=speed / roofline.additions_per_second if roofline else None,
        )

    def _source_of(self, layer: str) -> str:
        """The layer whose spikes `layer` reads; of a junction, that of its first branch."""
        pending = list(reversed(self._producers[self._potentials[layer]].input))
        while pending:
            name = pending.pop()
            if name == self._file.block.input_name:
                return self._file.layers[0].name
            node = self._producers.get(name)
            if node is None:
                continue
            if node.name in self._rates:
                return node.name
            pending += reversed(node.input)
        raise InternalError("bench", f"layer {layer!r} reads no spikes")

    def _roofline(self, use: native.KernelUse) -> Roofline:
        key = (use.working_set, use.weight_bytes, use.width)
        if key not in self._rooflines:
            fastest = self._threads * native.add_stream(*key)
            self._rooflines[key] = Roofline(use.width, use.weight_bytes, use.working_set, fastest)
        return self._rooflines[key]
