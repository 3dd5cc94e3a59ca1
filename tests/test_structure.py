"""Models in forms that exporters write: `structured` brings them to one, and they compute the same."""

from __future__ import annotations

import golden
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

import snnc
from snnc.diagnostics import DiagnosticError
from snnc.reading import structured
from snnc.reading.structure import node_names
from snnc.simulate.ann import Ann

WEIGHTS = "# random: V [4,3] seed 2\n# random: W [3,3] seed 3\n"
SAMPLES = np.random.default_rng(0).random((5, 4), np.float32)


def net(body: str, inputs: str = "float[N,4] x", outputs: str = "float[N,3] y", header: str = "") -> onnx.ModelProto:
    return golden.model(f"{WEIGHTS}{header}net ({inputs}) => ({outputs}) {{ {body} }}")


def by_onnxruntime(model: onnx.ModelProto, **more: np.ndarray) -> np.ndarray:
    """The first output of a file as onnxruntime runs it."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    result: np.ndarray = session.run(None, {"x": SAMPLES, **more})[0]
    return result


def same(model: onnx.ModelProto, **more: np.ndarray) -> onnx.ModelProto:
    """`model` structured: it computes what onnxruntime computes from the file, and converts."""
    found = structured(model)
    assert np.array_equal(Ann(model).run(SAMPLES)["y"], by_onnxruntime(model, **more))
    assert structured(found) is found
    assert [node.name for node in found.graph.node] == node_names(found)
    assert [problem for problem in snnc.check(model, relaxed=True) if problem.severity == "error"] == []
    return found


def codes(model: onnx.ModelProto) -> list[str]:
    return [problem.rule.code for problem in snnc.check(model, relaxed=True)]


DENSE = "a = MatMul (x, V) y = Relu (a)"
PLAIN = "a = MatMul (x, V) h = Relu (a) y = MatMul (h, W)"


def test_a_plain_model_is_left_as_it_is() -> None:
    model = net("[a] a = MatMul (x, V) [h] h = Relu (a) [y] y = MatMul (h, W)")
    assert structured(model) is model


def test_nodes_in_any_order() -> None:
    model = net("y = MatMul (h, W) h = Relu (a) a = MatMul (x, V)")
    assert [node.op_type for node in same(model).graph.node] == ["MatMul", "Relu", "MatMul"]


@pytest.mark.parametrize("length", [2, 1500])
def test_nodes_that_wait_for_each_other(length: int) -> None:
    nodes = [helper.make_node("Relu", [f"t{(index + 1) % length}"], [f"t{index}"]) for index in range(length)]
    model = net(PLAIN)
    model.graph.node.extend(nodes)
    with pytest.raises(DiagnosticError, match=r"SNN103.*Relu.*cycle"):
        structured(model)


def test_local_functions() -> None:
    text = """<ir_version: 9, opset_import: ["": 18, "own": 1]>
    net (float[N,4] x) => (float[N,3] y) { a = MatMul (x, V) y = own.twice (a, W) }
    <domain: "own", opset_import: ["": 18, "own": 1]> twice (p, w) => (q) { r = own.layer (p, w) q = own.layer (r, w) }
    <domain: "own", opset_import: ["": 18]> layer (p, w) => (q) { r = MatMul (p, w) q = Relu (r) }"""
    model = golden.model(WEIGHTS + text)
    assert [node.op_type for node in same(model).graph.node] == ["MatMul", "MatMul", "Relu", "MatMul", "Relu"]


def test_an_initializer_that_is_there_twice_is_one() -> None:
    model = net(PLAIN)
    model.graph.initializer.append(next(tensor for tensor in model.graph.initializer if tensor.name == "V"))
    assert [tensor.name for tensor in same(model).graph.initializer].count("V") == 1


@pytest.mark.parametrize("kind", ["dense", "sparse", "in a branch"])
@pytest.mark.parametrize("size", [4, 8])
def test_initializers_of_one_name_that_differ(kind: str, size: int) -> None:
    """onnxruntime 1.30 takes the last one, and of constants above 127 bytes the first."""
    model = golden.model(f"# random: V [{size},4] seed 2\nnet (float[N,{size}] x) => (float[N,4] y) {{ {DENSE} }}")
    last = numpy_helper.from_array(np.full((size, 4), 0.5, np.float32), "V")
    if kind == "dense":
        model.graph.initializer.append(last)
    elif kind == "sparse":
        places = numpy_helper.from_array(np.arange(4), "places")
        values = numpy_helper.from_array(np.ones(4, np.float32), "V")
        model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [size, 4]))
    else:
        inner = helper.make_graph([helper.make_node("Identity", ["V"], ["b"])], "inner", [], [], [last, last])
        inner.initializer[1].CopyFrom(model.graph.initializer[0])
        model.graph.node.add(op_type="If").attribute.append(helper.make_attribute("then_branch", inner))
    with pytest.raises(DiagnosticError, match=r"SNN103.*'V'.*2 constants that differ have this name"):
        structured(model)


def test_sparse_initializers() -> None:
    model = net("a = MatMul (x, S) h = Relu (a) y = MatMul (h, W)")
    values = numpy_helper.from_array(np.array([1, 2], np.float32), "S")
    model.graph.sparse_initializer.append(
        helper.make_sparse_tensor(values, numpy_helper.from_array(np.array([0, 5], np.int64), "places"), [4, 3])
    )
    same(model)


def test_nodes_of_one_name_and_of_none() -> None:
    model = net("[n] a = MatMul (x, V) [n] b = Relu (a) h = Relu (b) [x] y = MatMul (h, W)")
    names = [node.name for node in structured(model).graph.node]
    assert len(set(names)) == 4
    assert names[0] == "n"
    assert "x" not in names
    assert codes(model) == []


def test_inputs_that_no_output_depends_on() -> None:
    body = "m = Not (mask) " + PLAIN
    model = net(body, "float[N,4] x, bool[N] mask, float[7] unused")
    found = same(model, mask=np.zeros(5, bool), unused=np.zeros(7, np.float32))
    assert [value.name for value in found.graph.input] == ["x"]
    assert [node.op_type for node in found.graph.node] == ["MatMul", "Relu", "MatMul"]
    assert codes(model) == ["SNN530", "SNN530"]


def test_inputs_that_outputs_depend_on() -> None:
    model = net("a = Add (x, z) b = MatMul (a, V) h = Relu (b) y = MatMul (h, W)", "float[N,4] x, float[N,4] z")
    (problem,) = snnc.check(model, relaxed=True)
    assert problem.rule.code == "SNN105"
    assert "'x' [N, 4], 'z' [N, 4]" in problem.message


@pytest.mark.parametrize("what", ["type", "shape"])
def test_outputs_that_do_not_say_what_they_are(what: str) -> None:
    model = net(PLAIN)
    output = model.graph.output[0]
    output.ClearField("type") if what == "type" else output.type.tensor_type.ClearField("shape")
    same(model)
    converted = snnc.convert(model, relaxed=True, steps=4, accept_poor=True)
    assert converted.run(SAMPLES).outputs["y"].shape == (5, 3)


@pytest.mark.parametrize("version", [1, 3, 4, 8, 10])
def test_ir_versions(version: int) -> None:
    model = net(PLAIN)
    model.ir_version = version
    model.graph.name = ""
    same(model)


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_of_any_size_written_as_a_number(size: int) -> None:
    model = net(PLAIN)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = size
    assert structured(model).graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert Ann(model).run(SAMPLES)["y"].shape == (5, 3)
    assert codes(model) == []


@pytest.mark.parametrize("size", ["N", "5"])
def test_old_opsets_are_upgraded(size: str) -> None:
    """Gemm and Add broadcast where an attribute says so."""
    text = f"""<ir_version: 3, opset_import: ["": 6]>
    net (float[{size},4] x, float[4,3] V, float[3] b) => (float[{size},3] y) <float[3] b = {{1, -2, 3}}>
    {{ a = Gemm <broadcast = 1> (x, V, b) d = Add <broadcast = 1> (a, b) y = Relu (d) }}"""
    model = golden.model("# random: V [4,3] seed 2\n" + text)
    weight = numpy_helper.to_array(next(tensor for tensor in model.graph.initializer if tensor.name == "V"))
    bias = np.array([1, -2, 3], np.float32)
    expected = np.maximum(SAMPLES @ weight + 2 * bias, 0)
    assert np.allclose(Ann(model).run(SAMPLES)["y"], expected, atol=1e-6)
    assert [code for code in codes(model) if code != "SNN506"] == []


def test_opsets_that_cannot_be_upgraded() -> None:
    model = net(PLAIN, header='<ir_version: 3, opset_import: ["": 3]>\n')
    assert codes(model) == ["SNN102"]
    assert codes(net(PLAIN, header='<ir_version: 3, opset_import: ["": 999]>\n')) == ["SNN102"]


# Conditions

BRANCHES = (
    "then_branch = g1 () => (p) { h = MatMul (x, V) p = Relu (h) }, "
    "else_branch = g2 () => (q) { h = MatMul (x, V) k = Relu (h) q = Relu (k) }"
)


@pytest.mark.parametrize(
    "condition",
    [
        "c = Constant <value = bool {0}> ()",
        "t = Constant <value = bool {1}> () c = Not (t)",
        "s = Shape <start = 1, end = 2> (x) one = Constant <value_ints = [1]> () e = Equal (s, one) c = Squeeze (e)",
        "m = MatMul (x, V) s = Size (m) z = Constant <value_int = 0> () c = Less (z, s)",
    ],
)
def test_a_condition_that_does_not_depend_on_the_data(condition: str) -> None:
    """Both branches and what stands around them use the same names inside."""
    model = net(f"{condition} a = If (c) <{BRANCHES}> k = Relu (a) g = Relu (k) y = MatMul (g, W)")
    found = same(model)
    assert "If" not in [node.op_type for node in found.graph.node]
    assert [node.op_type for node in found.graph.node].count("Relu") == (3 if "MatMul" in condition else 4)


def test_a_condition_inside_a_condition() -> None:
    inner = f"c = Constant <value = bool {{1}}> () p = If (c) <{BRANCHES}>"
    model = net(
        f"t = Constant <value = bool {{1}}> () a = If (t) <then_branch = o1 () => (p) {{ {inner} }}, "
        f"else_branch = o2 () => (z) {{ z = MatMul (x, V) }}> y = MatMul (a, W)"
    )
    assert "If" not in [node.op_type for node in same(model).graph.node]


@pytest.mark.parametrize(
    "what", ["condition", "outputs", "more outputs", "branch", "branches", "no branch has outputs"]
)
def test_conditions_of_which_a_part_is_missing(what: str) -> None:
    model = net(f"c = Constant <value = bool {{0}}> () a = If (c) <{BRANCHES}> y = MatMul (a, W)")
    node = model.graph.node[1]
    if what == "condition":
        del node.input[:]
    elif what == "outputs":
        del node.output[:]
    elif what == "more outputs":
        node.output.append("b")
    elif what == "no branch has outputs":
        for attribute in node.attribute:
            del attribute.g.output[:]
    else:
        del node.attribute[: 2 if what == "branches" else 1]
    assert set(codes(model)) <= {"SNN103", "SNN204"}
    assert codes(model)


def test_a_result_of_a_condition_that_nobody_names() -> None:
    both = "g1 () => (p, r) { p = MatMul (x, V) r = Relu (p) }", "g2 () => (q, s) { q = MatMul (x, V) s = Relu (q) }"
    body = f"c = Constant <value = bool {{0}}> () a, b = If (c) <then_branch = {both[0]}, else_branch = {both[1]}>"
    model = net(f"{body} h = Relu (a) y = MatMul (h, W)")
    model.graph.node[1].output[1] = ""
    assert "If" not in [node.op_type for node in structured(model).graph.node]
    assert codes(model) == []


def test_conditions_on_the_data_and_loops_are_reported_before_they_run() -> None:
    model = net(
        f"s = ReduceSum <keepdims = 0> (x) zero = Constant <value = float {{0}}> () c = Less (s, zero) "
        f"a = If (c) <{BRANCHES}> y = MatMul (a, W)"
    )
    (problem,) = snnc.check(model, relaxed=True)
    assert (problem.rule.code, problem.op) == ("SNN204", "If")
    assert "depends on the data" in problem.message


def test_an_endless_loop_is_not_run() -> None:
    text = """<ir_version: 8, opset_import: ["": 18]>
    net (float[N,4] x) => (float[N,4] y) {
      m = Constant <value_int = 4611686018427387904> () c = Constant <value = bool {1}> ()
      y = Loop (m, c, x) <body = b (int64 i, bool go, float[N,4] s) => (bool again, float[N,4] t)
        { again = Identity (go) t = Relu (s) }> }"""
    assert codes(golden.model(text)) == ["SNN204"]


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_recurrent_layers_are_named(name: str) -> None:
    body = f"s, h = {name} <hidden_size = 3> (x, W, R) y = Squeeze (h)"
    model = golden.model(
        f"# random: W [1,12,4] seed 2\n# random: R [1,12,3] seed 3\nnet (float[5,N,4] x) => (float[N,3] y) {{ {body} }}"
    )
    (found,) = [problem for problem in snnc.check(model) if problem.rule.code == "SNN204"]
    assert found.op == name
    assert "recurrent" in found.message
