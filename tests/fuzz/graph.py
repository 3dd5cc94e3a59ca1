"""Changes of nodes: what they read, give and are."""

from __future__ import annotations

import random

import onnx
from onnx import helper

#: Sizes that are small, or absurd.
EXTREMES = (0, 1, -1, 2, 3, 5, 7, 64, 2**31 - 1, -(2**31), 2**40, 2**62, 2**63 - 1, -(2**63))
NAMES = ("x", "y", "K", "", "snnc/x", "steps", "seed", "spike_totals", "é/\n", "a b", "../up", "%s{0}", "N" * 3000)
OPERATORS = (
    "Relu", "MatMul", "Gemm", "Conv", "ConvTranspose", "Add", "Sub", "Mul", "Div", "Pow", "Flatten", "LSTM", "Loop",
    "NonZero", "Expand", "Tile", "Identity", "Cast", "Foo", "Shape", "Softmax", "Sigmoid", "Tanh", "Erf", "Exp", "Log",
    "Sqrt", "Neg", "Abs", "Floor", "Sign", "Clip", "Max", "Min", "MaxPool", "AveragePool", "GlobalAveragePool",
    "GlobalMaxPool", "LpPool", "BatchNormalization", "InstanceNormalization", "LayerNormalization", "Dropout", "Concat",
    "Transpose", "Reshape", "Squeeze", "Unsqueeze", "ReduceMean", "ReduceSum", "ReduceMax", "ArgMax", "TopK", "Gather",
    "Slice", "Split", "Pad", "Resize", "Upsample", "DepthToSpace", "SpaceToDepth", "Where", "Equal", "Not", "CumSum",
    "QuantizeLinear", "DequantizeLinear", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Einsum", "LeakyRelu",
    "PRelu", "Elu", "HardSwish", "Gelu", "Size", "ConstantOfShape", "OneHot", "IsNaN", "Unique", "Compress", "Det",
)  # fmt: skip


FUNCTIONS = (
    "Relu", "Relu", "Neg", "Abs", "Sigmoid", "Tanh", "Identity", "Softmax", "Flatten", "Sqrt", "Exp", "LeakyRelu",
    "Elu", "Erf", "Floor", "Round", "Sign", "Softplus", "Selu", "HardSigmoid", "HardSwish", "Reciprocal", "Log", "Ceil",
    "Cos", "GlobalAveragePool", "Transpose", "Squeeze", "Shape", "Celu", "Hardmax", "ReduceSum", "ReduceMax", "Cast",
)  # fmt: skip
PAIRS = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Pow", "PRelu", "MatMul", "Sum", "Mean", "Greater", "Mod")


def some_node(model: onnx.ModelProto, draw: random.Random) -> onnx.NodeProto:
    """Any node; ValueError where there is none, which the caller takes for "no change"."""
    if not model.graph.node:
        raise ValueError("no nodes")
    found: onnx.NodeProto = draw.choice(model.graph.node)
    return found


def tensor_names(model: onnx.ModelProto) -> list[str]:
    """All names of tensors."""
    graph = model.graph
    found = [value.name for value in (*graph.input, *graph.initializer)]
    return found + [name for node in graph.node for name in node.output]


def rewire(model: onnx.ModelProto, draw: random.Random) -> None:
    """Let a node read something else, which may be behind it."""
    node = some_node(model, draw)
    names = [*tensor_names(model), "", "nothing"]
    if node.input:
        node.input[draw.randrange(len(node.input))] = draw.choice(names)


def rename(model: onnx.ModelProto, draw: random.Random) -> None:
    """An output or the node gets a name that another has, or that is strange."""
    node = some_node(model, draw)
    name = draw.choice([*some_node(model, draw).output, *NAMES, some_node(model, draw).name])
    if draw.random() < 0.5 and node.output:
        node.output[draw.randrange(len(node.output))] = name
    else:
        node.name = name


def rename_everywhere(model: onnx.ModelProto, draw: random.Random) -> None:
    """A tensor gets another name wherever it is."""
    old, new = draw.choice(tensor_names(model)), draw.choice(NAMES)
    graph = model.graph
    for value in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        value.name = new if value.name == old else value.name
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]


def change_operator(model: onnx.ModelProto, draw: random.Random) -> None:
    """Another operator with the same inputs and attributes."""
    some_node(model, draw).op_type = draw.choice(OPERATORS)


def insert_operator(model: onnx.ModelProto, draw: random.Random) -> None:
    """Another operator between a node and what reads its first output."""
    index = draw.randrange(len(model.graph.node) + 1)
    name = draw.choice(tensor_names(model))
    added = helper.make_node(draw.choice(OPERATORS), [name], [f"{name}_more"])
    for _ in range(draw.choice([0, 0, 0, 1, 2])):
        added.input.append(draw.choice(tensor_names(model)))
    for node in model.graph.node:
        node.input[:] = [added.output[0] if each == name else each for each in node.input]
    model.graph.node.insert(index, added)


def insert_function(model: onnx.ModelProto, draw: random.Random) -> None:
    """A function of one variable behind a node, or what two tensors of one shape, or a tensor and a number, become."""
    node = some_node(model, draw)
    if not node.output:
        raise ValueError("no output")
    index, old, new = list(model.graph.node).index(node) + 1, node.output[0], f"{node.output[0]}_before"
    node.output[0] = new
    if draw.random() < 0.6:
        model.graph.node.insert(index, helper.make_node(draw.choice(FUNCTIONS), [new], [old]))
        return
    number = f"{old}_number"
    value = draw.choice([0.5, 2.0, -1.0, 0.0, 1e-3, 1e3, float("nan")])
    model.graph.initializer.append(helper.make_tensor(number, onnx.TensorProto.FLOAT, [], [value]))
    operands = [new, draw.choice([number, number, new, draw.choice(tensor_names(model))])]
    draw.shuffle(operands)
    model.graph.node.insert(index, helper.make_node(draw.choice(PAIRS), operands, [old]))


def change_domain(model: onnx.ModelProto, draw: random.Random) -> None:
    """A node of another domain."""
    node = some_node(model, draw)
    node.domain = draw.choice(["com.microsoft", "ai.onnx.ml", "own", "ai.onnx", "ai.snnc", "é"])
    if draw.random() < 0.5:
        model.opset_import.add(domain=node.domain, version=draw.choice([1, 3, 99, -1]))


def change_attribute(model: onnx.ModelProto, draw: random.Random) -> None:
    """Another value, type or name of an attribute, or none."""
    nodes = [node for node in model.graph.node if node.attribute]
    if not nodes:
        raise ValueError("no attributes")
    node = draw.choice(nodes)
    attribute = draw.choice(node.attribute)
    kind = draw.randrange(8)
    if kind == 0:
        node.attribute.remove(attribute)
    elif kind == 1:
        attribute.type = draw.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 14])
    elif kind == 2:
        attribute.name = draw.choice(["axis", "axes", "pads", "value", "perm", "to", "mode", "", "alpha"])
    elif kind == 3:
        attribute.f = draw.choice([float("nan"), float("inf"), -1.0, 0.0, 1e-45, 3e38])
    elif kind == 4:
        attribute.s = draw.choice([b"", b"\xff\xfe", b"SAME_UPPER", b"NOTSET", b"linear", b"x" * 1000])
    elif attribute.ints:
        attribute.ints[draw.randrange(len(attribute.ints))] = draw.choice(EXTREMES)
    else:
        attribute.i = draw.choice(EXTREMES)


def change_length_of_attribute(model: onnx.ModelProto, draw: random.Random) -> None:
    """One integer more or less, or none."""
    found = [attribute for node in model.graph.node for attribute in node.attribute if attribute.ints]
    if not found:
        raise ValueError("no integers")
    attribute = draw.choice(found)
    if draw.random() < 0.5:
        attribute.ints.append(draw.choice(EXTREMES))
    else:
        del attribute.ints[draw.choice([0, -1]) :]


def add_attribute(model: onnx.ModelProto, draw: random.Random) -> None:
    """An attribute that the operator may know, twice perhaps."""
    name = draw.choice(["axis", "axes", "keepdims", "pads", "strides", "dilations", "group", "kernel_shape", "alpha",
                        "beta", "transA", "transB", "ceil_mode", "auto_pad", "count_include_pad", "perm", "epsilon",
                        "training_mode", "storage_order", "output_shape", "allowzero", "to", "mode"])  # fmt: skip
    value = draw.choice([draw.choice(EXTREMES), [draw.choice(EXTREMES) for _ in range(draw.randrange(1, 5))], 0.5, "x"])
    some_node(model, draw).attribute.append(helper.make_attribute(name, value))


def drop_node(model: onnx.ModelProto, draw: random.Random) -> None:
    """A node is gone; what reads it reads nothing, or what it read."""
    node = some_node(model, draw)
    if draw.random() < 0.5 and node.input and node.output:
        for other in model.graph.node:
            other.input[:] = [node.input[0] if name == node.output[0] else name for name in other.input]
    model.graph.node.remove(node)


def repeat_node(model: onnx.ModelProto, draw: random.Random) -> None:
    """A node twice, elsewhere."""
    model.graph.node.insert(draw.randrange(len(model.graph.node)), some_node(model, draw))


def swap_nodes(model: onnx.ModelProto, draw: random.Random) -> None:
    """Two nodes change what they are, or their places."""
    first, second = some_node(model, draw), some_node(model, draw)
    if draw.random() < 0.5:
        first.op_type, second.op_type = second.op_type, first.op_type
    else:
        copy = onnx.NodeProto()
        copy.CopyFrom(first)
        first.CopyFrom(second)
        second.CopyFrom(copy)


def shuffle_nodes(model: onnx.ModelProto, draw: random.Random) -> None:
    """The same nodes in any order."""
    nodes = list(model.graph.node)
    draw.shuffle(nodes)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def change_counts(model: onnx.ModelProto, draw: random.Random) -> None:
    """An input or output of a node more or less, or swapped."""
    node = some_node(model, draw)
    names = draw.choice([node.input, node.output])
    kind = draw.randrange(4)
    if kind == 0 and names:
        names.pop()
    elif kind == 1:
        names.append(draw.choice(["", "more", *tensor_names(model)]))
    elif kind == 2:
        names[:] = list(reversed(names))
    else:
        del names[:]


def change_outputs(model: onnx.ModelProto, draw: random.Random) -> None:
    """Another output of the network, one more, or none."""
    outputs = model.graph.output
    kind = draw.randrange(4)
    if kind == 0 and outputs:
        outputs[0].name = draw.choice(tensor_names(model))
    elif kind == 1:
        outputs.add().name = draw.choice(tensor_names(model))
    elif kind == 2 and outputs:
        outputs.append(outputs[0])
    else:
        del outputs[:]


MUTATORS = (
    rewire, insert_function, insert_function, insert_function,
    rename, rename_everywhere, change_operator, insert_operator, change_domain, change_attribute, add_attribute,
    change_length_of_attribute, drop_node, repeat_node, swap_nodes, shuffle_nodes, change_counts, change_outputs,
)  # fmt: skip
