"""Regions written as ONNX text, for tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import numpy_helper

from snnc.ir.region import Region, region_between

# Constants that the text of a test may name.
CONSTANTS: dict[str, Any] = {
    "zero": 0.0,
    "half": 0.5,
    "one": 1.0,
    "two": 2.0,
    "three": 3.0,
    "four": 4.0,
    "six": 6.0,
    "root_two": 2**0.5,
    "slopes": [[[0.1]], [[-0.2]], [[0.5]]],
    "shifts": [[[[0.5]], [[-1.0]], [[2.0]]]],
    "caps": [[[1.0]], [[2.0]], [[6.0]]],
    "gamma": [1.0, 2.0, 0.5],
    "beta": [0.0, -1.0, 1.0],
    "mean": [0.25, 0.0, -0.5],
    "variance": [1.0, 4.0, 0.25],
    "within": np.arange(4, dtype=np.float32).reshape(2, 2),
    "zeros": np.zeros((1, 3, 2, 2), np.float32),
    "scale": 0.05,
    "scales": [0.05, 0.1, 0.2],
}
INTEGERS = {"point": np.uint8(3), "none": np.uint8(0), "signed": np.int8(0), "points": np.array([0, 3, 10], np.uint8)}


def model_of(
    body: str, opset: int, outputs: str = "y", shape: str = "N,3,2,2", **constants: float | np.ndarray
) -> onnx.ModelProto:
    """A model of nodes from x to `outputs`, of one shape; `constants` beside those above."""
    results = ", ".join(f"float[{shape}] {name}" for name in outputs.split(", "))
    text = f'<ir_version: 8, opset_import: ["": {opset}]>\nnet (float[{shape}] x) => ({results}) {{ {body} }}'
    model = onnx.parser.parse_model(text)
    used = {name for node in model.graph.node for name in node.input}
    for name, value in {**CONSTANTS, **INTEGERS, **constants}.items():
        if name in used:
            array = value if name in INTEGERS else np.array(value, np.float32)
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    return model


def region_of(body: str, opset: int = 18, **constants: float | np.ndarray) -> Region:
    """All nodes of `body`, from x to y, as a region."""
    graph = gs.import_onnx(model_of(body, opset, **constants))
    return region_between(graph.inputs[0], graph.outputs[0], graph.nodes, graph.opset)
