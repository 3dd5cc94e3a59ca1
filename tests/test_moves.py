"""The pass `moves`: whatever moves, repeats or leaves out elements becomes `Gather`, `Reshape` and `Transpose`."""

from __future__ import annotations

import numpy as np
import pytest
from forms import Constants, check_canonical, check_exact, findings, network
from numpy.testing import assert_array_equal

from snnc.ir.moved import along_axes, flattened
from snnc.ir.picks import ZERO

TWICE = {"scales": [1.0, 1.0, 2.0, 3.0]}
MOVED = {"Reshape", "Transpose", "Gather", "DepthToSpace"}
ROWS_AND_COLUMNS = np.stack(np.meshgrid([0, 1, 2, 1, 2, 3, 3, 4, 5], [0, 2, 2, 3], indexing="ij"), -1)
#: Name → body from a [N, 3, 6, 4] to b, constants, opset.
FORMS: dict[str, tuple[str, Constants, int]] = {
    "old Upsample": ('b = Upsample <mode = "nearest"> (a, scales)', TWICE, 9),
    "oldest Upsample": ('b = Upsample <mode = "nearest", scales = [1.0, 1.0, 2.0, 3.0]> (a)', {}, 8),
    "Resize of opset 10": ('b = Resize <mode = "nearest"> (a, scales)', TWICE, 10),
    "Resize to sizes of axes": ("b = Resize <axes = [2, 3]> (a, , , sizes)", {"sizes": [12, 8]}, 18),
    "Resize to a smaller plane": ("b = Resize (a, , scales)", {"scales": [1.0, 1.0, 0.5, 0.5]}, 18),
    "Resize to sizes from the shape": (
        "shape = Shape (a) samples = Slice (shape, zero, two, zero) plane = Slice (shape, two, four, zero) "
        "double = Mul (plane, two) sizes = Concat <axis = 0> (samples, double) "
        'b = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric"> (a, , , sizes)',
        {"zero": [0], "two": [2], "four": [4]},
        13,
    ),
    "Expand between Reshapes": (
        "c = Reshape (a, apart) d = Expand (c, wide) b = Reshape (d, joined)",
        {"apart": [-1, 3, 6, 1, 4, 1], "wide": [1, 3, 6, 2, 4, 2], "joined": [-1, 3, 12, 8]},
        18,
    ),
    "Tile": ("b = Tile (a, repeats)", {"repeats": [1, 2, 1, 3]}, 18),
    "turned around": (
        "b = Slice (a, starts, ends, axes, steps)",
        {"starts": [-1], "ends": [-9223372036854775808], "axes": [3], "steps": [-1]},
        18,
    ),
    "half of the plane by its shape": (
        "shape = Shape (a) rows = Gather (shape, two) half = Div (rows, two) end = Reshape (half, one) "
        "b = Slice (a, zero, end, two_axis)",
        {"two": 2, "one": [1], "zero": [0], "two_axis": [2]},
        18,
    ),
    "uneven rows": ("b = Gather <axis = 2> (a, rows)", {"rows": [0, 5, 1, 1]}, 18),
    "rows beside rows": ("b = Gather <axis = 2> (a, rows)", {"rows": [[0, 1], [2, 3], [4, 5]]}, 18),
    "GatherND of windows": (
        "c = Transpose <perm = [2, 3, 0, 1]> (a) d = GatherND (c, places) b = Transpose <perm = [2, 3, 0, 1]> (d)",
        {"places": ROWS_AND_COLUMNS},
        18,
    ),
    "GatherElements": (
        "c = Flatten (a) d = Shape (c) e = Gather (d, zero) f = Reshape (e, one) g = Concat <axis = 0> (f, one) "
        "h = Expand (places, g) b = GatherElements <axis = 1> (c, h)",
        {"zero": 0, "one": [1], "places": [[71, 5, 5, 0]]},
        18,
    ),
    "batch in the middle": ("c = Transpose <perm = [1, 0, 2, 3]> (a) b = Transpose <perm = [1, 0, 3, 2]> (c)", {}, 18),
    "SpaceToDepth": ("b = SpaceToDepth <blocksize = 2> (a)", {}, 18),
    "channels in front of a square": (
        'c = Tile (a, repeats) b = DepthToSpace <blocksize = 2, mode = "CRD"> (c)',
        {"repeats": [1, 4, 1, 1]},
        18,
    ),
    "square in front of channels": (
        'c = Tile (a, repeats) b = DepthToSpace <blocksize = 2, mode = "DCR"> (c)',
        {"repeats": [1, 4, 1, 1]},
        18,
    ),
    "Pad of nothing": ("b = Pad (a, pads)", {"pads": [0] * 8}, 18),
    "Pad that copies the border": ('b = Pad <mode = "edge"> (a, pads)', {"pads": [0, 0, 1, 1, 0, 0, 1, 1]}, 18),
    "Pad that mirrors": ('b = Pad <mode = "reflect"> (a, pads)', {"pads": [0, 0, 1, 1, 0, 0, 1, 1]}, 18),
}
EACH = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
COORDINATES = ["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"]
ROUNDING = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]


@EACH
def test_values_stay(form: tuple[str, Constants, int]) -> None:
    assert set(check_canonical(network(*form))) <= {"Conv", "Relu", "Gemm"} | MOVED


@EACH
def test_it_converts_exactly(form: tuple[str, Constants, int]) -> None:
    check_exact(network(*form))


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("rounding", ROUNDING)
def test_every_nearest_neighbour_is_a_gather(coordinates: str, rounding: str) -> None:
    attrs = f'coordinate_transformation_mode = "{coordinates}", nearest_mode = "{rounding}"'
    operators = check_canonical(network(f"b = Resize <{attrs}> (a, , scales)", TWICE, 13))
    assert operators[2:] == ["Gather", "Gather", "Reshape", "Gemm"]


def test_sizes_may_include_a_fixed_batch() -> None:
    attrs = 'mode = "nearest", coordinate_transformation_mode = "asymmetric"'
    model = network(f"b = Resize <{attrs}> (a, , , sizes)", {"sizes": [1, 3, 12, 8]}, 13, batch="1")
    assert check_canonical(model)[2:] == ["Gather", "Gather", "Reshape", "Gemm"]


@pytest.mark.parametrize("method", ["rmp", "low-latency"])
def test_the_other_methods_convert_it_too(method: str) -> None:
    assert "Gather" in check_canonical(network(*FORMS["Resize of opset 10"]), method=method)


def test_linear_interpolation_is_reported() -> None:
    model = network('b = Resize <mode = "linear"> (a, , scales)', TWICE)
    assert [(code, op) for code, op, _ in findings(model)] == [("SNN204", "Resize")]


def test_a_pad_with_another_value_is_no_move() -> None:
    model = network("b = Pad (a, pads, one)", {"pads": [0, 0, 1, 1, 0, 0, 1, 1], "one": 1.0})
    assert [op for _, op, _ in findings(model)] == ["Pad"]


def test_elements_along_axes_and_back() -> None:
    picks = [np.array([1, ZERO, 0]), np.array([2, 2]), np.array([ZERO, 0])]
    elements = flattened(picks, (2, 3, 1))
    found = along_axes(elements, (2, 3, 1))
    assert found is not None
    assert all(np.array_equal(one, other) for one, other in zip(found, picks, strict=True))
    assert_array_equal(elements[:, 0], [[ZERO, 5], [ZERO, ZERO], [ZERO, 2]])
    assert along_axes(np.array([[0, 3], [1, 2]]), (2, 2)) is None
    assert along_axes(np.array([0, 3, 1, 2]), (2, 2)) is None
