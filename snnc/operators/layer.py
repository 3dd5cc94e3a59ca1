"""The contract of a layer of a spiking graph: what keeps a state, and fires or is read out.

Encoders, neurons, pools and readouts are layers; one file in this folder is the room of one of them. Between them stand
linear operators (`contract.LinearOperator`). Everything but the reference simulator asks the room.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.domain import DOMAIN
from snnc.ir.graph import activation_inputs, sample_shape
from snnc.ir.signal import FloatArray, Signal, collapsed
from snnc.ir.state import State
from snnc.operators.contract import Finding, IntArray

if TYPE_CHECKING:
    from snnc.emit.block import BlockWriter
    from snnc.emit.nodes import Nodes
    from snnc.integers.calibration import Calibrator
    from snnc.ir.options import Options

Kind = Literal["input", "neuron", "pool", "product", "readout"]
# The shapes of synapses for which there are operators of whole layers (docs/event-driven.md).
Shape = Literal["Conv", "ConvAdd", "Gemm"]


class Layer(ABC):
    """Anything with a state. `integrates`: its input is the current of a tree of linear operators. `charge_operator`:
    the operator that computes it alone where all current of a block comes in the first step; None if there is none."""

    name: ClassVar[str]
    domain: ClassVar[str] = DOMAIN
    kind: ClassVar[Kind]
    integrates: ClassVar[bool] = False
    charge_operator: ClassVar[str | None] = None

    @abstractmethod
    def states(self, node: gs.Node) -> list[State]:
        """What is carried from block to block."""

    @abstractmethod
    def analog(self, node: gs.Node, reads: Sequence[str], output: str, nodes: Nodes) -> str:
        """Write the nodes that compute in the ANN, in float32, what this layer stands for (level SPIKING): from what it
        `reads` in ANN units, `[N, ...]` each. Gives the name of the output."""

    @abstractmethod
    def calibrate(self, node: gs.Node, calibrator: Calibrator) -> None:
        """Put what feeds the layer on its grid, and settle what its output is worth (`write_scale`)."""

    @abstractmethod
    def emit(self, node: gs.Node, block: BlockWriter) -> None:
        """Write the nodes of one block of steps."""

    def layer_operator(self, shape: Shape) -> str | None:
        """The operator that computes this layer together with such synapses; None if there is none."""
        return None

    def problems(self, node: gs.Node) -> Iterator[str]:
        """In what a calibrated node falls short."""
        if not (scale_of(node) > 0).all():
            yield f"{node.name!r} has no scale"


class SpikeSource(Layer):
    """A layer whose output are spikes, or numbers that others read as they read spikes (signals with `copies` None).
    `ann_name` is the operator of the ANN that it stands for, or ""."""

    ann_name: ClassVar[str] = ""
    #: Of a source without words: whether all it gives comes in the first step.
    first_step_only: ClassVar[bool] = False

    def check(self, node: gs.Node, options: Options) -> Iterator[Finding]:
        """What keeps this node of the ANN from becoming it (level SOURCE)."""
        yield from ()

    def become_spiking(self, node: gs.Node) -> None:
        """Turn a canonical node of the ANN into this source."""
        raise NotImplementedError(f"nothing of the ANN becomes {self.name}")

    def connect(self, node: gs.Node, operands: Sequence[Signal]) -> None:
        """Note on the node what it has to know of its inputs, where these are spikes and no current."""

    def passed_on(self, node: gs.Node, scales: Sequence[FloatArray]) -> FloatArray | None:
        """Of a source without a threshold: what its output is worth where its inputs are worth `scales`, which
        broadcast against samples; None where it cannot read such."""
        raise NotImplementedError(f"what {self.name} gives is worth what its threshold is")

    def fanout(self, node: gs.Node, position: int, behind: IntArray) -> IntArray:
        """Accumulations that a spike of each element of the input at `position` causes; `behind` are those that each
        element of its output causes."""
        return np.ones(sample_shape(activation_inputs(node)[position]), np.int64)

    def signal(self, node: gs.Node) -> Signal:
        """Of its spikes: unsigned ones unless it says otherwise."""
        return Signal.of_spikes(len(sample_shape(node.outputs[0])), signed=False)

    def settled(self, node: gs.Node, reads: Sequence[str], nodes: Nodes) -> tuple[str, str]:
        """Write what it comes to in the quantised ANN, from what it `reads`, the sums of all that ever comes, float64
        `[N, ...]`: the count of its spikes (the sum of its numbers) and, where it has one, the membrane potential (else
        ""), both float64."""
        raise NotImplementedError(f"{self.name} does not settle")

    def settling_steps(self, node: gs.Node) -> int:
        """The most steps that it takes to settle when nothing changes any more in front of it."""
        raise NotImplementedError(f"{self.name} does not settle")

    def levels(self, node: gs.Node) -> int:
        """The largest number that stands for a value of the input; 1 for spikes."""
        return 1

    def largest_total(self, node: gs.Node) -> int | None:
        """What its spikes so far, negative ones subtracted, can add up to, in steps with as many as there can be; None
        where that grows with time."""
        return None

    def count_range(self, node: gs.Node) -> tuple[int, int] | None:
        """The smallest and the largest sum of all that ever comes of one element, and 0 between them; None where no
        count of its own bounds it."""
        return None


def write_scale(node: gs.Node, scale: FloatArray) -> None:
    """Note what a spike (of a readout: a unit of potential) is worth in ANN units; `scale` broadcasts against a
    sample. The attribute is one number where it is the same everywhere."""
    scale = collapsed(np.asarray(scale, np.float64))
    node.attrs["scale"] = float(scale.reshape(-1)[0]) if scale.size == 1 else scale


def scale_of(node: gs.Node) -> FloatArray:
    """λ of a layer, of the rank of a sample; 0 where it is not known yet."""
    scale = np.asarray(node.attrs.get("scale", 0.0), np.float64)
    return scale.reshape((1,) * (len(sample_shape(node.outputs[0])) - scale.ndim) + scale.shape)


def initial_potential(node: gs.Node, threshold: np.ndarray) -> list[int] | int:
    """V(0) of a neuron in units of the grid: its `v_init` thresholds, and its charge at the start."""
    initial = (threshold * node.attrs["v_init"]).astype(np.int32) + initial_charge(node)
    found: list[int] | int = initial.tolist()
    return found


def initial_charge(node: gs.Node) -> np.ndarray:
    """The charge that a neuron has before anything comes, in units of the grid: its bias, where that is no current."""
    return np.asarray(node.attrs.get("charge", 0), np.int32)
