"""Bad files and strange models: a diagnostic or a conversion, never another exception, never a hang."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import golden
import networks
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import snnc
from snnc.diagnostics import DiagnosticError
from snnc.ir.conversion import Level
from snnc.simulate.ann import load_model

WEIGHTS = "# random: V [4,3] seed 2\n# random: K [4,2,3,3] seed 3\n"
SECONDS = 20


@contextlib.contextmanager
def no_hang() -> Iterator[None]:
    """A TimeoutError after SECONDS."""

    def ring(*_: Any) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def codes(model: str | onnx.ModelProto | Path, **options: Any) -> list[str]:
    """Codes of the errors; none if the model was converted. `model` may be ONNX text."""
    source = golden.model(WEIGHTS + model) if isinstance(model, str) else model
    with no_hang():
        try:
            snnc.convert(source, **{"relaxed": True, "steps": 8, "accept_poor": True, **options})
        except DiagnosticError as error:
            found = sorted({diagnostic.rule.code for diagnostic in error.diagnostics})
        else:
            return []
    assert found
    return found


def mlp(body: str, inputs: str = "float[N,4] x", outputs: str = "float[N,M] y") -> str:
    return f"net ({inputs}) => ({outputs}) {{ {body} }}"


GOOD = mlp("a = MatMul (x, V) y = Relu (a)")


# Files


@pytest.mark.parametrize("suffix", [".onnx", ".json", ".textproto", ".onnxtxt", ""])
@pytest.mark.parametrize("content", [b"", b"garbage", b"{}", b"\xff\xfe\x00", os.urandom(300)], ids=range(5))
def test_files_that_are_no_models(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"net{suffix}"
    path.write_bytes(content)
    assert codes(path) == ["SNN101"]


def test_a_model_is_one_whatever_its_suffix(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_bytes(golden.model(WEIGHTS + GOOD).SerializeToString())
    assert codes(path) == []


def test_missing_files_and_folders(tmp_path: Path) -> None:
    assert codes(tmp_path / "nothing.onnx") == ["SNN101"]
    assert codes(tmp_path) == ["SNN101"]


def test_truncated_files(tmp_path: Path) -> None:
    content = golden.model(WEIGHTS + GOOD).SerializeToString()
    path = tmp_path / "net.onnx"
    for size in range(1, len(content), 5):
        path.write_bytes(content[:size])
        assert codes(path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes(changes: list[tuple[int, int]], tmp_path: Path) -> None:
    model = golden.model(WEIGHTS + mlp("a = MatMul (x, V) h = Relu (a) y = Softmax (h)"))
    content = bytearray(model.SerializeToString())
    for position, value in changes:
        content[position % len(content)] = value
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    codes(path, steps=2)


@pytest.mark.parametrize(
    ("key", "value"),
    [("offset", "abc"), ("length", "x"), ("length", "-5"), ("location", "../x"), ("location", "/x"), ("location", "")],
)
def test_bad_references_to_external_data(key: str, value: str, tmp_path: Path) -> None:
    model = golden.model(WEIGHTS + GOOD)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for name, text in {"location": "data.bin", key: value}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = name, text
    (tmp_path / "data.bin").write_bytes(bytes(48))
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    assert codes(path) == ["SNN104"]


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
    "reversed": mlp("y = Relu (a) a = MatMul (x, V)"),
    "computed twice": mlp("a = MatMul (x, V) a = Relu (x) y = Relu (a)"),
    "unknown operator": mlp("a = Foo (x) y = Relu (a)"),
    "unknown attribute": mlp("a = MatMul <foo = 1> (x, V) y = Relu (a)"),
    "wrong shapes": mlp("a = MatMul (x, K) y = Relu (a)"),
    "wrong type": mlp("a = Cast <to = 7> (x) b = MatMul (a, V) y = Relu (b)"),
    "undefined output": mlp("a = MatMul (x, V) b = Relu (a)"),
    "two nodes of one name": mlp("[n] a = MatMul (x, V) [n] y = Relu (a)"),
    "negative pads": "net (float[N,2,7,7] x) => (float[N,4,3,3] y) "
    "{ a = Conv <pads = [-1,-1,-1,-1]> (x, K) y = Relu (a) }",
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_models(name: str) -> None:
    assert codes(INVALID[name]) == ["SNN103"]


INTERFACES = {
    "float16": mlp("y = Relu (x)", "float16[N,4] x", "float16[N,4] y"),
    "float64": mlp("y = Relu (x)", "double[N,4] x", "double[N,4] y"),
    "strings": mlp("y = Identity (x)", "string[N,4] x", "string[N,4] y"),
    "two inputs": mlp("a = Add (x, z) y = Relu (a)", "float[N,4] x, float[N,4] z"),
    "dynamic sizes": mlp("y = Relu (x)", "float[N,2,H,W] x"),
    "no axis but the batch": mlp("y = Relu (x)", "float[N] x"),
    "scalar": mlp("y = Relu (x)", "float x", "float y"),
    "size zero": mlp("y = Relu (x)", "float[N,0] x"),
    "batch of zero": mlp("a = MatMul (x, V) y = Relu (a)", "float[0,4] x"),
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
    "scalar output": ["SNN204"],
    "output is the input": ["SNN204"],
    "constant output": ["SNN205", "SNN207"],
    "softmax, reshape, add": ["SNN204"],
    "softmax, transpose, conv": ["SNN204"],
    "argmax over the batch": ["SNN207"],
    "softmax over the batch": ["SNN207"],
    "addend per sample": ["SNN207"],
    "weights of 1e30": ["SNN406"],
    "weights of 1e36 in front of others": ["SNN406"],
    "weights of 1e-40": ["SNN406"],
    "transA": ["SNN202", "SNN207"],
    "transA, transB": ["SNN202", "SNN207"],
}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_models(name: str) -> None:
    assert codes(STRANGE[name]) == REFUSED.get(name, [])


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


INTERNAL_NAMES = [
    "steps", "seed", "first_sample", "spike_totals", "synaptic_operations", "count", "first_step", "elapsed",
    "schedule/one", "schedule/steps", "initial/v/r", "final/v/r", "v/r", "v_next/r", "threshold/r", "weight/m",
    "decode/not_finite", "totals/axis", "x/spikes", "x/plus", "block", "time", "words",
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
    expected = [] if name in ("block", "time", "words") else ["SNN106"]
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
        operands = [tensor, tensor] if add else [tensor, "w"]
        nodes.append(helper.make_node("Add" if add else "MatMul", operands, [f"a{index}"]))
        tensor = f"a{index}"
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


# Options


@pytest.mark.parametrize(
    "options",
    [
        {"alpha": 0.0}, {"alpha": 1.5}, {"alpha": float("nan")}, {"steps": 0}, {"steps": 5000}, {"max_steps": 0},
        {"seed": 2**63}, {"v_init": 0.3}, {"reset": "none"}, {"input_scale": -1.0}, {"input_scale": float("inf")},
        {"bias": "keep"}, {"threshold": "mean"}, {"rate_quantile": 0.0}, {"alpha": 0.5, "rate_quantile": 0.9},
        {"input_range": (1.0, 0.0)}, {"input_range": (0.0, float("nan"))}, {"input_range": (1.0,)},
        {"calib_samples": 0}, {"max_steps": 2**31}, {"max_steps": 2**40}, {"steps": 8.0}, {"steps": True},
        {"seed": "1"}, {"alpha": "0.5"}, {"alpha": True}, {"input_range": 3}, {"input_range": "01"},
        {"accept_poor": "no"},
    ],
    ids=str,
)  # fmt: skip
def test_options_out_of_range(options: dict[str, Any]) -> None:
    assert set(codes(GOOD, **options)) <= {"SNN404", "SNN405", "SNN406"}
    assert codes(GOOD, **options)


def test_numpy_scalars_and_lists_are_options() -> None:
    numbers = {"steps": np.int64(8), "seed": np.uint8(3), "alpha": np.float32(0.5), "v_init": np.float64(0.5)}
    assert codes(GOOD, **numbers, input_range=[np.float32(0), np.float64(1)]) == []


@pytest.mark.parametrize("steps", [1, 2, 3, 63, 64, 65])
def test_any_number_of_steps_is_verified(steps: int) -> None:
    """On a network whose neurons fire from the first step on."""
    assert codes(mlp("a = Relu (x) y = Relu (a)"), steps=steps) == []


def test_calibration_data_that_says_nothing() -> None:
    images = np.zeros((8, 4), np.float32)
    assert codes(GOOD, calib=images) == ["SNN306"]
    assert codes(GOOD, calib=images, input_scale=1.0, calib_steps=4) == []
    assert codes(GOOD, calib=images[:1]) == ["SNN306"]
    assert codes(GOOD, calib=np.ones((8, 5))) == ["SNN302"]
    assert codes(GOOD, calib=np.full((8, 4), np.nan)) == ["SNN304"]


def test_a_model_survives_its_own_conversion(tmp_path: Path) -> None:
    path = tmp_path / "net.snn.onnx"
    snnc.convert(golden.model(WEIGHTS + GOOD), steps=8).save(path)
    assert codes(load_model(path)) == ["SNN405"]
    assert networks.images_for(golden.model(WEIGHTS + GOOD)).shape == (networks.SAMPLES, 4)


def test_a_name_that_is_not_text(tmp_path: Path) -> None:
    content = golden.model(WEIGHTS + mlp("a = MatMul (x, V) h = Relu (a) y = Softmax (h)")).SerializeToString()
    path = tmp_path / "net.onnx"
    path.write_bytes(content.replace(b"\x12\x01N", b"\x12\x01\x80"))
    assert path.read_bytes() != content
    assert codes(path, steps=2) == ["SNN103"]
