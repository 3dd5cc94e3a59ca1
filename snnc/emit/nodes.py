"""A growing list of ONNX nodes and initializers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper


class Nodes:
    """Writes ONNX nodes; every result is named after the tensor of the IR it stands for."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def node(self, op: str, inputs: Sequence[str], output: str, domain: str = "", **attrs: Any) -> str:
        """Append a node with one output."""
        self.nodes.append(helper.make_node(op, list(inputs), [output], name=f"node/{output}", domain=domain, **attrs))
        return output

    def split(self, value: str, outputs: Sequence[str], axis: int) -> list[str]:
        """Append a `Split` into equal parts."""
        parts = list(outputs)
        node = helper.make_node("Split", [value], parts, name=f"node/{parts[0]}", axis=axis, num_outputs=len(parts))
        self.nodes.append(node)
        return parts

    def constant(self, name: str, value: np.ndarray) -> str:
        """Add an initializer, once per name: another value of the same name is an error of ours."""
        tensor = numpy_helper.from_array(np.asarray(value, order="C"), name)
        known = self.constants.setdefault(name, tensor)
        assert known.SerializeToString() == tensor.SerializeToString(), f"constant {name!r} has two values"
        return name

    def integers(self, values: Sequence[int]) -> str:
        """An int64 list as an initializer, named after its values."""
        return self.constant(f"integers/{'_'.join(map(str, values))}", np.array(values, np.int64))


class WordNodes:
    """Writes the nodes that move spike words `[N, ...]`, each once: what has been written already is given again."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._written: dict[tuple[str, tuple[str, ...], str], str] = {}

    def once(self, op: str, inputs: list[str], output: str, **attrs: Any) -> str:
        """A node with one output; the output of the same node where it exists."""
        key = (op, tuple(inputs), repr(attrs))
        if key not in self._written:
            self._written[key] = self._nodes.node(op, inputs, output, **attrs)
        return self._written[key]

    def reshaped(self, words: str, shape: Sequence[int], output: str) -> str:
        """`words` in another shape."""
        return self.once("Reshape", [words, self._nodes.integers(shape)], output)

    def sliced(self, words: str, starts: Sequence[int], steps: Sequence[int], sizes: Sequence[int], output: str) -> str:
        """`sizes` words along each spatial axis."""
        ends = [start + (size - 1) * step + 1 for start, step, size in zip(starts, steps, sizes, strict=True)]
        lists = [self._nodes.integers(values) for values in (starts, ends, range(2, 2 + len(sizes)), steps)]
        return self.once("Slice", [words, *lists], output)

    def padded(self, words: str, begins: Sequence[int], ends: Sequence[int], output: str) -> str:
        """Words without spikes around the plane."""
        no_spikes = self._nodes.constant("words/no_spikes", np.array(0, np.uint64))
        pads = self._nodes.integers([0, 0, *begins, 0, 0, *ends])
        return self.once("Pad", [words, pads, no_spikes], output)
