"""Inputs that are not coded into spikes: `DirectEncode` and `ChargeEncode` give integers to the first layer.

    n = round(clip(x/λ₀, -1, 1)·L),  one unit of n worth λ₀/L

direct  n is the input of every step: the current of the first layer is computed once for a block
charge  T·n is the input of the first step, and nothing enters afterwards: only total charge decides where neurons
        settle that take spikes back (`snnc.operators.staircase`)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_graphsurgeon as gs
from onnx import TensorProto

from snnc.ir.graph import sample_shape
from snnc.ir.names import FIRST_STEP
from snnc.ir.signal import Signal
from snnc.ir.state import State
from snnc.operators.layer import SpikeSource

if TYPE_CHECKING:
    from snnc.emit.block import BlockWriter
    from snnc.emit.nodes import Nodes
    from snnc.integers.calibration import Calibrator

#: L: steps of the input between 0 and λ₀, as fine as bytes.
LEVELS = 255


class GradedEncoder(SpikeSource):
    """There are no words: the first layer stays plain, and its current has no time in it."""

    kind = "input"

    def signal(self, node: gs.Node) -> Signal:
        one = np.ones((1,) * len(sample_shape(node.outputs[0])))
        most = one * LEVELS * self._factor(node)
        return Signal(-most, most, noise=0 * one, power=most**2, peak=0 * one, rows=0 * one, copies=None)

    def states(self, node: gs.Node) -> list[State]:
        return []

    def analog(self, node: gs.Node, x: str, output: str, nodes: Nodes) -> str:
        return nodes.node("Identity", [x], output)

    def calibrate(self, node: gs.Node, calibrator: Calibrator) -> None:
        calibrator.settle(node, np.array(calibrator.input_scale / LEVELS))

    def emit(self, node: gs.Node, block: BlockWriter) -> None:
        """n, or T·n in the first block and 0 in the others: `[N, ...]`, float32. NaN becomes 0; decoding marks it."""
        pixels, spikes = node.inputs[0].name, node.outputs[0]

        def value(label: str, number: float) -> str:
            return block.constant(f"{label}/{node.name}", np.array(number, np.float32))

        missing = block.node("IsNaN", [pixels], f"{spikes.name}/missing")
        present = block.node("Where", [missing, value("nothing", 0), pixels], f"{spikes.name}/present")
        share = block.node(
            "Div", [present, value("scale", float(node.attrs["scale"]) * LEVELS)], f"{spikes.name}/share"
        )
        clipped = block.node("Clip", [share, value("lowest", -1), value("highest", 1)], f"{spikes.name}/clipped")
        scaled = block.node("Mul", [clipped, value("levels", LEVELS)], f"{spikes.name}/scaled")
        rounded = block.node("Round", [scaled], f"{spikes.name}/rounded")
        if self.first_step_only:
            rounded = self._charge(node, rounded, block)
        block.currents.declare(spikes, rounded, first_step_only=self.first_step_only)

    def _charge(self, node: gs.Node, rounded: str, block: BlockWriter) -> str:
        zero = block.constant("graded/zero", np.array(0, np.int64))
        first = block.node("Equal", [FIRST_STEP, zero], f"{node.name}/is_first_block")
        counts = block.node("Cast", [first], f"{node.name}/counts", to=TensorProto.FLOAT)
        steps = block.constant(f"steps/{node.name}", np.array(self._factor(node), np.float32))
        factor = block.node("Mul", [counts, steps], f"{node.name}/factor")
        return block.node("Mul", [rounded, factor], f"{node.name}/charge")

    def _factor(self, node: gs.Node) -> int:
        return int(node.attrs["steps"]) if self.first_step_only else 1


class DirectEncode(GradedEncoder):
    """The input as a current of every step."""

    name = "DirectEncode"


class ChargeEncode(GradedEncoder):
    """The input of all steps in the first one. Attribute steps: T."""

    name, first_step_only = "ChargeEncode", True
