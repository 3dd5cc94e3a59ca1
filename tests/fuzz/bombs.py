"""Graphs inside graphs, functions, loops, long chains, and what becomes huge when it runs."""

from __future__ import annotations

import random

import numpy as np
import onnx
from onnx import helper, numpy_helper

from .graph import NAMES, some_node

_ANY = onnx.TensorProto.FLOAT


def _behind(model: onnx.ModelProto, draw: random.Random) -> tuple[int, str, str]:
    """A place in the list of nodes, what is computed in front of it, and the name that all its readers read now."""
    node = some_node(model, draw)
    if not node.output:
        raise ValueError("no output")
    old, new = node.output[0], f"{node.output[0]}_before"
    index = list(model.graph.node).index(node)
    node.output[0] = new
    return index + 1, new, old


def _constant(model: onnx.ModelProto, name: str, values: np.ndarray) -> str:
    model.graph.initializer.append(numpy_helper.from_array(values, name))
    return name


def branch(model: onnx.ModelProto, draw: random.Random) -> None:
    """A node lies in branches, of a condition that is known or not; many levels deep perhaps."""
    index, source, result = _behind(model, draw)
    condition = _constant(model, "known", np.array(draw.choice([True, False])))
    if draw.random() < 0.3:
        condition = draw.choice([source, "undefined", ""])
    inner = helper.make_node("Identity", [source], ["inner_0"])
    for level in range(1, 1 + draw.choice([1, 1, 1, 2, 5, 30, 60])):
        value = helper.make_tensor_value_info(f"inner_{level - 1}", _ANY, None)
        deeper = helper.make_graph([inner], draw.choice(NAMES), [], [value])
        other = helper.make_tensor_value_info(f"other_{level}", _ANY, None)
        plain = helper.make_graph([helper.make_node("Neg", [source], [other.name])], "plain", [], [other])
        inner = helper.make_node("If", [condition], [f"inner_{level}"], then_branch=deeper, else_branch=plain)
    inner.output[0] = result
    model.graph.node.insert(index, inner)


def loop(model: onnx.ModelProto, draw: random.Random) -> None:
    """A loop, which may have no end."""
    index, source, result = _behind(model, draw)
    passes = draw.choice(["", _constant(model, "passes", np.array(draw.choice([0, 1, 2**62, -1]), np.int64))])
    known = _constant(model, "always", np.array(True))
    body = helper.make_graph(
        [helper.make_node("Relu", ["before"], ["after"]), helper.make_node("Identity", ["go"], ["go_on"])],
        "body",
        [
            helper.make_tensor_value_info("count", onnx.TensorProto.INT64, []),
            helper.make_tensor_value_info("go", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", _ANY, None),
        ],
        [
            helper.make_tensor_value_info("go_on", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", _ANY, None),
        ],
    )
    model.graph.node.insert(index, helper.make_node("Loop", [passes, known, source], [result], body=body))


def function(model: onnx.ModelProto, draw: random.Random) -> None:
    """A node is a call of a local function, which may call itself, or another, or what does not exist."""
    node = some_node(model, draw)
    if node.domain or not node.output:
        raise ValueError("no node of the default domain")
    inputs = [f"in_{index}" for index in range(len(node.input))]
    outputs = [f"out_{index}" for index in range(len(node.output))]
    body = helper.make_node(node.op_type, inputs, outputs)
    body.attribute.extend(node.attribute)
    name, domain = "Called", "own"
    kind = draw.randrange(5)
    if kind == 0:
        body.op_type, body.domain = name, domain
    elif kind == 1 and inputs:
        inputs.pop()
    elif kind == 2:
        body.op_type = "Foo"
    opsets = [*model.opset_import, helper.make_opsetid(domain, 1)]
    model.functions.append(helper.make_function(domain, name, inputs, outputs, [body], opsets))
    if draw.random() < 0.2:
        model.functions.append(model.functions[0])
    node.op_type, node.domain = name, domain
    del node.attribute[:]
    if draw.random() < 0.9:
        model.opset_import.add(domain=domain, version=1)


def chain(model: onnx.ModelProto, draw: random.Random) -> None:
    """Many nodes in a row, in the order of a file or from the last to the first."""
    index, source, result = _behind(model, draw)
    count = draw.choice([2, 2, 3, 3, 10, 1500])
    operator = draw.choice(["Relu", "Neg", "Sigmoid", "Flatten"]) if count < 100 else "Identity"
    names = [source, *(f"{result}_{place}" for place in range(count - 1)), result]
    nodes = [helper.make_node(operator, [names[place]], [names[place + 1]]) for place in range(count)]
    for node in nodes if draw.random() < 0.5 else reversed(nodes):
        model.graph.node.insert(index, node)


def double(model: onnx.ModelProto, draw: random.Random) -> None:
    """Every node reads the one in front of it twice: paths, or sizes, become more and more."""
    index, source, result = _behind(model, draw)
    count = draw.choice([1, 1, 2, 3, 40])
    operator = draw.choice(["Add", "Sub", "Mul", "Max", "Concat", "Sum"])
    names = [source, *(f"{result}_{place}" for place in range(count - 1)), result]
    for place in reversed(range(count)):
        node = helper.make_node(operator, [names[place]] * 2, [names[place + 1]])
        if operator == "Concat":
            node.attribute.append(helper.make_attribute("axis", draw.choice([0, 1, -1])))
        model.graph.node.insert(index, node)


def blow_up(model: onnx.ModelProto, draw: random.Random) -> None:
    """A tensor of absurd size, which may be known only when it runs."""
    index, source, result = _behind(model, draw)
    size = draw.choice([0, 2, 2**20, 2**31, 2**40, 2**62])
    kind = draw.randrange(6)
    sizes = _constant(model, "sizes", np.array([1, size], np.int64))
    if draw.random() < 0.4:
        model.graph.node.insert(0, helper.make_node("Shape", [source], ["shape_of_source"]))
        model.graph.node.insert(0, helper.make_node("Mul", ["shape_of_source", sizes], ["sizes_later"]))
        sizes = "sizes_later"
    nodes = (
        [helper.make_node("Tile", [source, sizes], [result])],
        [helper.make_node("Expand", [source, sizes], [result])],
        [helper.make_node("ConstantOfShape", [sizes], ["big"]), helper.make_node("Add", [source, "big"], [result])],
        [helper.make_node("Pad", [source, sizes], [result])],
        [helper.make_node("Resize", [source, "", "", sizes], [result])],
        [helper.make_node("Reshape", [source, sizes], [result])],
    )[kind]
    for node in reversed(nodes):
        model.graph.node.insert(index, node)


def crowd(model: onnx.ModelProto, draw: random.Random) -> None:
    """Thousands of something."""
    kind = draw.randrange(4)
    for place in range(3000):
        if kind == 0:
            model.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), f"unused_{place}"))
        elif kind == 1:
            model.metadata_props.add(key=f"key {place}", value="x")
        elif kind == 2:
            model.opset_import.add(domain=f"domain{place}", version=1)
        else:
            model.graph.value_info.add().name = f"undefined_{place}"


MUTATORS = (branch, branch, loop, function, function, chain, double, double, blow_up, blow_up, crowd)
