"""Which layers become one operator: the table of docs/event-driven.md as patterns on the trees of neurons and readouts.

    Conv(words)                                              → SpikingConv
    Add(Conv(words), Scale(words) or 1x1 Conv(words))        → SpikingConvAdd, branches in either order
    Gemm(words)                                              → SpikingGemm, under a readout SpikeReadout

`words` are the spikes of one source, only moved (`snnc.emit.words.copies_of`). Under `Staircase` neurons the operators
are `StaircaseConv`, `StaircaseConvAdd` and `StaircaseGemm`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.graph import activation_inputs, constant, producer, sample_shape
from snnc.ir.trees import copies_of, leaves, source_signal
from snnc.operators import LAYERS, weighted
from snnc.operators.layer import Shape

_SHAPES: tuple[Shape, ...] = ("Conv", "ConvAdd", "Gemm")
LAYER_OPERATORS = tuple(
    dict.fromkeys(op for room in LAYERS.values() for shape in _SHAPES if (op := room.layer_operator(shape)) is not None)
)
PLAIN = "plain"
_MOST_SPATIAL_AXES = 3
# In units of the grid: float32 has every integer below it.
_LARGEST_BIAS = 2**24


@dataclass(frozen=True)
class Synapses:
    """A `Conv`, `Gemm` or `Scale` on moved words, as the operator reads it."""

    node: gs.Node

    @property
    def words(self) -> gs.Tensor:
        """The tensor whose words it reads."""
        return activation_inputs(self.node)[0]

    @property
    def signed(self) -> bool:
        """Whether its spikes have signs: then each copy is all positive spikes, then all negative ones."""
        return any(source_signal(leaf).signed for leaf in leaves(self.words))

    @property
    def copies(self) -> int:
        """In how many copies the channels come."""
        copies = copies_of(self.words)
        assert copies is not None
        return copies

    @property
    def group(self) -> int:
        """Groups of channels: a `Scale` is one weight per channel."""
        channels = sample_shape(self.node.outputs[0])[0]
        return channels if self.node.op == "Scale" else int(self.node.attrs.get("group", 1))

    def weight(self) -> np.ndarray:
        """float32: `[M, C/group, k...]` of a convolution, `[K, M]` of a dense layer."""
        weight = constant(self.node, 1)
        assert weight is not None
        if self.node.op == "Scale":
            channels, *plane = sample_shape(self.node.outputs[0])
            by_channel = np.broadcast_to(weight.reshape(-1), (channels,))
            weight = np.array(by_channel, np.float32).reshape(channels, 1, *[1] * len(plane))
        return weight

    def attributes(self, prefix: str = "") -> dict[str, int]:
        """How the operator has to read the words."""
        return {f"{prefix}copies": self.copies, f"{prefix}signed": int(self.signed)}


@dataclass(frozen=True)
class Fused:
    """One operator for a tree and what it feeds."""

    op: str
    main: Synapses
    residual: Synapses | None = None

    @property
    def bias(self) -> np.ndarray | None:
        """The constant current of all branches, float32 `[M]`."""
        branches = [self.main] if self.residual is None else [self.main, self.residual]
        found = [bias for bias in (constant(branch.node, 2) for branch in branches) if bias is not None]
        return sum(found[1:], found[0]) if found else None

    def attributes(self) -> dict[str, Any]:
        """Attributes of the operator that tell of the synapses."""
        attrs: dict[str, Any] = {**self.main.attributes()}
        if self.main.node.op == "Conv":
            attrs |= {name: list(self.main.node.attrs[name]) for name in ("strides", "dilations", "pads")}
            attrs["group"] = self.main.group
        if self.residual is not None:
            attrs |= {"residual_group": self.residual.group, **self.residual.attributes("residual_")}
        return attrs


def select(target: gs.Node) -> Fused | None:
    """The operator that stands for `target` (a layer that integrates, with integer weights) and its tree, or None.

    None too where a constant current is beyond what operators hold, which those in front of a readout may be.
    """
    found = _of_tree(target)
    return None if found is None or (found.bias is not None and np.abs(found.bias).max() >= _LARGEST_BIAS) else found


def _of_tree(target: gs.Node) -> Fused | None:
    found = pattern(target, lambda tensor: copies_of(tensor) is not None)
    op = None if found is None else LAYERS[target.op].layer_operator(found.shape)
    return None if found is None or op is None else Fused(op, found.main, found.residual)


@dataclass(frozen=True)
class Pattern:
    """The tree of a layer in one of the shapes for which there are operators."""

    shape: Shape
    main: Synapses
    residual: Synapses | None = None


def pattern(target: gs.Node, moved: Callable[[gs.Tensor], bool]) -> Pattern | None:
    """The shape of the tree that `target` reads; `moved` tells whether a tensor is what sources give, only moved."""
    root = producer(target.inputs[0])
    if root is None or not LAYERS[target.op].integrates:
        return None
    if root.op == "Add":
        return _junction(root, moved)
    main = _synapses(root, moved) if root.op in ("Conv", "Gemm") else None
    return None if main is None else Pattern("Conv" if root.op == "Conv" else "Gemm", main)


def noted(target: gs.Node) -> Fused | None:
    """The operator that the pass `fuse` has chosen for `target`; None where it stays plain."""
    return None if target.attrs["fused"] == PLAIN else select(target)


def _junction(junction: gs.Node, moved: Callable[[gs.Tensor], bool]) -> Pattern | None:
    branches = [producer(operand) for operand in activation_inputs(junction)]
    first, second = (None if node is None else _synapses(node, moved) for node in branches)
    if first is None or second is None:
        return None
    for main, residual in ((first, second), (second, first)):
        if main.node.op == "Conv" and _reads_one_position(residual.node):
            return Pattern("ConvAdd", main, residual)
    return None


def _synapses(node: gs.Node, moved: Callable[[gs.Tensor], bool]) -> Synapses | None:
    if weighted(node) is None or not moved(activation_inputs(node)[0]):
        return None
    if node.op == "Scale" and (constant(node, 2) is not None or any(size > 1 for size in _weight_shape(node)[1:])):
        return None  # one weight for every channel is all that the operators know
    if node.op == "Conv" and not 1 <= len(node.attrs["kernel_shape"]) <= _MOST_SPATIAL_AXES:
        return None
    return Synapses(node)


def _reads_one_position(node: gs.Node) -> bool:
    """Whether each output sees one position of its input only."""
    if node.op == "Scale":
        return True
    return node.op == "Conv" and set(node.attrs["kernel_shape"]) == {1} and not any(node.attrs["pads"])


def _weight_shape(node: gs.Node) -> tuple[int, ...]:
    weight = constant(node, 1)
    assert weight is not None
    return weight.shape
