"""The currents of a tree by the plain operators: spikes unpacked to values, then `Conv`, `Gemm` and the rest on these.

`steps` gives the current of every step, time folded into the batch: `[count·N, ...]`. `sums` gives the sum over the
steps of a block, `[N, ...]`: Σ_t (W·s_t + b) = W·Σ_t s_t + count·b.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from snnc.graph import SHAPE_OPS, activation_inputs, constant, producer, sample_shape
from snnc.nodes import Nodes
from snnc.ops import DOMAIN
from snnc.words import WordMover, Words, copies_of

Mode = Literal["steps", "sums"]


class Currents:
    """Writes the nodes of trees of linear operators."""

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
                self._known[key] = self._linear(node, operands, mode)
        return self._known[key]

    def _unpacked(self, name: str, words: Words, mode: Mode) -> str:
        results = []
        for part, tag in ((words.plus, "plus"), (words.minus, "minus")):
            if part is None:
                continue
            label = f"{name}/{tag}/{mode}"
            if mode == "steps":
                results.append(self._nodes.node("SpikeUnpack", [part, "count"], label, domain=DOMAIN))
            else:
                counts = self._nodes.node("SpikeCount", [part], f"{label}/integer", domain=DOMAIN)
                results.append(self._nodes.node("Cast", [counts], label, to=onnx.TensorProto.FLOAT))
        return results[0] if len(results) == 1 else self._nodes.node("Sub", results, f"{name}/{mode}")

    def _linear(self, node: gs.Node, operands: list[str], mode: Mode) -> str:
        output = f"{node.outputs[0].name}/{mode}"
        if node.op == "Add":
            return self._nodes.node("Add", operands, output)
        if node.op in SHAPE_OPS:
            return self._move(node, operands[0], output)
        if node.op == "SumPool":
            return self._sum_pool(node, operands[0], output)
        weight = constant(node, 1)
        assert weight is not None
        weight_name = self._nodes.constant(f"weight/{node.name}", weight)
        if node.op == "Scale":
            return self._nodes.node("Mul", [operands[0], weight_name], output)
        inputs = [operands[0], weight_name]
        bias = constant(node, 2)
        if bias is not None and mode == "steps":
            inputs.append(self._nodes.constant(f"bias/{node.name}", bias))
        attrs = dict(node.attrs) if node.op == "Conv" else {}
        if bias is None or mode == "steps":
            return self._nodes.node(node.op, inputs, output, **attrs)
        weighted = self._nodes.node(node.op, inputs, f"{output}/weighted", **attrs)
        steps = self._nodes.node("Cast", ["count"], f"{output}/count", to=onnx.TensorProto.FLOAT)
        per_channel = bias.reshape((1, -1, *[1] * (len(node.outputs[0].shape) - 2)))
        name = self._nodes.constant(f"bias/{node.name}", per_channel)
        return self._nodes.node("Add", [weighted, self._nodes.node("Mul", [name, steps], f"{output}/bias")], output)

    def _move(self, node: gs.Node, operand: str, output: str) -> str:
        if node.op == "Transpose":
            return self._nodes.node("Transpose", [operand], output, perm=list(node.attrs["perm"]))
        shape = constant(node, 1)
        assert shape is not None
        return self._nodes.node("Reshape", [operand, self._nodes.constant(f"shape/{node.name}", shape)], output)

    def _sum_pool(self, node: gs.Node, operand: str, output: str) -> str:
        channels, *sizes = sample_shape(node.inputs[0])
        multiplicity = constant(node, 1)
        summed = output if multiplicity is None else f"{output}/sums"
        kernel = list(node.attrs["kernel_shape"])
        if kernel == sizes and not any(node.attrs["pads"]):
            axes = self._nodes.constant(f"axes/{node.name}", np.arange(2, 2 + len(sizes), dtype=np.int64))
            self._nodes.node("ReduceSum", [operand, axes], summed, keepdims=1)
        else:
            ones = self._nodes.constant(f"window/{node.name}", np.ones((channels, 1, *kernel), np.float32))
            self._nodes.node(
                "Conv",
                [operand, ones],
                summed,
                group=channels,
                kernel_shape=kernel,
                strides=list(node.attrs["strides"]),
                pads=list(node.attrs["pads"]),
            )
        if multiplicity is None:
            return summed
        return self._nodes.node(
            "Mul", [summed, self._nodes.constant(f"multiplicity/{node.name}", multiplicity)], output
        )
