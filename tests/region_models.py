"""Regions written as ONNX text, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import TensorProto, helper, numpy_helper

from snnc.emit.nodes import Nodes
from snnc.ir.graph import PRODUCT, REGION, RELAY
from snnc.ir.region import Region, region_between
from snnc.simulate.ann import Ann

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
    body: str, opset: int, shape: str = "N,3,2,2", constants: Mapping[str, float | np.ndarray] | None = None
) -> onnx.ModelProto:
    """A model of nodes from x to y, of one shape; `constants` beside those above."""
    text = f'<ir_version: 8, opset_import: ["": {opset}]>\nnet (float[{shape}] x) => (float[{shape}] y)'
    model = onnx.parser.parse_model(f"{text} {{ {body} }}")
    _add_constants(model, {**CONSTANTS, **(constants or {})})
    return model


def region_of(body: str, opset: int = 18, **constants: float | np.ndarray) -> Region:
    """All nodes of `body`, from x to y, as a region."""
    graph = gs.import_onnx(model_of(body, opset, constants=constants))
    return region_between(graph.inputs[0], graph.outputs[0], graph.nodes, graph.opset)


def network(
    body: str, outputs: str = "float[N,2,2,2] z", opset: int = 18, behind: str = "z = Conv (y, L)"
) -> onnx.ModelProto:
    """`body` computes y `[N, 3, 4, 4]` from x, what a convolution of `image` `[N, 2, 6, 6]` gives; `behind` follows.

    Other layers may have the weights M `[3, 3, 3, 3]` and P `[3, 2, 3, 3]`.
    """
    text = f'<ir_version: 8, opset_import: ["": {opset}]>\nnet (float[N,2,6,6] image) => ({outputs}) '
    model = onnx.parser.parse_model(f"{text} {{ x = Conv (image, K)  {body}  {behind} }}")
    random = np.random.default_rng(0)
    shapes = {"K": (3, 2, 3, 3), "L": (2, 3, 3, 3), "M": (3, 3, 3, 3), "P": (3, 2, 3, 3), "within": (4, 4)}
    values = {**CONSTANTS, **{name: random.normal(size=shape) for name, shape in shapes.items()}}
    values |= {"zeros": np.zeros((1, 3, 4, 4))}
    _add_constants(model, values)
    return model


def _add_constants(model: onnx.ModelProto, values: dict[str, Any]) -> None:
    used = {name for node in model.graph.node for name in node.input}
    numbers = {name: np.array(value, np.float32) for name, value in values.items()}
    for name, value in {**numbers, **INTEGERS}.items():
        if name in used:
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))


def run_canonical(graph: gs.Graph, images: np.ndarray) -> list[np.ndarray]:
    """The outputs of a canonical graph, its functions as `Region.write` writes them.

    Canonical operators mean the same in every opset, but not all of their attributes are there in the older ones.
    """
    nodes = Nodes()
    opset = max([19, graph.opset, *(node.attrs["region"].opset for node in graph.nodes if node.op == REGION)])
    for tensor in graph.tensors().values():
        if isinstance(tensor, gs.Constant):
            nodes.write_constant(tensor.name, np.asarray(tensor.values))
    for node in graph.nodes:
        results = [tensor.name for tensor in node.outputs]
        operands = [tensor.name for tensor in node.inputs]
        if node.op == REGION:
            nodes.write("Identity", [node.attrs["region"].write(nodes, operands[0], node.name)], results, node.name)
        elif node.op == "Scale":
            scaled = nodes.node("Mul", operands[:2], "scaled")
            shift = operands[2] if len(operands) > 2 else nodes.constant("no_shift", np.float32(0))
            nodes.write("Add", [scaled, shift], results, node.name)
        elif node.op == PRODUCT:
            nodes.write("Mul", operands, results, node.name)
        elif node.op == RELAY:
            nodes.write("Identity", operands, results, node.name)
        elif "cap" in node.attrs:
            cap = nodes.constant("cap", np.asarray(node.attrs["cap"], np.float32))
            nodes.write("Min", [nodes.node("Relu", operands, "positive"), cap], results, node.name)
        else:
            nodes.write(node.op, operands, results, node.name, **node.attrs)
    (source,) = graph.inputs
    declared = [
        helper.make_tensor_value_info(tensor.name, helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype)), None)
        for tensor in graph.outputs
    ]
    inputs = [helper.make_tensor_value_info(source.name, TensorProto.FLOAT, source.shape)]
    proto = helper.make_graph(nodes.nodes, "canonical", inputs, declared, list(nodes.constants.values()))
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return list(Ann(model).run(images).values())
