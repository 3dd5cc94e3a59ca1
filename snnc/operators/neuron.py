"""Integrate-and-fire neurons: `RMP` with soft reset, `IF` with hard reset (RMP-SNN, equation 2 and section 4).

V ← V - floor(V / 2^leak) if leak > 0;   V ← V + I;   s = V ≥ θ;   RMP: V ← V - s·θ   IF: V ← 0 where s
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.graph import constant, sample_shape
from snnc.ir.names import COUNT
from snnc.ir.options import LARGEST_LEAK
from snnc.ir.state import State
from snnc.operators.layer import Shape, SpikeSource, initial_potential

if TYPE_CHECKING:
    from snnc.emit.block import BlockWriter
    from snnc.emit.nodes import Nodes
    from snnc.integers.calibration import Calibrator


class Neuron(SpikeSource):
    """A neuron with one threshold for each channel, or one for all.

    It stands for max(x, 0) or, with the attribute cap (in ANN units, one number or an array that broadcasts against a
    sample), for min(max(x, 0), cap): then λ is at most the cap. Attribute v_init: V(0) in thresholds. The threshold is
    input 1: even int32, `[]` or `[C, 1, ...]`. V is the first state, the threshold follows the states.
    """

    kind, integrates = "neuron", True

    def states(self, node: gs.Node) -> list[State]:
        initial = initial_potential(node, _threshold(node))
        dims, name = sample_shape(node.outputs[0]), node.name
        return [State(f"v/{name}", f"v_next/{name}", "int32", dims, initial, what="membrane potential")]

    def analog(self, node: gs.Node, reads: Sequence[str], output: str, nodes: Nodes) -> str:
        cap = node.attrs.get("cap")
        if cap is None:
            return nodes.node("Relu", reads, output)
        limit = nodes.constant(f"cap/{node.name}", np.asarray(cap, np.float32))
        return nodes.node("Min", [nodes.node("Relu", reads, f"{output}/uncapped"), limit], output)

    def calibrate(self, node: gs.Node, calibrator: Calibrator) -> None:
        calibrator.estimate(node)
        calibrator.set_threshold(node)

    def attributes(self, node: gs.Node, *, whole_layer: bool) -> dict[str, int]:
        """Attributes of the operator: of the neuron alone, or of the one that computes the whole layer."""
        return {}

    def emit(self, node: gs.Node, block: BlockWriter) -> None:
        states = block.states_of(node)
        threshold = block.constant(f"threshold/{node.name}", _threshold(node))
        names = [*(state.name for state in states), threshold, COUNT]
        spikes = node.outputs[0]
        attrs = self.attributes(node, whole_layer=block.fused(node) is not None)
        block.layer(node, names, [spikes.name, *(state.next_name for state in states)], **attrs)
        block.words.declare(spikes, spikes.name)

    def problems(self, node: gs.Node) -> Iterator[str]:
        yield from super().problems(node)
        threshold = constant(node, 1)
        if threshold is None or threshold.dtype != np.int32 or (threshold < 2).any() or (threshold % 2).any():
            yield f"{node.name!r} has no positive even integer threshold"


def _threshold(node: gs.Node) -> np.ndarray:
    threshold = constant(node, 1)
    assert threshold is not None, f"{node.name!r} has no threshold"
    return threshold


class IntegrateAndFire(Neuron):
    """A neuron that a spike resets. Attribute leak: where it is not there, the neuron does not leak.

    It may stand for a quantiser of the ANN, the attribute region (`snnc.ir.function_kind.Curve`): then the attribute
    value, the largest value of the quantiser, is what a spike is worth, and no threshold rule is asked.
    """

    ann_name = "Relu"
    soft_reset: ClassVar[bool]

    def analog(self, node: gs.Node, reads: Sequence[str], output: str, nodes: Nodes) -> str:
        if "region" not in node.attrs:
            return super().analog(node, reads, output, nodes)
        found: str = node.attrs["region"].write(nodes, reads[0], output)
        return found

    def calibrate(self, node: gs.Node, calibrator: Calibrator) -> None:
        if "value" in node.attrs:
            calibrator.fix_threshold(node)
        else:
            super().calibrate(node, calibrator)

    def attributes(self, node: gs.Node, *, whole_layer: bool) -> dict[str, int]:
        leak = {"leak": int(node.attrs["leak"])} if "leak" in node.attrs else {}
        return {"soft_reset": int(self.soft_reset), **leak} if whole_layer else leak

    def problems(self, node: gs.Node) -> Iterator[str]:
        yield from super().problems(node)
        if node.attrs.get("leak", 1) not in range(1, LARGEST_LEAK + 1):
            yield f"the leak of {node.name!r} is {node.attrs['leak']!r}"

    def layer_operator(self, shape: Shape) -> str:
        return f"Spiking{shape}"


class RMP(IntegrateAndFire):
    """Soft reset: a spike subtracts the threshold, so that no charge is lost."""

    name, soft_reset = "RMP", True


class IF(IntegrateAndFire):
    """Hard reset: a spike sets the membrane potential to 0."""

    name, soft_reset = "IF", False


#: The neuron of the option `reset`.
BY_RESET = {"soft": RMP.name, "hard": IF.name}
