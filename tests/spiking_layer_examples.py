"""Random layers for `spiking_layers`: their sizes, their values, and strategies for both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from hypothesis import strategies as st
from spiking_layers import CURRENT_LIMIT, POTENTIAL_LIMIT, Array, Axes, Layer, Random, output_size


@dataclass(frozen=True)
class Sizes:
    """Sizes of a layer. Without spatial axes it is fully connected. `pads` as in ONNX."""

    channels: int
    outputs: int
    size: Axes = ()
    kernel: Axes = ()
    strides: Axes = ()
    dilations: Axes = ()
    pads: Axes = ()
    group: int = 1
    copies: int = 1
    signed: bool = False
    residual: tuple[int, int, int] | None = None  # channels, group and copies of the second current
    residual_signed: bool = False
    batch: int = 2
    count: int = 64

    @property
    def neurons(self) -> Axes:
        """Shape of a sample of neurons."""
        rank = len(self.size)
        ends = zip(self.size, self.pads[:rank], self.pads[rank:], strict=True)
        return (self.outputs, *output_size(tuple(map(sum, ends)), self.kernel, self.strides, self.dilations))


@dataclass(frozen=True)
class Values:
    """What a layer is filled with.

    Weights: `small`, at the `int16` limits, or `wide` (up to 2^23). Potentials: `zero`, `near` the threshold, or as
    `extreme` as is allowed for any input.
    """

    density: float = 0.02
    weights: Literal["small", "int16", "wide"] = "int16"
    potentials: Literal["zero", "near", "extreme"] = "near"
    bias: bool = True
    per_channel: bool = True
    soft: bool = True
    leak: int = 0
    staircase: tuple[int, int] | None = None  # lowest and highest count


def conv(
    channels: int,
    outputs: int,
    size: Axes,
    kernel: int | Axes,
    stride: int = 1,
    pad: int | Axes = 0,
    dilation: int = 1,
    **others: Any,
) -> Sizes:
    """Sizes of a convolution, single numbers standing for all axes."""
    rank = len(size)
    kernel = (kernel,) * rank if isinstance(kernel, int) else kernel
    pads = (pad,) * (2 * rank) if isinstance(pad, int) else pad
    return Sizes(channels, outputs, size, kernel, (stride,) * rank, (dilation,) * rank, pads, **others)


def random_layer(sizes: Sizes, values: Values, random: Random, *, readout: bool = False) -> Layer:
    """A layer of these sizes. Whatever its spikes, currents stay below 2^24 and potentials in their integers."""
    rank = len(sizes.size)
    shape = (sizes.outputs, sizes.channels // sizes.group, *sizes.kernel)
    weight = random_weights(random, shape, values.weights, sizes.copies, CURRENT_LIMIT // (4 if sizes.signed else 2))
    bias = random_magnitudes(random, CURRENT_LIMIT // 4, (sizes.outputs,)) * int(values.bias)
    bound = largest_sum(weight, sizes.signed) * sizes.copies + abs(bias)
    channels = sizes.copies * (1 + sizes.signed) * sizes.channels
    inputs = {
        "spikes": random_words(random, (channels, *sizes.size), sizes, values),
        "weight": weight.astype(np.float32) if rank else weight.T.astype(np.float32),
    }
    attributes: dict[str, Any] = {"copies": sizes.copies, "signed": int(sizes.signed)}
    if rank:
        attributes |= {name: list(getattr(sizes, name)) for name in ("strides", "dilations", "pads")}
        attributes["group"] = sizes.group
    if sizes.residual:
        bound += _add_residual(inputs, attributes, sizes, values, random)
    if readout:
        inputs["v"] = random.integers(-(2**40), 2**40, (sizes.batch, sizes.outputs))
    else:
        _add_neurons(inputs, attributes, sizes, values, random, bound)
    inputs["count"] = np.array(sizes.count, np.int64)
    if values.bias:
        inputs["bias"] = bias.astype(np.float32)
    convolution = "ConvAdd" if sizes.residual else "Conv"
    family = "Staircase" if values.staircase else "Spiking"
    return Layer("SpikeReadout" if readout else f"{family}{convolution if rank else 'Gemm'}", inputs, attributes)


def _add_residual(
    inputs: dict[str, Array], attributes: dict[str, Any], sizes: Sizes, values: Values, random: Random
) -> Array:
    """Add the second current; returns its largest magnitude of every output."""
    assert sizes.residual is not None
    channels, group, copies = sizes.residual
    shape = (sizes.outputs, channels // group, *[1] * len(sizes.size))
    weight = random_weights(random, shape, values.weights, copies, CURRENT_LIMIT // (8 if sizes.residual_signed else 4))
    words = copies * (1 + sizes.residual_signed) * channels
    inputs["residual"] = random_words(random, (words, *sizes.neurons[1:]), sizes, values)
    inputs["residual_weight"] = weight.astype(np.float32)
    attributes |= {
        "residual_group": group, "residual_copies": copies, "residual_signed": int(sizes.residual_signed)
    }  # fmt: skip
    return largest_sum(weight, sizes.residual_signed) * copies


def _add_neurons(
    inputs: dict[str, Array], attributes: dict[str, Any], sizes: Sizes, values: Values, random: Random, bound: Array
) -> None:
    """Add states and thresholds of neurons whose currents have magnitudes up to `bound`."""
    threshold = random_magnitudes(random, 2 * int(bound.max(initial=1)), (sizes.outputs,), signed=False)
    threshold = threshold.reshape(-1, *[1] * len(sizes.size))
    room = (POTENTIAL_LIMIT - sizes.count * bound).reshape(threshold.shape)
    v = random_potentials(random, (sizes.batch, *sizes.neurons), values.potentials, threshold, room)
    inputs["v"] = v.astype(np.int32)
    if values.staircase is None:
        attributes["soft_reset"] = int(values.soft)
        attributes |= {"leak": values.leak} if values.leak else {}
    else:
        low, high = values.staircase
        inputs["counts"] = random.integers(low, high, v.shape, np.int32, endpoint=True)
        attributes |= {"low": low, "high": high}
    inputs["threshold"] = (threshold if values.per_channel else threshold.flat[0]).astype(np.int32)


def random_words(random: Random, sample: Axes, sizes: Sizes, values: Values) -> Array:
    """Spikes in a share `density` of all elements and steps, `[N, *sample]`."""
    shape = (sizes.batch, *sample)
    words = np.zeros(shape, np.uint64)
    for step in range(sizes.count):
        words |= (random.random(shape, np.float32) < values.density).astype(np.uint64) << np.uint64(step)
    return words


def random_magnitudes(random: Random, largest: int, shape: Axes, *, signed: bool = True) -> Array:
    """Integers from 1 to `largest` of all orders of magnitude, of either sign."""
    magnitudes = np.exp(random.uniform(0, np.log(largest + 0.5), shape)).astype(np.int64)
    return magnitudes * random.choice([-1, 1], shape) if signed else magnitudes


def random_weights(random: Random, shape: Axes, kind: str, copies: int, budget: int) -> Array:
    """Weights whose positive ones, as their negative ones, sum to at most `budget` for each output and all copies."""
    if kind == "small":
        weights = random.integers(-3, 3, shape, endpoint=True)
    elif kind == "int16":
        weights = np.where(
            random.random(shape) < 0.5,
            random.choice([-(2**15), -(2**15) + 1, 2**15 - 1], shape),
            random.integers(-(2**15), 2**15, shape),
        )
    else:
        weights = random_magnitudes(random, 2**23, shape)
    return _within(np.maximum(weights, 0), copies, budget, random) + _within(
        np.minimum(weights, 0), copies, budget, random
    )


def _within(weights: Array, copies: int, budget: int, random: Random) -> Array:
    """`weights` (of one sign) with as many of them as need be set to zero."""
    rows = weights.reshape(len(weights), -1)
    order = random.permuted(np.tile(np.arange(rows.shape[1]), (len(rows), 1)), axis=1)
    kept = np.zeros(rows.shape, bool)
    sums = np.cumsum(np.take_along_axis(rows, order, axis=1), axis=1)
    np.put_along_axis(kept, order, abs(sums) * copies <= budget, axis=1)
    return np.where(kept, rows, 0).reshape(weights.shape)


def largest_sum(weights: Array, signed: bool) -> Array:
    """For every output, the largest magnitude that a sum of some of its weights, or their negatives, can have."""
    rows = weights.reshape(len(weights), -1)
    positive, negative = np.maximum(rows, 0).sum(axis=1), -np.minimum(rows, 0).sum(axis=1)
    sums: Array = positive + negative if signed else np.maximum(positive, negative)
    return sums.astype(np.int64)


def random_potentials(random: Random, shape: Axes, kind: str, threshold: Array, room: Array) -> Array:
    """Potentials of magnitude up to `room`."""
    if kind == "zero":
        return np.zeros(shape, np.int64)
    if kind == "near":
        return np.clip((random.uniform(-3, 3, shape) * threshold).astype(np.int64), -room, room)
    return random.choice([-1, 1], shape) * (room - random.integers(0, 3, shape))


# --- strategies -------------------------------------------------------------------------------------------------------

# Around the numbers of lanes of a vector and the sizes of tiles.
NEAR_TILES = [1, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 130]
CHANNELS = st.one_of(st.sampled_from(NEAR_TILES), st.integers(1, 200))
COUNTS = st.one_of(st.sampled_from([0, 1, 31, 32, 33, 63, 64, 64]), st.integers(0, 64))
RANDOM = st.integers(0, 2**32 - 1).map(np.random.default_rng)
VALUES = st.builds(
    Values,
    density=st.sampled_from([0.0, 0.005, 0.02, 0.3, 1.0]),
    weights=st.sampled_from(["small", "int16", "wide"]),
    potentials=st.sampled_from(["zero", "near", "near", "extreme"]),
    bias=st.booleans(),
    per_channel=st.booleans(),
    soft=st.booleans(),
    leak=st.sampled_from([0, 0, 1, 4, 15]),
    staircase=st.sampled_from([None, None, (0, 4), (-2, 3), (-(2**31), 2**31 - 1)]),
)
_LARGEST_WORK = 2**23  # multiplications of the reference


@st.composite
def groups(draw: st.DrawFn, kind: str) -> tuple[int, int, int]:
    """(channels, outputs, group)."""
    channels = draw(CHANNELS)
    if kind == "plain":
        return channels, draw(CHANNELS), 1
    if kind == "depthwise":
        return channels, channels * draw(st.sampled_from([1, 1, 1, 2, 3])), channels
    group = draw(st.integers(2, 5))
    return group * draw(st.integers(1, 40)), group * draw(st.integers(1, 40)), group


@st.composite
def convolutions(draw: st.DrawFn, *, residual: bool = False) -> Sizes:
    """Convolutions with 1 to 3 spatial axes, of any kind that the operators take."""
    rank = draw(st.sampled_from([1, 2, 2, 2, 2, 3]))

    def axes(values: st.SearchStrategy[int], times: int = rank) -> Axes:
        return tuple(draw(values) for _ in range(times))

    channels, outputs, group = draw(groups(draw(st.sampled_from(["plain", "plain", "plain", "depthwise", "grouped"]))))
    batch, count = draw(st.sampled_from([0, 1, 1, 2, 3])), draw(COUNTS)
    kernel = axes(st.sampled_from([1, 3, 3, 3, 2, 4, 5, 7]) if rank < 3 else st.integers(1, 3))
    dilations = axes(st.sampled_from([1, 1, 1, 2, 3]))
    pads = axes(st.integers(0, 3), 2 * rank)
    work = max(1, count) * outputs * (channels // group) * int(np.prod(kernel))
    batch = min(batch, max(1, _LARGEST_WORK // work))
    largest = min(40, int((_LARGEST_WORK / (work * max(1, batch))) ** (1 / rank)))
    reaches = [(taps - 1) * dilation + 1 for taps, dilation in zip(kernel, dilations, strict=True)]
    smallest = [max(1, reach - sum(pads[axis::rank])) for axis, reach in enumerate(reaches)]
    size = tuple(draw(st.integers(least, max(least, largest))) for least in smallest)
    second: tuple[int, int, int] | None = None
    if residual:
        others = draw(CHANNELS)
        choices = [(outputs, outputs, 1), (others, 1, 1), (others, 1, 3), (2 * group, group, 2)]
        second = draw(st.sampled_from(choices))
    return Sizes(
        channels, outputs, size, kernel, axes(st.sampled_from([1, 1, 2, 3])), dilations, pads, group,
        draw(st.sampled_from([1, 1, 2, 3, 4])), draw(st.booleans()), second, draw(st.booleans()), batch, count,
    )  # fmt: skip


@st.composite
def dense(draw: st.DrawFn) -> Sizes:
    """Fully connected layers."""
    batch, copies = draw(st.sampled_from([0, 1, 2, 3, 9])), draw(st.integers(1, 4))
    return Sizes(
        draw(CHANNELS), draw(CHANNELS), copies=copies, signed=draw(st.booleans()), batch=batch, count=draw(COUNTS)
    )
