"""The pass `reductions`: means, sums and maxima over axes become pooling."""

from __future__ import annotations

from typing import Any

import pytest
from forms import Constants, check_canonical, check_exact, findings, network

PLANE = {"plane": [2, 3]}
#: Name → body from a [N, 3, 6, 4] to b, constants, opset.
FORMS: dict[str, tuple[str, Constants, int]] = {
    "mean of the plane": ("b = ReduceMean (a, plane)", PLANE, 18),
    "mean of the plane, flat": ("b = ReduceMean <keepdims = 0> (a, plane)", PLANE, 18),
    "axes from the end": ("b = ReduceMean <keepdims = 0> (a, plane)", {"plane": [-1, -2]}, 18),
    "axes as an attribute": ("b = ReduceMean <axes = [2, 3], keepdims = 0> (a)", {}, 11),
    "old axes from the end": ("b = ReduceMean <axes = [-2, -1]> (a)", {}, 13),
    "mean of one axis": ("b = ReduceMean <keepdims = 0> (a, plane)", {"plane": [3]}, 18),
    "sum of the plane": ("b = ReduceSum <keepdims = 0> (a, plane)", PLANE, 18),
    "sum, axes as an attribute": ("b = ReduceSum <axes = [2, 3], keepdims = 0> (a)", {}, 11),
    "sum of one axis": ("b = ReduceSum (a, plane)", {"plane": [2]}, 13),
    "mean over channels": ("b = ReduceMean (a, plane)", {"plane": [1]}, 18),
    "sum over channels": ("b = ReduceSum <keepdims = 0> (a, plane)", {"plane": [1]}, 18),
    "mean of channels and rows": ("b = ReduceMean <keepdims = 0> (a, plane)", {"plane": [1, 2]}, 18),
    "mean of all of a sample": ("b = ReduceMean (a, plane)", {"plane": [1, 2, 3]}, 18),
    "sum of all of a sample": ("b = ReduceSum (a, plane)", {"plane": [1, 2, 3]}, 18),
    "mean of features": ("c = Flatten (a) b = ReduceMean (c, plane)", {"plane": [1]}, 18),
    "sum of features": ("c = Flatten (a) b = ReduceSum (c, plane)", {"plane": [-1]}, 18),
    "channels last": (
        "c = Transpose <perm = [0, 2, 3, 1]> (a) b = ReduceMean <keepdims = 0> (c, plane)",
        {"plane": [1, 2]},
        18,
    ),
    "sequences of features": (
        "c = Flatten <axis = 2> (a) d = Reshape (c, shape) b = ReduceMean <keepdims = 0> (d, plane)",
        {"shape": [-1, 24, 3], "plane": [1]},
        18,
    ),
    "two axes of a plane of four": (
        "c = Reshape (a, shape) b = ReduceMean <keepdims = 0> (c, plane)",
        {"shape": [-1, 3, 3, 2, 2, 2], "plane": [3, 5]},
        18,
    ),
    "largest of the plane": ("b = ReduceMax (a, plane)", PLANE, 18),
    "largest of channels": ("b = ReduceMax <keepdims = 0> (a, plane)", {"plane": [1]}, 18),
    "largest of rows": ("b = ReduceMax <axes = [2], keepdims = 0> (a)", {}, 12),
}
EACH = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


@EACH
def test_values_stay(form: tuple[str, Constants, int]) -> None:
    operators = check_canonical(network(*form))
    assert not any(op.startswith("Reduce") for op in operators)


@EACH
def test_it_converts_exactly(form: tuple[str, Constants, int]) -> None:
    check_exact(network(*form))


def test_a_mean_of_the_plane_is_one_pool() -> None:
    operators = check_canonical(network(*FORMS["mean of the plane, flat"]))
    assert operators == ["Conv", "Relu", "AveragePool", "Reshape", "Gemm"]


def test_channels_that_come_last_are_pooled_by_themselves() -> None:
    assert "AveragePool" in check_canonical(network(*FORMS["channels last"]))


@pytest.mark.parametrize(("planes", "axes"), [((7,), [2]), ((4, 3, 5), [2, 3, 4])])
def test_planes_of_other_ranks(planes: tuple[int, ...], axes: list[int]) -> None:
    mean: dict[str, Any] = {"constants": {"axes": axes}, "planes": planes}
    for model in (network("b = ReduceMean (a, axes)", **mean), network("b = GlobalAveragePool (a)", planes=planes)):
        check_canonical(model)
        check_exact(model)


def test_a_mean_over_the_batch_is_reported() -> None:
    model = network("m = ReduceMean (a, batch) b = Add (a, m)", {"batch": [0]})
    assert findings(model)[0][1] == "ReduceMean"
