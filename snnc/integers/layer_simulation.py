"""Layer by layer simulation for calibration: the spike trains of the layers so far are kept, bit-packed.

Keeping them makes calibration cost O(layers) instead of O(layers²). A train takes one bit per neuron and step; where
they take more memory than they may, they lie in temporary files (`snnc.integers.train_storage`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnxruntime
from onnx import TensorProto, helper

from snnc.data.rows import Rows
from snnc.emit.block import BlockWriter
from snnc.emit.layer_operators import Fused, select
from snnc.emit.model import make_model
from snnc.integers.train_storage import TrainStorage
from snnc.ir.graph import producer, sample_shape
from snnc.ir.names import COUNT, FIRST_SAMPLE, FIRST_STEP, SEED, Names, names_in, own
from snnc.ir.trees import leaves, source_signal, tree
from snnc.operators import SOURCES
from snnc.runtime.session import SpikingLayer, largest_batch, make_session
from snnc.simulate.block_runner import blocks


@dataclass(frozen=True)
class Measurement:
    """The weighted input sums of a layer over neurons, steps and samples, in input spikes of the layer.

    `maximum` is the largest one of every channel `[C]`, `positive_mean` the mean of the positive ones, `positive_share`
    how many are positive.
    """

    maximum: np.ndarray
    positive_mean: float
    positive_share: float


_OUT_OF_REACH = 2**31 - 1  # a potential stays below it for max_steps steps: that is how the grid is chosen


class SpikeTrains:
    """The spikes of a growing part of the network on the calibration images `[S, ...]`, in `storage`."""

    def __init__(
        self,
        images: np.ndarray | Rows,
        steps: int,
        seed: int,
        largest_layer: int,
        storage: TrainStorage | None = None,
    ) -> None:
        self.images, self.seed = images, seed
        self.blocks = list(blocks([steps]))
        self.batch = largest_batch([SpikingLayer("", "neuron", largest_layer)])  # its currents are measured
        self.starts = range(0, len(images), self.batch)
        self._storage = TrainStorage() if storage is None else storage

    def size_of(self, source: gs.Tensor) -> int:
        """How many bytes the train of a source takes, of one in a graph of level SPIKING or later."""
        neurons, signal = math.prod(sample_shape(source)), source_signal(source)
        per_neuron = 4 if signal.copies is None else 8 * (1 + signal.signed)
        return len(self.images) * len(self.blocks) * neurons * per_neuron

    def measure(
        self, target: gs.Node, unit: np.ndarray, progress: Callable[[float], None], *, batches: int | None = None
    ) -> Measurement:
        """The weighted input sums of the neurons of `target`, on all samples or on the first `batches`.

        `unit` is one unit of the layer's grid in its input spikes; it broadcasts against a sample.
        """
        writer = _writer(target)
        inputs = self._declare_sources(writer, target.inputs[0])
        current = writer.currents.of(target.inputs[0], "steps")
        shape = sample_shape(target.inputs[0])
        axes = writer.constant("axes", np.array([0, *range(2, 1 + len(shape))], np.int64))
        maximum_name = writer.node("ReduceMax", [current, axes], "maximum", keepdims=0)
        positive = writer.node("Relu", [current], "positive")
        sum_name = writer.node("ReduceSum", [positive, axes], "positive_sum", keepdims=0)
        bounds = [writer.constant(f"clip/{value}", np.array(value, np.float32)) for value in (0, 1)]
        is_positive = writer.node("Clip", [current, *bounds], "is_positive")  # currents are integers
        share_name = writer.node("ReduceMean", [is_positive], "positive_share", keepdims=0)
        session = _session(writer, inputs, dict.fromkeys((maximum_name, sum_name, share_name), TensorProto.FLOAT))
        maximum, total, positive_elements, elements = np.zeros(shape[0]), np.zeros(shape[0]), 0.0, 0
        for samples, count, feeds in self._feeds(target, progress, batches):
            block_maximum, block_sum, share = session.run(None, feeds)
            maximum = np.maximum(maximum, block_maximum)
            total += block_sum
            elements += samples * count * math.prod(shape)
            positive_elements += float(share) * samples * count * math.prod(shape)
        by_channel = np.broadcast_to(unit.max(tuple(range(1, unit.ndim))), (shape[0],))
        mean = float((total * by_channel).sum()) / max(1.0, positive_elements)
        return Measurement(maximum * by_channel, mean, positive_elements / elements)

    def mean_currents(
        self, target: gs.Node, unit: np.ndarray, progress: Callable[[float], None]
    ) -> Iterator[np.ndarray]:
        """The mean weighted input sum of every neuron of `target` over the steps, in its input spikes, float64
        `[N, ...]` for each batch.

        Computed by the operator that will run the layer, with a threshold that no potential within `max_steps` reaches
        and without a leak: what it has integrated at the end is the sum of its currents, as an integer.
        """
        steps = sum(count for _, count in self.blocks)
        inputs, attrs = list(target.inputs), dict(target.attrs)
        out_of_reach = gs.Constant(own(f"{target.name}/out_of_reach"), np.array(_OUT_OF_REACH, np.int32))
        target.inputs = [inputs[0], out_of_reach]
        target.attrs = {**{name: value for name, value in attrs.items() if name != "leak"}, "v_init": 0.0}
        try:
            for _, states in self._simulate(target, progress):
                yield next(iter(states.values())) * (unit / steps)
        finally:
            target.inputs, target.attrs = inputs, attrs

    def fire(self, node: gs.Node, progress: Callable[[float], None] = lambda share: None) -> None:
        """Simulate a spike source, all of whose parameters are known, and keep its spikes."""
        for row, _ in self._simulate(node, progress):
            for words in row:
                self._storage.append(node.outputs[0].name, words)

    def _simulate(
        self, node: gs.Node, progress: Callable[[float], None]
    ) -> Iterator[tuple[list[np.ndarray], dict[str, np.ndarray]]]:
        """(spike words of each block, states at the end) of a spike source, for every batch of samples."""
        writer = _writer(node, {node.name: select(node)})
        states = writer.states_of(node)
        inputs = self._declare_sources(writer, node.inputs[0])
        inputs += [_info(state.name, _TYPES[state.dtype], ["N", *state.dims]) for state in states]
        SOURCES[node.op].emit(node, writer)
        spikes, elem_type = _written(writer, node.outputs[0])
        outputs = {spikes: elem_type, **{state.next_name: _TYPES[state.dtype] for state in states}}
        session = _session(writer, inputs, outputs)
        row: list[np.ndarray] = []
        values: list[np.ndarray] = []
        for samples, _, feeds in self._feeds(node, progress):
            if not row:
                values = [state.start(samples) for state in states]
            carried = {state.name: value for state, value in zip(states, values, strict=True)}
            words, *values = session.run(None, {**feeds, **carried})
            row.append(words)
            if len(row) == len(self.blocks):
                yield row, {state.name: value for state, value in zip(states, values, strict=True)}
                row = []

    def words(self, name: str, batch: int, block: int) -> np.ndarray:
        """What a source that has fired gives (its spike words, or its numbers), `[N, ...]`, of a batch of samples and a
        block of steps."""
        return self._storage.read(name, batch * len(self.blocks) + block)

    def forget(self, name: str) -> None:
        """Free the spike train of a tensor that no later layer reads."""
        self._storage.forget(name)

    def _declare_sources(self, writer: BlockWriter, root: gs.Tensor) -> list[onnx.ValueInfoProto]:
        """Inputs for what a layer reads: words of the sources of its tree, or the images."""
        if producer(root) is None:
            return [
                _info(root.name, TensorProto.FLOAT, ["N", *sample_shape(root)]),
                *(_info(name, TensorProto.INT64, []) for name in (SEED, FIRST_SAMPLE, FIRST_STEP, COUNT)),
            ]
        inputs = [_info(COUNT, TensorProto.INT64, [])]
        for leaf in {leaf.name: leaf for leaf in leaves(root)}.values():
            inputs.append(_declare(writer, leaf))
        return inputs

    def _feeds(
        self, node: gs.Node, progress: Callable[[float], None], batches: int | None = None
    ) -> Iterator[tuple[int, int, dict[str, np.ndarray]]]:
        """(samples, count, inputs) for every batch (or the first `batches`) and block, blocks of a batch in order."""
        root = node.inputs[0]
        sources = None if producer(root) is None else sorted({leaf.name for leaf in leaves(root)})
        for batch_index, start in enumerate(self.starts[:batches]):
            samples = len(self.images[start : start + self.batch])
            for block_index, (first_step, count) in enumerate(self.blocks):
                controls = {COUNT: count}
                feeds: dict[str, np.ndarray] = {}
                if sources is None:
                    controls |= {SEED: self.seed, FIRST_SAMPLE: start, FIRST_STEP: first_step}
                    feeds[root.name] = self.images[start : start + self.batch]
                else:
                    feeds = {name: self.words(name, batch_index, block_index) for name in sources}
                yield samples, count, feeds | {name: np.array(value, np.int64) for name, value in controls.items()}
            progress((batch_index + 1) / len(self.starts))


_TYPES = {"int32": TensorProto.INT32, "int64": TensorProto.INT64}


def _info(name: str, elem_type: int, dims: list[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, elem_type, dims)


def _declare(writer: BlockWriter, source: gs.Tensor) -> onnx.ValueInfoProto:
    """The spikes of `source`, or its numbers where it does not spike, as an input under its name."""
    channels, *plane = sample_shape(source)
    if source_signal(source).copies is None:
        # After the first step of a train nothing comes but zeros, if it is not the same in every step.
        writer.currents.declare(source, source.name, first_step_only=SOURCES[source.inputs[0].op].first_step_only)
        return _info(source.name, TensorProto.FLOAT, ["N", channels, *plane])
    writer.words.declare(source, source.name)
    return _info(source.name, TensorProto.UINT64, ["N", writer.words.of(source).planes * channels, *plane])


def _written(writer: BlockWriter, source: gs.Tensor) -> tuple[str, int]:
    """Name and type of what a source gives."""
    if source_signal(source).copies is None:
        return writer.currents.graded(source), TensorProto.FLOAT
    return writer.words.of(source).name, TensorProto.UINT64


def _writer(node: gs.Node, choices: dict[str, Fused | None] | None = None) -> BlockWriter:
    """For the tree of `node`."""
    return BlockWriter(Names(names_in([*tree(node.inputs[0]), node])), choices)


def _session(
    writer: BlockWriter, inputs: list[onnx.ValueInfoProto], outputs: Mapping[str, int]
) -> onnxruntime.InferenceSession:
    infos = [helper.make_tensor_value_info(name, elem_type, None) for name, elem_type in outputs.items()]
    graph = helper.make_graph(writer.nodes, "segment", inputs, infos, list(writer.constants.values()))
    return make_session(make_model(graph).SerializeToString())
