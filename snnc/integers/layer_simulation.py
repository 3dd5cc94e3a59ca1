"""Layer by layer simulation for calibration: the spike trains of the layers so far are kept, bit-packed.

Keeping them makes calibration cost O(layers) instead of O(layers²). A train takes one bit per neuron and step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnxruntime
from onnx import TensorProto, helper

from snnc.emit.block import Builder
from snnc.emit.layer_operators import select
from snnc.emit.model import make_model
from snnc.ir.graph import sample_shape
from snnc.ir.names import COUNT, FIRST_SAMPLE, FIRST_STEP, SEED, Names, names_in
from snnc.ir.trees import leaves, tree
from snnc.runtime.session import SpikingLayer, largest_batch, make_session
from snnc.simulate.block_runner import blocks


@dataclass(frozen=True)
class Measurement:
    """The weighted input sums of a layer over neurons, steps and samples, on the layer's integer grid.

    `maximum` is the largest one, `positive_mean` the mean of the positive ones, `positive_share` how many are positive.
    """

    maximum: int
    positive_mean: float
    positive_share: float


_OUT_OF_REACH = 2**31 - 1  # a potential stays below it for max_steps steps: that is how the grid is chosen

# Spike words of one source: per batch of samples, per block, (plus, minus or None).
Train = list[list[tuple[np.ndarray, np.ndarray | None]]]


@dataclass(frozen=True)
class _Sources:
    """The inputs of the session of a layer; for each tensor of spikes the names of its words (plus, minus or None)."""

    infos: list[onnx.ValueInfoProto]
    words: dict[str, tuple[str, str | None]] = field(default_factory=dict)


class SpikeTrains:
    """The spikes of a growing part of the network on the calibration images."""

    def __init__(self, images: np.ndarray, steps: int, seed: int, largest_layer: int) -> None:
        self.images, self.seed = images, seed
        self.blocks = list(blocks([steps]))
        self.batch = largest_batch([SpikingLayer("", "neuron", largest_layer)])  # its currents are measured
        self.starts = range(0, len(images), self.batch)
        self._trains: dict[str, Train] = {}

    def encode(self, encoder: gs.Node) -> None:
        """Encode the images."""
        builder = Builder()
        builder.encode(encoder)
        pixels = encoder.inputs[0]
        inputs = [helper.make_tensor_value_info(pixels.name, TensorProto.FLOAT, ["N", *sample_shape(pixels)])]
        inputs += [_scalar_info(name) for name in (SEED, FIRST_SAMPLE, FIRST_STEP, COUNT)]
        words = builder.words.of(encoder.outputs[0])
        assert words.minus is not None
        session = _session(builder, inputs, dict.fromkeys((words.plus, words.minus), TensorProto.UINT64))
        train: Train = []
        for start in self.starts:
            row = []
            for first_step, count in self.blocks:
                feeds = {SEED: self.seed, FIRST_SAMPLE: start, FIRST_STEP: first_step, COUNT: count}
                plus, minus = session.run(
                    None,
                    {pixels.name: self.images[start : start + self.batch]}
                    | {name: np.array(value, np.int64) for name, value in feeds.items()},
                )
                row.append((plus, minus))
            train.append(row)
        self._trains[encoder.outputs[0].name] = train

    def measure(self, target: gs.Node, progress: Callable[[float], None], *, batches: int | None = None) -> Measurement:
        """The weighted input sums of the neurons of `target`, on all samples or on the first `batches`."""
        builder = _builder(target)
        sources = self._declare_sources(builder, target.inputs[0])
        current = builder.currents.of(target.inputs[0], "steps")
        maximum_name = builder.node("ReduceMax", [current], "maximum", keepdims=0)
        positive = builder.node("Relu", [current], "positive")
        sum_name = builder.node("ReduceSum", [positive], "positive_sum", keepdims=0)
        bounds = [builder.constant(f"clip/{value}", np.array(value, np.float32)) for value in (0, 1)]
        is_positive = builder.node("Clip", [current, *bounds], "is_positive")  # currents are integers
        share_name = builder.node("ReduceMean", [is_positive], "positive_share", keepdims=0)
        names = (maximum_name, sum_name, share_name)
        session = _session(builder, sources.infos, dict.fromkeys(names, TensorProto.FLOAT))
        maximum, total, positive_elements, elements = 0.0, 0.0, 0.0, 0
        size = int(np.prod(sample_shape(target.inputs[0])))
        for samples, count, feeds in self._feeds(sources, progress, batches):
            block_maximum, block_sum, share = session.run(None, feeds)
            maximum = max(maximum, float(block_maximum))
            total += float(block_sum)
            elements += samples * count * size
            positive_elements += float(share) * samples * count * size
        return Measurement(round(maximum), total / max(1.0, positive_elements), positive_elements / elements)

    def mean_currents(self, target: gs.Node, progress: Callable[[float], None]) -> Iterator[np.ndarray]:
        """The mean weighted input sum of every neuron of `target` over the steps, float64 `[N, ...]` for each batch.

        Computed by the operator that will run the layer, with a threshold that no potential within `max_steps` reaches:
        what it has integrated at the end is the sum of its currents, as an integer.
        """
        steps = sum(count for _, count in self.blocks)
        for _, potential in self._integrate(target, progress, fires=False):
            yield potential / np.float64(steps)

    def fire(self, target: gs.Node, progress: Callable[[float], None]) -> None:
        """Simulate the neurons of `target`, whose threshold is known, and keep their spikes."""
        train: Train = [[(words, None) for words in row] for row, _ in self._integrate(target, progress)]
        self._trains[target.outputs[0].name] = train

    def _integrate(
        self, target: gs.Node, progress: Callable[[float], None], *, fires: bool = True
    ) -> Iterator[tuple[list[np.ndarray], np.ndarray]]:
        """(spike words of each block, potential at the end) of the neurons of `target`, for every batch of samples."""
        builder = _builder(target)
        sources = self._declare_sources(builder, target.inputs[0])
        state = builder.neuron(target, select(target), None if fires else np.array(_OUT_OF_REACH, np.int32))
        potential = helper.make_tensor_value_info(state.name, TensorProto.INT32, ["N", *state.dims])
        outputs = {target.outputs[0].name: TensorProto.UINT64, state.next_name: TensorProto.INT32}
        session = _session(builder, [*sources.infos, potential], outputs)
        row: list[np.ndarray] = []
        v = np.zeros(0, np.int32)
        for samples, _, feeds in self._feeds(sources, progress):
            if not row:
                v = state.start(samples) if fires else np.zeros((samples, *state.dims), np.int32)
            words, v = session.run(None, {**feeds, state.name: v})
            row.append(words)
            if len(row) == len(self.blocks):
                yield row, v
                row = []

    def forget(self, name: str) -> None:
        """Free the spike train of a tensor that no later layer reads."""
        self._trains.pop(name, None)

    def _declare_sources(self, builder: Builder, root: gs.Tensor) -> _Sources:
        """Tell `builder` the names under which it gets the spikes that the tree under `root` starts from."""
        sources = _Sources([_scalar_info(COUNT)] if any(True for _ in tree(root)) else [])
        for leaf in {leaf.name: leaf for leaf in leaves(root)}.values():
            signed = self._trains[leaf.name][0][0][1] is not None
            plus = builder.names.unique(f"{leaf.name}/plus")
            minus = builder.names.unique(f"{leaf.name}/minus") if signed else None
            builder.words.declare(leaf, plus, minus)
            sources.words[leaf.name] = (plus, minus)
            for name in (plus, minus):
                if name is not None:
                    dims: list[str | int | None] = ["N", *sample_shape(leaf)]
                    sources.infos.append(helper.make_tensor_value_info(name, TensorProto.UINT64, dims))
        return sources

    def _feeds(
        self, sources: _Sources, progress: Callable[[float], None], batches: int | None = None
    ) -> Iterator[tuple[int, int, dict[str, np.ndarray]]]:
        """(samples, count, inputs) for every batch (or the first `batches`) and block, blocks of a batch in order."""
        for batch_index in range(len(self.starts))[:batches]:
            for block_index, (_, count) in enumerate(self.blocks):
                feeds: dict[str, np.ndarray] = {COUNT: np.array(count, np.int64)}
                samples = 0
                for leaf, (plus_name, minus_name) in sources.words.items():
                    plus, minus = self._trains[leaf][batch_index][block_index]
                    feeds[plus_name] = plus
                    if minus_name is not None and minus is not None:
                        feeds[minus_name] = minus
                    samples = len(plus)
                yield samples, count, feeds
            progress((batch_index + 1) / len(self.starts))


def _builder(target: gs.Node) -> Builder:
    """For the tree of `target`."""
    return Builder(Names(names_in([*tree(target.inputs[0]), target])))


def _scalar_info(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.INT64, [])


def _session(
    builder: Builder, inputs: list[onnx.ValueInfoProto], outputs: Mapping[str, int]
) -> onnxruntime.InferenceSession:
    infos = [helper.make_tensor_value_info(name, elem_type, None) for name, elem_type in outputs.items()]
    graph = helper.make_graph(builder.nodes, "segment", inputs, infos, list(builder.constants.values()))
    return make_session(make_model(graph).SerializeToString())
