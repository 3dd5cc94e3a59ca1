"""Operators that onnxruntime's optimisations write: written out, and verified against onnxruntime."""

from __future__ import annotations

import golden
import numpy as np
import onnx
import pytest
from onnx import helper

import snnc
from snnc.reading.contrib import DOMAIN, in_standard_operators
from snnc.simulate.ann import Ann

WEIGHTS = (
    "# random: K [4,2,3,3] seed 1\n# random: b [4] seed 2\n# random: V [64,3] seed 3\n# random: T [3,64] seed 4\n"
    "# random: c [64] seed 5\n# random: d [3] seed 6\n"
)
IMAGES = np.random.default_rng(0).normal(size=(40, 2, 6, 6)).astype(np.float32)
_CONV = "c1 = com.microsoft.FusedConv <activation = {}> (x, K, b) f = Flatten (c1)"
_PLAIN = "k = Conv (x, K, b) r = Relu (k) f = Flatten (r)"
BODIES = {
    "relu": _CONV.format('"Relu"') + " y = MatMul (f, V)",
    "leaky": _CONV.format('"LeakyRelu", activation_params = [0.1]') + " y = MatMul (f, V)",
    "clip": _CONV.format('"Clip", activation_params = [0.0, 6.0]') + " y = MatMul (f, V)",
    "hard sigmoid": _CONV.format('"HardSigmoid", activation_params = [0.2, 0.5]') + " y = MatMul (f, V)",
    "sum": 'k = Conv (x, K, b) r = Relu (k) p = Conv (x, K) c1 = com.microsoft.FusedConv <activation = "Relu"> '
    "(x, K, b, r) q = Add (c1, p) f = Flatten (q) y = MatMul (f, V)",
    "no activation": "k = com.microsoft.FusedConv (x, K) r = Relu (k) f = Flatten (r) y = MatMul (f, V)",
    "gemm": _PLAIN + ' g = com.microsoft.FusedGemm <activation = "Relu", transB = 1> (f, T, d) y = Sub (g, d)',
    "leaky gemm": _PLAIN + ' g = com.microsoft.FusedGemm <activation = "LeakyRelu", activation_alpha = 0.1> (f, V, d)'
    " y = Sub (g, d)",
    "matmul": _PLAIN + " y = com.microsoft.FusedMatMul <alpha = 0.5, transB = 1> (f, T)",
    "gelu": "k = Conv (x, K, b) g = com.microsoft.Gelu (k) f = Flatten (g) y = MatMul (f, V)",
    "bias gelu": "k = Conv (x, K, b) f = Flatten (k) g = com.microsoft.BiasGelu (f, c) y = MatMul (g, V)",
    "fast gelu": "k = Conv (x, K, b) f = Flatten (k) g = com.microsoft.FastGelu (f, c) y = MatMul (g, V)",
    "quick gelu": "k = Conv (x, K, b) f = Flatten (k) g = com.microsoft.QuickGelu <alpha = 1.5> (f) y = MatMul (g, V)",
}


def model_of(body: str) -> onnx.ModelProto:
    """onnx's parser has no domains of operators: they are set here."""
    model = golden.model(f"{WEIGHTS}net (float[N,2,6,6] x) => (float[N,3] y) {{ {body.replace(DOMAIN + '.', 'Own')} }}")
    for node in model.graph.node:
        if node.op_type.startswith("Own"):
            node.op_type, node.domain = node.op_type[3:], DOMAIN
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return model


@pytest.mark.parametrize("name", BODIES)
def test_it_is_the_same_network(name: str) -> None:
    model = model_of(BODIES[name])
    plain = in_standard_operators(model)
    assert {node.domain for node in plain.graph.node} == {""}
    assert np.allclose(Ann(plain).run(IMAGES)["y"], Ann(model).run(IMAGES)["y"], rtol=1e-3, atol=1e-3)
    assert in_standard_operators(plain) is plain
    converted = snnc.convert(model, method="exact", levels=64, relaxed=True, calib=IMAGES)
    expected, outputs = Ann(model).run(IMAGES)["y"], converted.run(IMAGES).outputs["y"]
    assert np.linalg.norm(outputs - expected) < 0.1 * np.linalg.norm(expected)


@pytest.mark.parametrize(
    "body",
    [
        _CONV.format('"Softmax"') + " y = MatMul (f, V)",
        _PLAIN + " t = Transpose (f) y = com.microsoft.FusedMatMul <transA = 1> (t, V)",
        "k = Conv (x, K, b) s = com.microsoft.Own (k) f = Flatten (s) y = MatMul (f, V)",
    ],
)
def test_other_forms_are_reported(body: str) -> None:
    model = model_of(body)
    assert {problem.rule.code for problem in snnc.check(model, relaxed=True, method="exact")} <= {"SNN204", "SNN103"}
    assert snnc.check(model, relaxed=True, method="exact")


EMPTY_LISTS = ["pads", "strides", "dilations", "kernel_shape", "activation_params"]


@pytest.mark.parametrize("name", EMPTY_LISTS)
@pytest.mark.parametrize("kind", [onnx.AttributeProto.INTS, onnx.AttributeProto.FLOATS])
def test_lists_without_elements(name: str, kind: int) -> None:
    """They become what onnxruntime takes them for, or the model is refused as onnxruntime refuses it."""
    model = model_of(BODIES["relu"])
    next(node for node in model.graph.node if node.op_type == "FusedConv").attribute.add(name=name, type=kind)
    try:
        expected = Ann(model).run(IMAGES)["y"]
    except Exception:
        assert codes(model) == {"SNN103"}
    else:
        assert np.allclose(Ann(in_standard_operators(model)).run(IMAGES)["y"], expected, rtol=1e-3, atol=1e-3)
        assert codes(model) == set()


@pytest.mark.parametrize("name", ["activation", "activation_params"])
@pytest.mark.parametrize("value", [3, 2.5, "x", b"\xff", [1, 2], ["a"]])
def test_attributes_of_another_type(name: str, value: object) -> None:
    model = model_of(BODIES["leaky"])
    node = next(node for node in model.graph.node if node.op_type == "FusedConv")
    kept = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])
    assert codes(model) <= {"SNN103", "SNN204"}
    assert codes(model)


def codes(model: onnx.ModelProto) -> set[str]:
    return {problem.rule.code for problem in snnc.check(model, relaxed=True, method="exact")}
