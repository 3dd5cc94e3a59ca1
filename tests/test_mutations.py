"""Models in which something was changed: converted, or refused with a diagnostic, in limited time, and nothing but snnc
itself speaks."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable

import golden
import numpy as np
import onnx
import pytest
from bad_models import no_hang
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper

import snnc
from snnc.diagnostics import DiagnosticError

WEIGHTS = "# random: K [4,2,3,3] seed 3\n# random: F [36,3] seed 4\n# random: V [3,3] seed 5\n"
MODELS = [
    "net (float[N,2,5,5] x) => (float[N,3] y) { c = Conv (x, K) h = Relu (c) f = Flatten (h) m = MatMul (f, F) "
    "r = Relu (m) y = MatMul (r, V) }",
    "net (float[1,2,5,5] x) => (float[1,3] y) { c = Conv (x, K) h = Relu (c) s = Constant <value_ints = [1,36]> () "
    "f = Reshape (h, s) m = MatMul (f, F) r = Relu (m) q = Add (r, m) y = Softmax (q) }",
    "net (float[N,2,6,6] x) => (float[N,4,2,2] y) { z = Shape (x) c = Conv (x, K) h = Relu (c) "
    "y = MaxPool <kernel_shape = [2,2], strides = [2,2]> (h) }",
    "net (float[N,3] x) => (float[N,3] y, int64[N,1] k) { t = Constant <value = bool {1}> () "
    "a = If (t) <then_branch = g () => (p) { p = MatMul (x, V) }, else_branch = h () => (q) { q = Relu (x) }> "
    "y = Relu (a) k = ArgMax <axis = 1> (y) }",
]  # fmt: skip

EXTREMES = (0, 1, -1, 2, 3, 7, 2**31 - 1, -(2**31), 2**40, 2**62, -(2**63))
OPERATORS = [
    "Relu",
    "MatMul",
    "Add",
    "Flatten",
    "LSTM",
    "Loop",
    "NonZero",
    "Expand",
    "Tile",
    "Identity",
    "Cast",
    "Foo",
    "Shape",
]


def some_node(model: onnx.ModelProto, draw: random.Random) -> onnx.NodeProto:
    return draw.choice(model.graph.node)


def rewire(model: onnx.ModelProto, draw: random.Random) -> None:
    node = some_node(model, draw)
    names = ["x", "", "nothing", *(tensor.name for tensor in model.graph.initializer)]
    names += [name for other in model.graph.node for name in other.output]
    if node.input:
        node.input[draw.randrange(len(node.input))] = draw.choice(names)


def rename(model: onnx.ModelProto, draw: random.Random) -> None:
    node = some_node(model, draw)
    node.output[0] = draw.choice([*some_node(model, draw).output, "x", "K", "snnc/x", "steps", "é/\n"])


def change_operator(model: onnx.ModelProto, draw: random.Random) -> None:
    some_node(model, draw).op_type = draw.choice(OPERATORS)


def change_domain(model: onnx.ModelProto, draw: random.Random) -> None:
    some_node(model, draw).domain = draw.choice(["com.microsoft", "ai.onnx.ml", "own", "ai.onnx"])


def change_attribute(model: onnx.ModelProto, draw: random.Random) -> None:
    nodes = [node for node in model.graph.node if node.attribute]
    attribute = draw.choice(draw.choice(nodes).attribute) if nodes else onnx.AttributeProto()
    if attribute.ints:
        attribute.ints[draw.randrange(len(attribute.ints))] = draw.choice(EXTREMES)
    else:
        attribute.i = draw.choice(EXTREMES)


def drop_node(model: onnx.ModelProto, draw: random.Random) -> None:
    model.graph.node.remove(some_node(model, draw))


def repeat_node(model: onnx.ModelProto, draw: random.Random) -> None:
    model.graph.node.insert(draw.randrange(len(model.graph.node)), some_node(model, draw))


def change_size(model: onnx.ModelProto, draw: random.Random) -> None:
    value = draw.choice([*model.graph.input, *model.graph.output])
    if value.type.tensor_type.shape.dim:
        draw.choice(value.type.tensor_type.shape.dim).dim_value = draw.choice(EXTREMES)


def change_type(model: onnx.ModelProto, draw: random.Random) -> None:
    kinds = (TensorProto.DOUBLE, TensorProto.UINT8, TensorProto.STRING, TensorProto.BFLOAT16, 0, 99)
    draw.choice([*model.graph.input, *model.graph.output]).type.tensor_type.elem_type = draw.choice(kinds)


def change_weight(model: onnx.ModelProto, draw: random.Random) -> None:
    tensor = draw.choice(model.graph.initializer)
    values = numpy_helper.to_array(tensor).copy()
    values.flat[draw.randrange(values.size)] = draw.choice([np.nan, np.inf, -np.inf, 3e38, 1e-45])
    with np.errstate(invalid="ignore"):
        tensor.CopyFrom(numpy_helper.from_array(values * draw.choice([1, 0, 1e-30]), tensor.name))


def change_weight_shape(model: onnx.ModelProto, draw: random.Random) -> None:
    tensor = draw.choice(model.graph.initializer)
    tensor.dims[draw.randrange(len(tensor.dims))] = draw.choice(EXTREMES)


def change_versions(model: onnx.ModelProto, draw: random.Random) -> None:
    if draw.random() < 0.5:
        model.ir_version = draw.choice([0, 1, 3, 13, 99])
    else:
        model.opset_import[0].version = draw.choice([0, 1, 5, 6, 7, 9, 13, 99])


MUTATIONS: list[Callable[[onnx.ModelProto, random.Random], None]] = [
    rewire, rename, change_operator, change_domain, change_attribute, drop_node, repeat_node, change_size, change_type,
    change_weight, change_weight_shape, change_versions,
]  # fmt: skip


def mutated(model: int, seed: int) -> onnx.ModelProto:
    draw = random.Random(seed)
    found = golden.model(WEIGHTS + MODELS[model])
    for _ in range(draw.choice([1, 1, 2, 3])):
        if found.graph.node:
            with contextlib.suppress(ValueError):  # of a weight whose shape was changed before
                draw.choice(MUTATIONS)(found, draw)
    return found


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(model=st.integers(0, len(MODELS) - 1), seed=st.integers(0, 10**6))
def test_mutated_models(model: int, seed: int, capfd: pytest.CaptureFixture[str]) -> None:
    changed = mutated(model, seed)
    with no_hang():
        for problem in snnc.check(changed, relaxed=True):
            assert problem.message
            assert "ONNXRuntimeError" not in problem.message
    said = capfd.readouterr()
    assert not said.out
    assert "onnxruntime" not in said.err.lower()


@pytest.mark.parametrize("model", range(len(MODELS)))
def test_they_are_right_without_a_mutation(model: int) -> None:
    try:
        snnc.convert(golden.model(WEIGHTS + MODELS[model]), relaxed=True, steps=4, accept_poor=True)
    except DiagnosticError as error:
        pytest.fail(str(error))
