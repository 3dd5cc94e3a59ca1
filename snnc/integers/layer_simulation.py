"""Layer by layer simulation for calibration: the spike trains of the layers so far are kept, bit-packed.

Keeping them makes calibration cost O(layers) instead of O(layers²). A train takes one bit per neuron and step; where
they take more memory than they may, they lie in temporary files (`snnc.integers.train_storage`). Workers may be on
several machines: `snnc.integers.segment` is what they do with a batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import TensorProto, helper

from snnc.data.rows import Rows
from snnc.emit.block import BlockWriter
from snnc.emit.layer_operators import Fused, select
from snnc.emit.model import make_model
from snnc.integers.segment import Batch, Fired, MeanCurrents, MeasuredSums, Segment
from snnc.ir.graph import producer, sample_shape
from snnc.ir.names import COUNT, FIRST_SAMPLE, FIRST_STEP, SEED, Names, names_in, own
from snnc.ir.state import State
from snnc.ir.trees import leaves, source_signal, tree
from snnc.operators import SOURCES
from snnc.runtime.session import SpikingLayer, largest_batch
from snnc.simulate.block_runner import blocks
from snnc.workers import Here, Part, Progress, Work, Workers, in_order
from snnc.workers.contract import Found


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
    """The spikes of a growing part of the network on the calibration images `[S, ...]`: the `workers` simulate its
    layers, batch by batch, and keep the spikes where they are; up to `memory` bytes in this process if that is
    theirs."""

    def __init__(
        self,
        images: np.ndarray | Rows,
        steps: int,
        seed: int,
        largest_layer: int,
        memory: int | None = None,
        workers: Workers | None = None,
    ) -> None:
        self.images, self.seed = images, seed
        self.blocks = list(blocks([steps]))
        self.batch = largest_batch([SpikingLayer("", "neuron", largest_layer)])  # its currents are measured
        self.starts = range(0, len(images), self.batch)
        self._workers = workers or Here()
        self._trains = self._workers.trains(memory)

    def require_space(self, lives: Iterable[tuple[str, int]]) -> None:
        """SNN412 where there is no room for what is to come (`Trains.require_space`)."""
        self._trains.require_space(lives)

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
        inputs = _declare_sources(writer, target.inputs[0])
        current = writer.currents.of(target.inputs[0], "steps")
        shape = sample_shape(target.inputs[0])
        axes = writer.constant("axes", np.array([0, *range(2, 1 + len(shape))], np.int64))
        maximum_name = writer.node("ReduceMax", [current, axes], "maximum", keepdims=0)
        positive = writer.node("Relu", [current], "positive")
        sum_name = writer.node("ReduceSum", [positive, axes], "positive_sum", keepdims=0)
        bounds = [writer.constant(f"clip/{value}", np.array(value, np.float32)) for value in (0, 1)]
        is_positive = writer.node("Clip", [current, *bounds], "is_positive")  # currents are integers
        share_name = writer.node("ReduceMean", [is_positive], "positive_share", keepdims=0)
        model = _model(writer, inputs, dict.fromkeys((maximum_name, sum_name, share_name), TensorProto.FLOAT))
        maximum, total, positive_elements, elements = np.zeros(shape[0]), np.zeros(shape[0]), 0.0, 0
        samples = [len(range(len(self.images))[start : start + self.batch]) for start in self.starts]
        found = self._run(MeasuredSums(self._segment(model, target)), target, progress, batches)
        for batch_samples, of_blocks in zip(samples, found, strict=False):
            for (_, count), (block_maximum, block_sum, share) in zip(self.blocks, of_blocks, strict=True):
                maximum = np.maximum(maximum, block_maximum)
                total += block_sum
                elements += batch_samples * count * math.prod(shape)
                positive_elements += float(share) * batch_samples * count * math.prod(shape)
        by_channel = np.broadcast_to(unit.max(tuple(range(1, unit.ndim))), (shape[0],))
        mean = float((total * by_channel).sum()) / max(1.0, positive_elements)
        return Measurement(maximum * by_channel, mean, positive_elements / elements)

    def mean_currents(
        self,
        target: gs.Node,
        unit: np.ndarray,
        progress: Callable[[float], None],
        reduce: Callable[[np.ndarray], Any] = np.asarray,
    ) -> Iterator[Any]:
        """The mean weighted input sum of every neuron of `target` over the steps, in its input spikes, float64
        `[N, ...]` for each batch, or what is left of that by `reduce`, which can be pickled: the workers call it.

        Computed by the operator that will run the layer, with a threshold that no potential within `max_steps` reaches
        and without a leak: what it has integrated at the end is the sum of its currents, as an integer.
        """
        steps = sum(count for _, count in self.blocks)
        inputs, attrs = list(target.inputs), dict(target.attrs)
        out_of_reach = gs.Constant(own(f"{target.name}/out_of_reach"), np.array(_OUT_OF_REACH, np.int32))
        target.inputs = [inputs[0], out_of_reach]
        target.attrs = {**{name: value for name, value in attrs.items() if name != "leak"}, "v_init": 0.0}
        try:
            segment = self._layer(target)
        finally:
            target.inputs, target.attrs = inputs, attrs
        return self._run(MeanCurrents(segment, unit / steps, reduce), target, progress)

    def fire(self, node: gs.Node, progress: Callable[[float], None] = lambda share: None) -> None:
        """Simulate a spike source, all of whose parameters are known, and keep its spikes."""
        work = Fired(self._layer(node))
        parts = self._parts(node)
        self._workers.fill(self._trains, node.outputs[0].name, work, parts, len(self.starts), progress)

    def words(self, name: str, batch: int, block: int) -> np.ndarray:
        """What a source that has fired gives (its spike words, or its numbers), `[N, ...]`, of a batch of samples and a
        block of steps."""
        return self._trains.read(name, batch)[block]

    def forget(self, name: str) -> None:
        """Free the spike train of a tensor that no later layer reads."""
        self._trains.forget(name)

    def _layer(self, node: gs.Node) -> Segment:
        """A spike source with its states; its spikes come first."""
        writer = _writer(node, {node.name: select(node)})
        states = writer.states_of(node)
        inputs = _declare_sources(writer, node.inputs[0])
        inputs += [_info(state.name, _TYPES[state.dtype], ["N", *state.dims]) for state in states]
        SOURCES[node.op].emit(node, writer)
        spikes, elem_type = _written(writer, node.outputs[0])
        outputs = {spikes: elem_type, **{state.next_name: _TYPES[state.dtype] for state in states}}
        return self._segment(_model(writer, inputs, outputs), node, states)

    def _segment(self, model: bytes, node: gs.Node, states: Sequence[State] = ()) -> Segment:
        return Segment(
            model, _names_read(node), producer(node.inputs[0]) is None, tuple(states), self.blocks, self.seed
        )

    def _run(
        self, work: Work[Batch, Found], node: gs.Node, progress: Progress, batches: int | None = None
    ) -> Iterator[Found]:
        """What is found of the batches (or of the first `batches`), in their order."""
        count = len(self.starts[:batches])
        return in_order(self._workers.run(work, self._parts(node, batches), count, progress))

    def _parts(self, node: gs.Node, batches: int | None = None) -> Iterator[Part[Batch]]:
        """The batches with what `node` reads: the images, or spikes that were kept."""
        names, first = _names_read(node), producer(node.inputs[0]) is None
        for index, start in enumerate(self.starts[:batches]):
            samples = len(range(len(self.images))[start : start + self.batch])
            images = self.images[start : start + self.batch] if first else None
            kept = () if first else tuple(self._trains.of(name, index) for name in names)
            yield Part(index, Batch(start, samples, images), kept)


def _names_read(node: gs.Node) -> tuple[str, ...]:
    """The tensors that a layer reads: sources of its tree, or the images."""
    root = node.inputs[0]
    return (root.name,) if producer(root) is None else tuple(sorted({leaf.name for leaf in leaves(root)}))


def _declare_sources(writer: BlockWriter, root: gs.Tensor) -> list[onnx.ValueInfoProto]:
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


def _model(writer: BlockWriter, inputs: list[onnx.ValueInfoProto], outputs: Mapping[str, int]) -> bytes:
    infos = [helper.make_tensor_value_info(name, elem_type, None) for name, elem_type in outputs.items()]
    graph = helper.make_graph(writer.nodes, "segment", inputs, infos, list(writer.constants.values()))
    content: bytes = make_model(graph).SerializeToString()
    return content
