"""Networks in which the batch leaves the first axis are written for one sample at a time."""

from __future__ import annotations

import networks
import numpy as np
import onnx
import onnxruntime
import pytest
from exact_networks import converted
from forms import Constants, check_canonical, check_exact, findings, network
from numpy.testing import assert_allclose

from snnc.api import compare, error_budget
from snnc.reading import structured
from snnc.reading.samples import by_sample

SEQUENCE_FIRST = "c = Reshape (a, split) d = Transpose <perm = [1, 0, 2]> (c)"
BACK = "b = Transpose <perm = [1, 0, 2]> (e)"
SPLIT = {"split": [0, 6, 6]}
SQUARE = np.linspace(-1, 1, 36).reshape(6, 6)
#: Name → body from a [N, 3, 3, 4] to b, constants, opset: `e` is computed with the batch elsewhere.
FORMS: dict[str, tuple[str, Constants, int]] = {
    "weights": (f"{SEQUENCE_FIRST} e = MatMul (d, w) {BACK}", {**SPLIT, "w": SQUARE}, 18),
    "all samples as rows": (
        "c = Reshape (a, rows) d = Gemm <alpha = 0.5, transB = 1> (c, w, v) b = Reshape (d, samples)",
        {"rows": [-1, 6], "w": SQUARE, "v": np.arange(6) / 6, "samples": [-1, 6, 6]},
        18,
    ),
    "heads beside samples": (
        f"""{SEQUENCE_FIRST} h = Reshape (d, heads) i = Transpose <perm = [1, 0, 2]> (h)
        j = Transpose <perm = [0, 2, 1]> (i) k = MatMul (i, j) l = Softmax (k) m = MatMul (l, i)
        n = Transpose <perm = [1, 0, 2]> (m) e = Reshape (n, whole) {BACK}""",
        {**SPLIT, "heads": [6, -1, 3], "whole": [6, -1, 6]},
        18,
    ),
    "chunks": (
        f"""{SEQUENCE_FIRST} p = MatMul (d, w) q, k = Split <axis = -1, num_outputs = 2> (p)
        r = Relu (q) s = Sigmoid (k)
        m = Mul (r, s) e = Concat <axis = 2> (m, q) {BACK}""",
        {**SPLIT, "w": SQUARE},
        18,
    ),
    "picked from an axis in front": (
        f"""{SEQUENCE_FIRST} p = MatMul (d, w) u = Unsqueeze (p, axis) x_ = Expand (u, twice)
        g = Gather <axis = 0> (x_, one) e = Relu (g) {BACK}""",
        {**SPLIT, "w": SQUARE, "axis": [0], "twice": [2, 1, 1, 1], "one": np.array(1)},
        18,
    ),
    "means and slices": (
        f"""{SEQUENCE_FIRST} p = Add (d, w) m = ReduceMean <axes = [0]> (p) s = Slice (p, start, end, axis)
        t = Sub (s, m) e = Tanh (t) {BACK}""",
        {**SPLIT, "w": np.linspace(-1, 1, 6), "start": [1], "end": [4], "axis": [0]},
        13,
    ),
    "normalised": (f"{SEQUENCE_FIRST} e = LayerNormalization (d, g) {BACK}", {**SPLIT, "g": np.ones(6)}, 18),
    "an equation": (
        f'{SEQUENCE_FIRST} e = Einsum <equation = "tnd,de->tne"> (d, w) {BACK}',
        {**SPLIT, "w": SQUARE},
        18,
    ),
}
EACH = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


def network_of(form: tuple[str, Constants, int]) -> onnx.ModelProto:
    return structured(network(*form, planes=(3, 4)))


@EACH
def test_values_stay_for_any_number_of_samples(form: tuple[str, Constants, int]) -> None:
    model = network_of(form)
    written = by_sample(model)
    assert written is not None
    images = networks.images_for(model, 5)
    expected, found = (
        onnxruntime.InferenceSession(each.SerializeToString()).run(None, {"x": images}) for each in (model, written)
    )
    assert_allclose(found[0], expected[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in FORMS if name != "an equation"])
def test_the_passes_understand_it(name: str) -> None:
    check_canonical(network_of(FORMS[name]))


def test_it_converts_exactly() -> None:
    check_exact(network_of(FORMS["heads beside samples"]))


def test_a_file_for_one_sample_without_a_batch_inside() -> None:
    body = "c = Reshape (a, rows) d = MatMul (c, w) e = Relu (d) b = Reshape (e, sample)"
    constants = {"rows": [6, 6], "w": SQUARE, "sample": [1, 36]}
    check_canonical(network(body, constants, planes=(3, 4), batch="1"))


def test_what_mixes_samples_is_reported() -> None:
    body = f"{SEQUENCE_FIRST} m = ReduceMean <axes = [1], keepdims = 1> (d) e = Add (d, m) {BACK}"
    model = network(body, SPLIT, 13, planes=(3, 4))
    assert by_sample(structured(model)) is None
    assert findings(model)


def test_what_nothing_is_known_of_is_left() -> None:
    body = f"{SEQUENCE_FIRST} e = CumSum (d, axis) {BACK}"
    assert by_sample(structured(network(body, {**SPLIT, "axis": np.array(0)}, planes=(3, 4)))) is None


def test_layers_are_compared_with_those_of_the_file() -> None:
    """Whose activations have the batch elsewhere."""
    model = network_of(FORMS["chunks"])
    images = networks.images_for(model, 10)
    found = converted(model, levels=64)
    pairs = compare(found, model, images)
    assert {len(activations) for activations, _ in pairs.values()} == {10}
    assert error_budget(found, model, images).layers
