"""`SpikeEncode`, Poisson coding of the input (RMP-SNN, section 3.1): per step a spike of sign(x) if u < |x|/λ₀."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.graph import sample_shape
from snnc.ir.signal import Signal
from snnc.ir.state import State
from snnc.operators.layer import SpikeSource

if TYPE_CHECKING:
    from snnc.emit.block import BlockWriter
    from snnc.integers.calibration import Calibration


class PoissonEncoder(SpikeSource):
    """Its random numbers depend on seed, sample, step and element alone, so there is no state."""

    name, kind = "SpikeEncode", "input"

    def signal(self, node: gs.Node) -> Signal:
        return Signal.of_spikes(len(sample_shape(node.outputs[0])), signed=True)

    def states(self, node: gs.Node) -> list[State]:
        return []

    def calibrate(self, node: gs.Node, calibration: Calibration) -> None:
        calibration.settle(node, np.array(calibration.input_scale))

    def emit(self, node: gs.Node, block: BlockWriter) -> None:
        spikes = node.outputs[0].name
        plus, minus = f"{spikes}/plus", f"{spikes}/minus"
        inputs = [node.inputs[0].name, "seed", "first_sample", "first_step", "count"]
        block.operator(self.name, inputs, [plus, minus], node.name, scale=float(node.attrs["scale"]))
        block.node("Concat", [plus, minus], spikes, axis=1)
        block.words.declare(node.outputs[0], spikes)
