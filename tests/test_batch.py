"""The batch axis: free, or freed where that is the same network, or refused at the node that is at fault."""

from __future__ import annotations

import golden
import numpy as np
import onnx
import pytest

import snnc
from snnc.simulate.ann import Ann

WEIGHTS = (
    "# random: K [4,1,3,3] seed 2\n# random: F [16,3] seed 3\n# random: V [4,3] seed 4\n# random: Q [3,3] seed 5\n"
)
CONVOLUTION = "c = Conv (x, K) h = Relu (c)"


def net(body: str, inputs: str, outputs: str = "float[N,3] y") -> onnx.ModelProto:
    return golden.model(f"{WEIGHTS}net ({inputs}) => ({outputs}) {{ {body} }}")


def found(model: onnx.ModelProto) -> list[tuple[str, str]]:
    """Codes, and the operators at which they are reported."""
    return [(problem.rule.code, problem.op) for problem in snnc.check(model, relaxed=True)]


def reshaped(shape: str) -> str:
    return f"{CONVOLUTION} s = Constant <value_ints = {shape}> () f = Reshape (h, s) y = MatMul (f, F)"


@pytest.mark.parametrize("batch", [1, 2, 3, 16])
@pytest.mark.parametrize("free", [True, False])
@pytest.mark.parametrize("shape", ["[{},16]", "[{},-1]"])
def test_a_reshape_with_a_number_for_the_batch(batch: int, free: bool, shape: str) -> None:
    """Also where the input says that it takes any: the network is one of samples all the same."""
    model = net(reshaped(shape.format(batch)), f"float[{'N' if free else batch},1,4,4] x")
    assert found(model) == [("SNN506", "Reshape" if free else "")]
    images = np.random.default_rng(0).random((37, 1, 4, 4), np.float32)
    ann = Ann(model).run(images)["y"]
    plain = Ann(net(reshaped("[-1,16]"), "float[N,1,4,4] x")).run(images)["y"]
    assert np.allclose(ann, plain, atol=1e-6)
    converted = snnc.convert(model, relaxed=True, calib=images, steps=512, calib_steps=64)
    outputs = converted.run(images).outputs["y"]
    assert np.linalg.norm(outputs - plain) < 0.15 * np.linalg.norm(plain)


@pytest.mark.parametrize("shape", ["[-1,16]", "[0,16]", "[0,-1]"])
def test_reshapes_without_a_number(shape: str) -> None:
    assert found(net(reshaped(shape), "float[N,1,4,4] x")) == []
    assert found(net(reshaped(shape), "float[4,1,4,4] x")) == [("SNN506", "")]


def test_a_flatten_that_makes_one_row_of_a_batch_of_one() -> None:
    body = f"{CONVOLUTION} f = Flatten <axis = 0> (h) y = MatMul (f, F)"
    assert found(net(body, "float[1,1,4,4] x")) == [("SNN506", "")]


def test_nodes_named_like_their_outputs() -> None:
    body = f"{CONVOLUTION} [f] f = Flatten (h) y = MatMul (f, F)"
    assert found(net(body, "float[1,1,4,4] x")) == [("SNN506", "")]


def test_a_resize_to_sizes_with_the_batch_in_them() -> None:
    sizes = 's = Constant <value_ints = [1,1,8,12]> () u = Resize <mode = "nearest"> (x, , , s) y = Relu (u)'
    codes = [code for code, _ in found(net(sizes, "float[1,1,4,4] x", "float[1,1,8,12] y"))]
    assert "SNN207" not in codes


@pytest.mark.parametrize("batch", ["N", "1", "5"])
def test_channels_that_add_up_to_the_size_of_a_trial(batch: str) -> None:
    """Axes of 2, 3 and 5: no other axis is taken for the batch."""
    body = "a = Transpose <perm = [1,0]> (x) b = Transpose <perm = [1,0]> (a) c = MatMul (b, Q) y = Relu (c)"
    for size in (2, 3, 5, 7):
        model = golden.model(
            f"# random: Q [{size},3] seed 5\nnet (float[{batch},{size}] x) => (float[N,3] y) {{ {body} }}"
        )
        if batch == "5":
            assert ("SNN207", "Transpose") in found(model)
        else:  # of one sample it is known what is done with it
            assert [code for code, _ in found(model)] == ([] if batch == "N" else ["SNN506"])


LOST = {
    "squeezed": (f"{CONVOLUTION} g = GlobalAveragePool (h) s = Squeeze (g) y = MatMul (s, V)", "Squeeze"),
    "reshaped": (
        f"{CONVOLUTION} s = Constant <value_ints = [16]> () f = Reshape (h, s) y = MatMul (f, F)",
        "Reshape",
    ),
}


@pytest.mark.parametrize("name", LOST)
def test_a_lost_batch_is_reported_where_it_is_lost(name: str) -> None:
    body, op = LOST[name]
    assert found(net(body, "float[1,1,4,4] x", "float[3] y")) == [("SNN207", op)]


def test_samples_that_mix() -> None:
    """The mean over the batch keeps an axis of size 1, which looks like a batch of 1."""
    body = "m = ReduceMean <keepdims = 1, noop_with_empty_axes = 0> (x, axes) a = MatMul (m, V) y = Relu (a)"
    model = net("axes = Constant <value_ints = [0]> () " + body, "float[1,4] x")
    assert ("SNN207", "ReduceMean") in found(model)


def test_samples_that_mix_in_values_alone() -> None:
    body = (
        "axes = Constant <value_ints = [0]> () m = ReduceMean <keepdims = 1> (x, axes) d = Sub (x, m) "
        "a = MatMul (d, V) y = Relu (a)"
    )
    assert "SNN207" in [code for code, _ in found(net(body, "float[4,4] x"))]


@pytest.mark.parametrize("shape", ["float[4] x", "float x"])
def test_no_batch_axis_at_all(shape: str) -> None:
    (problem,) = snnc.check(net("y = Relu (x)", shape, "float[4] y"), relaxed=True)
    assert problem.rule.code == "SNN105"
    assert "first axis must be the batch" in problem.message


def test_messages_say_nothing_of_onnxruntime_itself() -> None:
    model = net("a = MatMul (x, F) y = Relu (a)", "float[N,4] x")
    (problem,) = snnc.check(model, relaxed=True)
    assert problem.rule.code == "SNN103"
    assert "ONNXRuntimeError" not in problem.message
    assert ".cc" not in problem.message


def test_absurd_sizes_are_not_computed() -> None:
    for inputs in (f"float[N,{2**40}] x", f"float[{2**40},4] x"):
        assert found(net("y = Relu (x)", inputs)) == [("SNN105", "input")]
    body = f"s = Constant <value_ints = [{2**40}]> () e = ConstantOfShape (s) y = Relu (x)"
    assert found(net(body, "float[N,4] x")) == [("SNN207", "ConstantOfShape")]
