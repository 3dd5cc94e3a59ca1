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

    def constant(self, name: str, value: np.ndarray) -> str:
        """Add an initializer, once per name: another value of the same name is an error of ours."""
        tensor = numpy_helper.from_array(np.asarray(value, order="C"), name)
        known = self.constants.setdefault(name, tensor)
        assert known.SerializeToString() == tensor.SerializeToString(), f"constant {name!r} has two values"
        return name

    def integers(self, values: Sequence[int]) -> str:
        """An int64 list as an initializer, named after its values."""
        return self.constant(f"integers/{'_'.join(map(str, values))}", np.array(values, np.int64))
