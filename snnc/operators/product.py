"""`SpikeProduct`, from `Product`: what the product of two spike counts changes by in every step, an integer.

    A ← A + a;  B ← B + b;  I = A·B - A₋·B₋ = a·B + A₋·b        A₋ and B₋ the counts before the step

Summed over time that is A·B, whatever the order of the spikes: where both counts settle, so does the charge of the
neuron that reads it. Both inputs are spikes of sources, only moved, and either may have size 1 along any axis of a
sample. It fires nothing itself: its output are numbers, without words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.graph import PRODUCT, activation_inputs, sample_shape
from snnc.ir.names import COUNT
from snnc.ir.signal import FloatArray, Signal
from snnc.ir.state import State
from snnc.operators.contract import IntArray
from snnc.operators.layer import SpikeSource

if TYPE_CHECKING:
    from snnc.emit.block import BlockWriter
    from snnc.emit.nodes import Nodes
    from snnc.integers.calibration import Calibrator

_WHICH = ("first", "second")


class SpikeProduct(SpikeSource):
    """Attributes first_signed and second_signed, whether its inputs are; once calibrated first_largest and
    second_largest, the largest magnitude that the count of each input can have, at least 1."""

    name, ann_name, kind = "SpikeProduct", PRODUCT, "product"

    def become_spiking(self, node: gs.Node) -> None:
        node.op, node.domain = self.name, self.domain

    def connect(self, node: gs.Node, operands: Sequence[Signal]) -> None:
        for which, operand in zip(_WHICH, operands, strict=True):
            node.attrs[f"{which}_signed"] = int(operand.signed)

    def passed_on(self, node: gs.Node, scales: Sequence[FloatArray]) -> FloatArray | None:
        first, second = scales
        product: FloatArray = first * second
        return product

    def signal(self, node: gs.Node) -> Signal:
        """|A·B - A₋·B₋| where both counts move by one at most: that of both from their largest magnitudes."""
        first, second = _largest(node)
        one = np.ones((1,) * len(sample_shape(node.outputs[0])))
        bound = one * (first + second - 1)
        return Signal(-bound, bound, noise=0 * one, power=np.square(bound), peak=0 * one, rows=0 * one)

    def levels(self, node: gs.Node) -> int:
        first, second = _largest(node)
        return first * second

    def largest_total(self, node: gs.Node) -> int:
        first, second = _largest(node)
        return -(-first * second // (first + second - 1))

    def states(self, node: gs.Node) -> list[State]:
        first, second = map(sample_shape, activation_inputs(node))
        name = node.name
        return [
            State(f"counts/{name}", f"counts_next/{name}", "int32", first, what="input count"),
            State(f"second_counts/{name}", f"second_counts_next/{name}", "int32", second, what="second input count"),
        ]

    def fanout(self, node: gs.Node, position: int, behind: IntArray) -> IntArray:
        """A spike changes the products of its element, and each of them what reads it."""
        sizes = sample_shape(activation_inputs(node)[position])
        axes = tuple(axis for axis, size in enumerate(sizes) if size < behind.shape[axis])
        reached: IntArray = behind.sum(axes, keepdims=True)
        return reached

    def settling_steps(self, node: gs.Node) -> int:
        return 0  # it changes in the step in which its inputs do

    def settled(self, node: gs.Node, reads: Sequence[str], nodes: Nodes) -> tuple[str, str]:
        return nodes.node("Mul", reads, f"{node.name}/settled"), ""

    def analog(self, node: gs.Node, reads: Sequence[str], output: str, nodes: Nodes) -> str:
        return nodes.node("Mul", reads, output)

    def calibrate(self, node: gs.Node, calibrator: Calibrator) -> None:
        operands = activation_inputs(node)
        for which, operand in zip(_WHICH, operands, strict=True):
            node.attrs[f"{which}_largest"] = max(1, calibrator.largest_count(operand))
        scale = self.passed_on(node, [calibrator.scale_of(operand) for operand in operands])
        assert scale is not None
        calibrator.settle(node, scale)

    def emit(self, node: gs.Node, block: BlockWriter) -> None:
        states = block.states_of(node)
        words = [block.words.of(operand).name for operand in activation_inputs(node)]
        attrs = {f"{which}_signed": node.attrs[f"{which}_signed"] for which in _WHICH}
        current = node.outputs[0].name
        outputs = [current, *(state.next_name for state in states)]
        block.operator(self.name, [*words, *(state.name for state in states), COUNT], outputs, node.name, **attrs)
        block.currents.declare_by_step(node.outputs[0], current)


def _largest(node: gs.Node) -> tuple[int, int]:
    """The largest magnitudes of the two counts; 1 where they are not known yet."""
    first, second = (int(node.attrs.get(f"{which}_largest", 1)) for which in _WHICH)
    return first, second
