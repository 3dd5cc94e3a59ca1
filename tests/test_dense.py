"""The pass `dense`: products with constant weights on either side, on activations of any rank."""

from __future__ import annotations

import golden
import numpy as np
import pytest
from forms import check_canonical, check_exact, findings, network

from snnc.ir.conversion import Level

RANDOM = np.random.default_rng(6)
POINTWISE = RANDOM.normal(size=(3, 3, 1, 1))
#: Name → body from a [N, 3, 6, 4] to b, constants.
FORMS: dict[str, tuple[str, dict[str, np.ndarray]]] = {
    "weights on the left of planes": ("c = MatMul (W, a) b = Relu (c)", {"W": RANDOM.normal(size=(5, 6))}),
    "weights on the left of sequences": (
        "c = Reshape (a, shape) d = MatMul (W, c) b = Relu (d)",
        {"W": RANDOM.normal(size=(5, 18)), "shape": np.array([-1, 18, 4])},
    ),
    "a weight of several axes": ("c = MatMul (a, W) b = Relu (c)", {"W": RANDOM.normal(size=(1, 1, 4, 5))}),
    "a row of several axes": ("c = MatMul (W, a) b = Relu (c)", {"W": RANDOM.normal(size=(1, 2, 6))}),
    "a vector of weights": ("c = MatMul (a, w) b = Relu (c)", {"w": RANDOM.normal(size=4)}),
    "with a bias for the last axis": (
        "c = MatMul (a, W) d = Add (c, v) b = Relu (d)",
        {"W": RANDOM.normal(size=(4, 5)), "v": RANDOM.normal(size=5)},
    ),
    "with a bias for every element": (
        "c = MatMul (a, W) d = Add (c, v) b = Relu (d)",
        {"W": RANDOM.normal(size=(4, 5)), "v": RANDOM.normal(size=(1, 3, 6, 5))},
    ),
    "Gemm with everything": (
        "c = Flatten (a) d = Gemm <alpha = 0.5, beta = 2.0, transB = 1> (c, W, v) b = Relu (d)",
        {"W": RANDOM.normal(size=(5, 72)), "v": RANDOM.normal(size=(1, 5))},
    ),
    "scaled by element": ("c = Mul (a, W) b = Conv (c, V)", {"W": RANDOM.normal(size=(6, 4)), "V": POINTWISE}),
    "divided by element": ("b = Div (a, W)", {"W": 1 + RANDOM.random(size=(3, 1, 4))}),
    "subtracted from a constant": (
        "c = Sub (W, a) b = Relu (c)",
        {"W": RANDOM.normal(size=(3, 6, 4))},
    ),
    "masked by element": (
        "m = Greater (W, zero) c = Where (m, a, v) b = Relu (c)",
        {"W": RANDOM.normal(size=(6, 4)), "zero": np.zeros(()), "v": np.full((1, 1, 1, 1), 0.5)},
    ),
    "a difference of branches": ("c = Conv (a, V) d = Sub (a, c) b = Relu (d)", {"V": POINTWISE}),
}  # fmt: skip
EACH = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


@EACH
@pytest.mark.parametrize("method", ["rmp", "low-latency", "exact"])
def test_values_stay(form: tuple[str, dict[str, np.ndarray]], method: str) -> None:
    operators = check_canonical(network(*form), method=method, relaxed=True)
    assert set(operators) <= {"Conv", "Relu", "Relay", "Gather", "Reshape", "Transpose", "Gemm", "Scale", "Add"}


@EACH
def test_it_converts_exactly(form: tuple[str, dict[str, np.ndarray]]) -> None:
    check_exact(network(*form))


def test_the_layer_keeps_its_name() -> None:

    graph = golden.run_to(network(*FORMS["weights on the left of planes"]), Level.CANONICAL, method="exact").graph
    (layer,) = (node for node in graph.nodes if node.name == "MatMul_2")
    assert layer.op == "Conv"


def test_other_weights_for_every_place_are_reported() -> None:
    model = network("c = MatMul (a, W) b = Relu (c)", {"W": RANDOM.normal(size=(3, 4, 5))})
    assert [op for _, op, _ in findings(model)] == ["MatMul"]


def test_samples_that_are_features_are_reported() -> None:
    body = "r = Relu (x) y = Gemm <transA = 1> (r, W)"
    model = golden.model(f"# random: W [1, 5] seed 3\nnet (float[1, 8] x) => (float[8, 5] y) {{ {body} }}")
    assert "Gemm" in [op for _, op, _ in findings(model)]
