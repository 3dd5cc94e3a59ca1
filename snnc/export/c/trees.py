"""Linear operators as calls: what the spikes of a step add to a current.

Everything is scattered: an operator looks at each element that it reads and, where it is not zero, adds what it is
worth to all sums that it reaches. A sum is the membrane potential itself where the operator stands in front of a
neuron, or scratch memory where another operator reads it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from snnc.export.c.integers import elements, holding, holding_places, runs, sum_type
from snnc.export.c.program import Call, Constant, Identifiers, Memory, Program, Scratch, Shape, Statement
from snnc.ir.graph import activation_inputs, constant, producer, sample_shape
from snnc.ir.trees import is_source

MOST_SPATIAL_AXES = 3


@dataclass
class Value:
    """Where the elements of a tensor are: an expression of C, their type, and the scratch memory (None: no scratch)."""

    text: str
    ctype: str
    scratch: Scratch | None = None


@dataclass(frozen=True)
class Sums:
    """Where sums go: an expression of C and its type."""

    text: str
    ctype: str

    def behind(self, count: int) -> Sums:
        """What follows after `count` elements."""
        return Sums(f"{self.text} + {count}", self.ctype) if count else self


class Trees:
    """Writes the trees of a program. `now` is the time of the step at which statements run (`Scratch`)."""

    def __init__(self, program: Program, identifiers: Identifiers) -> None:
        self.program, self.identifiers = program, identifiers
        self.statements: list[Statement] = []
        self.now = 0
        self.layer = ""
        self._values: dict[str, Value] = {}
        self._constants: dict[str, Constant] = {}

    def declare(self, tensor: gs.Tensor, value: Value) -> None:
        """Tell where the output of a source is."""
        self._values[tensor.name] = value

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Statements that may not run: what they compute is not known to others."""
        known = dict(self._values)
        yield
        self._values = known

    def value(self, tensor: gs.Tensor) -> Value:
        """The elements of a tensor; computed where they are not there yet."""
        node = producer(tensor)
        if tensor.name not in self._values:
            assert node is not None
            if node.op == "Reshape":
                self._values[tensor.name] = self.value(activation_inputs(node)[0])
            else:
                value = self.scratch(f"sums_{self.identifiers.of(node.name)}", sum_type(tensor), elements(tensor))
                self.statements.append(Memory(value.text, value.ctype, elements(tensor)))
                _OPERATORS[node.op](self, node, Sums(value.text, value.ctype))
                self._values[tensor.name] = value
        found = self._values[tensor.name]
        if found.scratch is not None:
            found.scratch.dies = max(found.scratch.dies, self.now)
        return found

    def scratch(self, name: str, ctype: str, count: int) -> Value:
        """New scratch memory, from now on."""
        piece = Scratch(name, ctype, count, self.now, self.now)
        self.program.scratch.append(piece)
        return Value(name, ctype, piece)

    def constant(self, name: str, values: NDArray[Any], ctype: str | None = None) -> Constant:
        """A new array in flash, of the smallest type that holds its integers."""
        integers = np.asarray(values).astype(np.int64).reshape(-1)
        ctype = ctype or holding(int(integers.min(initial=0)), int(integers.max(initial=0)))
        if name not in self._constants:  # what two layers read is there once
            self._constants[name] = Constant(name, ctype, integers, self.layer)
            self.program.constants.append(self._constants[name])
        return self._constants[name]

    def shape(self, name: str, kind: str, text: str) -> str:
        """A new struct of sizes; gives its address."""
        shape = Shape(name, kind, text)
        if shape not in self.program.shapes:
            self.program.shapes.append(shape)
        return f"&{name}"

    def call(self, kernel: str, types: dict[str, str], *arguments: object, counts_spikes: bool = False) -> None:
        self.statements.append(Call(kernel, types, tuple(map(str, arguments)), counts_spikes))

    def add(self, tensor: gs.Tensor, sums: Sums) -> None:
        """Add the elements of a tensor to `sums`."""
        node = producer(tensor)
        if is_source(tensor) or node is None or len(tensor.outputs) > 1:  # what several read is computed once
            self._join(tensor, sums)
        else:
            _OPERATORS[node.op](self, node, sums)

    def add_bias(self, name: str, bias: NDArray[Any] | None, shape: Sequence[int], sums: Sums) -> None:
        if bias is not None and bias.any():
            values, size = runs(bias, shape)
            array = self.constant(f"bias_{name}", values)
            self.call(
                "add_constant", {"WEIGHT": array.ctype, "SUM": sums.ctype}, array.name, values.size, size, sums.text
            )

    def _join(self, tensor: gs.Tensor, sums: Sums, rows: int = 1, stride: int = 0) -> None:
        """The elements in `rows` rows, each the first of `stride` sums; as one row where nothing else is said."""
        value, size = self.value(tensor), elements(tensor) // rows
        self.call("join", {"INPUT": value.ctype, "SUM": sums.ctype}, value.text, rows, size, stride or size, sums.text)

    def conv(self, node: gs.Node, sums: Sums) -> None:
        name, value = self.identifiers.of(node.name), self.value(node.inputs[0])
        weight = constant(node, 1)
        assert weight is not None
        groups = int(node.attrs.get("group", 1))
        outputs, inputs = weight.shape[0] // groups, weight.shape[1]
        by_tap = weight.reshape(groups, outputs, inputs, -1).transpose(0, 2, 3, 1)
        array = self.constant(f"weight_{name}", by_tap)
        shape = self.shape(f"shape_{name}", "windows", windows(node, groups, inputs, outputs))
        types = {"INPUT": value.ctype, "WEIGHT": array.ctype, "SUM": sums.ctype}
        self.call("conv", types, value.text, array.name, shape, sums.text)
        bias, shape_out = constant(node, 2), sample_shape(node.outputs[0])
        self.add_bias(name, _by_channel(bias, shape_out), shape_out, sums)

    def gemm(self, node: gs.Node, sums: Sums) -> None:
        name, value = self.identifiers.of(node.name), self.value(node.inputs[0])
        weight = constant(node, 1)
        assert weight is not None
        array = self.constant(f"weight_{name}", weight)
        types = {"INPUT": value.ctype, "WEIGHT": array.ctype, "SUM": sums.ctype}
        self.call("dense", types, value.text, weight.shape[0], array.name, weight.shape[1], sums.text)
        self.add_bias(name, constant(node, 2), sample_shape(node.outputs[0]), sums)

    def scale(self, node: gs.Node, sums: Sums) -> None:
        name, value = self.identifiers.of(node.name), self.value(node.inputs[0])
        weight, shape = constant(node, 1), sample_shape(node.outputs[0])
        assert weight is not None
        if weight.any():
            values, size = runs(weight, shape)
            array = self.constant(f"weight_{name}", values)
            types = {"INPUT": value.ctype, "WEIGHT": array.ctype, "SUM": sums.ctype}
            self.call("scale", types, value.text, array.name, values.size, size, sums.text)
        self.add_bias(name, constant(node, 2), shape, sums)

    def sum_pool(self, node: gs.Node, sums: Sums) -> None:
        name, value = self.identifiers.of(node.name), self.value(node.inputs[0])
        factor, channels = constant(node, 1), sample_shape(node.inputs[0])[0]
        array = "NULL" if factor is None else self.constant(f"factor_{name}", factor, "int32_t").name
        shape = self.shape(f"shape_{name}", "windows", windows(node, channels, 1, 1))
        self.call("pool", {"INPUT": value.ctype, "SUM": sums.ctype}, value.text, shape, array, sums.text)

    def reshape(self, node: gs.Node, sums: Sums) -> None:
        self.add(activation_inputs(node)[0], sums)

    def sum(self, node: gs.Node, sums: Sums) -> None:
        for operand in activation_inputs(node):
            self.add(operand, sums)

    def concat(self, node: gs.Node, sums: Sums) -> None:
        axis, shape = int(node.attrs["axis"]) - 1, sample_shape(node.outputs[0])
        rows, stride = math.prod(shape[:axis]), math.prod(shape[axis:])
        done = 0
        for operand in activation_inputs(node):
            if rows == 1:
                self.add(operand, sums.behind(done))
            else:
                self._join(operand, sums.behind(done), rows, stride)
            done += elements(operand) // rows

    def move(self, node: gs.Node, sums: Sums) -> None:
        """By a table of places, which is found by moving the places themselves."""
        name, operand = self.identifiers.of(node.name), node.inputs[0]
        value = self.value(operand)
        places = _MOVES[node.op](node, np.arange(elements(operand)).reshape(sample_shape(operand)))
        array = self.constant(f"places_{name}", places, holding_places(elements(operand)))
        types = {"INPUT": value.ctype, "WEIGHT": array.ctype, "SUM": sums.ctype}
        self.call("move", types, value.text, array.name, places.size, sums.text)


def windows(node: gs.Node, groups: int, inputs: int, outputs: int) -> str:
    """The initializer of a struct of windows, from the attributes and the planes of `node`."""
    sizes_in, sizes_out = sample_shape(node.inputs[0])[1:], sample_shape(node.outputs[0])[1:]
    rank = len(sizes_in)
    keys = ("kernel_shape", "strides", "dilations")
    columns = [sizes_in, sizes_out, *(node.attrs.get(key) or [1] * rank for key in keys)]
    begins = (node.attrs.get("pads") or [0] * rank)[:rank]
    axes = [(1, 1, 1, 1, 1, 0)] * (MOST_SPATIAL_AXES - rank) + list(zip(*columns, begins, strict=True))
    rows = ", ".join("{" + ", ".join(str(int(size)) for size in axis) + "}" for axis in axes)
    return f"{{{groups}, {inputs}, {outputs}, {{{rows}}}}}"


def _by_channel(bias: NDArray[Any] | None, shape: Sequence[int]) -> NDArray[Any] | None:
    return None if bias is None else bias.reshape(-1, *[1] * (len(shape) - 1))


def _transposed(node: gs.Node, places: NDArray[Any]) -> NDArray[Any]:
    moved: NDArray[Any] = places.transpose([axis - 1 for axis in node.attrs["perm"][1:]])
    return moved


def _in_squares(node: gs.Node, places: NDArray[Any]) -> NDArray[Any]:
    size = int(node.attrs["blocksize"])
    channels, height, width = sample_shape(node.inputs[0])
    if node.attrs.get("mode", "DCR") == "DCR":
        parts = places.reshape(size, size, channels // size**2, height, width).transpose(2, 3, 0, 4, 1)
    else:
        parts = places.reshape(channels // size**2, size, size, height, width).transpose(0, 3, 1, 4, 2)
    moved: NDArray[Any] = parts.reshape(sample_shape(node.outputs[0]))
    return moved


def _gathered(node: gs.Node, places: NDArray[Any]) -> NDArray[Any]:
    indices = constant(node, 1)
    assert indices is not None
    return np.take(places, indices.astype(np.int64), int(node.attrs["axis"]) - 1)


_MOVES: dict[str, Callable[[gs.Node, NDArray[Any]], NDArray[Any]]] = {
    "Transpose": _transposed,
    "DepthToSpace": _in_squares,
    "Gather": _gathered,
}
_OPERATORS: dict[str, Callable[[Trees, gs.Node, Sums], None]] = {
    "Conv": Trees.conv,
    "Gemm": Trees.gemm,
    "Scale": Trees.scale,
    "SumPool": Trees.sum_pool,
    "Reshape": Trees.reshape,
    "Add": Trees.sum,
    "Concat": Trees.concat,
    **dict.fromkeys(_MOVES, Trees.move),
}
#: Linear operators that can be written.
LINEAR = tuple(_OPERATORS)
