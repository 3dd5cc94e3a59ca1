"""`PoissonEncode`, Poisson coding of the input (RMP-SNN, section 3.1): per step a spike of sign(x) if u < |x|/λ₀."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.graph import sample_shape
from snnc.ir.names import COUNT, FIRST_SAMPLE, FIRST_STEP, SEED
from snnc.ir.signal import Signal
from snnc.ir.state import State
from snnc.operators.layer import SpikeSource

if TYPE_CHECKING:
    from snnc.emit.block import BlockWriter
    from snnc.emit.nodes import Nodes
    from snnc.integers.calibration import Calibrator


class PoissonEncoder(SpikeSource):
    """Its random numbers depend on seed, sample, step and element alone, so there is no state."""

    name, kind = "PoissonEncode", "input"

    def signal(self, node: gs.Node) -> Signal:
        return Signal.of_spikes(len(sample_shape(node.outputs[0])), signed=True)

    def states(self, node: gs.Node) -> list[State]:
        return []

    def analog(self, node: gs.Node, reads: Sequence[str], output: str, nodes: Nodes) -> str:
        return nodes.node("Identity", reads, output)

    def calibrate(self, node: gs.Node, calibrator: Calibrator) -> None:
        calibrator.settle(node, np.array(calibrator.input_scale))

    def emit(self, node: gs.Node, block: BlockWriter) -> None:
        spikes = node.outputs[0]
        inputs = [node.inputs[0].name, SEED, FIRST_SAMPLE, FIRST_STEP, COUNT]
        block.operator(self.name, inputs, [spikes.name], node.name, scale=float(node.attrs["scale"]))
        block.words.declare(spikes, spikes.name)


#: The encoder of the option `coding`.
ENCODERS = {"poisson": PoissonEncoder.name, "direct": "DirectEncode", "charge": "ChargeEncode"}
