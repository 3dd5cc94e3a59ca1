"""The contract of a linear operator: everything that the compiler has to know of it.

Linear operators stand between spike sources and the neuron or readout that sums their current. One file in this folder
is the room of one of them; passes, grid, fan-out, currents and words ask it and know no operator by name. Only the
reference simulator (`snnc.simulate.reference`) has its own account, because it checks this one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import onnx_graphsurgeon as gs

from snnc.ir.graph import constant, sample_shape
from snnc.ir.names import own

if TYPE_CHECKING:
    from snnc.emit.nodes import Nodes, WordNodes
    from snnc.ir.options import Options

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Values of every step, time folded into the batch, `[count·N, ...]`; or their sums over a block, `[N, ...]`.
Mode = Literal["steps", "sums"]

# What keeps a node from being converted: rule, message, hint ("" for that of the rule).
Finding = tuple[str, str, str]


@dataclass(frozen=True)
class Bounds:
    """The smallest and the largest value of a tensor in one step, per channel; 0 lies between them."""

    low: FloatArray
    high: FloatArray

    @property
    def magnitude(self) -> float:
        """The largest magnitude that a value can have."""
        return float(max(self.high.max(initial=0.0), -self.low.min(initial=0.0)))

    def __add__(self, other: Bounds) -> Bounds:
        return Bounds(self.low + other.low, self.high + other.high)

    def scaled(self, factor: float) -> Bounds:
        """Of the tensor times `factor` > 0."""
        return Bounds(self.low * factor, self.high * factor)

    def mixed(self, channels: int) -> Bounds:
        """Of a tensor of `channels` channels that has the same values in an unknown order."""
        return Bounds(np.full(channels, self.low.min()), np.full(channels, self.high.max()))


@dataclass(frozen=True)
class Weights:
    """Weight and bias (or None) of a node: floats of the ANN, or integers of the grid."""

    weight: npt.NDArray[np.floating]
    bias: npt.NDArray[np.floating] | None = None

    def round(self, scale_in: float, scale: float) -> Weights:
        """W' = round(W·σ_in/σ), c' = round(c/σ), in float64."""
        weight = np.rint(self.weight.astype(np.float64) * (scale_in / scale))
        return Weights(weight, None if self.bias is None else np.rint(self.bias.astype(np.float64) / scale))


class LinearOperator(ABC):
    """A linear operator. `ann_name` is the operator of the ANN that becomes it in the pass `spike`, or ""."""

    name: ClassVar[str]
    domain: ClassVar[str] = ""
    ann_name: ClassVar[str] = ""

    # Legality

    def check(self, node: gs.Node, options: Options) -> Iterator[Finding]:
        """What keeps this node of the ANN (level SOURCE) from being converted."""
        yield from ()

    def become_spiking(self, node: gs.Node) -> None:
        """Turn a canonical node of the ANN into this operator, where it is not it already."""
        assert node.op == self.name, f"{node.op} does not become {self.name}"

    # Values on the grid: an edge carries an integer n, worth σ·n in ANN units

    def divisor(self, node: gs.Node) -> int:
        """d in σ_in = σ·d, where there are no weights."""
        return 1

    @abstractmethod
    def bounds(self, node: gs.Node, operands: Sequence[Bounds], weights: Weights | None) -> Bounds:
        """Bounds of the output from those of the operands, partial sums included."""

    # Cost

    @abstractmethod
    def fanout(self, node: gs.Node, operand: gs.Tensor, cost: IntArray) -> IntArray:
        """Accumulations that a spike of each element of `operand` causes; `cost` are those of the output's elements."""

    def macs(self, node: gs.Node) -> int:
        """Multiply-accumulates of the ANN in this node: taps outside the image are not counted."""
        return 0

    def fan_in(self, node: gs.Node) -> int:
        """Synapses of one neuron (inside, away from borders)."""
        return 0

    # Movement of spike words: what adds nothing up can be done on the 64 steps of a word at once

    def copies(self, node: gs.Node, copies: int) -> int | None:
        """In how many copies the words come out that go in in `copies`; None where they cannot only be moved."""
        return None

    def move(self, node: gs.Node, words: str, copies: int, output: str, nodes: WordNodes) -> str:
        """Write the nodes that move `words`; only where `copies` gives a number."""
        raise NotImplementedError(f"{self.name} does not move words")

    # Currents of layers that stay plain

    @abstractmethod
    def current(self, node: gs.Node, operands: list[str], output: str, mode: Mode, nodes: Nodes) -> str:
        """Write the nodes that compute the output from the operands' values, in standard ONNX."""


class WeightedOperator(LinearOperator):
    """A linear operator with constant weights, input 1, and perhaps a bias, input 2.

    What lies above its weights can have a scale of its own.
    """

    def weights(self, node: gs.Node) -> Weights:
        """Weight and bias as the graph has them."""
        weight = constant(node, 1)
        assert weight is not None
        return Weights(weight, constant(node, 2))

    def write_weights(self, node: gs.Node, weights: Weights) -> None:
        """Replace weight and bias in the graph."""
        node.inputs[1] = gs.Constant(own(f"{node.name}/weight"), np.asarray(weights.weight, np.float32))
        if weights.bias is not None:
            node.inputs[2] = gs.Constant(own(f"{node.name}/bias"), weights.bias.astype(np.float32))

    def check(self, node: gs.Node, options: Options) -> Iterator[Finding]:
        weight = constant(node, 1)
        if weight is None or isinstance(node.inputs[0], gs.Constant):
            yield "SNN206", "the weight is computed, not constant", ""
            return
        if len(node.inputs) > 2 and constant(node, 2) is None:
            yield "SNN206", "the bias is computed, not constant", ""
            return
        bias = constant(node, 2)
        finite = np.isfinite(weight).all() and (bias is None or np.isfinite(bias).all())
        if not finite or not weight.any():
            yield "SNN208", "its weights are all zero" if finite else "it has weights that are not finite", ""
        if bias is not None and options.bias == "reject":
            yield "SNN201", f"it adds a bias (largest magnitude {np.abs(bias).max():.3g})", ""


def sums_of_products(
    rows: FloatArray, low: FloatArray, high: FloatArray, bias: npt.NDArray[np.floating] | None
) -> Bounds:
    """Bounds of Σ w·x + c for `rows` `[outputs, ...]` of weights, x in [low, high] (broadcast against the rows)."""
    axes = tuple(range(1, rows.ndim))
    positive, negative = np.maximum(rows, 0), np.minimum(rows, 0)
    smallest = (positive * low + negative * high).sum(axes)
    largest = (positive * high + negative * low).sum(axes)
    if bias is not None:
        smallest, largest = smallest + np.minimum(bias, 0), largest + np.maximum(bias, 0)
    return Bounds(np.minimum(smallest, 0), np.maximum(largest, 0))


def elements_reached(node: gs.Node, cost: IntArray, sizes: Sequence[int], dilations: Sequence[int]) -> IntArray:
    """For each element of a plane of `sizes`, the sum of the costs of all windows of `node` that it lies in.

    Axis by axis: windows are products of intervals.
    """
    for axis, size in enumerate(sizes):
        reaches = np.zeros((size, cost.shape[axis]), np.int64)
        for position in range(cost.shape[axis]):
            first = position * node.attrs["strides"][axis] - node.attrs["pads"][axis]
            for tap in range(node.attrs["kernel_shape"][axis]):
                element = first + tap * dilations[axis]
                if 0 <= element < size:
                    reaches[element, position] += 1
        cost = np.moveaxis(np.tensordot(reaches, cost, axes=(1, axis)), 0, axis)
    return cost


def bias_of_block(nodes: Nodes, node: gs.Node, bias: npt.NDArray[np.floating], output: str) -> str:
    """count·b, the bias of all steps of a block, per channel."""
    steps = nodes.node("Cast", ["count"], f"{output}/count", to=1)
    per_channel = bias.reshape((1, -1, *[1] * (len(sample_shape(node.outputs[0])) - 1)))
    return nodes.node("Mul", [nodes.constant(f"bias/{node.name}", per_channel), steps], f"{output}/bias")
