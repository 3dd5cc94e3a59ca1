"""The graded operators in both forms against their equations in numpy."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native_operators import Array, Random, assert_same, randoms
from onnx import TensorProto, helper, numpy_helper
from spiking_layers import Axes, output_size
from test_native_max_pool import Window, windows

from snnc.ir.domain import DOMAIN, DOMAIN_VERSION, IR_VERSION, OPSET
from snnc.operators.functions import functions_used_by
from snnc.runtime.session import make_session

FORMS = {"native": True, "function": False}
OUTPUTS = {
    "GradedSumPool": ("sums",),
    "GradedMaxPool": ("fired", "counts_out"),
    "GradedTotals": ("events", "operations"),
}
CONSTANTS = ("weight", "residual_weight", "threshold", "fanout")
both_forms = pytest.mark.parametrize("form", FORMS)


def session_of(
    op: str, inputs: dict[str, Array], attributes: dict[str, Any], form: str
) -> onnxruntime.InferenceSession:
    """A model of this node alone: weights, thresholds and fan-outs are initializers."""
    names = OUTPUTS.get(op, ("fired", "v_out", "counts_out", "events", "operations"))
    node = helper.make_node(op, list(inputs), names, domain=DOMAIN, **attributes)
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), ["N", *value.shape[1:]])
        for name, value in inputs.items()
        if name not in CONSTANTS
    ]
    outputs = [
        helper.make_tensor_value_info(
            name, TensorProto.INT64 if name in OUTPUTS["GradedTotals"] else TensorProto.INT32, None
        )
        for name in names
    ]
    constants = [numpy_helper.from_array(value, name) for name, value in inputs.items() if name in CONSTANTS]
    graph = helper.make_graph([node], "operator", infos, outputs, constants)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, DOMAIN_VERSION)]
    bodies = [] if FORMS[form] else functions_used_by(graph)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, functions=bodies)
    return make_session(model.SerializeToString(), native=FORMS[form], threads=1)


def run(op: str, inputs: dict[str, Array], attributes: dict[str, Any], form: str) -> list[Array]:
    feeds = {name: value for name, value in inputs.items() if name not in CONSTANTS}
    outputs: list[Array] = session_of(op, inputs, attributes, form).run(None, feeds)
    return outputs


# --- references -------------------------------------------------------------------------------------------------------


def convolved(x: Array, weight: Array, strides: Axes, dilations: Axes, pads: Axes) -> Array:
    """int64 `[N, M, y...]`, tap by tap."""
    kernel, rank = weight.shape[2:], weight.ndim - 2
    padded = np.pad(x.astype(np.int64), [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)])
    size = output_size(padded.shape[2:], kernel, strides, dilations)
    found = np.zeros((len(x), len(weight), *size), np.int64)
    for tap in np.ndindex(*kernel):
        seen = tuple(
            slice(at * dilation, at * dilation + (length - 1) * stride + 1, stride)
            for at, dilation, length, stride in zip(tap, dilations, size, strides, strict=True)
        )
        element: Any = (..., *tap)
        taps = weight[element].astype(np.int64)
        region: Any = (slice(None), slice(None), *seen)
        found += np.einsum("mc,nc...->nm...", taps, padded[region])
    return found


def neurons(current: Array, inputs: dict[str, Array], low: int, high: int) -> list[Array]:
    """The outputs for a current `[N, M, y...]`, element by element with the channels last."""
    threshold = inputs["threshold"].reshape(-1).astype(np.int64)
    charged = inputs["v"].astype(np.int64) + np.moveaxis(current, 1, -1)
    counts = np.clip(inputs["counts"] + charged // threshold, low, high)
    fired = counts - inputs["counts"]
    left = charged - threshold * fired
    assert (np.abs(left) < 2**31).all()
    changes = np.moveaxis(fired, -1, 1)
    states = left.astype(np.int32), counts.astype(np.int32)
    return [changes.astype(np.int32), *states, *totals(changes, inputs["fanout"])]


def totals(changes: Array, fanout: Array) -> list[Array]:
    """Events and operations of each sample."""
    events, axes = changes != 0, tuple(range(1, changes.ndim))
    return [events.sum(axes), (events * fanout).sum(axes)]


def weights_of(random: Random, shape: Axes, largest: int, bits: int) -> Array:
    """Integers whose magnitudes of one output add up to less than 2^24, and currents to less than 2^29."""
    most = max(1, min(largest, 2 ** min(24, 29 - bits) // max(1, int(np.prod(shape[1:]))) - 1))
    return random.integers(-most, most, shape, endpoint=True).astype(np.float32)


def changes_of(random: Random, shape: Axes, bits: int, density: float) -> Array:
    values = random.integers(1 - 2**bits, 2**bits, shape)
    return np.where(random.random(shape) < density, values, 0).astype(np.int32)


def state_of(random: Random, inputs: dict[str, Array], shape: Axes, limits: tuple[int, int], by_channel: bool) -> None:
    """Potentials that leave room for any current, counts within their limits, thresholds that make some fire."""
    low, high = limits
    units = shape[-1] if by_channel else 1
    threshold = random.integers(1, 4000, units, np.int32)
    room = 2**30 - 1
    inputs["v"] = random.choice([random.integers(-5000, 5000, shape), random.integers(-room, room, shape)]).astype("i4")
    inputs["counts"] = random.integers(low, high, shape, np.int32, endpoint=True)
    inputs["threshold"] = threshold.reshape(-1, *[1] * (len(shape) - 2)) if by_channel else threshold.reshape(())
    inputs["begun"] = np.zeros(shape[0], np.int32)
    sample = shape[-1], *shape[1:-1]
    ones = int(random.integers(0, len(sample) + 1))
    inputs["fanout"] = random.integers(0, 100, (*[1] * ones, *sample[ones:]))


sizes = st.fixed_dictionaries(
    {
        "window": windows().filter(Window.is_valid),
        "batch": st.integers(0, 2),
        "channels": st.integers(1, 5),
        "outputs": st.integers(1, 20),
        "bits": st.sampled_from([1, 2, 5, 9, 15]),
        "largest": st.sampled_from([1, 100, 2**15 - 1]),
        "density": st.sampled_from([0.0, 0.02, 0.5, 1.0]),
        "limits": st.sampled_from([(0, 1), (0, 6), (-3, 4), (-(2**15), 2**15), (0, 2**16)]),
        "by_channel": st.booleans(),
        "depthwise": st.booleans(),
        "residual": st.sampled_from(["none", "dense", "own"]),
        "random": randoms,
    }
)


def layer_of(
    window: Window,
    batch: int,
    channels: int,
    outputs: int,
    bits: int,
    largest: int,
    density: float,
    limits: tuple[int, int],
    by_channel: bool,
    depthwise: bool,
    residual: str,
    random: Random,
) -> tuple[str, dict[str, Array], dict[str, Any], list[Array]]:
    """A convolution: its operator, inputs, attributes, and what it has to give."""
    rank, group = len(window.size), outputs if depthwise else 1
    channels = outputs if depthwise else channels
    inputs = {
        "changes": changes_of(random, (batch, channels, *window.size), bits, density),
        "weight": weights_of(random, (outputs, channels // group, *window.kernel), largest, bits),
    }
    axes = {"strides": list(window.strides), "dilations": list(window.dilations), "pads": list(window.pads)}
    attributes: dict[str, Any] = {**axes, "group": group, "low": limits[0], "high": limits[1], "bits": bits}
    all_taps = inputs["weight"]
    if depthwise:
        all_taps = np.zeros((outputs, channels, *window.kernel), np.float32)
        all_taps[np.arange(outputs), np.arange(outputs)] = inputs["weight"][:, 0]
    current = convolved(inputs["changes"], all_taps, window.strides, window.dilations, window.pads)
    plane = current.shape[2:]
    if residual != "none":
        own = residual == "own" and outputs > 1  # one weight for one neuron is one for all
        read, group = (outputs, outputs) if own else (channels + 1, 1)
        inputs["residual"] = changes_of(random, (batch, read, *plane), 3, density)
        weight = weights_of(random, (outputs, read // group, *[1] * rank), 2**23 if own else largest, 3)
        inputs["residual_weight"] = weight
        attributes |= {"residual_group": group, "residual_bits": 3}
        taps = weight.reshape(outputs, -1).astype(np.int64)
        by_channel_taps = np.diag(taps[:, 0]) if own else taps
        current = current + np.einsum("mc,nc...->nm...", by_channel_taps, inputs["residual"].astype(np.int64))
    state_of(random, inputs, (batch, *plane, outputs), limits, by_channel)
    op = "GradedConv" if residual == "none" else "GradedConvAdd"
    return op, inputs, attributes, neurons(current, inputs, *limits)


# --- layers -----------------------------------------------------------------------------------------------------------


@both_forms
@settings(max_examples=100, deadline=None)
@given(size=sizes)
def test_convolutions_equal_the_reference(form: str, size: dict[str, Any]) -> None:
    op, inputs, attributes, wanted = layer_of(**size)
    assert_same(run(op, inputs, attributes, form), wanted, f"{op} {attributes}")


@both_forms
@settings(max_examples=100, deadline=None)
@given(
    batch=st.integers(0, 3),
    reads=st.integers(1, 70),
    outputs=st.integers(1, 40),
    bits=st.sampled_from([1, 4, 9]),
    density=st.sampled_from([0.0, 0.05, 1.0]),
    limits=st.sampled_from([(0, 6), (-3, 4), (0, 2**16)]),
    by_channel=st.booleans(),
    random=randoms,
)
def test_dense_layers_equal_the_reference(
    form: str,
    batch: int,
    reads: int,
    outputs: int,
    bits: int,
    density: float,
    limits: tuple[int, int],
    by_channel: bool,
    random: Random,
) -> None:
    inputs = {
        "changes": changes_of(random, (batch, reads), bits, density),
        "weight": np.ascontiguousarray(weights_of(random, (outputs, reads), 2**15 - 1, bits).T),
    }
    state_of(random, inputs, (batch, outputs), limits, by_channel)
    attributes = {"low": limits[0], "high": limits[1], "bits": bits}
    current = inputs["changes"].astype(np.int64) @ inputs["weight"].astype(np.int64)
    assert_same(run("GradedGemm", inputs, attributes, form), neurons(current, inputs, *limits), str(attributes))


@both_forms
def test_potentials_at_the_limits_of_int32(form: str) -> None:
    """Quotients by the smallest and the largest thresholds, rounded down."""
    v = np.array([[-(2**31), -(2**31) + 1, -1, 0, 1, 2**31 - 1]], np.int32)
    inputs = {"changes": np.zeros((1, 1), np.int32), "weight": np.ones((1, 6), np.float32), "v": v}
    inputs |= {"counts": np.zeros((1, 6), np.int32), "begun": np.zeros(1, np.int32), "fanout": np.ones(1, np.int64)}
    for threshold in (2**15, 2**15 + 2, 2**30, 2**31 - 1):
        given = {**inputs, "threshold": np.array(threshold, np.int32)}
        order = ("changes", "weight", "v", "counts", "threshold", "begun", "fanout")
        given = {name: given[name] for name in order}
        attributes = {"low": -(2**15), "high": 2**15, "bits": 1}
        wanted = neurons(np.zeros((1, 6), np.int64), given, -(2**15), 2**15)
        assert_same(run("GradedGemm", given, attributes, form), wanted, str(threshold))


@both_forms
def test_potentials_next_to_multiples_of_the_threshold(form: str) -> None:
    """Where a quotient in float32 is off by one."""
    random, neurons_of_each = np.random.default_rng(0), 6000
    threshold = random.integers(2**20, 2**27, neurons_of_each)
    v = threshold * random.integers(-12, 12, neurons_of_each) + random.integers(-2, 2, neurons_of_each)
    inputs: dict[str, Array] = {"changes": np.zeros((1, 1), np.int32), "weight": np.ones((1, len(v)), np.float32)}
    inputs |= {"v": v[None].astype(np.int32), "counts": random.integers(-9, 9, (1, len(v)), np.int32)}
    inputs |= {"threshold": threshold.astype(np.int32), "begun": np.zeros(1, np.int32)}
    inputs |= {"fanout": np.ones(1, np.int64)}
    wanted = neurons(np.zeros((1, len(v)), np.int64), inputs, -30, 30)
    assert_same(run("GradedGemm", inputs, {"low": -30, "high": 30, "bits": 1}, form), wanted, "all")


@pytest.mark.parametrize("limits", [(1, 5), (-3, 0), (0, 2**17)])
def test_limits_that_no_neuron_has_are_refused(limits: tuple[int, int]) -> None:
    inputs: dict[str, Array] = {"changes": np.zeros((1, 1), np.int32), "weight": np.ones((1, 6), np.float32)}
    state_of(np.random.default_rng(0), inputs, (1, 6), (0, 1), False)
    with pytest.raises(Exception, match="GradedGemm: attributes low and high are"):
        run("GradedGemm", inputs, {"low": limits[0], "high": limits[1], "bits": 1}, "native")


def test_changes_beyond_16_bits_are_refused() -> None:
    inputs: dict[str, Array] = {"changes": np.full((1, 1), -(2**15), np.int32), "weight": np.ones((1, 6), np.float32)}
    state_of(np.random.default_rng(0), inputs, (1, 6), (0, 1), False)
    with pytest.raises(Exception, match="GradedGemm: a change does not fit into 16 bits"):
        run("GradedGemm", inputs, {"low": 0, "high": 1, "bits": 16}, "native")


@both_forms
def test_first_frames_fire_without_changes(form: str) -> None:
    """Where a sample has not begun, neurons that nothing reaches fire what is above their threshold."""
    inputs = {
        "changes": np.zeros((2, 3, 4, 4), np.int32),
        "weight": np.ones((5, 3, 3, 3), np.float32),
        "v": np.full((2, 4, 4, 5), 25, np.int32),
        "counts": np.zeros((2, 4, 4, 5), np.int32),
        "threshold": np.array(10, np.int32),
        "begun": np.zeros(2, np.int32),
        "fanout": np.full((1, 1, 1), 7),
    }
    attributes = {"strides": [1, 1], "dilations": [1, 1], "pads": [1] * 4, "group": 1, "low": 0, "high": 9, "bits": 3}
    fired, v, counts, events, operations = run("GradedConv", inputs, attributes, form)
    assert (fired == 2).all()
    assert events.tolist() == [80, 80]
    assert operations.tolist() == [560, 560]
    assert (v == 5).all()
    assert (counts == 2).all()


# --- pools ------------------------------------------------------------------------------------------------------------


@both_forms
@settings(max_examples=100, deadline=None)
@given(
    window=windows().filter(Window.is_valid),
    batch=st.integers(0, 2),
    channels=st.integers(1, 4),
    largest=st.sampled_from([1, 30, 2**20]),
    random=randoms,
)
def test_max_pools_equal_the_reference(
    form: str, window: Window, batch: int, channels: int, largest: int, random: Random
) -> None:
    shape = (batch, channels, *window.size)
    counts = random.integers(-largest, largest, shape, np.int32, endpoint=True)
    changes = np.where(random.random(shape) < 0.3, random.integers(-largest, largest, shape), 0).astype(np.int32)
    both, size = np.stack([counts, counts + changes]), [window.outputs(axis) for axis in range(len(window.size))]
    maxima = np.zeros((2, batch, channels, *size), np.int64)
    for place in itertools.product(*map(range, size)):
        seen = itertools.product(*(window.elements(axis, at) for axis, at in enumerate(place)))
        places: Any = [(..., *element) for element in seen]
        here: Any = (..., *place)
        maxima[here] = np.max([both[element] for element in places], axis=0)
    wanted = [(maxima[1] - maxima[0]).astype(np.int32), counts + changes]
    attributes = {"kernel_shape": list(window.kernel), "strides": list(window.strides)}
    attributes |= {"pads": list(window.pads), "dilations": list(window.dilations)}
    assert_same(run("GradedMaxPool", {"changes": changes, "counts": counts}, attributes, form), wanted, str(attributes))


@both_forms
@settings(max_examples=100, deadline=None)
@given(window=windows(), batch=st.integers(0, 2), channels=st.integers(1, 4), random=randoms)
def test_sum_pools_equal_the_reference(form: str, window: Window, batch: int, channels: int, random: Random) -> None:
    rank = len(window.size)
    ones = (1,) * rank
    plain = Window(window.size, window.kernel, window.strides, ones, window.pads)
    if any(plain.outputs(axis) < 1 for axis in range(rank)):
        return
    most = 2**24 // int(np.prod(window.kernel)) - 1
    changes = random.integers(-most, most, (batch, channels, *window.size), np.int32)
    by_channel = changes.reshape(batch * channels, 1, *window.size)
    sums = convolved(by_channel, np.ones((1, 1, *window.kernel)), window.strides, ones, window.pads)
    wanted = [sums.reshape(batch, channels, *sums.shape[2:]).astype(np.int32)]
    attributes = {"kernel_shape": list(window.kernel), "strides": list(window.strides), "pads": list(window.pads)}
    assert_same(run("GradedSumPool", {"changes": changes}, attributes, form), wanted, str(attributes))


# --- totals -----------------------------------------------------------------------------------------------------------


@both_forms
@settings(max_examples=50, deadline=None)
@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    batch=st.integers(0, 3),
    same=st.integers(0, 4),
    density=st.sampled_from([0.0, 0.1, 1.0]),
    random=randoms,
)
def test_totals_equal_the_reference(
    form: str, shape: list[int], batch: int, same: int, density: float, random: Random
) -> None:
    changes = changes_of(random, (batch, *shape), 16, density)
    fanout = random.integers(0, 2**33, [*[1] * len(shape[:same]), *shape[same:]])
    axes = tuple(range(1, changes.ndim))
    wanted = [(changes != 0).sum(axes, dtype=np.int64), ((changes != 0) * fanout).sum(axes, dtype=np.int64)]
    assert_same(run("GradedTotals", {"changes": changes, "fanout": fanout}, {}, form), wanted, str(shape))
