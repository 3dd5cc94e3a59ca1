"""The tail: whatever lies behind the last layer runs as it is, on decoded values."""

from __future__ import annotations

from typing import Any

import networks
import numpy as np
import onnx
import onnxruntime
import pytest
from forms import Constants, check_exact, ending, findings, network
from numpy.testing import assert_allclose

import snnc
from snnc.api import convert

Y = "float[N,?] y"
#: Name → tail, its outputs, constants, opset.
TAILS: dict[str, tuple[str, str, Constants, int]] = {
    "Tanh": ("y = Tanh (scores)", Y, {}, 18),
    "Sigmoid": ("y = Sigmoid (scores)", Y, {}, 9),
    "temperature": ("c = Div (scores, t) y = Softmax <axis = -1> (c)", Y, {"t": 2.5}, 13),
    "Log of Softmax": ("p = Softmax (scores) y = Log (p)", Y, {}, 18),
    "LogSoftmax": ("y = LogSoftmax <axis = 1> (scores)", Y, {}, 11),
    "Clip": ("y = Clip (scores, low, high)", Y, {"low": -0.5, "high": 0.5}, 18),
    "Clip of opset 7": ("y = Clip <min = -0.5, max = 0.5> (scores)", Y, {}, 7),
    "Cast of ArgMax": ("c = ArgMax <axis = 1, keepdims = 0> (scores) y = Cast <to = 1> (c)", "float[N] y", {}, 13),
    "ArgMin": ("y = ArgMin <axis = 1> (scores)", "int64[N,1] y", {}, 13),
    "TopK": ("y, z = TopK (scores, two)", "float[N,2] y, int64[N,2] z", {"two": [2]}, 18),
    "threshold": ("y = Greater (scores, zero)", "bool[N,4] y", {"zero": 0.0}, 18),
    "GlobalMaxPool": ("y = GlobalMaxPool (maps)", "float[N,5,1,1] y", {}, 18),
    "largest of the map": ("y = ReduceMax <keepdims = 0> (maps, axes)", "float[N,5] y", {"axes": [2, 3]}, 18),
    "norm": ("y = ReduceL2 <axes = [1]> (scores)", "float[N,1] y", {}, 13),
    "normalized": ("n = ReduceL2 <axes = [1]> (scores) y = Div (scores, n)", Y, {}, 13),
    "one number": ("y = ReduceMean <axes = [1], keepdims = 0> (scores)", "float[N] y", {}, 13),
    "Squeeze of opset 11": (
        "p = GlobalMaxPool (maps) q = Squeeze <axes = [2, 3]> (p) y = Softmax (q)",
        "float[N,5] y",
        {},
        11,
    ),
    "heads joined": ("s = Sigmoid (scores) t = Flatten (maps) y = Concat <axis = 1> (s, t)", "float[N,49] y", {}, 18),
    "heads added": ("p = Softmax (scores) y = Add (p, scores)", Y, {}, 18),
    "two outputs": ("y = Softmax (scores) m = Sigmoid (maps) z = Mul (m, maps)", f"{Y}, float[N,?,?,?] z", {}, 18),
    "softmax over a map, old": ("y = Softmax <axis = 1> (maps)", "float[N,?,?,?] y", {}, 11),
    "output in the middle": ("y = Tanh (scores) z = Exp (y)", f"{Y}, float[N,4] z", {}, 18),
    "a skip from the input": ("p = ReduceMax <axes = [1, 2, 3], keepdims = 1> (x) q = Flatten (p) t = Tanh (scores) "
                              "y = Mul (q, t)", Y, {}, 13),
}  # fmt: skip
EACH = pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS)


@EACH
def test_it_converts_exactly(tail: tuple[str, str, Constants, int]) -> None:
    check_exact(ending(*tail))


@EACH
@pytest.mark.parametrize("method", ["rmp", "low-latency"])
def test_it_is_accepted_by_the_other_methods(tail: tuple[str, str, Constants, int], method: str) -> None:
    assert findings(ending(*tail), method=method, relaxed=True) == []


@EACH
def test_it_computes_what_the_ann_computes(tail: tuple[str, str, Constants, int]) -> None:
    """From the decoded scores and maps, which are outputs of the same network here."""
    text, outputs, constants, opset = tail
    model = ending(text, f"{outputs}, float[N,4] scores, float[N,5,3,3] maps", constants, opset)
    images = networks.images_for(model, 12, seed=1)
    found = convert(model, method="exact", calib=images, accept_poor=True).run(images[:3]).outputs
    alone = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": {opset}]> net (float[N,4] scores, float[N,5,3,3] maps, float[N,45] flat, '
        f"float[N,2,6,6] x) => ({outputs}) {{ {text} }}"
    )
    alone.graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name in constants)
    read = {"scores": found["scores"], "maps": found["maps"], "flat": found["maps"].reshape(3, -1), "x": images[:3]}
    used = {name for node in alone.graph.node for name in node.input}
    kept = [value for value in alone.graph.input if value.name in used]
    del alone.graph.input[:]
    alone.graph.input.extend(kept)
    session = onnxruntime.InferenceSession(alone.SerializeToString())
    expected = session.run(None, {value.name: read[value.name] for value in kept})
    for value, output in zip(expected, session.get_outputs(), strict=True):
        tolerance = 0.05 if "x" in used else 1e-6  # the input is decoded too
        assert_allclose(found[output.name], value, rtol=tolerance, atol=tolerance, err_msg=output.name)


@pytest.mark.parametrize(
    ("tail", "outputs", "op"),
    [
        ("y = Softmax <axis = 0> (scores)", Y, "Softmax"),
        ("y = ArgMax <axis = 0> (scores)", "int64[1,4] y", "ArgMax"),
        ("m = ReduceMean <axes = [0]> (scores) y = Sub (scores, m)", Y, "Sub"),
        ("t = Tanh (scores) y = Transpose <perm = [1, 0]> (t)", "float[4,N] y", "Transpose"),
        ("t = Tanh (scores) y = ReduceSum <keepdims = 0> (t)", "float y", "ReduceSum"),
        ("y = Cast <to = 8> (scores)", "string[N,4] y", "Cast"),
    ],
)
def test_what_mixes_samples_is_reported(tail: str, outputs: str, op: str) -> None:
    found = findings(ending(tail, outputs, opset=13))
    assert [(code, op) for code, op, _ in found] == [("SNN207", op)]


def test_chance_is_reported() -> None:
    found = findings(ending("r = RandomNormalLike (scores) y = Mul (scores, r)", Y, opset=13))
    assert [(code, op) for code, op, _ in found] == [("SNN204", "RandomNormalLike")]


def test_what_a_layer_follows_is_no_tail() -> None:
    model = network("p = Hardmax <axis = 1> (a) b = Conv (p, W)", {"W": np.ones((2, 3, 1, 1))})
    assert [(code, op) for code, op, _ in findings(model)] == [("SNN204", "Hardmax")]


def test_a_layer_never_runs_on_decoded_values() -> None:
    model = ending("p = Hardmax (scores) y = MatMul (p, V)", "float[N,2] y", {"V": np.ones((4, 2))})
    assert [(code, op) for code, op, _ in findings(model)] == [("SNN204", "Hardmax")]


def test_truth_values_and_the_largest_scores_are_judged_as_what_they_are() -> None:
    def judged(tail: str, outputs: str, **constants: Any) -> dict[str, Any]:
        model = ending(tail, outputs, constants)
        images = networks.images_for(model, 12, seed=1)
        verification = convert(model, method="exact", calib=images, accept_poor=True).report.verification
        assert verification is not None
        return {name: (output.agreement is None, output.error is None) for name, output in verification.outputs.items()}

    classes, values = (False, True), (True, False)
    both = judged("y, z = TopK (scores, two)", "float[N,2] y, int64[N,2] z", two=[2])
    assert both == {"y": values, "z": classes}
    assert judged("y = Greater (scores, zero)", "bool[N,4] y", zero=0.0) == {"y": classes}
    cast = "c = ArgMax <axis = 1, keepdims = 0> (scores) y = Cast <to = 1> (c)"
    assert judged(cast, "float[N] y") == {"y": classes}


def test_values_that_are_not_finite_are_said(caplog: pytest.LogCaptureFixture) -> None:
    """A decoded value can be 0 exactly, where that of the ANN is not."""
    model = ending("p = Relu (scores) y = Log (p)", "float[N,4] y")
    snnc.convert(model, method="exact", calib=networks.images_for(model, 40), accept_poor=True)
    assert "has values that are not finite" in caplog.text
