"""A growing list of ONNX nodes and initializers, and the one place where their names are invented.

A caller gives a label that says what a tensor is, and uses the name that it gets back: `snnc/<label>`, or another where
that is taken. So no name of the user's network, however it is built, can collide with one of the writer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from snnc.ir.names import COUNT, Names


class Nodes:
    """Writes ONNX nodes. `names` knows every name of the graph that they belong to; `count` is the tensor that says how
    many steps sums are over."""

    count = COUNT

    def __init__(self, names: Names | None = None) -> None:
        self.names = Names() if names is None else names
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self._labelled: dict[str, list[str]] = {}

    def node(self, op: str, inputs: Sequence[str], label: str, domain: str = "", **attrs: Any) -> str:
        """Append a node with one output; gives the name of the output."""
        output = self.names.unique(label)
        self.write(op, inputs, [output], self.names.unique(f"node/{label}"), domain, **attrs)
        return output

    def write(
        self, op: str, inputs: Sequence[str], outputs: Sequence[str], name: str, domain: str = "", **attrs: Any
    ) -> None:
        """Append a node whose name and outputs are known: public names, the user's, or given out by `names`."""
        self.nodes.append(helper.make_node(op, list(inputs), list(outputs), name=name, domain=domain, **attrs))

    def constant(self, label: str, value: np.ndarray | np.generic) -> str:
        """The name of an initializer with this value; one for all who ask for the same label and value."""
        tensor = numpy_helper.from_array(np.asarray(value, order="C"))
        for name in self._labelled.setdefault(label, []):
            known = self.constants[name]
            if (known.data_type, known.dims, known.raw_data) == (tensor.data_type, tensor.dims, tensor.raw_data):
                return name
        tensor.name = self.names.unique(label)
        self._labelled[label].append(tensor.name)
        self.constants[tensor.name] = tensor
        return tensor.name

    def write_constant(self, name: str, value: np.ndarray | np.generic) -> None:
        """Add an initializer whose name is known."""
        self.constants[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)

    def split(self, value: str, labels: Sequence[str], axis: int) -> list[str]:
        """Append a `Split` into equal parts."""
        parts = [self.names.unique(label) for label in labels]
        name = self.names.unique(f"node/{labels[0]}")
        self.write("Split", [value], parts, name, axis=axis, num_outputs=len(parts))
        return parts

    def integers(self, values: Sequence[int]) -> str:
        """An int64 list as an initializer, named after its values."""
        return self.constant(f"integers/{'_'.join(map(str, values))}", np.array(values, np.int64))


class WordNodes:
    """Writes the nodes that move spike words `[N, ...]`, each once: what has been written already is given again."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._written: dict[tuple[str, tuple[str, ...], str], str] = {}

    def once(self, op: str, inputs: list[str], label: str, **attrs: Any) -> str:
        """A node with one output; the output of the same node where it exists."""
        key = (op, tuple(inputs), repr(attrs))
        if key not in self._written:
            self._written[key] = self._nodes.node(op, inputs, label, **attrs)
        return self._written[key]

    def reshaped(self, words: str, shape: Sequence[int], label: str) -> str:
        """`words` in another shape."""
        return self.once("Reshape", [words, self._nodes.integers(shape)], label)

    def sliced(self, words: str, starts: Sequence[int], steps: Sequence[int], sizes: Sequence[int], label: str) -> str:
        """`sizes` words along each spatial axis."""
        ends = [start + (size - 1) * step + 1 for start, step, size in zip(starts, steps, sizes, strict=True)]
        lists = [self._nodes.integers(values) for values in (starts, ends, range(2, 2 + len(sizes)), steps)]
        return self.once("Slice", [words, *lists], label)

    def gathered(self, words: str, indices: np.ndarray, label: str, axis: int = 1) -> str:
        """The words at these indices (int64) along an axis; axis 1 has the channels of all copies."""
        return self.once("Gather", [words, self._nodes.constant("words/indices", indices)], label, axis=axis)

    def padded(self, words: str, begins: Sequence[int], ends: Sequence[int], label: str) -> str:
        """Words without spikes around the plane."""
        no_spikes = self._nodes.constant("words/no_spikes", np.array(0, np.uint64))
        pads = self._nodes.integers([0, 0, *begins, 0, 0, *ends])
        return self.once("Pad", [words, pads, no_spikes], label)
