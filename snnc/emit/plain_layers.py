"""The currents of a tree by the plain operators: spikes unpacked to values, then `Conv`, `Gemm` and the rest on these.

`steps` gives the current of every step, time folded into the batch: `[count·N, ...]`. `sums` gives the sum over the
steps of a block, `[N, ...]`: Σ_t (W·s_t + b) = W·Σ_t s_t + count·b. What is the same in every step (direct coding) is
computed once for a block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from snnc.emit.nodes import Nodes
from snnc.emit.words import WordMover, Words
from snnc.ir.domain import DOMAIN
from snnc.ir.graph import activation_inputs, producer, sample_shape
from snnc.ir.names import COUNT
from snnc.ir.trees import copies_of, leaves, tree
from snnc.operators import operator_of, weighted
from snnc.operators.contract import Mode


@dataclass(frozen=True)
class _Graded:
    """Integers of a source without words: others in every step, `[count·N, ...]`, or those of one step, `[N, ...]`,
    which come in the first one only or in every one."""

    values: str
    by_step: bool = False
    first_step_only: bool = False


class Currents:
    """Writes the nodes of trees of linear operators; values are float32 by steps, float64 by sums."""

    def __init__(self, nodes: Nodes, words: WordMover) -> None:
        self._nodes, self._words = nodes, words
        self._known: dict[tuple[str, Mode], str] = {}
        self._graded: dict[str, _Graded] = {}

    def declare(self, source: gs.Tensor, values: str, *, first_step_only: bool) -> None:
        """Tell where the integers of a source without words are, float32 `[N, ...]`: the same in every step, or for the
        first step of the block, after which nothing comes."""
        self._graded[source.name] = _Graded(values, first_step_only=first_step_only)

    def declare_by_step(self, source: gs.Tensor, values: str) -> None:
        """Tell where the integers of a source without words are that are others in every step, float32
        `[count·N, ...]`."""
        self._graded[source.name] = _Graded(values, by_step=True)

    def late(self, nodes: Nodes, words: WordMover) -> Currents:
        """The same sources for other nodes, over other steps."""
        assert not any(graded.by_step for graded in self._graded.values()), "numbers by step are not cut"
        found = Currents(nodes, words)
        found._graded = self._graded
        return found

    def graded(self, source: gs.Tensor) -> str:
        """The integers of a source that were declared."""
        return self._graded[source.name].values

    def charge(self, tensor: gs.Tensor) -> str | None:
        """The current of a tensor of which all comes in the first step of the block, float32 `[N, ...]`; None where any
        comes later."""
        graded = [self._graded.get(leaf.name) for leaf in leaves(tensor)]
        if not all(found is not None and found.first_step_only for found in graded) or _has_bias(tensor):
            return None
        return self._once(tensor)

    def of(self, tensor: gs.Tensor, mode: Mode) -> str:
        """Float values of a tensor of a tree."""
        key = (tensor.name, mode)
        if key not in self._known:
            self._known[key] = self._written(tensor, mode)
        return self._known[key]

    def _written(self, tensor: gs.Tensor, mode: Mode) -> str:
        label = f"{tensor.name}/{mode}"
        if tensor.name in self._graded:
            return self._values(tensor, self._graded[tensor.name], mode, label)
        if copies_of(tensor) == 1:
            return self._unpacked(label, self._words.of(tensor), mode)
        graded = [self._graded.get(leaf.name) for leaf in leaves(tensor)]
        constant = [found for found in graded if found is not None and not found.by_step]
        if mode == "steps" and len(constant) == len(graded):
            if not any(found.first_step_only for found in constant):
                return self._every_step(tensor, self._once(tensor), label)
            if all(found.first_step_only for found in constant) and not _has_bias(tensor):
                return self._first_step(tensor, self._once(tensor), label)
        node = producer(tensor)
        assert node is not None
        operands = [self.of(operand, mode) for operand in activation_inputs(node)]
        return operator_of(node).current(node, operands, label, mode, self._nodes)

    def _once(self, tensor: gs.Tensor) -> str:
        """The current of one step where it is the same in every step or comes in the first one only, `[N, ...]`."""
        if tensor.name in self._graded:
            return self.graded(tensor)
        node = producer(tensor)
        assert node is not None
        operands = [self._once(operand) for operand in activation_inputs(node)]
        return operator_of(node).current(node, operands, f"{tensor.name}/once", "steps", self._nodes)

    def _values(self, tensor: gs.Tensor, graded: _Graded, mode: Mode, label: str) -> str:
        if graded.by_step:
            return graded.values if mode == "steps" else self._summed(tensor, graded.values, label)
        if mode == "steps":
            if graded.first_step_only:
                return self._first_step(tensor, graded.values, label)
            return self._every_step(tensor, graded.values, label)
        values = self._nodes.node("Cast", [graded.values], f"{label}/one_step", to=onnx.TensorProto.DOUBLE)
        if graded.first_step_only:
            return values
        steps = self._nodes.node("Cast", [self._nodes.count], f"{label}/count", to=onnx.TensorProto.DOUBLE)
        return self._nodes.node("Mul", [values, steps], label)

    def _summed(self, tensor: gs.Tensor, values: str, label: str) -> str:
        """The sum over the steps, `[N, ...]`, of `values` `[count·N, ...]`, in float64."""
        nodes = self._nodes
        first = nodes.constant("first_axis", np.zeros(1, np.int64))
        wide = nodes.node("Cast", [values], f"{label}/wide", to=onnx.TensorProto.DOUBLE)
        count = nodes.node("Unsqueeze", [nodes.count, first], f"{label}/steps")
        batch = nodes.node("Div", [self._batch(values, label), count], f"{label}/samples")
        shape = nodes.node("Concat", [count, self._sample_behind(batch, tensor, label)], f"{label}/shape", axis=0)
        by_step = nodes.node("Reshape", [wide, shape], f"{label}/by_step", allowzero=1)
        return nodes.node("ReduceSum", [by_step, first], label, keepdims=0)

    def _every_step(self, tensor: gs.Tensor, values: str, label: str) -> str:
        """`values` `[N, ...]` in every step, `[count·N, ...]`."""
        nodes = self._nodes
        first = nodes.constant("first_axis", np.zeros(1, np.int64))
        count = nodes.node("Unsqueeze", [COUNT, first], f"{label}/steps")
        shape = nodes.node("Shape", [values], f"{label}/shape")
        repeated = nodes.node("Concat", [count, shape], f"{label}/repeated_shape", axis=0)
        one_step = nodes.node("Unsqueeze", [values, first], f"{label}/one_step")
        by_step = nodes.node("Expand", [one_step, repeated], f"{label}/by_step")
        rows = nodes.node("Mul", [count, self._batch(values, label)], f"{label}/rows")
        return nodes.node("Reshape", [by_step, self._sample_behind(rows, tensor, label)], label, allowzero=1)

    def _first_step(self, tensor: gs.Tensor, values: str, label: str) -> str:
        """`values` `[N, ...]` in the first step and nothing in the others, `[count·N, ...]`."""
        nodes = self._nodes
        first = nodes.constant("first_axis", np.zeros(1, np.int64))
        count = nodes.node("Unsqueeze", [COUNT, first], f"{label}/steps")
        others = nodes.node("Sub", [count, nodes.constant("one_step", np.ones(1, np.int64))], f"{label}/others")
        rows = nodes.node("Mul", [others, self._batch(values, label)], f"{label}/rows")
        nothing = nodes.node("ConstantOfShape", [self._sample_behind(rows, tensor, label)], f"{label}/nothing")
        return nodes.node("Concat", [values, nothing], label, axis=0)

    def _batch(self, values: str, label: str) -> str:
        return self._nodes.node("Shape", [values], f"{label}/batch", start=0, end=1)

    def _sample_behind(self, rows: str, tensor: gs.Tensor, label: str) -> str:
        """The shape `[rows, ...]`."""
        return self._nodes.node(
            "Concat", [rows, self._nodes.integers(sample_shape(tensor))], f"{label}/rows_shape", axis=0
        )

    def _unpacked(self, label: str, words: Words, mode: Mode) -> str:
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


def _has_bias(tensor: gs.Tensor) -> bool:
    """Whether a current comes in every step that no spike causes."""
    heavy = ((node, weighted(node)) for node in tree(tensor))
    return any(room is not None and room.weights(node).bias is not None for node, room in heavy)
