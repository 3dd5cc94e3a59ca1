"""Exact synaptic operations of each fused layer, from the spikes it reads.

`synaptic_operations` of a file counts them by the neurons that fire; here the layer that is reached counts them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper

from snnc.emit.block import Block
from snnc.emit.layer_operators import LAYER_OPERATORS
from snnc.ir.domain import DOMAIN
from snnc.simulate.block_runner import StreamRunner

# Number of set bits of every 16-bit number.
_BITS_16 = np.array([number.bit_count() for number in range(2**16)], np.uint8)


@dataclass(frozen=True)
class LayerSpikes:
    """What reaches a layer: `spikes` of its input (a residual input apart), `operations` accumulations in all."""

    spikes: int
    operations: int


@dataclass(frozen=True)
class Accumulations:
    """Of one run of a batch: the fused layers by name, and the steps that were simulated: all, or the blocks until the
    network was quiet."""

    layers: dict[str, LayerSpikes]
    steps: int


def fused_nodes(block: Block) -> list[onnx.NodeProto]:
    """The nodes of a block that stand for whole layers, in order."""
    return [node for node in block.body if node.domain == DOMAIN and node.op_type in LAYER_OPERATORS]


def count_accumulations(
    block: Block, images: np.ndarray, steps: int, *, seed: int, threads: int | None = None
) -> Accumulations:
    """Simulate `images`, and count for each fused layer what its input spikes cause."""
    nodes = fused_nodes(block)
    inputs = sorted({name for node in nodes for name, _ in _synapses(node)})
    counts: dict[str, np.ndarray] = {}
    for snapshot in StreamRunner(block, expose=inputs, threads=threads).run(images, [steps], seed=seed):
        for name, words in snapshot.words.items():
            counts[name] = counts.get(name, np.int64(0)) + _spikes_by_position(words)
        if snapshot.quiet:
            break
    shapes = {tensor.name: tuple(tensor.dims) for tensor in block.body_constants}
    return Accumulations({node.name: _layer_spikes(node, counts, shapes) for node in nodes}, snapshot.step)


def _synapses(node: onnx.NodeProto) -> list[tuple[str, str]]:
    """Names of spikes and weights, of a junction those of both branches."""
    pairs = [(node.input[0], node.input[1])]
    return [*pairs, (node.input[2], node.input[3])] if node.op_type.endswith("ConvAdd") else pairs


def _spikes_by_position(words: np.ndarray) -> np.ndarray:
    """Spikes in words `[N, C, x...]` at each position: int64 `[x...]`."""
    halves = np.ascontiguousarray(words).view(np.uint16).reshape(*words.shape, 4)
    counts: np.ndarray = _BITS_16[halves].sum(axis=(0, 1, -1), dtype=np.int64)
    return counts


def _layer_spikes(
    node: onnx.NodeProto, counts: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]
) -> LayerSpikes:
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    operations = 0
    for index, (spikes, weight) in enumerate(_synapses(node)):
        if "group" not in attributes:  # dense
            fanout = np.array(shapes[weight][1])
        elif index == 0:
            fanout = _fanout(counts[spikes].shape, shapes[weight], attributes)
        else:  # a residual input: each word reaches its own position
            fanout = np.array(shapes[weight][0] // attributes["residual_group"])
        operations += int((counts[spikes] * fanout).sum())
    return LayerSpikes(int(counts[node.input[0]].sum()), operations)


def _fanout(sizes: Iterable[int], weight: tuple[int, ...], attributes: Mapping[str, Any]) -> np.ndarray:
    """Accumulations that a spike at each input position causes, borders included: int64 `[x...]`."""
    fanout = np.array(weight[0] // attributes["group"], np.int64)
    rank = len(weight) - 2
    begins, ends = attributes["pads"][:rank], attributes["pads"][rank:]
    for axis, size in enumerate(sizes):
        kernel, stride, dilation = weight[axis + 2], attributes["strides"][axis], attributes["dilations"][axis]
        outputs = (size + begins[axis] + ends[axis] - dilation * (kernel - 1) - 1) // stride + 1
        taps = dilation * np.arange(kernel)
        read = stride * np.arange(outputs)[:, None] - begins[axis] + taps
        read = read[(read >= 0) & (read < size)]
        fanout = np.multiply.outer(fanout, np.bincount(read, minlength=size))
    return fanout
