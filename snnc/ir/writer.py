"""Writing several nodes of an ANN in the place of one, where they are more than a row (`snnc.ir.chain`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_graphsurgeon as gs

from snnc.ir.graph import sample_shape
from snnc.ir.names import Names

Operand: TypeAlias = gs.Tensor | npt.NDArray[Any] | float


class Writer:
    """Adds nodes that compute float32 activations; shapes are those of a sample.

    Every node is named after the one that goes and what it computes there. New nodes stand at the end of the graph:
    sort it.
    """

    def __init__(self, graph: gs.Graph, node: gs.Node, names: Names) -> None:
        """In the place of `node`, whose output keeps its name."""
        self._graph, self._node, self._names = graph, node, names

    def add(
        self, op: str, what: str, operands: Sequence[Operand], shape: Sequence[int], domain: str = "", **attrs: Any
    ) -> gs.Variable:
        """A node that computes `what`; operands that are numbers become float32 constants, arrays keep their type."""
        label = self._names.unique(f"{self._node.name}/{what}")
        batch = self._node.outputs[0].shape[0]
        result = gs.Variable(self._names.unique(f"{label}/result"), np.float32, [batch, *shape])
        inputs = [self._operand(operand, f"{label}/{index}") for index, operand in enumerate(operands)]
        self._graph.nodes.append(gs.Node(op, label, attrs, inputs, [result], domain))
        return result

    def reduced(self, op: str, what: str, source: gs.Tensor, axes: Sequence[int]) -> gs.Variable:
        """`ReduceMean`, `ReduceSum` or `ReduceMax` over axes of a sample, which stay with size 1."""
        shape = [1 if axis in axes else size for axis, size in enumerate(sample_shape(source))]
        return self.add(op, what, [source], shape, axes=[axis + 1 for axis in axes], keepdims=1)

    def end(self, result: gs.Variable) -> None:
        """Let the last node that was added, which computes `result`, give what the node gave, under its name."""
        last, node = self._graph.nodes[-1], self._node
        assert last.outputs[0] is result
        assert sample_shape(result) == sample_shape(node.outputs[0]), f"{node.name!r} gave another shape"
        output = node.outputs[0]
        node.inputs.clear()
        node.outputs.clear()
        self._graph.nodes.remove(node)
        last.outputs = [output]
        last.name = node.name

    @staticmethod
    def _operand(operand: Operand, name: str) -> gs.Tensor:
        if isinstance(operand, gs.Tensor):
            return operand
        return gs.Constant(name, operand if isinstance(operand, np.ndarray) else np.array(operand, np.float32))
