"""`SpikeMaxPool`, from `MaxPool`: fires when the largest spike count in a window changes.

A count moves by at most one in a step, and so does the maximum of counts: 0/1 spikes stay 0/1, signed ones stay signed,
and the rate of the maximum is the maximum of the rates. The input are spikes of one source, only moved.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.graph import NEURONS, activation_inputs, producer, sample_shape
from snnc.ir.names import COUNT
from snnc.ir.signal import FloatArray, Signal, per_channel
from snnc.ir.state import State
from snnc.operators.contract import Finding
from snnc.operators.layer import SpikeSource

if TYPE_CHECKING:
    from snnc.emit.block import BlockWriter
    from snnc.emit.nodes import Nodes
    from snnc.integers.calibration import Calibrator
    from snnc.ir.options import Options

_MOST_SPATIAL_AXES = 3
_WINDOW = ("kernel_shape", "strides", "pads", "dilations")
_MOVES = ("Reshape", "Transpose", "DepthToSpace", "Gather", "Concat")


class SpikeMaxPool(SpikeSource):
    """Attributes kernel_shape, strides, pads (begin..., end...), dilations; signed, whether its input is."""

    name, ann_name, kind = "SpikeMaxPool", "MaxPool", "pool"

    def check(self, node: gs.Node, options: Options) -> Iterator[Finding]:
        objections = list(self._objections(node, options))
        yield from objections
        if options.max_pool == "reject" and not objections:
            yield "SNN203", "a maximum of spikes is not the maximum of what they stand for", ""

    @staticmethod
    def _objections(node: gs.Node, options: Options) -> Iterator[Finding]:
        """What is wrong with it where max-pooling is allowed."""
        found = [before for before in _behind_moves(node.inputs[0]) if before is not None]
        for before in [before for before in found if before.op not in (*NEURONS, "MaxPool")][:1]:
            yield (
                "SNN203",
                f"it pools what {before.op} {before.name!r} gives, which are no spikes",
                "pass `--method exact`, which counts there too, or put the Relu in front of the pooling",
            )
        if options.coding == "direct" and _pools_the_input(node):
            yield "SNN203", "with direct coding the input is no spikes", "pass `--method exact`"
        if len(node.outputs) > 1:
            yield "SNN203", "its second output, the indices, is used", "export without it"
        elif _window_outside(node):
            yield "SNN207", "a window of it lies outside the plane", "use smaller pads"
        if not 1 <= len(node.attrs["kernel_shape"]) <= _MOST_SPATIAL_AXES:
            yield "SNN207", "max-pooling over more than three axes is not supported", ""

    def become_spiking(self, node: gs.Node) -> None:
        node.op, node.domain = self.name, self.domain
        node.attrs = {name: list(node.attrs[name]) for name in _WINDOW}

    def connect(self, node: gs.Node, operands: Sequence[Signal]) -> None:
        node.attrs["signed"] = int(operands[0].signed)

    def passed_on(self, node: gs.Node, scales: Sequence[FloatArray]) -> FloatArray | None:
        """Counts of one window are compared: they must be worth the same."""
        return scales[0] if per_channel(scales[0], sample_shape(node.inputs[0])[0]) is not None else None

    def signal(self, node: gs.Node) -> Signal:
        return Signal.of_spikes(len(sample_shape(node.outputs[0])), signed=bool(node.attrs["signed"]))

    def states(self, node: gs.Node) -> list[State]:
        dims = sample_shape(node.inputs[0])
        return [State(f"counts/{node.name}", f"counts_next/{node.name}", "int32", dims, what="input count")]

    def settling_steps(self, node: gs.Node) -> int:
        return 0  # it fires in the step in which its input does

    def settled(self, node: gs.Node, reads: Sequence[str], nodes: Nodes) -> tuple[str, str]:
        attrs = {name: node.attrs[name] for name in _WINDOW}
        return nodes.node("MaxPool", reads, f"{node.name}/settled", **attrs), ""

    def analog(self, node: gs.Node, reads: Sequence[str], output: str, nodes: Nodes) -> str:
        return nodes.node("MaxPool", reads, output, **{name: node.attrs[name] for name in _WINDOW})

    def calibrate(self, node: gs.Node, calibrator: Calibrator) -> None:
        calibrator.settle(node, calibrator.scale_of(node.inputs[0]))

    def emit(self, node: gs.Node, block: BlockWriter) -> None:
        (counts,) = block.states_of(node)
        spikes = node.outputs[0]
        inputs = [block.words.of(node.inputs[0]).name, counts.name, COUNT]
        attrs = {name: node.attrs[name] for name in (*_WINDOW, "signed")}
        block.operator(self.name, inputs, [spikes.name, counts.next_name], node.name, **attrs)
        block.words.declare(spikes, spikes.name)

    def problems(self, node: gs.Node) -> Iterator[str]:
        yield from super().problems(node)
        scale = np.asarray(node.attrs["scale"])
        if scale.ndim > 0 and self.passed_on(node, [scale]) is None:
            yield f"{node.name!r} compares counts of spikes that are not worth the same"


def _pools_the_input(node: gs.Node) -> bool:
    """Whether some of what it pools comes from the input of the network through pools and moves alone."""
    found = _behind_moves(node.inputs[0])
    return any(before is None or (before.op == "MaxPool" and _pools_the_input(before)) for before in found)


def _behind_moves(tensor: gs.Tensor) -> list[gs.Node | None]:
    """What computes the elements of `tensor`; None for the input of the network."""
    node = producer(tensor)
    if node is None or node.op not in _MOVES:
        return [node]
    return [found for operand in activation_inputs(node) for found in _behind_moves(operand)]


def _window_outside(node: gs.Node) -> bool:
    """Whether some window sees no element."""
    sizes_in, sizes_out = sample_shape(node.inputs[0])[1:], sample_shape(node.outputs[0])[1:]
    for axis, (size_in, size_out) in enumerate(zip(sizes_in, sizes_out, strict=True)):
        first = np.arange(size_out) * node.attrs["strides"][axis] - node.attrs["pads"][axis]
        taps = first[:, None] + np.arange(node.attrs["kernel_shape"][axis]) * node.attrs["dilations"][axis]
        if not ((taps >= 0) & (taps < size_in)).any(1).all():
            return True
    return False
