"""Writing a row of nodes in the place of one node of an ANN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_graphsurgeon as gs

from snnc.ir.graph import sample_shape
from snnc.ir.names import Names

_COMPUTING = ("AveragePool", "Conv", "MaxPool")


class Chain:
    """A row of nodes that begins with what a node reads first and ends with what it gives, `[N, ...]` float32.

    The one that computes, if there is one, else the last has the name of the node that goes. Shapes are those of a
    sample. New nodes stand at the end of the graph: sort it.
    """

    def __init__(self, graph: gs.Graph, node: gs.Node, names: Names, source: gs.Variable | None = None) -> None:
        """In the place of `node`; `source` is what it begins with, if that is not the node's first input."""
        self._graph, self._node, self._names = graph, node, names
        self._at: gs.Variable = node.inputs[0] if source is None else source
        self._added: list[gs.Node] = []

    @property
    def shape(self) -> tuple[int, ...]:
        """What a sample is like where the row has come to."""
        return sample_shape(self._at)

    @property
    def result_shape(self) -> tuple[int, ...]:
        """What a sample has to be like at the end."""
        return sample_shape(self._node.outputs[0])

    def transpose(self, order: Sequence[int]) -> None:
        """Put the axes of a sample into another order."""
        if list(order) != sorted(order):
            shape = [self.shape[axis] for axis in order]
            self._add("Transpose", shape, perm=[0, *(axis + 1 for axis in order)])

    def reshape(self, shape: Sequence[int]) -> None:
        """The same elements in another shape."""
        if tuple(shape) != self.shape:
            self._add("Reshape", shape, np.array([-1, *shape], np.int64))

    def gather(self, axis: int, indices: npt.NDArray[np.int64]) -> None:
        """The elements at these indices along an axis of the sample."""
        if not np.array_equal(indices, np.arange(self.shape[axis])):
            shape = [len(indices) if at == axis else size for at, size in enumerate(self.shape)]
            self._add("Gather", shape, np.asarray(indices, np.int64), axis=axis + 1)

    def pool(self, op: str, kernel: Sequence[int]) -> None:
        """An `AveragePool` or `MaxPool`, window beside window."""
        channels, *plane = self.shape
        sizes = [size // reach for size, reach in zip(plane, kernel, strict=True)]
        self._add(op, [channels, *sizes], kernel_shape=list(kernel), strides=list(kernel))

    def convolve(self, weight: npt.NDArray[Any], bias: npt.NDArray[Any] | None = None, **attrs: Any) -> None:
        """`Conv` with stride 1 and weights `[M, C/group, k...]`; `pads` and `group` as in ONNX."""
        rank = weight.ndim - 2
        pads = attrs.setdefault("pads", [0] * (2 * rank))
        sizes = [
            size + pads[axis] + pads[rank + axis] - weight.shape[2 + axis] + 1
            for axis, size in enumerate(self.shape[1:])
        ]
        constants = [np.ascontiguousarray(weight, np.float32)]
        if bias is not None:
            constants.append(np.ascontiguousarray(bias, np.float32))
        self._add("Conv", [weight.shape[0], *sizes], *constants, kernel_shape=list(weight.shape[2:]), **attrs)

    def multiply(self, factor: float) -> None:
        """`Mul` by a number."""
        self._add("Mul", self.shape, np.array(factor, np.float32))

    def end(self) -> None:
        """Let the row give what the node gave; the node goes."""
        result, node = self._node.outputs[0], self._node
        if not self._added:
            node.op, node.domain, node.attrs, node.inputs = "Identity", "", {}, [self._at]
            return
        node.inputs.clear()
        node.outputs.clear()
        last = self._added[-1]
        assert sample_shape(self._at) == sample_shape(result), f"{node.name!r} gave another shape"
        last.outputs = [result]
        self._graph.nodes.remove(node)
        computing = [added for added in self._added if added.op in _COMPUTING]
        (computing or [last])[-1].name = node.name

    def _add(self, op: str, shape: Sequence[int], *constants: npt.NDArray[Any], **attrs: Any) -> None:
        label = self._names.unique(f"{self._node.name}/{op}")
        inputs = [gs.Constant(self._names.unique(f"{label}/{index}"), value) for index, value in enumerate(constants)]
        batch = self._at.shape[0]
        result = gs.Variable(self._names.unique(f"{label}/result"), np.float32, [batch, *shape])
        added = gs.Node(op, label, attrs, [self._at, *inputs], [result])
        self._graph.nodes.append(added)
        self._added.append(added)
        self._at = result
