"""The pass `regions`: what becomes a ReLU, what a function of its own, and what stays as it is."""

from __future__ import annotations

from typing import Any

import golden
import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from region_models import network, run_canonical
from test_function_kind import CLIPPED, OTHER, QUANTISERS, RELUS
from test_region import BODIES

from snnc import pipeline
from snnc.diagnostics import DiagnosticError
from snnc.ir.conversion import Level
from snnc.ir.domain import DOMAIN
from snnc.ir.function_kind import Kind, Other, Quantiser
from snnc.ir.graph import REGION
from snnc.ir.region import region_between
from snnc.methods import METHODS
from snnc.methods.rmp import Rmp
from snnc.passes import fold_batchnorm, regions
from snnc.simulate.ann import Ann

SCALE = "Scale"


class AnyFunction(Rmp):
    """`rmp` up to the canonical graph, for neurons of any function."""

    name = "any-function"

    def takes(self, kind: Kind) -> bool:
        return True


BOTH = pytest.mark.parametrize("method", ["rmp", AnyFunction.name])


@pytest.fixture(autouse=True)
def methods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS.own, AnyFunction.name, AnyFunction())


def canonical(model: onnx.ModelProto, method: str = AnyFunction.name, **options: Any) -> gs.Graph:
    given = {"bias": "current", "max_pool": "exact", **options}
    return golden.run_to(model, Level.CANONICAL, method=method, **given).graph


def diagnostics_of(model: onnx.ModelProto, method: str = AnyFunction.name, **options: Any) -> list[str]:
    with pytest.raises(DiagnosticError) as error:
        canonical(model, method, **options)
    return [str(found) for found in error.value.diagnostics]


def functions_of(graph: gs.Graph) -> list[gs.Node]:
    return [node for node in graph.nodes if node.op in ("Relu", REGION)]


def assert_computes(model: onnx.ModelProto, graph: gs.Graph) -> None:
    images = np.random.default_rng(1).normal(size=(3, 2, 6, 6)).astype(np.float32)
    for found, expected in zip(run_canonical(graph, images), Ann(model).run(images).values(), strict=True):
        assert found.shape == expected.shape
        assert np.allclose(found, expected, rtol=1e-4, atol=1e-5, equal_nan=True)


# One function between two convolutions


@BOTH
@pytest.mark.parametrize("body", [body for body in RELUS if body.count("Relu") < 2])
def test_relus(body: str, method: str) -> None:
    model = network(body)
    graph = canonical(model, method)
    assert [node.op for node in graph.nodes] == ["Conv", "Relu", "Conv"]
    assert graph.nodes[1].outputs[0].name == "y"
    assert "cap" not in graph.nodes[1].attrs
    assert_computes(model, graph)


@BOTH
@pytest.mark.parametrize("body", [*CLIPPED, "a = Relu (x) y = Min (a, caps)"])
def test_relus_with_a_cap(body: str, method: str) -> None:
    model = network(body)
    graph = canonical(model, method)
    assert [node.op for node in graph.nodes] == ["Conv", "Relu", "Conv"]
    assert np.shape(graph.nodes[1].attrs["cap"]) == ((3, 1, 1) if "caps" in body else ())
    assert_computes(model, graph)


@BOTH
def test_relus_of_relus_stay(method: str) -> None:
    graph = canonical(network("a = Relu (x)  y = Relu (a)"), method)
    assert [node.op for node in graph.nodes] == ["Conv", "Relu", "Relu", "Conv"]


def test_a_neuron_is_named_after_the_node_that_gave_its_value() -> None:
    (neuron,) = functions_of(canonical(network("m = Max (x, zero)  y = Min (m, six)"), "rmp"))
    assert neuron.name == "Min_2"


@pytest.mark.parametrize("name", BODIES)
def test_every_kind_of_function(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "RMP", [step for step in pipeline.RMP if step is not fold_batchnorm.PASS])
    opset, body = BODIES[name]
    model = network(body, opset=opset, behind="w = Conv (y, L) z = Relu (w)")
    graph = canonical(model, batchnorm="fold")
    first, *function, last, _ = graph.nodes
    assert (first.op, last.op) == ("Conv", "Conv")
    assert [node.op for node in function] in (["Relu"], [REGION], [SCALE], [REGION, SCALE])
    assert function[0].inputs[0] is first.outputs[0]
    if function[0].op == REGION:
        assert function[0].domain == DOMAIN
        assert isinstance(function[0].attrs["kind"], (Quantiser, Other))
    assert_computes(model, graph)


AFFINE_PARTS = {
    "a = Relu (x) b = Mul (a, three) y = Sub (b, half)": ["Relu", SCALE],
    "a = Mul (x, slopes) b = Add (a, shifts) y = Relu (b)": [SCALE, "Relu"],
    "a = BatchNormalization (x, gamma, beta, mean, variance) y = Clip (a, zero, six)": [SCALE, "Relu"],
    "a = Sub (x, half) b = Relu (a) y = Mul (b, slopes)": [SCALE, "Relu", SCALE],
    "a = Add (x, half) b = Sigmoid (a) c = Mul (b, two) y = Sub (c, one)": [REGION, SCALE],
    "a = Sub (x, half) q = QuantizeLinear (a, scale, point) y = DequantizeLinear (q, scale, point)": [SCALE, REGION],
    "a = Mul (x, two) b = Div (a, two) y = Relu (b)": ["Relu"],
    "y = Sub (x, half)": [SCALE],
    "y = Identity (x)": [],
    "a = Mul (x, two) y = Div (a, two)": [SCALE],
}


@pytest.mark.parametrize("body", AFFINE_PARTS)
def test_affine_functions_stand_alone(body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "RMP", [step for step in pipeline.RMP if step is not fold_batchnorm.PASS])
    model = network(body, behind="w = Conv (y, L) z = Relu (w)")
    graph = canonical(model, batchnorm="fold")
    assert [node.op for node in graph.nodes[1:-2]] == AFFINE_PARTS[body]
    assert_computes(model, graph)


def test_what_is_behind_the_last_layer_is_a_scale_too() -> None:
    model = network("y = Relu (x)", behind="w = Conv (y, L) v = Mul (w, three) z = Softmax <axis = 1> (v)")
    graph = canonical(model)
    assert [node.op for node in graph.nodes] == ["Conv", "Relu", "Conv", SCALE, "Softmax"]
    assert_computes(model, graph)


def test_functions_that_are_no_relu_stay_where_the_method_cannot_use_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def outcome(body: str) -> list[str]:
        try:
            return list(golden.print_graph(canonical(network(body, opset=20), "rmp")))
        except DiagnosticError as error:
            return [str(found) for found in error.diagnostics]

    bodies = [*OTHER, *(body for body, *_ in QUANTISERS.values())]
    found = [outcome(body) for body in bodies]
    monkeypatch.setattr(pipeline, "RMP", [step for step in pipeline.RMP if step is not regions.PASS])
    assert found == [outcome(body) for body in bodies]
    assert sum(lines[0].startswith("error[") for lines in found) > 30


# Several functions


def test_a_value_that_is_read_twice() -> None:
    """By a layer and by another function of the region: both are functions of x."""
    model = network("s = Sigmoid (x)  t = Mul (s, x)  a = Conv <pads = [1,1,1,1]> (s, M)  y = Add (t, a)")
    graph = canonical(model)
    first, second = functions_of(graph)
    assert (first.inputs[0].name, first.outputs[0].name, str(first.attrs["region"])) == ("x", "s", "Sigmoid")
    assert (second.inputs[0].name, second.outputs[0].name, str(second.attrs["region"])) == ("x", "t", "Sigmoid-Mul")
    assert_computes(model, graph)


def test_a_relu_that_another_function_reads() -> None:
    model = network("r = Relu (x)  s = Softplus (r)  a = Conv <pads = [1,1,1,1]> (r, M)  y = Add (s, a)")
    graph = canonical(model)
    assert [(node.op, node.inputs[0].name) for node in functions_of(graph)] == [("Relu", "x"), (REGION, "x")]
    assert_computes(model, graph)


def test_functions_of_different_tensors_stay_apart() -> None:
    model = network("s = Sigmoid (x)  e = Conv (image, P)  t = Tanh (e)  a = Add (s, t)  y = Relu (a)")
    graph = canonical(model)
    assert [node.op for node in functions_of(graph)] == [REGION, REGION, "Relu"]
    assert sum(node.op == "Add" for node in graph.nodes) == 1
    assert_computes(model, graph)


def test_a_product_of_functions_of_different_tensors_is_reported() -> None:
    (found,) = diagnostics_of(network("s = Sigmoid (x)  e = Conv (image, P)  y = Mul (s, e)"))
    assert found.startswith("error[SNN204] Mul 'Mul_3'")


def test_a_value_within_that_is_an_output() -> None:
    """The output stays a function of the decoded x."""
    model = network("s = Sigmoid (x)  y = Mul (x, s)", "float[N,2,2,2] z, float[N,3,4,4] s")
    graph = canonical(model)
    assert sorted(node.op for node in graph.nodes) == ["Conv", "Conv", REGION, "Sigmoid"]
    (function,) = functions_of(graph)
    assert (function.inputs[0].name, str(function.attrs["region"])) == ("x", "Sigmoid-Mul")
    assert_computes(model, graph)


def test_an_output_that_a_layer_reads_too() -> None:
    model = network("y = HardSwish (x)", "float[N,2,2,2] z, float[N,3,4,4] y")
    graph = canonical(model)
    assert [node.op for node in graph.nodes] == ["Conv", REGION, "Conv"]
    assert_computes(model, graph)


# What stays


@BOTH
def test_what_lies_behind_the_last_layer_stays(method: str) -> None:
    def ends_in(tail: str) -> onnx.ModelProto:
        body = f"r = Relu (x)  e = Conv <pads = [1,1,1,1]> (r, M)  {tail}"
        return network(body, "float[N,3,4,4] y", behind="")

    assert canonical(ends_in("y = Sigmoid (e)"), method).nodes[-1].op == "Sigmoid"
    assert canonical(ends_in("y = Max (e, zero)"), method).nodes[-1].op == "Relu"  # as a Relu there does
    for tail in ("y = Clip (e, zero, six)", "y = Tanh (e)", "a = Sigmoid (e)  y = Mul (a, e)"):
        model = ends_in(tail)
        graph = canonical(model, method)
        assert [node.op for node in graph.nodes] == [node.op_type for node in model.graph.node]
        assert_computes(model, graph)


def test_constants_that_differ_within_a_channel_are_weights() -> None:
    model = network("a = Sigmoid (x)  y = Mul (a, within)")
    graph = canonical(model)
    assert [node.op for node in graph.nodes] == ["Conv", REGION, SCALE, "Conv"]
    assert_computes(model, graph)


def test_why_a_function_was_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
        raise RuntimeError("there is no adapter")

    monkeypatch.setattr(onnx.version_converter, "convert_version", refuse)
    model = network("y = Softsign (x)", opset=9)
    assert "there is no adapter" in diagnostics_of(model)[0]
    assert "do not compute this function" in diagnostics_of(model, "rmp")[0]


# Max-pooling

POOL = "MaxPool <kernel_shape = [3,3], pads = [1,1,1,1], strides = [1,1]>"


@pytest.mark.parametrize(
    ("body", "op"),
    [
        ("y = Sigmoid (p)", REGION),
        ("a = Relu (p)  y = Min (a, caps)", "Relu"),
        ("y = Clip (p, zero, six)", "Relu"),
        ("q = QuantizeLinear (p, scales, points)  y = DequantizeLinear (q, scales, points)", REGION),
    ],
)
def test_a_function_that_never_falls_moves_in_front_of_a_max_pool(body: str, op: str) -> None:
    model = network(f"p = {POOL} (x)  {body}")
    graph = canonical(model)
    assert [node.op for node in graph.nodes] == ["Conv", op, "MaxPool", "Conv"]
    assert_computes(model, graph)


def test_a_function_that_falls_stays_behind_a_max_pool() -> None:
    (found,) = diagnostics_of(network(f"p = {POOL} (x)  y = HardSwish (p)"))
    assert found.startswith("error[SNN203] MaxPool 'MaxPool_1'")


def test_max_pools_of_functions() -> None:
    graph = canonical(network(f"s = HardSwish (x)  y = {POOL} (s)"))
    assert [node.op for node in graph.nodes] == ["Conv", REGION, "MaxPool", "Conv"]


@pytest.mark.parametrize(("length", "most"), [(10, 100), (25, 500), (60, 2)])
@pytest.mark.parametrize("behind", ["", "y = MatMul (h, W)"])
def test_long_rows_are_not_cut_again_and_again(
    length: int, most: int, behind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each function is tried out once, and of very long rows only the whole."""
    tried: list[object] = []

    def counted(*arguments: Any) -> Any:
        tried.append(arguments)
        return found(*arguments)

    found = region_between
    monkeypatch.setattr(regions, "region_between", counted)
    row = " ".join(f"h{place + 1} = Add (h{place}, h{place})" for place in range(length))
    text = f"a = MatMul (x, V) h0 = Exp (a) {row} {'h' if behind else 'y'} = Identity (h{length}) {behind}"
    model = golden.model(
        f"# random: V [4,3] seed 2\n# random: W [3,3] seed 5\nnet (float[N,4] x) => (float[N,3] y) {{ {text} }}"
    )
    diagnostics_of(model, "rmp")
    assert len(tried) <= most
