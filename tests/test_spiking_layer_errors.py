"""Wrong inputs of the layers of the event-driven runtime: errors that name operator, shape and attribute."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from spiking_layer_examples import Sizes, Values, conv, random_layer
from spiking_layers import OPS, Array, Layer, assert_same, model_of, reference, run, session_of

# Valid layers to be spoilt, with all their inputs.
CONV, ADD = conv(4, 6, (5, 5), 3, pad=1, group=2, count=3), conv(4, 6, (5, 5), 3, pad=1, residual=(3, 1, 1), count=3)
DENSE, STAIRCASE = Sizes(7, 5, count=3), Values(staircase=(0, 4))
BASES: dict[str, Layer] = {
    "conv": random_layer(CONV, Values(), np.random.default_rng(0)),
    "add": random_layer(ADD, Values(), np.random.default_rng(1)),
    "gemm": random_layer(DENSE, Values(), np.random.default_rng(2)),
    "readout": random_layer(DENSE, Values(), np.random.default_rng(3), readout=True),
    "staircase conv": random_layer(CONV, STAIRCASE, np.random.default_rng(4)),
    "staircase add": random_layer(ADD, STAIRCASE, np.random.default_rng(5)),
    "staircase gemm": random_layer(DENSE, STAIRCASE, np.random.default_rng(6)),
}
assert {layer.op for layer in BASES.values()} == set(OPS)


def error_of(layer: Layer) -> str:
    """What onnxruntime says, when the session is created or when it runs."""
    with pytest.raises(Exception) as caught:  # noqa: PT011, the type depends on who finds the error
        session_of(model_of(layer, shapes=False)).run(None, layer.feeds)
    assert type(caught.value).__module__.startswith("onnxruntime"), caught.value
    return str(caught.value)


def zeros(*shape: int, dtype: str = "u8") -> Array:
    return np.zeros(shape, dtype)


@pytest.mark.parametrize("name", BASES)
def test_layers_without_an_error_run(name: str) -> None:
    layer = BASES[name]
    outputs = session_of(model_of(layer, shapes=False)).run(None, layer.feeds)
    assert_same(outputs, reference(layer))


@pytest.mark.parametrize(
    ("base", "name", "value"),
    [
        ("conv", "spikes", zeros(2, 5, 5, 5)),
        ("conv", "spikes", zeros(2, 8, 5, 5)),  # as many as two copies have, or signs
        ("conv", "spikes", zeros(2, 0, 5, 5)),
        ("conv", "spikes", zeros(2, 4, 5)),
        ("conv", "spikes", zeros(2, 4)),
        ("conv", "spikes", zeros(2, 4, 5, 5, 5)),
        ("conv", "spikes", zeros()),
        ("conv", "weight", zeros(6, 2, 3, dtype="f4")),
        ("conv", "weight", zeros(6, 2, dtype="f4")),
        ("conv", "weight", zeros(6, 2, 3, 3, 3, 3, dtype="f4")),
        ("conv", "weight", zeros(6, 0, 3, 3, dtype="f4")),
        ("conv", "weight", zeros(6, 2, 9, 9, dtype="f4")),  # larger than the padded plane
        ("conv", "v", zeros(2, 6, 4, 5, dtype="i4")),
        ("conv", "v", zeros(2, 5, 5, 5, dtype="i4")),
        ("conv", "v", zeros(3, 6, 5, 5, dtype="i4")),
        ("conv", "v", zeros(2, 6, 25, dtype="i4")),
        ("conv", "threshold", zeros(6, dtype="i4")),
        ("conv", "threshold", zeros(1, dtype="i4")),
        ("conv", "threshold", zeros(5, 1, 1, dtype="i4")),
        ("conv", "threshold", zeros(6, 5, 5, dtype="i4")),
        ("conv", "bias", zeros(5, dtype="f4")),
        ("conv", "bias", zeros(6, 1, 1, dtype="f4")),
        ("conv", "count", zeros(1, dtype="i8")),
        ("add", "residual", zeros(2, 3, 4, 5)),
        ("add", "residual", zeros(2, 4, 5, 5)),
        ("add", "residual", zeros(1, 3, 5, 5)),
        ("add", "residual", zeros(2, 3, 25)),
        ("add", "residual_weight", zeros(5, 3, 1, 1, dtype="f4")),
        ("add", "residual_weight", zeros(6, 3, 3, 3, dtype="f4")),
        ("add", "residual_weight", zeros(6, 3, 1, dtype="f4")),
        ("add", "threshold", zeros(6, 1, dtype="i4")),
        ("gemm", "spikes", zeros(2, 8)),
        ("gemm", "spikes", zeros(2, 7, 1)),
        ("gemm", "weight", zeros(7, 5, 1, dtype="f4")),
        ("gemm", "v", zeros(2, 6, dtype="i4")),
        ("gemm", "v", zeros(1, 5, dtype="i4")),
        ("gemm", "threshold", zeros(4, dtype="i4")),
        ("gemm", "threshold", zeros(5, 1, dtype="i4")),
        ("gemm", "bias", zeros(4, dtype="f4")),
        ("readout", "spikes", zeros(2, 8)),
        ("readout", "v", zeros(2, 6, dtype="i8")),
        ("staircase conv", "spikes", zeros(2, 8, 5, 5)),
        ("staircase conv", "v", zeros(2, 12, 5, 5, dtype="i4")),
        ("staircase conv", "counts", zeros(2, 12, 5, 5, dtype="i4")),
        ("staircase add", "counts", zeros(1, 6, 5, 5, dtype="i4")),
        ("staircase add", "threshold", zeros(6, dtype="i4")),
        ("staircase gemm", "counts", zeros(2, 5, 1, dtype="i4")),
        ("readout", "bias", zeros(6, dtype="f4")),
    ],
)  # fmt: skip
def test_wrong_shapes_are_errors_that_name_operator_and_shape(base: str, name: str, value: Array) -> None:
    layer = BASES[base]
    if name not in ("bias", "threshold"):  # that these do not fit either is another error
        inputs = {key: array for key, array in layer.inputs.items() if key != "bias"}
        layer = replace(layer, inputs=inputs)
        layer = layer if "threshold" not in inputs else layer.having(threshold=np.int32(1))
    message = error_of(layer.having(**{name: value}))
    assert layer.op in message
    assert str(list(value.shape)) in message


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("count", [-1, 65, 2**40])
def test_count_must_be_in_range(base: str, count: int) -> None:
    message = error_of(BASES[base].having(count=np.int64(count)))
    assert f"{BASES[base].op}: count is {count}, must be 0 to 64" in message


@pytest.mark.parametrize(
    ("base", "name", "value"),
    [
        ("conv", "strides", [1]),
        ("conv", "strides", [0, 1]),
        ("conv", "strides", [-1, 1]),
        ("conv", "dilations", [1, 1, 1]),
        ("conv", "dilations", [1, 0]),
        ("conv", "pads", [1, 1]),
        ("conv", "pads", [-1, 1, 1, 1]),
        ("conv", "group", 0),
        ("conv", "group", -2),
        ("conv", "group", 4),  # does not divide 6 outputs
        ("conv", "soft_reset", 2),
        ("conv", "leak", 16),
        ("add", "leak", -1),
        ("gemm", "leak", 2.0),
        ("add", "residual_group", 0),
        ("add", "residual_group", 4),
        ("add", "strides", [1, 1, 1]),
        ("gemm", "soft_reset", -1),
        ("conv", "copies", 0),
        ("conv", "copies", -1),
        ("conv", "copies", 2**40),
        ("conv", "signed", 2),
        ("add", "residual_copies", 0),
        ("add", "residual_signed", -1),
        ("gemm", "copies", 0),
        ("readout", "signed", 3),
        ("staircase conv", "low", 5),  # above high
        ("staircase gemm", "high", 2**31),
        ("staircase add", "low", -(2**31) - 1),
    ],
)
def test_wrong_attributes_are_errors_that_name_operator_and_attribute(base: str, name: str, value: Any) -> None:
    layer = BASES[base]
    message = error_of(replace(layer, attributes={**layer.attributes, name: value}))
    assert layer.op in message
    assert name.removeprefix("residual_") in message


@pytest.mark.parametrize(
    ("base", "name"),
    [
        (base, name)
        for base, layer in BASES.items()
        for name in ("weight", "residual_weight", "bias")
        if name in layer.inputs
    ],
)
@pytest.mark.parametrize(
    ("value", "problem"),
    [(0.5, "is not an integer"), (2.0**24, "2^24"), (-(2.0**24), "2^24"), (np.nan, "nan"), (-np.inf, "inf")],
)
def test_weights_off_the_grid_are_refused_when_the_session_is_created(
    base: str, name: str, value: float, problem: str
) -> None:
    layer = BASES[base]
    spoilt = layer.inputs[name].copy()
    spoilt.flat[-1] = value
    with pytest.raises(Exception, match=f"{layer.op}.*{name}") as caught:
        session_of(model_of(layer.having(**{name: spoilt})))
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("base", "name", "dtype"),
    [
        ("conv", "spikes", "f4"), ("conv", "spikes", "i8"), ("conv", "weight", "f8"), ("conv", "weight", "i4"),
        ("conv", "v", "i8"), ("conv", "threshold", "f4"), ("conv", "count", "i4"), ("conv", "bias", "i4"),
        ("add", "residual", "u4"), ("add", "residual_weight", "f8"), ("gemm", "v", "f4"), ("readout", "v", "f4"),
        ("staircase conv", "counts", "i8"), ("staircase gemm", "threshold", "i8"),
    ],
)  # fmt: skip
def test_wrong_types_are_errors_that_name_the_operator(base: str, name: str, dtype: str) -> None:
    layer = BASES[base]
    message = error_of(layer.having(**{name: layer.inputs[name].astype(dtype)}))
    assert layer.op in message


@pytest.mark.parametrize(
    ("base", "attributes"),
    [
        (base, attributes)
        for base, layer in BASES.items()
        for attributes in (
            {"copies": 2},
            {"signed": 1},
            *([{"residual_copies": 2}, {"residual_signed": 1}] if "residual" in layer.inputs else []),
        )
    ],
)
def test_channels_must_be_those_of_copies_and_signs(base: str, attributes: dict[str, int]) -> None:
    """Neither is ever derived from a shape that happens to divide."""
    layer = BASES[base]
    spoilt = replace(layer, attributes={**layer.attributes, **attributes})
    prefix = "residual_" if "residual" in str(attributes) else ""
    values = spoilt.attributes
    message = error_of(spoilt)
    stated = (
        f"attribute {prefix}copies is {values[f'{prefix}copies']} and {prefix}signed is {values[f'{prefix}signed']}"
    )
    assert f"{layer.op}: {'residual' if prefix else 'spikes'} has shape" in message
    assert stated in message


@pytest.mark.parametrize("base", BASES)
def test_a_forgotten_sign_is_an_error(base: str) -> None:
    layer = BASES[base]
    words = layer.inputs["spikes"]
    message = error_of(layer.having(spikes=np.concatenate([words, words], axis=1)))
    assert "attribute copies is 1 and signed is 0" in message


@pytest.mark.parametrize(("base", "name"), [(base, name) for base, layer in BASES.items() for name in layer.attributes])
def test_missing_attributes_are_errors(base: str, name: str) -> None:
    layer = BASES[base]
    rest = {key: value for key, value in layer.attributes.items() if key != name}
    assert f"{layer.op}: attribute {name} (int" in error_of(replace(layer, attributes=rest))


# --- version 1 --------------------------------------------------------------------------------------------------------


def first_version(layer: Layer) -> Layer:
    """The layer as version 1 has it: without copies and signs."""
    names = [f"{prefix}{name}" for prefix in ("", "residual_") for name in ("copies", "signed")]
    attributes = {key: value for key, value in layer.attributes.items() if key not in names}
    v = layer.inputs["v"] % 2**20 if layer.op == "SpikeReadout" else layer.inputs["v"]
    return replace(layer.having(v=v.astype(np.int32)), attributes=attributes)


@pytest.mark.parametrize("base", ["conv", "add", "gemm", "readout"])
def test_version_1_finds_the_copies_itself(base: str) -> None:
    old = first_version(BASES[base])
    words = old.inputs["spikes"]
    old = old.having(spikes=np.concatenate([words, words[:, ::-1], words], axis=1))
    inputs = {**BASES[base].inputs, **old.inputs}
    same = Layer(old.op, inputs, {**BASES[base].attributes, "copies": 3})
    wanted = reference(same)
    if base == "readout":
        wanted = [value.astype(np.int32) for value in wanted]
    assert_same(run(old), wanted)


@pytest.mark.parametrize("base", ["staircase conv", "staircase add", "staircase gemm"])
def test_staircases_have_no_version_1(base: str) -> None:
    assert "attribute copies (int) is missing" in error_of(first_version(BASES[base]))


def test_a_readout_has_the_potential_of_its_version() -> None:
    layer = BASES["readout"]
    message = error_of(layer.having(v=layer.inputs["v"].astype(np.int32)))
    assert "v is int32, must be int64" in message
    message = error_of(replace(layer, attributes={}))
    assert "attribute copies (int) is missing" in message


def test_a_junction_is_of_one_version() -> None:
    layer = BASES["add"]
    rest = {key: value for key, value in layer.attributes.items() if key not in ("residual_copies", "residual_signed")}
    assert "copies and residual_copies must both be there" in error_of(replace(layer, attributes=rest))


def test_a_session_goes_on_after_an_error() -> None:
    layer = BASES["conv"]
    session = session_of(model_of(layer, shapes=False))
    with pytest.raises(Exception, match="count is 65"):
        session.run(None, {**layer.feeds, "count": np.array(65)})
    with pytest.raises(Exception, match=r"\[2, 5, 5, 5\]"):
        session.run(None, {**layer.feeds, "spikes": zeros(2, 5, 5, 5)})
    assert_same(session.run(None, layer.feeds), reference(layer))
