"""The pass `transposed`: a transposed convolution is a convolution whose outputs are put side by side."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from forms import check_canonical, check_exact, findings, network
from hypothesis import given, settings
from hypothesis import strategies as st

#: Name → attributes, shape of the weights, planes.
FORMS: dict[str, tuple[str, tuple[int, ...], tuple[int, ...]]] = {
    "stride 2": ("strides = [2, 2]", (3, 2, 2, 2), (6, 4)),
    "stride 2, kernel 3": ("strides = [2, 2], pads = [1, 1, 1, 1], output_padding = [1, 1]", (3, 2, 3, 3), (6, 4)),
    "stride 1": ("group = 1", (3, 4, 3, 3), (6, 4)),
    "uneven strides": ("strides = [3, 1], pads = [0, 1, 2, 0]", (3, 2, 4, 2), (6, 4)),
    "gaps between outputs": ("strides = [3, 3]", (3, 2, 2, 1), (6, 4)),
    "dilated": ("strides = [2, 1], dilations = [3, 2]", (3, 2, 3, 2), (6, 4)),
    "depthwise": ("strides = [2, 2], group = 3", (3, 1, 2, 2), (6, 4)),
    "groups of outputs": ("strides = [2, 2], group = 3", (3, 2, 3, 3), (6, 4)),
    "crops much": ("strides = [2, 2], pads = [4, 3, 4, 3]", (3, 2, 3, 3), (6, 6)),
    "same, upper": ('auto_pad = "SAME_UPPER", strides = [2, 2]', (3, 2, 3, 3), (6, 4)),
    "same, lower": ('auto_pad = "SAME_LOWER", strides = [2, 2]', (3, 2, 3, 3), (6, 4)),
    "a given shape": ("output_shape = [11, 8], strides = [2, 2]", (3, 2, 2, 3), (6, 4)),
    "sequences": ("strides = [2]", (3, 2, 4), (7,)),
    "volumes": ("strides = [2, 1, 2]", (3, 2, 2, 2, 3), (3, 2, 4)),
}
EACH = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


def model(form: tuple[str, tuple[int, ...], tuple[int, ...]], behind: str = "b = Relu (c)") -> onnx.ModelProto:
    attrs, shape, planes = form
    group = 3 if "group = 3" in attrs else 1
    weights = {"W": np.random.default_rng(5).normal(size=shape) / 2, "bias": np.linspace(-0.2, 0.3, group * shape[1])}
    return network(f"c = ConvTranspose <{attrs}> (a, W, bias) {behind}", weights, planes=planes)


@EACH
def test_values_stay(form: tuple[str, tuple[int, ...], tuple[int, ...]]) -> None:
    assert set(check_canonical(model(form))) <= {"Conv", "Relu", "Gather", "Reshape", "Transpose", "Gemm"}


@EACH
def test_it_converts_exactly(form: tuple[str, tuple[int, ...], tuple[int, ...]]) -> None:
    check_exact(model(form))


@pytest.mark.parametrize("method", ["rmp", "low-latency"])
def test_the_other_methods_convert_it_too(method: str) -> None:
    assert findings(model(FORMS["stride 2"]), method=method, relaxed=True) == []


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38])
def test_weights_that_are_no_numbers(value: float) -> None:
    """How pads are shared out is found by running the node."""
    attrs, shape, planes = FORMS["same, upper"]
    weights = {"W": np.full(shape, value), "bias": np.full(2, value)}
    found = findings(network(f"c = ConvTranspose <{attrs}> (a, W, bias) b = Relu (c)", weights, planes=planes))
    assert [rule for rule, *_ in found] == ([] if np.isfinite(value) else ["SNN208"])


def test_batch_normalization_behind_it_needs_no_neuron() -> None:
    normalized = "n = BatchNormalization (c, g, s, m, v) b = Relu (n)"
    numbers = {"g": [1.0, -0.5], "s": [0.1, 0.2], "m": [0.1, -0.2], "v": [0.5, 2.0], "W": np.ones((3, 2, 2, 2)) / 3}
    check_exact(network(f"c = ConvTranspose <strides = [2, 2]> (a, W) {normalized}", numbers))


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(*[st.integers(1, 4)] * 2),
    st.tuples(*[st.integers(1, 3)] * 2),
    st.tuples(*[st.integers(1, 3)] * 2),
    st.tuples(*[st.integers(0, 2)] * 4),
)
def test_any_window(
    taps: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...], pads: tuple[int, ...]
) -> None:
    reach = [
        (5 - 1) * s + (k - 1) * d + 1 - sum(pads[a::2])
        for a, (k, s, d) in enumerate(zip(taps, strides, dilations, strict=True))
    ]
    if min(reach) < 1:
        return
    attrs = f"strides = {list(strides)}, dilations = {list(dilations)}, pads = {list(pads)}"
    check_canonical(model((attrs, (3, 2, *taps), (5, 5))))
