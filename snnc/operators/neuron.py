"""Integrate-and-fire neurons: `RMP` with soft reset, `IF` with hard reset (RMP-SNN, equation 2 and section 4).

V ← V + I;   s = V ≥ θ;   RMP: V ← V - s·θ   IF: V ← 0 where s
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.graph import constant, sample_shape
from snnc.ir.names import COUNT
from snnc.ir.state import State
from snnc.operators.layer import SpikeSource, Shape, initial_potential

if TYPE_CHECKING:
    from snnc.emit.block import BlockWriter
    from snnc.integers.calibration import Calibrator


class IntegrateAndFire(SpikeSource):
    """Attribute v_init: V(0) in thresholds. The threshold is input 1: even int32, `[]` or `[C, 1, ...]`."""

    kind, integrates = "neuron", True
    ann_name = "Relu"
    soft_reset: ClassVar[bool]

    def states(self, node: gs.Node) -> list[State]:
        threshold = constant(node, 1)
        assert threshold is not None
        initial = initial_potential(node, threshold)
        return [State(f"v/{node.name}", f"v_next/{node.name}", "int32", sample_shape(node.outputs[0]), initial)]

    def calibrate(self, node: gs.Node, calibrator: Calibrator) -> None:
        calibrator.estimate(node)
        calibrator.set_threshold(node)

    def emit(self, node: gs.Node, block: BlockWriter) -> None:
        threshold = constant(node, 1)
        assert threshold is not None
        (state,) = block.states_of(node)
        names = [state.name, block.constant(f"threshold/{node.name}", threshold), COUNT]
        spikes = node.outputs[0]
        attrs = {} if block.fused(node) is None else {"soft_reset": int(self.soft_reset)}
        block.layer(node, names, [spikes.name, state.next_name], **attrs)
        block.words.declare(spikes, spikes.name)

    def layer_operator(self, shape: Shape) -> str:
        return f"Spiking{shape}"

    def problems(self, node: gs.Node) -> Iterator[str]:
        yield from super().problems(node)
        threshold = constant(node, 1)
        if threshold is None or threshold.dtype != np.int32 or (threshold < 2).any() or (threshold % 2).any():
            yield f"{node.name!r} has no positive even integer threshold"


class RMP(IntegrateAndFire):
    """Soft reset: a spike subtracts the threshold, so that no charge is lost."""

    name, soft_reset = "RMP", True


class IF(IntegrateAndFire):
    """Hard reset: a spike sets the membrane potential to 0."""

    name, soft_reset = "IF", False


#: The neuron of the option `reset`.
BY_RESET = {"soft": RMP.name, "hard": IF.name}
