"""Which layers become one operator: the table of docs/event-driven.md as patterns on the trees of neurons and readouts.

    Conv(words)                                              → SpikingConv
    Add(Conv(words), Scale(words) or 1x1 Conv(words))        → SpikingConvAdd, branches in either order
    Gemm(words)                                              → SpikingGemm, under a readout SpikeReadout

`words` are the spikes of one source, only moved (`snnc.emit.words.copies_of`). Under `Staircase` neurons the operators
are `StaircaseConv`, `StaircaseConvAdd` and `StaircaseGemm`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from snnc.emit.words import copies_of
from snnc.ir.graph import activation_inputs, constant, producer, sample_shape
from snnc.ir.trees import leaves
from snnc.operators import weighted

# What the names of the operators begin with, by the neuron.
_FAMILIES = {"RMP": "Spiking", "IF": "Spiking", "Staircase": "Staircase"}
# Sources whose spikes have signs.
_SIGNED_SOURCES = ("SpikeEncode", "Staircase")
LAYER_OPERATORS = (
    *(f"{family}{layer}" for family in ("Spiking", "Staircase") for layer in ("Conv", "ConvAdd", "Gemm")),
    "SpikeReadout",
)
PLAIN = "plain"
_MOST_SPATIAL_AXES = 3


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
        sources = map(producer, leaves(self.words))
        return any(node is not None and node.op in _SIGNED_SOURCES for node in sources)

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
            weight = np.full((channels, 1, *[1] * len(plane)), weight, np.float32)
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

    def attributes(self, target: gs.Node) -> dict[str, Any]:
        """Attributes of the operator where it stands for `target`."""
        attrs: dict[str, Any] = {**self.main.attributes()}
        if self.main.node.op == "Conv":
            attrs |= {name: list(self.main.node.attrs[name]) for name in ("strides", "dilations", "pads")}
            attrs["group"] = self.main.group
        if self.residual is not None:
            attrs |= {"residual_group": self.residual.group, **self.residual.attributes("residual_")}
        if target.op == "Staircase":
            attrs |= {name: int(target.attrs[name]) for name in ("low", "high")}
        elif target.op != "SpikeReadout":
            attrs["soft_reset"] = int(target.op == "RMP")
        return attrs


def select(target: gs.Node) -> Fused | None:
    """The operator that stands for `target` (a neuron or readout with integer weights) and its tree, or None."""
    root = producer(target.inputs[0])
    if root is None:
        return None
    if root.op == "Gemm":
        dense = _synapses(root)
        return None if dense is None else Fused(_name(target, "Gemm"), dense)
    if target.op == "SpikeReadout":
        return None
    if root.op == "Conv":
        main = _synapses(root)
        return None if main is None else Fused(_name(target, "Conv"), main)
    return _junction(root, _name(target, "ConvAdd")) if root.op == "Add" else None


def _name(target: gs.Node, layer: str) -> str:
    return "SpikeReadout" if target.op == "SpikeReadout" else f"{_FAMILIES[target.op]}{layer}"


def noted(target: gs.Node) -> Fused | None:
    """The operator that the pass `fuse` has chosen for `target`; None where it stays plain."""
    return None if target.attrs["fused"] == PLAIN else select(target)


def _junction(junction: gs.Node, op: str) -> Fused | None:
    branches = [producer(operand) for operand in activation_inputs(junction)]
    first, second = (None if node is None else _synapses(node) for node in branches)
    if first is None or second is None:
        return None
    for main, residual in ((first, second), (second, first)):
        if main.node.op == "Conv" and _reads_one_position(residual.node):
            return Fused(op, main, residual)
    return None


def _synapses(node: gs.Node) -> Synapses | None:
    if weighted(node) is None or copies_of(activation_inputs(node)[0]) is None:
        return None
    if node.op == "Conv" and not 1 <= len(node.attrs["kernel_shape"]) <= _MOST_SPATIAL_AXES:
        return None
    return Synapses(node)


def _reads_one_position(node: gs.Node) -> bool:
    """Whether each output sees one position of its input only."""
    if node.op == "Scale":
        return True
    return node.op == "Conv" and set(node.attrs["kernel_shape"]) == {1} and not any(node.attrs["pads"])
