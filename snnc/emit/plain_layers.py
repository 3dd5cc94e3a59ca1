"""The currents of a tree by the plain operators: spikes unpacked to values, then `Conv`, `Gemm` and the rest on these.

`steps` gives the current of every step, time folded into the batch: `[count·N, ...]`. `sums` gives the sum over the
steps of a block, `[N, ...]`: Σ_t (W·s_t + b) = W·Σ_t s_t + count·b.
"""

from __future__ import annotations

import onnx
import onnx_graphsurgeon as gs

from snnc.emit.nodes import Nodes
from snnc.emit.words import WordMover, Words
from snnc.ir.domain import DOMAIN
from snnc.ir.graph import activation_inputs, producer
from snnc.ir.names import COUNT
from snnc.ir.trees import copies_of
from snnc.operators import operator_of
from snnc.operators.contract import Mode


class Currents:
    """Writes the nodes of trees of linear operators; values are float32 by steps, float64 by sums."""

    def __init__(self, nodes: Nodes, words: WordMover) -> None:
        self._nodes, self._words = nodes, words
        self._known: dict[tuple[str, Mode], str] = {}

    def of(self, tensor: gs.Tensor, mode: Mode) -> str:
        """Float values of a tensor of a tree."""
        key = (tensor.name, mode)
        if key not in self._known:
            node = producer(tensor)
            assert node is not None
            if copies_of(tensor) == 1:
                self._known[key] = self._unpacked(tensor.name, self._words.of(tensor), mode)
            else:
                operands = [self.of(operand, mode) for operand in activation_inputs(node)]
                output = f"{tensor.name}/{mode}"
                self._known[key] = operator_of(node).current(node, operands, output, mode, self._nodes)
        return self._known[key]

    def _unpacked(self, name: str, words: Words, mode: Mode) -> str:
        label = f"{name}/{mode}"
        values = f"{label}/planes" if words.signed else label
        if mode == "steps":
            values = self._nodes.node("SpikeUnpack", [words.name, COUNT], values, domain=DOMAIN)
        else:
            counts = self._nodes.node("SpikeCount", [words.name], f"{label}/integer", domain=DOMAIN)
            values = self._nodes.node("Cast", [counts], values, to=onnx.TensorProto.DOUBLE)
        if not words.signed:
            return values
        plus, minus = self._nodes.split(values, [f"{label}/plus", f"{label}/minus"], axis=1)
        return self._nodes.node("Sub", [plus, minus], label)
