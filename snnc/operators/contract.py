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
from onnx import TensorProto

from snnc.ir.graph import activation_inputs, constant, sample_shape
from snnc.ir.names import own
from snnc.ir.signal import Channels, FloatArray, Signal

if TYPE_CHECKING:
    from snnc.emit.nodes import Nodes, WordNodes
    from snnc.ir.options import Options

IntArray = npt.NDArray[np.int64]
# Weights that are worked on at once: what is computed of them takes many times their memory.
_AT_ONCE = 2**18

# Values of every step, time folded into the batch, `[count·N, ...]`; or their sums over a block, `[N, ...]`.
Mode = Literal["steps", "sums"]

#: The arithmetic of a mode.
DTYPE: dict[Mode, type[np.floating]] = {"steps": np.float32, "sums": np.float64}

# What keeps a node from being converted: rule, message, hint ("" for that of the rule).
Finding = tuple[str, str, str]


@dataclass(frozen=True)
class Weights:
    """Weight and bias (or None) of a node: floats of the ANN, or numbers of the grid."""

    weight: npt.NDArray[np.floating]
    bias: npt.NDArray[np.floating] | None = None

    def rounded(self) -> Weights:
        """The nearest integers."""
        return Weights(np.rint(self.weight), None if self.bias is None else np.rint(self.bias))


class LinearOperator(ABC):
    """A linear operator. `ann_name` is the operator of the ANN that becomes it in the pass `spike`, or "".

    `functions` is ONNX text, without headers, of the functions of a plug-in's own `domain` that `current` calls, called
    ones before their callers.
    """

    name: ClassVar[str]
    domain: ClassVar[str] = ""
    ann_name: ClassVar[str] = ""
    #: Whether it computes nothing: it may stand behind the last layer too.
    only_moves: ClassVar[bool] = False
    functions: ClassVar[tuple[str, ...]] = ()

    # Legality

    def check(self, node: gs.Node, options: Options) -> Iterator[Finding]:
        """What keeps this node of the ANN (level SOURCE) from being converted."""
        yield from ()

    def become_spiking(self, node: gs.Node) -> None:
        """Turn a canonical node of the ANN into this operator, where it is not it already."""
        assert node.op == self.name, f"{node.op} does not become {self.name}"

    # Values on the grid: an edge carries integers, each worth σ in ANN units (snnc.ir.signal). σ is an array that
    # broadcasts against a sample.

    def divisor(self, node: gs.Node) -> int:
        """d in σ_in = σ·d, where there are no weights."""
        return 1

    def carry(self, node: gs.Node, operands: Sequence[FloatArray]) -> FloatArray | None:
        """Values of the operands' elements as values of the output's elements that they become; None where elements
        of different values meet in one."""
        first, *others = operands
        return first if all(np.array_equal(first, other) for other in others) else None

    def carry_back(self, node: gs.Node, values: FloatArray) -> list[FloatArray] | None:
        """The inverse of `carry`, for each operand; None where one element becomes several of different values."""
        return [values] * len(activation_inputs(node))

    @abstractmethod
    def signal(
        self, node: gs.Node, operands: Sequence[Signal], weights: Weights | None, exact: Weights | None = None
    ) -> Signal:
        """Of the output, from those of the operands; `exact` are the weights before they were rounded."""

    # Cost

    @abstractmethod
    def fanout(self, node: gs.Node, position: int, cost: IntArray) -> IntArray:
        """Accumulations that a spike of each element of the operand at `position` causes; `cost` are those of the
        output's elements."""

    def macs(self, node: gs.Node) -> int:
        """Multiply-accumulates of the ANN in this node: taps outside the image are not counted."""
        return 0

    def fan_in(self, node: gs.Node) -> int:
        """Synapses of one neuron (inside, away from borders)."""
        return 0

    # Movement of spike words: what adds nothing up can be done on the 64 steps of a word at once

    def copies(self, node: gs.Node, copies: Sequence[int]) -> int | None:
        """In how many copies the words come out of which those of each operand go in in `copies`; None where they
        cannot only be moved."""
        return None

    def move(self, node: gs.Node, words: Sequence[str], copies: int, output: str, nodes: WordNodes) -> str:
        """Write the nodes that move `words`, those of each operand in `copies`; only where `copies` gives a number."""
        raise NotImplementedError(f"{self.name} does not move words")

    # Currents of layers that stay plain: in float32 by steps, in float64 by sums

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

    def may_be_zero(self, bias: npt.NDArray[np.floating] | None) -> bool:
        """Whether weights that are all 0 are meant, beside this bias."""
        return False

    @abstractmethod
    def takes(self, node: gs.Node, scale: FloatArray) -> bool:
        """Whether operands of this σ can be had: those of one weight must be worth the same."""

    @abstractmethod
    def on_grid(self, node: gs.Node, weights: Weights, scale_in: FloatArray, scale: FloatArray) -> Weights | None:
        """W·σ_in/σ and c/σ, not rounded yet; None where one weight meets operands, or outputs, of several σ."""

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
        if not finite or not (weight.any() or self.may_be_zero(bias)):
            yield "SNN208", "its weights are all zero" if finite else "it has weights that are not finite", ""
        if bias is not None and options.bias == "reject":
            yield "SNN201", f"it adds a bias (largest magnitude {np.abs(bias).max():.3g})", ""


def sums_of_products(
    rows: FloatArray,
    operand: Channels,
    bias: npt.NDArray[np.floating] | None,
    exact: FloatArray | None,
    rank: int,
) -> Signal:
    """The signal of Σ w·x + c per output channel, of samples with `rank` axes.

    `rows` `[outputs, ...]` are the weights, `exact` the same before they were rounded; the arrays of `operand`
    broadcast against the rows.
    """
    at_once = max(1, _AT_ONCE * len(rows) // max(1, rows.size))
    parts = []
    for start in range(0, len(rows), at_once):
        some = slice(start, start + at_once)
        parts.append(_sums(rows[some], _beside(operand, some, len(rows)), None if exact is None else exact[some]))
    low, high, noise, power, peak = np.concatenate(parts, axis=1) if parts else np.zeros((5, 0))
    if bias is not None:
        low, high = low + np.minimum(bias, 0), high + np.maximum(bias, 0)
        power = power if exact is None else power + np.square(bias)

    def spread(values: FloatArray) -> FloatArray:
        return values.reshape(-1, *[1] * (rank - 1))

    return Signal(
        low=spread(np.minimum(low, 0)),
        high=spread(np.maximum(high, 0)),
        noise=spread(noise),
        power=spread(power),
        peak=spread(peak),
        rows=spread(peak),
    )


def _beside(operand: Channels, some: slice, rows: int) -> Channels:
    """What broadcasts against `some` of so many rows."""
    return operand.arranged(lambda values: values[some] if len(values) == rows > 1 else values)


def _sums(rows: FloatArray, operand: Channels, exact: FloatArray | None) -> FloatArray:
    """Lowest and highest sum, noise, power and largest weight of each of the `rows`, `[5, len(rows)]`."""
    axes = tuple(range(1, rows.ndim))
    positive, negative = np.maximum(rows, 0), np.minimum(rows, 0)
    low = (positive * operand.low + negative * operand.high).sum(axes)
    high = (positive * operand.high + negative * operand.low).sum(axes)
    noise = power = np.zeros(len(rows))
    if exact is not None:
        amplitude = np.square(np.maximum(operand.high, -operand.low))
        noise = (np.square(rows - exact) * amplitude + np.square(rows) * operand.noise).sum(axes)
        power = (np.square(rows) * operand.power).sum(axes)
    peak = np.maximum(positive.max(axes, initial=0), -negative.min(axes, initial=0))
    found: FloatArray = np.stack([low, high, noise, power, peak])
    return found


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
    """count·b, the bias of all steps of a block, per channel, in float64."""
    steps = nodes.node("Cast", [nodes.count], f"{output}/count", to=TensorProto.DOUBLE)
    per_channel = bias.reshape((1, -1, *[1] * (len(sample_shape(node.outputs[0])) - 1))).astype(np.float64)
    return nodes.node("Mul", [nodes.constant(f"bias/{node.name}/sums", per_channel), steps], f"{output}/bias")
