"""What the neurons of a spiking graph give in the ANN, on the calibration samples: for thresholds that need no spikes.

The samples are walked through twice, first for ranges, then for histograms, and not before somebody asks. They come in
batches, so that there may be more of them than fit into memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import onnx_graphsurgeon as gs
import onnxruntime

from snnc.data.rows import Rows
from snnc.diagnostics import fail
from snnc.emit.analog import analog_network
from snnc.integers.histogram import Histogram
from snnc.ir.graph import sample_shape
from snnc.memory import give_back
from snnc.operators import LAYERS
from snnc.runtime.session import make_session

Found = TypeVar("Found")
#: Calibration samples: a new walk through them, in batches `[N, ...]`, whenever it is called.
Batches = Callable[[], Iterable[np.ndarray]]

#: What the histograms of all layers take together, unless that leaves a channel fewer than `_FEWEST_BINS`.
HISTOGRAM_BYTES = 2**27
#: What the activations of all layers take for one batch, if it has more than one sample.
BATCH_BYTES = 2**26
_MOST_BINS, _FEWEST_BINS = 2048, 16
_LARGEST_BATCH = 64


class Activations:
    """The activations of the ANN that a graph of level SPIKING stands for; the graph may change afterwards."""

    def __init__(self, graph: gs.Graph, batches: Batches) -> None:
        self._input, self._batches = graph.inputs[0].name, batches
        network = analog_network(graph, limited=True)
        self._outputs = {name: network.outputs[name] for name in network.limits}
        self._limits = network.limits
        shapes = {node.name: sample_shape(node.outputs[0]) for node in graph.nodes if node.name in network.limits}
        self.channels = {name: shape[0] for name, shape in shapes.items()}
        self._axes = {name: len(shape) for name, shape in shapes.items()}
        self._model = network.model.SerializeToString()
        self._found: dict[str, Any] = {}

    def of(self, layer: str) -> Histogram:
        """The activations of a neuron's layer."""
        return self._histograms[layer]

    def once(self, name: str, work_out: Callable[[], Found]) -> Found:
        """What a rule works out for all layers: by the first of them that asks."""
        if name not in self._found:
            self._found[name] = work_out()
        found: Found = self._found[name]
        return found

    def walk(self, limits: Mapping[str, np.ndarray] | None = None) -> Iterator[dict[str, np.ndarray]]:
        """The activations of every batch by layer, `[C, N·...]` float32.

        Where `limits` `[C]` are given, which may change on the way, the layers behind a layer read no more than that.
        """
        for batch in self._batches():
            feeds = {self._input: batch}
            for name, tensor in self._limits.items():
                limit = np.full(self.channels[name], np.inf) if limits is None else limits[name]
                feeds[tensor] = limit.astype(np.float32).reshape(-1, *[1] * (self._axes[name] - 1))
            values = self._session.run(list(self._outputs.values()), feeds)
            yield {name: _by_channel(value) for name, value in zip(self._outputs, values, strict=True)}

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        return make_session(self._model)

    @cached_property
    def _histograms(self) -> dict[str, Histogram]:
        smallest = {name: np.full(channels, np.inf) for name, channels in self.channels.items()}
        largest = {name: np.full(channels, -np.inf) for name, channels in self.channels.items()}
        for batch in self.walk():
            for name, values in batch.items():
                smallest[name] = np.minimum(smallest[name], values.min(1))
                largest[name] = np.maximum(largest[name], values.max(1))
        for name in self.channels:
            if not (np.isfinite(smallest[name]) & np.isfinite(largest[name])).all():
                fail("SNN406", "in the ANN it leaves the numbers of float32 on the calibration samples", node=name)
        bins = HISTOGRAM_BYTES // (8 * sum(self.channels.values()))
        bins = max(_FEWEST_BINS, min(_MOST_BINS, bins))
        found = {name: Histogram(smallest[name], largest[name], bins) for name in self.channels}
        for batch in self.walk():
            for name, values in batch.items():
                found[name].add(values)
        del self._session  # few rules walk once more
        give_back()
        return found


def in_batches(images: np.ndarray | Rows, graph: gs.Graph) -> Batches:
    """Batches of `images` `[S, ...]` that leave room for the activations of the graph."""
    layers = [node for node in graph.nodes if node.op in LAYERS]
    per_sample = 4 * sum(math.prod(sample_shape(node.outputs[0])) for node in layers)
    size = max(1, min(_LARGEST_BATCH, BATCH_BYTES // per_sample))
    return lambda: (images[start : start + size] for start in range(0, len(images), size))


def _by_channel(values: np.ndarray) -> np.ndarray:
    """`[N, C, ...]` as `[C, N·...]`."""
    return np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)
