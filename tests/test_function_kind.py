"""What functions are taken for: by their values, whatever nodes they are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from region_models import CONSTANTS, INTEGERS, region_of
from test_region import BODIES, QCFS

from snnc.ir.function_kind import Affine, ClippedRelu, Identity, Kind, Other, Quantiser, Relu, kind_of, sample_points

RELUS = [
    "y = Relu (x)",
    "y = Max (x, zero)",
    "y = Max (zeros, x)",
    "y = Clip (x, zero)",
    "p = Greater (x, zero) y = Where (p, x, zero)",
    "p = Less (x, zero) y = Where (p, zero, x)",
    "p = Greater (x, zero) f = Cast <to = 1> (p) y = Mul (x, f)",
    "a = Abs (x) b = Add (x, a) y = Mul (b, half)",
    "a = Min (x, zero) y = Sub (x, a)",
    "a = Neg (x) b = Relu (a) y = Add (b, x)",
    "a = Relu (x) y = Relu (a)",
    "a = Mul (x, three) b = Relu (a) y = Div (b, three)",
    "y = LeakyRelu <alpha = 0.0> (x)",
    "y = ThresholdedRelu <alpha = 0.0> (x)",
    "y = PRelu (x, zero)",
]


@pytest.mark.parametrize("body", RELUS)
def test_a_relu_under_any_name(body: str) -> None:
    assert kind_of(region_of(body)) == Relu()


CLIPPED = [
    "y = Clip (x, zero, six)",
    "a = Relu (x) y = Min (a, six)",
    "a = Min (x, six) y = Max (a, zero)",
    "a = HardSigmoid <alpha = 0.16666667, beta = 0.0> (x) y = Mul (a, six)",
    "a = Div (x, six) b = Clip (a, zero, one) y = Mul (b, six)",
]


@pytest.mark.parametrize("body", CLIPPED)
def test_a_clipped_relu_under_any_name(body: str) -> None:
    kind = kind_of(region_of(body))
    assert isinstance(kind, ClippedRelu)
    assert kind.cap == pytest.approx(6, rel=1e-6)


def test_small_and_large_caps() -> None:
    for cap in (3e-6, 0.1, 4096.5, 1e12):
        kind = kind_of(region_of("y = Clip (x, zero, cap)", cap=cap))
        assert kind == ClippedRelu(cap=float(np.float32(cap)))


def test_caps_of_channels() -> None:
    kind = kind_of(region_of("a = Relu (x) y = Min (a, caps)"))
    assert isinstance(kind, ClippedRelu)
    assert np.array_equal(kind.cap, np.array(CONSTANTS["caps"]))


@pytest.mark.parametrize("body", ["y = Identity (x)", "a = Mul (x, four) y = Div (a, four)", "a = Neg (x) y = Neg (a)"])
def test_the_identity(body: str) -> None:
    assert kind_of(region_of(body)) == Identity()


AFFINE: dict[str, tuple[Any, Any]] = {
    "y = Mul (x, two)": (2.0, 0.0),
    "y = Neg (x)": (-1.0, 0.0),
    "y = Sub (half, x)": (-1.0, 0.5),
    "a = Sub (x, three) y = Div (a, six)": (1 / 6, -0.5),
    "a = Mul (x, three) b = Add (a, half) c = Add (b, x) y = Sub (c, one)": (4.0, -0.5),
    "a = Sub (x, large) y = Mul (a, small)": (1e-4, -12.3456),
    "y = BatchNormalization <epsilon = 0.0> (x, gamma, beta, mean, variance)": (
        [[[1.0]], [[1.0]], [[1.0]]], [[[-0.25]], [[-1.0]], [[1.5]]],
    ),
    "y = Mul (x, pruned)": ([[[2.0]], [[0.0]], [[-1.0]]], 0.0),
}  # fmt: skip


@pytest.mark.parametrize("body", AFFINE)
def test_affine_functions(body: str) -> None:
    kind = kind_of(region_of(body, large=123456.0, small=1e-4, pruned=np.array([[[2.0]], [[0.0]], [[-1.0]]])))
    assert isinstance(kind, Affine)
    factor, shift = AFFINE[body]
    zeros = np.zeros((3, 1, 1))
    assert kind.factor + zeros == near(factor + zeros)
    assert kind.shift + zeros == near(shift + zeros)
    assert kind.monotone == (np.min(factor) >= 0)


@pytest.mark.parametrize("body", ["y = Mul (x, zero)", "a = Mul (x, zero) y = Add (a, half)"])
def test_constants_are_no_affine_functions(body: str) -> None:
    assert not isinstance(kind_of(region_of(body)), Affine)


def near(value: Any) -> Any:
    return pytest.approx(np.asarray(value, np.float64), rel=1e-6)


QUANTISERS: dict[str, tuple[str, float, int, int]] = {
    "qcfs": (QCFS.replace(" <min = 0.0, max = 1.0> (a)", " (a, zero, one)"), 0.5, 0, 4),
    "binary": ("p = Greater (x, half) y = Cast <to = 1> (p)", 1.0, 0, 1),
    "ternary": ("y = Sign (x)", 1.0, -1, 1),
    "two levels": ("p = Greater (x, zero) a = Neg (half) y = Where (p, half, a)", 0.5, -1, 1),
    "unsigned": ("q = QuantizeLinear (x, scale, none) y = DequantizeLinear (q, scale, none)", 0.05, 0, 255),
    "with a zero point": ("q = QuantizeLinear (x, scale, point) y = DequantizeLinear (q, scale, point)", 0.05, -3, 252),
    "signed": ("q = QuantizeLinear (x, scale, signed) y = DequantizeLinear (q, scale, signed)", 0.05, -128, 127),
    "behind a relu": (
        "r = Relu (x) q = QuantizeLinear (r, scale, signed) y = DequantizeLinear (q, scale, signed)", 0.05, 0, 127,
    ),
    "spelled out": ("a = Div (x, root_two) b = Round (a) c = Clip (b, zero, six) y = Mul (c, root_two)", 2**0.5, 0, 6),
}  # fmt: skip


@pytest.mark.parametrize("name", QUANTISERS)
def test_quantisers(name: str) -> None:
    body, step, low, high = QUANTISERS[name]
    kind = kind_of(region_of(body))
    assert isinstance(kind, Quantiser)
    assert kind.monotone
    assert kind.step == near(step)
    assert (kind.low, kind.high) == (low, high)
    assert kind.nearest == (name not in ("ternary", "two levels"))
    if "QuantizeLinear" in body:
        assert kind.step == np.float32(step)  # exactly


@pytest.mark.parametrize("rounded", ["c = Floor (b)", "c = Ceil (b)", "d = Add (b, third) c = Floor (d)"])
def test_quantisers_that_do_not_round_to_the_nearest(rounded: str) -> None:
    body = f"a = Clip (x, zero, one) b = Mul (a, four) {rounded} y = Div (c, four)"
    kind = kind_of(region_of(body, third=1 / 3))
    assert isinstance(kind, Quantiser)
    assert not kind.nearest


def test_quantisers_of_channels() -> None:
    opset, body = BODIES["qdq by channel"]
    kind = kind_of(region_of(body, opset))
    assert isinstance(kind, Quantiser)
    assert isinstance(kind.step, np.ndarray)
    assert kind.step.shape == (3, 1, 1)
    assert kind.step.reshape(-1) == near(CONSTANTS["scales"])
    assert (kind.low, kind.high) == (-int(INTEGERS["points"].max()), 255)


@pytest.mark.parametrize("levels", [1, 7, 64, 1023, 1024, 1025, 4096])
def test_a_quantiser_has_at_most_1024_steps(levels: int) -> None:
    body = "a = Clip (x, zero, one) b = Mul (a, levels) c = Round (b) y = Div (c, levels)"
    kind = kind_of(region_of(body, levels=levels))
    assert isinstance(kind, Quantiser) == (levels <= 1024)
    if isinstance(kind, Quantiser):
        assert (kind.low, kind.high) == (0, levels)
        assert kind.step == near(1 / levels)


# Nodes → whether they never fall.
OTHER = {
    "y = Sigmoid (x)": True,
    "y = Tanh (x)": True,
    "y = LeakyRelu (x)": True,
    "y = Elu (x)": True,
    "y = Selu (x)": True,
    "y = Celu (x)": True,
    "y = Softplus (x)": True,
    "y = Softsign (x)": True,
    "y = Erf (x)": True,
    "y = Exp (x)": True,
    "y = HardSigmoid (x)": True,
    "y = Floor (x)": True,
    "y = ThresholdedRelu (x)": True,
    "a = Add (x, half) y = Relu (a)": True,
    "y = Clip (x, half, six)": True,
    "a = Neg (half) y = Clip (x, a, six)": True,
    "y = Gelu (x)": False,
    "y = HardSwish (x)": False,
    "y = Mish (x)": False,
    "a = Sigmoid (x) y = Mul (x, a)": False,
    "y = PRelu (x, slopes)": False,
    "y = Abs (x)": False,
    "y = Mul (x, x)": False,
    "y = Log (x)": False,
    "y = Sqrt (x)": False,
    "y = Mod <fmod = 1> (x, two)": False,
    "a = Neg (x) b = Sigmoid (a) y = Mul (b, half)": False,
}


@pytest.mark.parametrize("body", OTHER)
def test_other_functions(body: str) -> None:
    assert kind_of(region_of(body, 20)) == Other(monotone=OTHER[body])


INVERSES = ["y = Reciprocal (x)", "a = Abs (x) b = Add (a, half) c = Sqrt (b) y = Div (half, c)"]


@pytest.mark.parametrize("body", INVERSES)
def test_inverses(body: str) -> None:
    assert kind_of(region_of(body, 20)) == Other(monotone=False, inverse=True)


def test_a_quantiser_that_falls() -> None:
    kind = kind_of(region_of("a = Sign (x) y = Neg (a)"))
    assert kind == Quantiser(step=1.0, low=-1, high=1, monotone=False)


def test_nothing_but_zero() -> None:
    assert kind_of(region_of("y = Mul (x, zero)")) == Other()


def test_a_channel_of_zeros() -> None:
    body = "a = Sign (x) b = Clip (shifts, zero) y = Mul (a, b)"
    kind = kind_of(region_of(body))
    assert isinstance(kind, Quantiser)
    assert np.asarray(kind.step).reshape(-1).tolist() == [0.5, 2.0, 2.0]


def test_kinds_of_channels_that_differ() -> None:
    """A ReLU, one with a cap, and something else are no ReLU."""
    kind: Kind = kind_of(region_of("a = Relu (x) b = Max (a, caps) y = Min (b, six)"))
    assert kind == Other()


def test_points_are_in_order_and_hold_the_constants() -> None:
    region = region_of("a = Relu (x) y = Min (a, caps)")
    points = sample_points(region)
    assert points.shape[1] == 3
    assert (np.diff(points, axis=0) >= 0).all()
    for channel, cap in enumerate((1.0, 2.0, 6.0)):
        assert {0.0, cap, -cap} <= set(points[:, channel].tolist())
    assert sample_points(region_of("y = Relu (x)")).shape[1] == 1
