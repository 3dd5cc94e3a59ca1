"""Regions: their values are those of onnxruntime on the nodes as they were exported, whatever the opset."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnxruntime
import pytest
from onnx import TensorProto, helper
from region_models import model_of, region_of

from snnc.emit.nodes import Nodes
from snnc.ir.domain import OPSET
from snnc.ir.elementwise import is_elementwise, roots
from snnc.ir.region import NotARegion, Region, region_between

QCFS = """a = Div (x, two)  b = Clip <min = 0.0, max = 1.0> (a)  c = Mul (b, four)  d = Add (c, half)
e = Floor (d)  f = Div (e, four)  y = Mul (f, two)"""

# Name → opset, nodes from x to y.
BODIES: dict[str, tuple[int, str]] = {
    "clip 6": (7, "y = Clip <min = 0.0, max = 6.0> (x)"),
    "clip 6, one bound": (9, "y = Clip <min = 0.0> (x)"),
    "clip 11": (11, "y = Clip (x, zero)"),
    "clip 13, upper bound": (13, "y = Clip (x, , six)"),
    "prelu": (7, "y = PRelu (x, slopes)"),
    "batch norm 7": (7, "y = BatchNormalization (x, gamma, beta, mean, variance)"),
    "batch norm 9": (9, "y = BatchNormalization <epsilon = 0.01> (x, gamma, beta, mean, variance)"),
    "batch norm 15": (15, "y = BatchNormalization (x, gamma, beta, mean, variance)"),
    "hard sigmoid": (7, "y = HardSigmoid <alpha = 0.166667, beta = 0.5> (x)"),
    "hard swish 7": (7, "a = Add (x, three) b = Clip <min = 0.0, max = 6.0> (a) c = Mul (x, b) y = Div (c, six)"),
    "hard swish": (14, "y = HardSwish (x)"),
    "silu": (9, "a = Sigmoid (x) y = Mul (x, a)"),
    "silu by exp": (7, "a = Neg (x) b = Exp (a) c = Add (one, b) y = Div (x, c)"),
    "gelu by erf": (9, "a = Div (x, root_two) b = Erf (a) c = Add (b, one) d = Mul (x, c) y = Mul (d, half)"),
    "gelu": (20, 'y = Gelu <approximate = "tanh"> (x)'),
    "elu": (7, "y = Elu <alpha = 0.5> (x)"),
    "selu": (7, "y = Selu (x)"),
    "celu": (12, "y = Celu <alpha = 2.0> (x)"),
    "mish": (18, "y = Mish (x)"),
    "softplus": (7, "y = Softplus (x)"),
    "softsign": (7, "y = Softsign (x)"),
    "thresholded": (10, "y = ThresholdedRelu <alpha = 0.7> (x)"),
    "leaky": (7, "y = LeakyRelu (x)"),
    "square root": (7, "a = Abs (x) b = Sqrt (a) c = Add (b, one) y = Reciprocal (c)"),
    "logarithm": (7, "a = Relu (x) b = Add (a, one) y = Log (b)"),
    "rounding": (11, "a = Round (x) b = Ceil (x) c = Floor (x) d = Add (a, b) e = Add (d, c) y = Sub (e, x)"),
    "sign": (9, "y = Sign (x)"),
    "waves": (9, "a = Sin (x) b = Cos (x) c = Add (a, b) d = Sinh (x) e = Cosh (d) y = Sub (c, e)"),
    "angles": (9, "a = Tanh (x) b = Asin (a) c = Acos (a) d = Atan (x) e = Asinh (b) y = Sum (c, d, e)"),
    "more angles": (
        9,
        "a = Abs (x) b = Add (a, one) c = Acosh (b) d = Tanh (x) e = Atanh (d) f = Tan (d) y = Mean (c, e, f)",
    ),
    "shrink": (9, "y = Shrink <bias = 0.5, lambd = 0.75> (x)"),
    "not a number": (9, "a = Log (x) p = IsNaN (a) y = Where (p, one, x)"),
    "either": (7, "p = Greater (x, zero) q = Less (x, half) r = Xor (p, q) y = Cast <to = 1> (r)"),
    "zeros of the whole shape": (8, "y = Max (x, zeros)"),
    "power": (8, "a = Pow (x, two) b = Max (a, x, one) c = Min (b, six) y = Sub (c, x)"),
    "remainder": (10, "y = Mod <fmod = 1> (x, two)"),
    "where": (9, "p = Greater (x, zero) q = Less (x, two) r = Not (q) s = And (r, p) y = Where (s, x, six)"),
    "comparisons": (12, "p = GreaterOrEqual (x, one) q = LessOrEqual (x, half) r = Or (p, q) y = Cast <to = 1> (r)"),
    "mask": (7, "p = Greater (x, zero) f = Cast <to = 1> (p) y = Mul (x, f)"),
    "qdq": (10, "q = QuantizeLinear (x, scale, point) y = DequantizeLinear (q, scale, point)"),
    "qdq by channel": (13, "q = QuantizeLinear (x, scales, points) y = DequantizeLinear (q, scales, points)"),
    "qcfs": (9, QCFS),
    "caps": (8, "a = Relu (x) y = Min (a, caps)"),
    "tanh": (7, "a = Identity (x) y = Tanh (a)"),
}


def values(*shape: int) -> np.ndarray:
    """Of every magnitude."""
    random = np.random.default_rng(1)
    return (random.normal(size=shape) * np.exp2(random.integers(-8, 8, shape))).astype(np.float32)


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("name", BODIES)
def test_a_region_computes_its_nodes(name: str) -> None:
    opset, body = BODIES[name]
    x = values(50, 3, 2, 2)
    (expected,) = session(model_of(body, opset)).run(None, {"x": x})
    graph = gs.import_onnx(model_of(body, opset))
    for tensor in graph.tensors().values():
        if isinstance(tensor, gs.Variable):
            tensor.shape = ["N", 3, 2, 2]
    assert all(map(is_elementwise, graph.nodes))
    assert {tensor.name for tensor in roots(graph).values()} == {"x"}
    region = region_of(body, opset)
    assert region.opset == max(opset, OPSET)
    assert region.channels == (3 if name in ("prelu", "caps", "qdq by channel") or "batch" in name else 1)
    columns = x.transpose(0, 2, 3, 1).reshape(-1, 3, 1, 1)
    found = region.evaluate(columns).reshape(50, 2, 2, 3).transpose(0, 3, 1, 2)
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert np.array_equal(region.curve(columns[:, :, 0, 0]), region.evaluate(columns)[:, :, 0, 0])
    same = np.repeat(x[:, :1, :1, :1], 3, axis=1)
    assert np.array_equal(region.evaluate(same[:, :1]), region.evaluate(same)[:, : region.channels])


@pytest.mark.parametrize("name", BODIES)
def test_a_region_can_be_written_more_than_once(name: str) -> None:
    """Into one graph, behind itself: f(f(x)), without names in common."""
    opset, body = BODIES[name]
    region = region_of(body, opset)
    nodes = Nodes()
    inner = region.write(nodes, "x", "first")
    outer = region.write(nodes, inner, "second")
    names = [node.name for node in nodes.nodes]
    assert len(set(names)) == len(names)
    info = [helper.make_tensor_value_info(tensor, TensorProto.FLOAT, None) for tensor in ("x", inner, outer)]
    graph = helper.make_graph(nodes.nodes, "twice", info[:1], info[1:], list(nodes.constants.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", region.opset)], ir_version=10)
    x = values(20, 3, 1, 1)
    once, twice = session(model).run(None, {"x": x})
    assert np.allclose(once, region.evaluate(x), rtol=1e-5, atol=1e-6, equal_nan=True)
    assert np.allclose(twice, region.evaluate(region.evaluate(x)), rtol=1e-4, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("name", ["gelu by erf", "tanh", "silu", "softplus", "mish", "silu by exp", "qdq by channel"])
def test_a_value_does_not_depend_on_what_is_evaluated_beside_it(name: str) -> None:
    opset, body = BODIES[name]
    region = region_of(body, opset)
    x = values(1001, 3)
    whole = region.curve(x)
    alone = np.concatenate([region.curve(x[index : index + 1]) for index in range(0, 1001, 50)])
    assert np.array_equal(whole[::50], alone)
    assert np.array_equal(whole[37:100], region.curve(x[37:100]))


def test_regions_of_flat_layers() -> None:
    graph = gs.import_onnx(model_of("a = Mul (x, gamma) y = Relu (a)", 11, shape="N,3"))
    region = region_between(graph.inputs[0], graph.outputs[0], graph.nodes, 11)
    assert region.per_channel
    assert region.evaluate(np.ones((2, 3), np.float32)).tolist() == [[1.0, 2.0, 0.5]] * 2
    assert str(region) == "Mul-Relu"


def test_nodes_that_mean_something_else_in_opset_18(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
        return model_of("y = Relu (x)", opset)

    monkeypatch.setattr(onnx.version_converter, "convert_version", wrong)
    with pytest.raises(NotARegion, match="compute something else in opset 18"):
        region_of("y = LeakyRelu (x)", 9)


def test_nodes_that_cannot_be_upgraded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
        raise RuntimeError("no adapter\nat line 1")

    monkeypatch.setattr(onnx.version_converter, "convert_version", refuse)
    with pytest.raises(NotARegion, match=r"^no adapter$"):
        region_of("y = LeakyRelu (x)", 9)
    assert isinstance(region_of("y = LeakyRelu (x)", 18), Region)  # nothing to convert


# What is not elementwise, or not the same within a channel: nodes from x to y, the operator in question.
OTHERS = {
    "constant within a channel": "y = Mul (x, within)",
    "another shape": "y = Concat <axis = 1> (x, x)",
    "a sum over the batch": "a = ReduceSum <axes = [0]> (x) y = Add (x, a)",
    "softmax": "y = Softmax (x)",
    "another domain": "y = com.example.Relu (x)",
    "batch norm in training mode": "y = BatchNormalization <training_mode = 1> (x, gamma, beta, mean, variance)",
    "a quantiser along another axis": "q = QuantizeLinear <axis = 2> (x, gamma, none) y = Cast <to = 1> (q)",
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_region(name: str) -> None:
    graph = gs.import_onnx(model_of(OTHERS[name], 11 if "ReduceSum" in OTHERS[name] else 14))
    tensors = graph.tensors()
    for tensor in tensors.values():
        if isinstance(tensor, gs.Variable):
            tensor.shape = [1 if tensor.name == "a" else "N", 6 if "Concat" in OTHERS[name] else 3, 2, 2]
    tensors["x"].shape = ["N", 3, 2, 2]
    assert not all(map(is_elementwise, graph.nodes))


def test_roots() -> None:
    """Two tensors: what depends on both is a function of neither."""
    body = """u = Identity (x)  a = Relu (u)  t = Transpose <perm = [0, 1, 3, 2]> (x)  b = Tanh (t)
    c = Add (a, b)  d = Mul (a, u)  y = Neg (c)"""
    graph = gs.import_onnx(model_of(body, 18))
    for tensor in graph.tensors().values():
        if isinstance(tensor, gs.Variable):
            tensor.shape = ["N", 3, 2, 2]
    found = {name: tensor.name for name, tensor in roots(graph).items()}
    assert found == {"u": "x", "a": "x", "b": "t", "d": "x", "y": "c"}
