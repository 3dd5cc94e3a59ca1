"""Inputs that are not coded into spikes: `DirectEncode` and `ChargeEncode` give integers to the first layer.

    n = clip(round(x/σ₀), low, high),  one unit of n worth σ₀;  (x - m)·a for x, where the network begins with that

direct  n is the input of every step: the current of the first layer is computed once for a block
charge  n enters once, in the first step that sees it: what comes is n - Q, with Q what has come before, and nothing
        after that. Only total charge decides where neurons settle that take spikes back (`snnc.operators.staircase`),
        and the next frame of a stream is the change of its input
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx_graphsurgeon as gs
from onnx import TensorProto

from snnc.ir.graph import sample_shape
from snnc.ir.signal import FloatArray, Signal
from snnc.ir.state import State
from snnc.operators.layer import SpikeSource

if TYPE_CHECKING:
    from snnc.emit.block import BlockWriter
    from snnc.emit.nodes import Nodes
    from snnc.integers.calibration import Calibrator

#: Units between 0 and λ₀ where nothing else is known: as fine as bytes.
LEVELS = 255
_OF_NONE = (("factor", 1.0), ("origin", 0.0))


class GradedEncoder(SpikeSource):
    """Attributes low and high: the limits of n; unit: what one of it is worth, where the network itself says so; factor
    and origin: a and m, each a number or an array that broadcasts against a sample, where they are not 1 and 0. There
    are no words: the first layer stays plain, and its current has no time in it."""

    kind = "input"

    def signal(self, node: gs.Node) -> Signal:
        one = np.ones((1,) * len(sample_shape(node.outputs[0])))
        low, high = self.limits(node)
        power = one * max(-low, high) ** 2
        return Signal(one * low, one * high, noise=0 * one, power=power, peak=0 * one, rows=0 * one, copies=None)

    def limits(self, node: gs.Node) -> tuple[int, int]:
        """The smallest and the largest number of one step."""
        return int(node.attrs.get("low", -LEVELS)), int(node.attrs.get("high", LEVELS))

    def levels(self, node: gs.Node) -> int:
        low, high = self.limits(node)
        return max(-low, high)

    def states(self, node: gs.Node) -> list[State]:
        return []

    def analog(self, node: gs.Node, reads: Sequence[str], output: str, nodes: Nodes) -> str:
        factor, origin = (np.asarray(values, np.float32) for values in preparation(node))
        centred = nodes.node("Sub", [*reads, nodes.constant(f"origin/{node.name}", origin)], f"{output}/centred")
        return nodes.node("Mul", [centred, nodes.constant(f"factor/{node.name}", factor)], output)

    def calibrate(self, node: gs.Node, calibrator: Calibrator) -> None:
        calibrator.settle(node, np.array(node.attrs.get("unit", calibrator.input_scale / LEVELS)))

    def emit(self, node: gs.Node, block: BlockWriter) -> None:
        numbers = self.numbers(node, block)
        block.currents.declare(node.outputs[0], numbers, first_step_only=False)

    def numbers(self, node: gs.Node, block: Nodes) -> str:
        """n of the input: `[N, ...]`, float32. NaN becomes 0; decoding marks it."""
        pixels, spikes = node.inputs[0].name, node.outputs[0]

        def value(label: str, number: float) -> str:
            return block.constant(f"{label}/{node.name}", np.array(number, np.float32))

        low, high = GradedEncoder.limits(self, node)
        missing = block.node("IsNaN", [pixels], f"{spikes.name}/missing")
        present = block.node("Where", [missing, value("nothing", 0), pixels], f"{spikes.name}/present")
        factor, origin = preparation(node)
        unit = block.constant(f"unit/{node.name}", (float(node.attrs["scale"]) / factor).astype(np.float32))
        if origin.any():
            centre = block.constant(f"origin/{node.name}", origin.astype(np.float32))
            present = block.node("Sub", [present, centre], f"{spikes.name}/centred")
        units = block.node("Div", [present, unit], f"{spikes.name}/units")
        clipped = block.node("Clip", [units, value("lowest", low), value("highest", high)], f"{spikes.name}/clipped")
        return block.node("Round", [clipped], f"{spikes.name}/rounded")


def preparation(encoder: gs.Node) -> tuple[FloatArray, FloatArray]:
    """Factor and origin of what an encoder of any kind reads of the input: (x - origin)·factor."""
    factor, origin = (np.asarray(encoder.attrs.get(name, of_none), np.float64) for name, of_none in _OF_NONE)
    return factor, origin


class DirectEncode(GradedEncoder):
    """The input as a current of every step."""

    name = "DirectEncode"


class ChargeEncode(GradedEncoder):
    """The change of the input, in one step. Its state is the charge that has entered so far."""

    name, first_step_only = "ChargeEncode", True

    def limits(self, node: gs.Node) -> tuple[int, int]:
        low, high = super().limits(node)
        return low - high, high - low

    def levels(self, node: gs.Node) -> int:
        low, high = super().limits(node)
        return max(-low, high)

    def largest_total(self, node: gs.Node) -> int:
        return 1  # what has entered is one n, and a step may change it from one limit to the other

    def count_range(self, node: gs.Node) -> tuple[int, int]:
        low, high = super().limits(node)
        return min(low, 0), max(high, 0)

    def states(self, node: gs.Node) -> list[State]:
        dims, name = sample_shape(node.outputs[0]), node.name
        return [State(f"entered/{name}", f"entered_next/{name}", "int32", dims, what="entered charge")]

    def settling_steps(self, node: gs.Node) -> int:
        return 1

    def settled(self, node: gs.Node, reads: Sequence[str], nodes: Nodes) -> tuple[str, str]:
        numbers = self.numbers(node, nodes)
        return nodes.node("Cast", [numbers], f"{node.outputs[0].name}/settled", to=TensorProto.DOUBLE), ""

    def emit(self, node: gs.Node, block: BlockWriter) -> None:
        (entered,) = block.states_of(node)
        spikes = node.outputs[0].name
        name = block.names.unique(f"node/{entered.next_name}")
        block.write("Cast", [self.numbers(node, block)], [entered.next_name], name, to=TensorProto.INT32)
        change = block.node("Sub", [entered.next_name, entered.name], f"{spikes}/change")
        numbers = block.node("Cast", [change], f"{spikes}/numbers", to=TensorProto.FLOAT)
        block.currents.declare(node.outputs[0], numbers, first_step_only=True)
