"""Linear operators of a calibrated graph as nodes of NIR.

    Conv            → Conv2d, Conv1d (`nir_kernels`)
    Gemm            → Linear, Affine; of a plane that the target cannot flatten in order, Conv2d with a kernel as large
    SumPool         → SumPool2d; Conv2d with weights of 1
    Reshape         → Flatten
    Scale           → Scale; Conv2d, Linear, Affine
    Add             → several edges into one node, which NIR adds up

Integers stay integers: every sum is as exact as in the network itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from snnc.export.nir_kernels import Kernel, fitted, stretched, windows, without_groups
from snnc.export.nir_targets import Target
from snnc.export.nir_writer import GraphWriter, Unwritable, Value, require_nir
from snnc.ir.graph import constant, sample_shape
from snnc.ir.signal import FloatArray

_MOST_WEIGHTS = 2**27


class SynapseWriter:
    """Writes linear operators for a target. `factors` multiply the outputs of a weighted operator by channel: node name
    → powers of two, `[C]`."""

    def __init__(self, graph: GraphWriter, target: Target) -> None:
        self.graph, self.target, self.nir = graph, target, require_nir()
        self.factors: dict[str, FloatArray] = {}

    def write(self, node: gs.Node, operands: Sequence[Value]) -> Value:
        """The output of `node`. Unwritable: the target cannot compute it."""
        write = _WRITERS.get(node.op)
        if write is None:
            raise Unwritable("NIR has no node that moves or joins elements like this")
        return write(self, node, operands)

    # Operators

    def add(self, node: gs.Node, operands: Sequence[Value]) -> Value:
        names = tuple(itertools.chain.from_iterable(operand.names for operand in operands))
        if len(set(names)) < len(names):
            raise Unwritable("a NIR graph cannot add a node to itself")
        if len({operand.shape for operand in operands}) > 1:
            raise Unwritable(f"{self.target.name} has the branches in different shapes")
        return Value(names, operands[0].shape, operands[0].flat)

    def reshape(self, node: gs.Node, operands: Sequence[Value]) -> Value:
        (operand,), shape = operands, sample_shape(node.outputs[0])
        if operand.shape == shape:
            return operand
        if len(shape) != 1:
            raise Unwritable(f"NIR reshapes to one axis only, not to {list(shape)}")
        if "Flatten" not in self.target.nodes:
            return Value(operand.names, operand.shape, flat=True)
        # axes from the back: importers count the batch or do not
        flatten = self.nir.Flatten(np.array(operand.shape), start_dim=-len(operand.shape), end_dim=-1)
        return self.graph.add(node.name, flatten, operand.names, shape)

    def conv(self, node: gs.Node, operands: Sequence[Value]) -> Value:
        weight, bias = self._weights(node)
        attrs = node.attrs
        return self._convolution(
            node, operands[0], weight, bias, attrs["strides"], attrs["dilations"], attrs["pads"], attrs.get("group", 1)
        )

    def gemm(self, node: gs.Node, operands: Sequence[Value]) -> Value:
        (operand,) = operands
        weight, bias = self._weights(node, axis=1)
        rows = weight.T
        if not operand.flat:
            return self._dense(node, operand, rows, bias)
        kernel = operand.shape[1:]
        plane = rows.reshape(len(rows), *operand.shape)
        steps = [1] * len(kernel)
        found = self._convolution(node, operand, plane, bias, steps, steps, [0] * 2 * len(kernel), 1)
        return Value(found.names, found.shape, flat=True)

    def scale(self, node: gs.Node, operands: Sequence[Value]) -> Value:
        (operand,), (weight, bias) = operands, self._weights(node, axis=None)
        shape = operand.shape
        by_element = np.broadcast_to(weight, sample_shape(node.outputs[0])).reshape(shape)
        if bias is None and "Scale" in self.target.nodes:
            return self.graph.add(
                node.name, self.nir.Scale(_float(by_element)), operand.names, shape, flat=operand.flat
            )
        offset = None if bias is None else np.broadcast_to(bias, sample_shape(node.outputs[0])).reshape(shape)
        if len(shape) == 1:
            return self._dense(node, operand, np.diag(by_element), offset)
        channels = shape[0]
        values, offsets = _by_channel(by_element), None if offset is None else _by_channel(offset)
        if values is None or (offset is not None and offsets is None):
            raise Unwritable(f"{self.target.name} has no node that scales every element by itself")
        rank = len(shape) - 1
        kernel, steps = values.reshape(channels, 1, *[1] * rank), [1] * rank
        found = self._convolution(node, operand, kernel, offsets, steps, steps, [0] * 2 * rank, channels)
        return Value(found.names, found.shape, operand.flat)

    def sum_pool(self, node: gs.Node, operands: Sequence[Value]) -> Value:
        (operand,), attrs, times = operands, node.attrs, constant(node, 1)
        if times is not None and "Scale" not in self.target.nodes:
            raise Unwritable(
                "its windows average over different numbers of elements", "average with count_include_pad=1"
            )
        shape, kernel, strides = sample_shape(node.outputs[0]), attrs["kernel_shape"], attrs["strides"]
        label = node.name if times is None else f"{node.name}/sums"
        if len(kernel) == 2 and not any(attrs["pads"]) and "SumPool2d" in self.target.nodes:
            pool = self.nir.SumPool2d(np.array(kernel), np.array(strides), np.array([0, 0]))
            sums = self.graph.add(label, pool, operand.names, shape)
        else:
            ones = np.ones((shape[0], 1, *kernel))
            none = [1] * len(kernel)
            sums = self._convolution(node, operand, ones, None, strides, none, attrs["pads"], shape[0], label)
        if times is None:
            return sums
        by_element = np.broadcast_to(times[0], shape)
        return self.graph.add(node.name, self.nir.Scale(_float(by_element)), sums.names, shape)

    # Nodes

    def _weights(self, node: gs.Node, axis: int | None = 0) -> tuple[FloatArray, FloatArray | None]:
        """Weight and bias; `axis` is that of the output's channels in the weight, None where it broadcasts."""
        weight, bias = constant(node, 1), constant(node, 2)
        assert weight is not None
        factor = self.factors.get(node.name)
        if factor is not None:
            outputs = len(sample_shape(node.outputs[0])) if axis is None else weight.ndim
            by_axis = [1] * outputs
            by_axis[axis or 0] = -1
            weight = weight * factor.reshape(by_axis)
            bias = None if bias is None else bias * (factor if axis is not None else factor.reshape(by_axis))
        return np.asarray(weight, np.float64), None if bias is None else np.asarray(bias, np.float64)

    def _dense(self, node: gs.Node, operand: Value, rows: FloatArray, bias: FloatArray | None) -> Value:
        if bias is None and "Linear" in self.target.nodes:
            return self.graph.add(node.name, self.nir.Linear(_float(rows)), operand.names, (len(rows),))
        offset = np.zeros(len(rows)) if bias is None else bias
        return self.graph.add(node.name, self.nir.Affine(_float(rows), _float(offset)), operand.names, (len(rows),))

    def _convolution(
        self,
        node: gs.Node,
        operand: Value,
        weight: FloatArray,
        bias: FloatArray | None,
        strides: Sequence[int],
        dilations: Sequence[int],
        pads: Sequence[int],
        group: int,
        label: str = "",
    ) -> Value:
        rank = len(strides)
        kind = f"Conv{rank}d"
        if kind not in self.target.nodes:
            raise Unwritable(f"{self.target.name} has no convolution along {rank} axes")
        if group > 1 and weight.size * group > _MOST_WEIGHTS:
            raise Unwritable(f"NIR has no groups that can be read back, and {group} are too many to fill with zeros")
        kernel = self._kernel(without_groups(weight, group), strides, dilations, pads, operand.shape[1:])
        sizes = windows(operand.shape[1:], kernel)
        offset = _float(np.zeros(len(weight)) if bias is None else bias)
        plane: Any = operand.shape[1] if rank == 1 else np.array(operand.shape[1:])
        by_axis: list[Any] = [kernel.strides, kernel.pads, kernel.dilations]
        geometry = [values[0] for values in by_axis] if rank == 1 else by_axis
        made = getattr(self.nir, kind)(plane, _float(kernel.weight), *geometry, 1, offset)
        return self.graph.add(label or node.name, made, operand.names, (len(weight), *sizes))

    def _kernel(
        self,
        weight: FloatArray,
        strides: Sequence[int],
        dilations: Sequence[int],
        pads: Sequence[int],
        sizes: tuple[int, ...],
    ) -> Kernel:
        """The kernel that NIR and the target can have."""
        rank = len(strides)
        begins, ends = pads[:rank], pads[rank:]
        given = Kernel(weight, *(tuple(map(int, values)) for values in (strides, begins, dilations)))
        dilated = any(dilation > 1 for dilation in dilations) and not self.target.dilations
        if list(begins) == list(ends) and len(set(weight.shape[2:])) == 1 and not dilated:
            return given
        full = stretched(weight, dilations)
        found = fitted(full, strides, begins, ends, sizes)
        if found is None:
            raise Unwritable("NIR can only read back convolutions whose kernel is as wide as high")
        return found


_WRITERS: Mapping[str, Callable[[SynapseWriter, gs.Node, Sequence[Value]], Value]] = {
    "Add": SynapseWriter.add,
    "Reshape": SynapseWriter.reshape,
    "Conv": SynapseWriter.conv,
    "Gemm": SynapseWriter.gemm,
    "Scale": SynapseWriter.scale,
    "SumPool": SynapseWriter.sum_pool,
}


def _float(values: FloatArray) -> np.ndarray:
    return np.ascontiguousarray(values, np.float32)


def _by_channel(values: FloatArray) -> FloatArray | None:
    """The one value of each channel; None where a channel has several."""
    rows = values.reshape(len(values), -1)
    return rows[:, 0] if (rows == rows[:, :1]).all() else None
