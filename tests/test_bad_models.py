"""Bad files and strange models: a diagnostic or a conversion, never another exception, never a hang."""

from __future__ import annotations

from typing import Any

import golden
import numpy as np
import onnx
import onnxruntime
import pytest
from bad_models import GOOD, WEIGHTS, codes, mlp, no_hang
from onnx import TensorProto, helper, numpy_helper
from onnx_graphsurgeon.logger import G_LOGGER

import snnc
from snnc.diagnostics import DiagnosticError
from snnc.ir.conversion import Level
from snnc.ir.names import is_reserved
from snnc.reading.attributes import check_attributes
from snnc.runtime.session import cpu_session

# Models that are invalid


def without(model: onnx.ModelProto, **fields: Any) -> onnx.ModelProto:
    """The model with fields of its graph emptied."""
    for name in fields:
        model.graph.ClearField(name)
    return model


INVALID = {
    "undefined input": mlp("a = MatMul (z, V) y = Relu (a)"),
    "missing initializer": mlp("a = MatMul (x, missing) y = Relu (a)"),
    "cycle": mlp("a = Add (x, y) y = Relu (a)"),
    "computed twice": mlp("a = MatMul (x, V) a = Relu (x) y = Relu (a)"),
    "unknown operator": mlp("a = Foo (x) y = Relu (a)"),
    "unknown attribute": mlp("a = MatMul <foo = 1> (x, V) y = Relu (a)"),
    "wrong shapes": mlp("a = MatMul (x, K) y = Relu (a)"),
    "wrong type": mlp("a = Cast <to = 7> (x) b = MatMul (a, V) y = Relu (b)"),
    "undefined output": mlp("a = MatMul (x, V) b = Relu (a)"),
    "negative pads": "net (float[N,2,7,7] x) => (float[N,4,3,3] y) "
    "{ a = Conv <pads = [-1,-1,-1,-1]> (x, K) y = Relu (a) }",
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_models(name: str) -> None:
    assert codes(INVALID[name]) == ["SNN103"]


def plane(body: str) -> str:
    return f"# random: W [8,4,1,1] seed 5\nnet (float[N,4,6,6] x) => (float[N,C,A,B] y) {{ a = {body} y = Relu (a) }}"


DEADLY = {
    "strides of 0": plane("Conv <strides = [0,1]> (x, W)"),
    "more strides than axes": plane("ConvTranspose <strides = [1]> (x, W)"),
    "strides for another kernel": plane("MaxPool <kernel_shape = [2,2], strides = [2]> (x)"),
    "dilations below 0": plane("MaxPool <kernel_shape = [2,2], dilations = [-1,-1]> (x)"),
    "pads below 0": plane("AveragePool <kernel_shape = [2,2], pads = [-1,-1,-1,-1]> (x)"),
    "a kernel of 0": plane("LpPool <kernel_shape = [0,1]> (x)"),
    "a kernel beyond 32 bits": plane("MaxPool <kernel_shape = [4611686018427387904,1]> (x)"),
    "strides of 0 back to a plane": "net (float[N,4,4] x) => (float[N,C,A,B] y) "
    "{ s = Constant <value_ints = [2,2]> () a = Col2Im <strides = [0,1]> (x, s, s) y = Relu (a) }",
    "no groups": plane("ConvTranspose <group = 0> (x, W)"),
    "blocks beyond 16 bits": plane("DepthToSpace <blocksize = 1099511627776> (x)"),
    "blocks of 0": plane("SpaceToDepth <blocksize = 0> (x)"),
    "axes of a batch below 0": mlp("i = Constant <value_ints = [0]> () y = GatherND <batch_dims = -2147483648> (x, i)"),
    "more axes of a batch than places": "# random: P [1] seed 1\n"
    + mlp("i = Cast <to = 7> (P) y = GatherND <batch_dims = 40> (x, i)"),
    "in a branch": mlp(
        "s = ReduceSum <keepdims = 0> (x) zero = Constant <value = float {0}> () c = Less (s, zero) "
        "y = If (c) <then_branch = g1 () => (p) { p = DepthToSpace <blocksize = 0> (x) }, "
        "else_branch = g2 () => (q) { q = Relu (x) }>"
    ),
}


DEADLY |= {
    f"a gap behind {op}": mlp(f'a = MatMul (x, V) b = {op} (a, "") y = Relu (b)')
    for op in ("Min", "Max", "Sum", "Mean", 'Einsum <equation = "ab,ab->ab">', "Concat <axis = 1>")
}


@pytest.mark.parametrize("name", DEADLY)
def test_attributes_at_which_onnxruntime_may_die(name: str) -> None:
    """Refused before anything runs."""
    model = golden.model(WEIGHTS + DEADLY[name])
    with pytest.raises(DiagnosticError, match=r"SNN103.*\n.*hint: the file is damaged"):
        check_attributes(model)
    assert codes(model) == ["SNN103"]


def test_attributes_of_text_that_are_none(capfd: pytest.CaptureFixture[str]) -> None:
    """What onnxruntime says of them is no text either."""
    model = golden.model(plane('Resize <mode = "nearest"> (x, , s)'))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "s"))
    model.graph.node[0].attribute[0].s = b"nea\xffest"
    with pytest.raises(DiagnosticError, match=r"SNN103\] Resize.*its mode is not valid UTF-8"):
        snnc.convert(model, relaxed=True)
    with pytest.raises(UnicodeDecodeError):
        cpu_session(model.SerializeToString(), onnxruntime.SessionOptions())
    assert capfd.readouterr().out == ""


def test_places_that_have_no_axes_of_a_batch() -> None:
    model = golden.model("net (float[N,4] x) => (float[N,4] y) { y = GatherND <batch_dims = 1> (x, i) }")
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.int64), "i"))
    assert codes(model) == ["SNN103"]


@pytest.mark.parametrize("behind", ["", "y = Relu (a)"])
def test_a_slope_in_the_place_of_what_it_is_applied_to(behind: str) -> None:
    """onnxruntime gives the shape of the larger one, onnx that of the first."""
    result = "a" if behind else "y"
    text = mlp(
        f"h = MatMul (x, V) r = Relu (h) s = Constant <value = float {{0.5}}> () {result} = PRelu (s, r) {behind}"
    )
    model = golden.model(WEIGHTS + text)
    for method in ("rmp", "exact"):
        with pytest.raises(DiagnosticError, match=r"SNN103.*PRelu.*its slope, 'r', has more axes"):
            snnc.convert(model, relaxed=True, method=method, calib_samples=8, accept_poor=True)


ZERO, ONE = "zero = Constant <value_ints = [0]> ()", "one = Constant <value_ints = [1]> ()"
EMPTY = {
    "Slice": mlp(f"{ZERO} {ONE} h = MatMul (x, V) e = Slice (h, zero, zero, one) a = ReduceMean (e, one) y = Relu (a)"),
    "Add": mlp(f"{ZERO} h = MatMul (x, T) none = ConstantOfShape (zero) a = Add (h, none) y = Relu (a)"),
    "AveragePool": "net (float[N,1,4,4] x) => (float[N,1,A,B] y) { y = Relu (a) "
    "a = AveragePool <kernel_shape = [7,3], strides = [2,2], pads = [1,1,0,0], ceil_mode = 1> (x) }",
    "Expand": mlp(
        f"{ZERO} h = MatMul (x, V) r = Relu (h) n = Shape <start = 0, end = 1> (x) s = Concat <axis = 0> (n, zero) "
        "number = Constant <value = float[1,1] {1}> () e = Expand (number, s) c = Concat <axis = 1> (r, e) "
        "w = MatMul (c, U) y = Relu (w)"
    ),
}


@pytest.mark.parametrize("op", EMPTY)
@pytest.mark.parametrize("method", ["rmp", "low-latency", "exact"])
def test_samples_without_elements(op: str, method: str) -> None:
    model = golden.model("# random: U [3,2] seed 4\n# random: T [4,1] seed 5\n" + WEIGHTS + EMPTY[op])
    with pytest.raises(DiagnosticError, match=rf"SNN207\] {op} .*\[N, .*0.*it gives no elements"):
        snnc.convert(model, relaxed=True, method=method, calib_samples=8, accept_poor=True)


INTERFACES = {
    "strings": mlp("y = Identity (x)", "string[N,4] x", "string[N,4] y"),
    "two inputs": mlp("a = Add (x, z) y = Relu (a)", "float[N,4] x, float[N,4] z"),
    "dynamic sizes": mlp("y = Relu (x)", "float[N,2,H,W] x"),
    "no axis but the batch": mlp("y = Relu (x)", "float[N] x"),
    "scalar": mlp("y = Relu (x)", "float x", "float y"),
    "size zero": mlp("y = Relu (x)", "float[N,0] x"),
    "sequence": mlp("a = SequenceConstruct (x) y = SequenceAt (a, V)", "seq(float[N,4]) x"),
}


@pytest.mark.parametrize("name", INTERFACES)
def test_inputs_that_cannot_be_encoded(name: str) -> None:
    assert set(codes(INTERFACES[name])) <= {"SNN105", "SNN103"}
    assert codes(INTERFACES[name])


def test_no_inputs_and_no_nodes() -> None:
    assert codes(without(golden.model(WEIGHTS + GOOD), input=True))
    assert codes(without(golden.model(WEIGHTS + GOOD), node=True))
    assert codes(without(golden.model(WEIGHTS + GOOD), output=True))
    fixed = mlp("a = MatMul (x, V) y = Relu (a)", "float[2,4] x")
    assert codes(without(golden.model(WEIGHTS + fixed), output=True)) == ["SNN103"]
    assert codes(onnx.ModelProto())
    assert codes("net (float[N,4] x) => (float[N,4] x) { }")


# Models that are valid, and strange


STRANGE = {
    "if": mlp(
        "c = Constant <value = bool {1}> () a = If (c) <then_branch = g1 () => (p) { p = MatMul (x, V) }, "
        "else_branch = g2 () => (q) { q = MatMul (x, V) }> y = Relu (a)"
    ),
    "if on data": mlp(
        "s = ReduceSum <keepdims = 0> (x) zero = Constant <value = float {0}> () c = Less (s, zero) "
        "a = If (c) <then_branch = g1 () => (p) { p = MatMul (x, V) }, "
        "else_branch = g2 () => (q) { q = MatMul (x, V) }> y = Relu (a)"
    ),
    "scalar output": mlp("a = MatMul (x, V) h = Relu (a) y = ReduceSum <keepdims = 0> (h)", outputs="float y"),
    "huge strides": "net (float[N,2,7,7] x) => (float[N,4,1,1] y) "
    "{ a = Conv <strides = [1000000,1000000]> (x, K) y = Relu (a) }",
    "huge pool": "net (float[N,2,7,7] x) => (float[N,2,1,1] y) "
    "{ a = AveragePool <kernel_shape = [7,7], strides = [99999,99999], ceil_mode = 1> (x) y = Relu (a) }",
    "output is the input": mlp("a = MatMul (x, V) h = Relu (a) y = Identity (x)"),
    "squeeze of all": "# random: U [3,1] seed 4\n"
    + mlp("a = MatMul (x, V) h = Relu (a) b = MatMul (h, U) y = Squeeze (b)", outputs="float[N] y"),
    "transpose without an order": "# random: U [3,3,1,1] seed 4\nnet (float[N,3,2,2] x) => (float[N,3,2,2] y) "
    "<float[3] b = {1, 2, 3}> { a = Conv (x, U) t = Transpose (a) c = Add (t, b) y = Relu (c) }",
    "constant output": mlp("a = MatMul (x, V) h = Relu (a) y = Identity (V)", outputs="float[4,3] y"),
    "input added to itself": mlp("a = Add (x, x) y = Relu (a)"),
    "relu of relu": mlp("a = Relu (x) b = Relu (a) y = Relu (b)"),
    "sum of one": mlp("a = MatMul (x, V) c = Sum (a) y = Relu (c)"),
    "softmax, reshape, add": "net (float[N,4] x) => (float[N,1,3] y) { a = MatMul (x, V) h = Relu (a) q = Softmax (h) "
    "s = Constant <value_ints = [0,1,3]> () r = Reshape (q, s) h2 = Reshape (h, s) y = Add (r, h2) }",
    "softmax, transpose, conv": "net (float[N,2,5,5] x) => (float[N,4,3,3] y) { a = Relu (x) q = Softmax (a) "
    "t = Transpose <perm = [0,1,3,2]> (q) y = Conv (t, K) }",
    "argmax over the batch": mlp("a = MatMul (x, V) h = Relu (a) y = ArgMax <axis = 0> (h)", outputs="int64[M,L] y"),
    "softmax over the batch": mlp("a = MatMul (x, V) h = Relu (a) y = Softmax <axis = 0> (h)"),
    "addend per sample": "# random: C [3,3] seed 4\n"
    "net (float[3,4] x) => (float[3,3] y) { a = Gemm (x, V, C) y = Relu (a) }",
    "weights of 1e30": mlp("b = Constant <value = float {1e30}> () c = Mul (V, b) a = MatMul (x, c) y = Relu (a)"),
    "weights of 1e36 in front of others": "# random: Q [3,3] seed 3\n"
    + mlp("b = Constant <value = float {1e36}> () c = Mul (V, b) a = MatMul (x, c) d = MatMul (a, Q) y = Relu (d)"),
    "weights of 1e-40": mlp("b = Constant <value = float {1e-40}> () c = Mul (V, b) a = MatMul (x, c) y = Relu (a)"),
    "transA": "# random: P [4,3] seed 4\n# random: S [3] seed 4\nnet (float[4,4] x) => (float[4,3] y) "
    "{ a = Gemm <transA = 1> (x, P) v = Abs (S) b = BatchNormalization (a, S, S, S, v) y = Relu (b) }",
    "transA, transB": "# random: P [3,4] seed 4\n# random: S [3] seed 4\nnet (float[4,4] x) => (float[4,3] y) "
    "{ a = Gemm <transA = 1, transB = 1> (x, P) v = Abs (S) b = BatchNormalization (a, S, S, S, v) y = Relu (b) }",
}  # fmt: skip


# What refuses them; the others are converted.
REFUSED = {
    "if on data": ["SNN204"],
    "scalar output": ["SNN207"],
    "output is the input": ["SNN205"],
    "squeeze of all": ["SNN207"],
    "transpose without an order": ["SNN207"],
    "constant output": ["SNN205", "SNN207"],
    "softmax, transpose, conv": ["SNN204"],
    "argmax over the batch": ["SNN207"],
    "softmax over the batch": ["SNN207"],
    "addend per sample": ["SNN207"],
    "weights of 1e30": ["SNN406"],
    "weights of 1e36 in front of others": ["SNN406"],
    "weights of 1e-40": ["SNN406"],
    "transA": ["SNN207"],
    "transA, transB": ["SNN207"],
}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_models(name: str) -> None:
    assert codes(STRANGE[name]) == REFUSED.get(name, [])


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("method", ["rmp", "exact"])
def test_a_check_finds_what_a_conversion_finds(name: str, method: str) -> None:
    model = golden.model(WEIGHTS + STRANGE[name])
    with no_hang():
        found = snnc.check(model, relaxed=True, method=method)
    errors = sorted({problem.rule.code for problem in found if problem.severity == "error"})
    if method == "rmp":
        assert errors == REFUSED.get(name, [])
    else:
        assert errors == codes(model, method=method, steps=None)


def test_a_check_gives_warnings_beside_errors() -> None:
    found = snnc.check(golden.model(WEIGHTS + mlp("a = Tan (x) y = MatMul (a, V)", "float[3,4] x", "float[3,3] y")))
    assert [problem.rule.code for problem in found] == ["SNN506", "SNN204"]


def test_an_omitted_bias_is_no_bias() -> None:
    assert (
        codes('net (float[N,2,5,5] x) => (float[N,4,3,3] y) { a = Conv (x, K, "") y = Relu (a) }', relaxed=False) == []
    )


def test_a_batch_of_one_inside() -> None:
    """A batch axis that is declared free, and a Reshape that knows better."""
    text = (
        "# random: F [16,3] seed 9\nnet (float[N,1,4,4] x) => (float[N,3] y) "
        "{ s = Constant <value_ints = [1,16]> () f = Reshape (x, s) a = MatMul (f, F) y = Relu (a) }"
    )
    assert codes(text) == []


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(value: float) -> None:
    model = golden.model(WEIGHTS + GOOD)
    weight = numpy_helper.to_array(model.graph.initializer[0]).copy()
    weight[0, 0] = value
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "V"))
    assert codes(model) == ["SNN208"]


def test_nobody_warns_of_a_function_that_is_never_a_number(recwarn: pytest.WarningsRecorder) -> None:
    square_root = "b = Abs (a) one = Constant <value = float {1}> () c = Add (b, one) d = Neg (c) r = Sqrt (d)"
    body = f"a = MatMul (x, V) {square_root} y = MatMul (r, Q)"
    model = golden.model(f"# random: Q [3,3] seed 3\n{WEIGHTS}{mlp(body)}")
    assert codes(model, method="exact", steps=None)
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize("name", ["snnc/x", "steps", "snnc/elapsed"])
def test_names_of_weights_are_free(name: str) -> None:
    model = golden.model(WEIGHTS + GOOD)
    model.graph.initializer[0].name = model.graph.node[0].input[1] = name
    assert codes(model) == []
    assert codes(model, method="exact", steps=None) == []


def test_nobody_warns_of_weights_that_overflow(recwarn: pytest.WarningsRecorder) -> None:
    model = golden.model(
        "net (float[N,3] x) => (float[N,1] y) <float[3,2] W = {1,2,3,-4,0.5,0.25}, float[2,1] U = {-3e+38,-3e+38}> "
        "{ a = MatMul (x, W) h = Relu (a) b = MatMul (h, U) c = Add (b, b) d = Add (c, c) y = Add (d, d) }"
    )
    for method in ("rmp", "exact"):
        assert codes(model, method=method, **({"steps": 4} if method == "rmp" else {"steps": None})) == ["SNN406"]
    assert [str(warning.message) for warning in recwarn] == []


INTERNAL_NAMES = [
    "steps", "seed", "first_sample", "spike_totals", "synaptic_operations", "count", "first_step", "elapsed",
    "schedule/one", "schedule/steps", "initial/v/r", "final/v/r", "v/r", "v_next/r", "threshold/r", "weight/m",
    "snnc/elapsed", "snnc/v/r", "decode/not_finite", "totals/axis", "x/spikes", "x/plus", "block", "time", "words",
]  # fmt: skip


def named(tensor: str, layer: str, neuron: str, x: str = "x", y: str = "y") -> onnx.ModelProto:
    """A dense layer and a neuron with these names of nodes, of the tensor between layers, and of input and output."""
    weight = numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")
    nodes = [
        helper.make_node("MatMul", [x, "w"], ["a"], layer),
        helper.make_node("Relu", ["a"], [tensor], neuron),
        helper.make_node("MatMul", [tensor, "w"], [y], "last"),
    ]
    inputs, outputs = ([helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4])] for name in (x, y))
    graph = helper.make_graph(nodes, "g", inputs, outputs, [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@pytest.mark.parametrize("name", INTERNAL_NAMES)
def test_names_of_the_emitted_graph_inside_the_ann(name: str) -> None:
    assert codes(named(name, "m", "r")) == []


@pytest.mark.parametrize("name", INTERNAL_NAMES)
def test_names_of_the_emitted_graph_at_inputs_and_outputs(name: str) -> None:
    expected = ["SNN106"] if is_reserved(name) else []
    assert codes(named("h", "m", "r", x=name)) == expected
    assert codes(named("h", "m", "r", y=name)) == expected


@pytest.mark.parametrize("name", [*INTERNAL_NAMES, "y", "x", "a", "h", "x/encode", "y/readout"])
def test_nodes_named_like_tensors(name: str) -> None:
    """Some exporters name a node after its output."""
    assert codes(named("h", name, "r")) == []
    assert codes(named("h", "m", name)) == []


def test_names_with_any_characters() -> None:
    assert codes(named("h é/:'\"\\ ", "m é/:'\"\\ ", "r\n{}%s")) == []


# Long and wide graphs


def chain(layers: int, relu: bool, add: bool = False) -> onnx.ModelProto:
    weight = numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")
    nodes, tensor = [], "x"
    for index in range(layers):
        nodes.append(helper.make_node("MatMul", [tensor, "w"], [f"m{index}"]))
        if add:
            nodes.append(helper.make_node("Add", [tensor, f"m{index}"], [f"a{index}"]))
        tensor = nodes[-1].output[0]
        if relu or index == layers - 1:
            nodes.append(helper.make_node("Relu", [tensor], [f"r{index}"]))
            tensor = f"r{index}"
    inputs, outputs = ([helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4])] for name in ("x", tensor))
    graph = helper.make_graph(nodes, "g", inputs, outputs, [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def test_a_network_of_1500_nodes() -> None:
    """No recursion along the graph. The verification, which takes onnxruntime long here, is left out."""
    with no_hang():
        golden.run_to(chain(750, relu=True), Level.EMITTED, threshold="model")


@pytest.mark.parametrize(("layers", "code"), [(4, "SNN406"), (12, "SNN406"), (60, "SNN406"), (600, "SNN207")])
def test_long_linear_chains_end(layers: int, code: str) -> None:
    """Layers without ReLU between them: a few lose their weights on one grid, many are refused before."""
    assert codes(chain(layers, relu=False)) == [code]


@pytest.mark.parametrize(("layers", "code"), [(5, "SNN406"), (12, "SNN207"), (40, "SNN207")])
def test_a_linear_diamond_chain_ends(layers: int, code: str) -> None:
    """Each junction doubles the number of paths."""
    assert codes(chain(layers, relu=False, add=True)) == [code]


def test_1500_nodes_that_do_nothing() -> None:
    nodes = [helper.make_node("Identity", ["x"], ["i0"])]
    nodes += [helper.make_node("Identity", [f"i{index}"], [f"i{index + 1}"]) for index in range(1500)]
    nodes += [helper.make_node("Relu", ["i1500"], ["y"])]
    inputs, outputs = ([helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4])] for name in ("x", "y"))
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    assert codes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)) == []


def test_nobody_else_speaks_of_a_type_that_is_none(capfd: pytest.CaptureFixture[str]) -> None:
    model = golden.model(WEIGHTS + GOOD)
    model.graph.value_info.add(name="x").type.tensor_type.shape.dim.add(dim_value=-1)
    severity = G_LOGGER.severity
    G_LOGGER.severity = G_LOGGER.INFO
    try:
        assert codes(model) == []
    finally:
        G_LOGGER.severity = severity
    said = capfd.readouterr()
    assert "onvert: UNDEFINED" not in said.out + said.err


def test_nobody_else_speaks_of_a_batch_that_is_baked_in(capfd: pytest.CaptureFixture[str]) -> None:
    """The axis is declared free: sizes are tried until one runs."""
    model = golden.model(
        WEIGHTS + "# random: R [12,3] seed 4\nnet (float[N,2,2,3] x) => (float[M,3] y) "
        "{ s = Constant <value_ints = [3,-1]> () a = Reshape (x, s) m = MatMul (a, R) y = Relu (m) }"
    )
    assert codes(model) == []
    said = capfd.readouterr()
    assert "onnxruntime" not in said.out + said.err
