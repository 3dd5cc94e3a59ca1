"""Constants that are damaged, outputs that are listed twice, sizes without end: always a diagnostic."""

from __future__ import annotations

import re
import resource
from pathlib import Path

import golden
import numpy as np
import onnx
import onnxruntime
import pytest
from bad_models import GOOD, WEIGHTS, codes, mlp, no_hang
from onnx import TensorProto, helper, numpy_helper

import snnc
from snnc.diagnostics import DiagnosticError
from snnc.reading.probe import MOST_BYTES, first_line


def good() -> onnx.ModelProto:
    return golden.model(WEIGHTS + GOOD)


def message_of(model: onnx.ModelProto | Path) -> str:
    """The diagnostics in words."""
    with no_hang(), pytest.raises(DiagnosticError) as refusal:
        snnc.convert(model, relaxed=True, steps=4, accept_poor=True)
    return str(refusal.value)


@pytest.mark.parametrize(
    "where", ["file", "graph", "node", "input", "size", "weight", "metadata", "function", "branch"]
)
def test_texts_that_are_none(where: str) -> None:
    """In a damaged file. protobuf reads it, and cannot write it."""
    model = good()
    graph, mark = model.graph, "a text that is none"
    if where == "file":
        model.producer_name = mark
    elif where == "graph":
        graph.name = mark
    elif where == "node":
        graph.node[0].doc_string = mark
    elif where == "input":
        graph.node[0].input[0] = mark
    elif where == "size":
        graph.input[0].type.tensor_type.shape.dim[0].dim_param = mark
    elif where == "weight":
        graph.initializer[0].name = mark
    elif where == "metadata":
        model.metadata_props.add(key="k", value=mark)
    elif where == "function":
        model.functions.add(domain="own", name="F").node.add(op_type="Relu").input.append(mark)
    else:
        inner = helper.make_graph([helper.make_node("Relu", ["x"], [mark])], "inner", [], [])
        graph.node.add(op_type="If").attribute.append(helper.make_attribute("then_branch", inner))
    damaged = onnx.load_model_from_string(model.SerializeToString().replace(b"none", b"n\xf4\xffe"))
    assert codes(damaged) == ["SNN103"]
    assert "UTF-8" in message_of(damaged)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.INT64])
@pytest.mark.parametrize("missing", [1, 8, -4])
def test_elements_that_do_not_fit_the_shape(kind: int, missing: int) -> None:
    model = good()
    tensor = model.graph.initializer[0]
    values = numpy_helper.to_array(tensor).astype(helper.tensor_dtype_to_np_dtype(kind))
    tensor.CopyFrom(numpy_helper.from_array(values, "V"))
    tensor.raw_data = tensor.raw_data[:-missing] if missing > 0 else tensor.raw_data + bytes(-missing)
    assert codes(model) == ["SNN103"]
    assert "'V' [4, 3]: the constant has" in message_of(model)


@pytest.mark.parametrize("dims", [[-1, 3], [2**40, 3], [0, 3], [2**62, 2**62], [2**62, 2**62, 0], []])
def test_shapes_that_do_not_fit_the_elements(dims: list[int]) -> None:
    model = good()
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend(dims)
    assert codes(model) == ["SNN103"]


@pytest.mark.parametrize("kind", [0, 99, -1])
def test_constants_of_no_type(kind: int) -> None:
    model = good()
    model.graph.initializer[0].data_type = kind
    assert codes(model) == ["SNN103"]


def sparse(dims: list[int], places: list[int] | list[list[int]], count: int) -> onnx.ModelProto:
    """A model whose weight is sparse."""
    model = good()
    del model.graph.initializer[0]
    added = model.graph.sparse_initializer.add(dims=dims)
    added.values.CopyFrom(numpy_helper.from_array(np.ones(count, np.float32), "V"))
    added.indices.CopyFrom(numpy_helper.from_array(np.array(places, np.int64), "places"))
    return model


@pytest.mark.parametrize(
    ("dims", "places", "count"),
    [
        ([-4, 3], [0], 1),
        ([2**62, 2**62, 0], [0], 1),
        ([2**40, 2**40], [0], 1),
        ([2**20, 2**20], [0], 1),
        ([4, 3], [12], 1),
        ([4, 3], [-1], 1),
        ([4, 3], [0, 1], 1),
        ([4, 3], [[0, 3]], 1),
        ([4, 3], [[0, 0, 0]], 1),
    ],
)
def test_sparse_constants_that_cannot_be(dims: list[int], places: list[int], count: int) -> None:
    assert codes(sparse(dims, places, count)) == ["SNN103"]


def test_sparse_constants_that_can_be() -> None:
    assert codes(sparse([4, 3], [1, 5, 9], 3)) == []
    assert codes(sparse([4, 3], [[0, 1], [2, 2]], 2)) == []


def external(location: str) -> onnx.ModelProto:
    """A model whose weight lies in another file."""
    model = good()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return model


def test_a_model_in_memory_whose_weights_are_in_a_file() -> None:
    assert codes(external("data.bin")) == ["SNN104"]
    assert "give the path of the model" in message_of(external("data.bin"))


@pytest.mark.parametrize("location", ["a\0b", "x" * 5000, "loop/x", "data.bin/x"])
def test_names_that_no_file_can_have(location: str, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "data.bin").write_bytes(bytes(48))
    path = tmp_path / "net.onnx"
    path.write_bytes(external(location).SerializeToString())
    assert codes(path) == ["SNN104"]
    assert len(message_of(path)) < 1000


def test_entries_of_external_data_that_nobody_knows(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    (tmp_path / "data.bin").write_bytes(np.ones(12, np.float32).tobytes())
    path = tmp_path / "net.onnx"
    model = external("data.bin")
    model.graph.initializer[0].external_data.add(key="own", value="x")
    path.write_bytes(model.SerializeToString())
    assert codes(path) == []
    assert [warning for warning in recwarn if "external" in str(warning.message)] == []


def test_a_resize_by_a_plane() -> None:
    """onnxruntime 1.30 dies of it."""
    text = "net (float[N,1,4,4] x) => (float[N,1,A,B] y) { s = Relu (x) r = Resize (s, , s) y = Relu (r) }"
    model = golden.model(text)
    assert codes(model) == ["SNN103"]
    assert "its scales or sizes, 's', have 4 axes" in message_of(model)


def test_a_resize_by_the_input() -> None:
    """onnxruntime 1.30 dies of it."""
    model = golden.model(
        "net (float[N,1,4,4] x) => (float[N,1,A,B] y) { s = Relu (x) r = Resize (s, , x) y = Relu (r) }"
    )
    assert codes(model) == ["SNN103"]
    assert "its scales or sizes, 'x', have 4 axes" in message_of(model)


def test_sizes_for_which_there_is_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object, **__: object) -> None:
        raise RuntimeError("Node (Reshape_4) Op (Reshape) std::bad_alloc")

    monkeypatch.setattr(onnxruntime, "InferenceSession", load)
    assert codes(good()) == ["SNN207"]


def test_functions_that_cannot_be_inlined_are_told_in_our_words() -> None:
    model = good()
    node = helper.make_node("Relu", ["a", "b"], ["c"])
    opsets = [*model.opset_import, helper.make_opsetid("own", 1)]
    model.functions.append(helper.make_function("own", "F", ["a"], ["c"], [node], opsets))
    model.graph.node[1].op_type, model.graph.node[1].domain = "F", "own"
    model.graph.node[1].input.append("x")
    model.opset_import.add(domain="own", version=1)
    text = message_of(model)
    assert "SNN103" in text
    assert ".cc" not in text


def test_an_output_that_is_listed_twice_is_one() -> None:
    model = good()
    model.graph.output.append(model.graph.output[0])
    for method in ("rmp", "exact"):
        found = snnc.convert(model, method=method, relaxed=True, accept_poor=True, calib_samples=8)
        assert [value.name for value in found.model.graph.output][:2] == ["y", "spike_totals"]


def test_sizes_that_are_known_only_when_it_runs() -> None:
    """Not even onnx infers them, from a negative axis of an old operator."""
    steps = " ".join(f"h{place + 1} = Concat <axis = -1> (h{place}, h{place})" for place in range(40))
    body = f"a = MatMul (x, V) h0 = Relu (a) {steps} y = Relu (h40)"
    model = golden.model(WEIGHTS + '<ir_version: 4, opset_import: ["": 9]>' + mlp(body))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert codes(model) == ["SNN207"]
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 2 * MOST_BYTES


def test_a_bias_that_no_charge_can_stand_for() -> None:
    model = golden.model(
        WEIGHTS + "net (float[N,4] x) => (float[N,3] y) <float[3] b = {-1e29, 0, 0.1}> "
        "{ a = MatMul (x, V) c = Add (a, b) y = Relu (c) }"
    )
    assert codes(model, method="exact", steps=None) == ["SNN406"]


def test_more_axes_than_an_array_can_have() -> None:
    dims = ",".join(["1"] * 70)
    assert codes(mlp("y = Relu (x)", f"float[N,4,{dims}] x")) == ["SNN105"]
    model = good()
    model.graph.initializer[0].dims.extend([1] * 70)
    assert codes(model) == ["SNN103"]


@pytest.mark.parametrize(
    "body",
    [
        "s = Shape (x) r = Add (s, s) b = ConstantOfShape (r) a = MatMul (b, V) y = Relu (a)",
        "s = Constant <value_ints = [5,-1,7]> () r = Reshape (x, s) a = MatMul (r, V) y = Relu (a)",
        "s = Shape (x) a = Resize (x, , , s) b = Transpose (a) c = MatMul (b, V) y = Relu (c)",
        "s = Constant <value_ints = [0,1]> () b = Resize (x, , , s) a = MatMul (b, V) y = Relu (a)",
    ],
)
def test_what_fails_when_it_runs_is_told_in_our_words(body: str) -> None:
    text = message_of(golden.model(WEIGHTS + mlp(body)))
    assert not re.search(r"\.(cc|h)\b", text), text


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : matmul_helper.h:59 Compute MatMul dimension mismatch",
         "MatMul dimension mismatch"),
        ("[ONNXRuntimeError] : 6 : E : Exception during initialization: /src/core/x.h:9 void f(const T&) "
         "[with T = onnxruntime::OpKernelInfo] [ONNXRuntimeError] : 1 : FAIL : Scale value must be finite.",
         "Scale value must be finite."),
        ("/project/onnx/inliner/inliner.cc:224: Bind: Assertion `a <= b()` failed: too many parameters",
         "too many parameters"),
        ("Deserialize tensor W failed.endian_utils.cc:66 CopyLittleEndian sizes differ",
         "Deserialize tensor W failed.sizes differ"),
        ("", "RuntimeError"),
    ],
)  # fmt: skip
def test_what_other_programs_say_in_few_words(said: str, told: str) -> None:
    assert first_line(RuntimeError(said)) == told


@pytest.mark.parametrize("axis", [0, 1])
def test_what_becomes_larger_and_larger(axis: int) -> None:
    """From the sizes alone: nothing of it is computed."""
    steps = [f"h{place + 1} = Concat <axis = {axis}> (h{place}, h{place})" for place in range(40)]
    body = f"a = MatMul (x, V) h0 = Relu (a) {' '.join(steps)} y = Relu (h40)"
    assert codes(mlp(body)) == ["SNN207"]
