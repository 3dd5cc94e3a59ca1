"""Layers of spiking neurons: a reference in numpy, models of one node, and random examples.

The reference follows docs/ops.md and shares nothing with the library or the functions in converted files: bits are
unpacked, copies summed, kernel taps visited one by one. Sums are float64, which is exact for integers below 2^53.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from snnc.ir.domain import DOMAIN, DOMAIN_VERSION, IR_VERSION, OPSET
from snnc.operators.functions import functions_used_by
from snnc.runtime.session import make_session

Array = npt.NDArray[Any]
Random = np.random.Generator
Axes = tuple[int, ...]

OPS = ("SpikingConv", "SpikingConvAdd", "SpikingGemm", "SpikeReadout")
CONSTANTS = ("weight", "residual_weight", "threshold", "bias")
CURRENT_LIMIT = 2**24 - 1
POTENTIAL_LIMIT = 2**31 - 1


@dataclass(frozen=True)
class Layer:
    """A node: operator, inputs by name in the order of docs/ops.md, attributes."""

    op: str
    inputs: dict[str, Array]
    attributes: dict[str, Any]

    @property
    def feeds(self) -> dict[str, Array]:
        """Inputs that are not constants of the model."""
        return {name: value for name, value in self.inputs.items() if name not in CONSTANTS}

    @property
    def outputs(self) -> list[str]:
        return ["v_out"] if self.op == "SpikeReadout" else ["fired", "v_out"]

    def having(self, **inputs: npt.ArrayLike) -> Layer:
        """The same layer with other inputs."""
        return replace(self, inputs={**self.inputs, **{name: np.asarray(value) for name, value in inputs.items()}})


# --- reference --------------------------------------------------------------------------------------------------------


def reference(layer: Layer) -> list[Array]:
    """The outputs of a layer, by the definitions in docs/ops.md."""
    inputs, count = layer.inputs, int(layer.inputs["count"])
    current = step_currents(inputs["spikes"], *_kernel_of(layer), count)
    if layer.op == "SpikingConvAdd":
        weight = inputs["residual_weight"]
        current += step_currents(inputs["residual"], weight, {"group": layer.attributes["residual_group"]}, count)
    if "bias" in inputs:
        current += inputs["bias"].astype(np.int64).reshape(-1, *[1] * (current.ndim - 3))
    if layer.op == "SpikeReadout":
        sums = current.sum(axis=0)
        assert (abs(sums) <= CURRENT_LIMIT).all()
        return [_as_int32(inputs["v"] + sums)]
    assert (abs(current) <= CURRENT_LIMIT).all()
    return integrate_and_fire(current, inputs["v"], inputs["threshold"], soft=bool(layer.attributes["soft_reset"]))


def _kernel_of(layer: Layer) -> tuple[Array, dict[str, Any]]:
    """Weights as those of a convolution; a fully connected layer has no spatial axes."""
    weight = layer.inputs["weight"]
    return (weight, layer.attributes) if layer.op.startswith("SpikingConv") else (weight.T, {})


def step_currents(words: Array, weight: Array, attributes: dict[str, Any], count: int) -> Array:
    """Convolution of every step, int64 `[count, N, M, y...]`."""
    kernel, rank = weight.shape[2:], weight.ndim - 2
    strides, dilations = (attributes.get(name, [1] * rank) for name in ("strides", "dilations"))
    pads, group = attributes.get("pads", [0] * (2 * rank)), attributes.get("group", 1)
    batch, outputs, inputs = len(words), weight.shape[0] // group, weight.shape[1]
    copies = words.shape[1] // (inputs * group)
    spikes = unpack(words, count).reshape(count, batch, copies, group, inputs, *words.shape[2:]).sum(axis=2)
    spikes = np.pad(spikes, [(0, 0)] * 4 + list(zip(pads[:rank], pads[rank:], strict=True)))
    size = output_size(spikes.shape[4:], kernel, strides, dilations)
    rows = np.moveaxis(spikes, (2, 3), (0, -1)).astype(np.float64)  # [group, count, N, x..., C / group]
    taps = weight.astype(np.float64).reshape(group, outputs, inputs, *kernel)
    current = np.zeros((group, count * batch * int(np.prod(size)), outputs))
    for tap in np.ndindex(*kernel):
        window = tuple(
            slice(at * dilation, at * dilation + (length - 1) * stride + 1, stride)
            for at, dilation, length, stride in zip(tap, dilations, size, strides, strict=True)
        )
        every = slice(None)
        element, region = (every, every, every, *tap), (every, every, every, *window)
        current += rows[region].reshape(*current.shape[:2], inputs) @ taps[element].swapaxes(1, 2)
    maps = current.astype(np.int64).reshape(group, count, batch, *size, outputs)
    return np.moveaxis(maps, (0, -1), (2, 3)).reshape(count, batch, group * outputs, *size)


def output_size(padded: Axes, kernel: Axes, strides: Axes, dilations: Axes) -> Axes:
    return tuple(
        (length - (taps - 1) * dilation - 1) // stride + 1
        for length, taps, stride, dilation in zip(padded, kernel, strides, dilations, strict=True)
    )


def integrate_and_fire(current: Array, v: Array, threshold: Array, *, soft: bool) -> list[Array]:
    """Neurons step by step; no potential leaves int32."""
    potential = v.astype(np.int64)
    fired = np.zeros(v.shape, np.uint64)
    for step, charge in enumerate(current):
        potential = _as_int32(potential + charge).astype(np.int64)
        spikes = potential >= threshold
        fired |= spikes.astype(np.uint64) << np.uint64(step)
        potential = np.where(spikes, potential - threshold if soft else 0, potential)
    return [fired, _as_int32(potential)]


def _as_int32(values: Array) -> Array:
    assert (values >= -POTENTIAL_LIMIT - 1).all()
    assert (values <= POTENTIAL_LIMIT).all()
    integers: Array = values.astype(np.int32)
    return integers


def unpack(words: Array, count: int) -> Array:
    """Bits of words, uint8 `[count, ...]`."""
    steps = np.arange(count, dtype=np.uint64).reshape(-1, *[1] * words.ndim)
    bits: Array = ((words[None] >> steps) & np.uint64(1)).astype(np.uint8)
    return bits


# --- models -----------------------------------------------------------------------------------------------------------


def model_of(layer: Layer, *, shapes: bool = True, functions: bool = False) -> onnx.ModelProto:
    """A model of this node alone: weights, threshold and bias are initializers.

    `shapes=False` declares inputs of any rank; `functions` puts the function bodies of the operators into the file.
    """
    inputs = [_info(name, value, shapes) for name, value in layer.feeds.items()]
    outputs = [_info(name, None, False) for name in layer.outputs]
    graph = helper.make_graph([_node(layer)], "layer", inputs, outputs, _constants(layer))
    return _model(graph, functions)


def loop_of(layer: Layer) -> onnx.ModelProto:
    """The node in a Loop over blocks, its constants in the body's initializers and its potential carried.

    Inputs that change from block to block have a leading axis for the blocks, as has the output `fired`.
    """
    changing = [name for name in layer.feeds if name != "v"]
    nodes = [helper.make_node("Gather", [f"all/{name}", "iteration"], [name], axis=0) for name in changing]
    nodes += [helper.make_node("Identity", ["go_in"], ["go_out"]), _node(layer)]
    body = helper.make_graph(
        nodes,
        "block",
        [
            helper.make_tensor_value_info("iteration", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_in", TensorProto.BOOL, []),
            _info("v", layer.inputs["v"], True),
        ],
        [
            helper.make_tensor_value_info("go_out", TensorProto.BOOL, []),
            _info("v_out", layer.inputs["v"], True),
            *(_info(name, None, False) for name in layer.outputs[:-1]),
        ],
        _constants(layer),
    )
    scans = [f"all/{name}" for name in layer.outputs[:-1]]
    loop = helper.make_node("Loop", ["blocks", "go", "v/start"], ["v/end", *scans], body=body)
    inputs = [_info(f"all/{name}", layer.inputs[name], False) for name in changing]
    inputs += [
        _info("v/start", layer.inputs["v"], True),
        helper.make_tensor_value_info("blocks", TensorProto.INT64, []),
    ]
    outputs = [*(_info(name, layer.inputs["spikes"], False) for name in scans), _info("v/end", layer.inputs["v"], True)]
    go = numpy_helper.from_array(np.array(True), "go")
    return _model(helper.make_graph([loop], "loop", inputs, outputs, [go]), functions=False)


def session_of(model: onnx.ModelProto, *, threads: int = 1, native: bool = True) -> onnxruntime.InferenceSession:
    return make_session(model.SerializeToString(), native=native, threads=threads)


def run(layer: Layer, *, threads: int = 1) -> list[Array]:
    """The outputs of the native operator."""
    outputs: list[Array] = session_of(model_of(layer), threads=threads).run(None, layer.feeds)
    return outputs


def assert_same(actual: list[Array], wanted: list[Array], note: str = "") -> None:
    for got, want in zip(actual, wanted, strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want, err_msg=note)


def _node(layer: Layer) -> onnx.NodeProto:
    return helper.make_node(
        layer.op, list(layer.inputs), layer.outputs, name=f"the {layer.op}", domain=DOMAIN, **layer.attributes
    )


def _constants(layer: Layer) -> list[onnx.TensorProto]:
    return [numpy_helper.from_array(value, name) for name, value in layer.inputs.items() if name in CONSTANTS]


def _info(name: str, value: Array | None, shaped: bool) -> onnx.ValueInfoProto:
    """Type and, if `shaped`, shape of an input: the batch has a name, other axes a size. Outputs: by their names."""
    if value is None:
        element = TensorProto.UINT64 if name == "fired" else TensorProto.INT32
        return helper.make_tensor_value_info(name, element, None)
    shape = ["N", *value.shape[1:]] if value.ndim else []
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), shape if shaped else None)


def _model(graph: onnx.GraphProto, functions: bool) -> onnx.ModelProto:
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, DOMAIN_VERSION)]
    bodies = functions_used_by(graph) if functions else []
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, functions=bodies)


# --- random layers ----------------------------------------------------------------------------------------------------


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
    residual: tuple[int, int, int] | None = None  # channels, group and copies of the second current
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
    """A layer of these sizes. Whatever its spikes, currents stay below 2^24 and potentials in int32."""
    rank = len(sizes.size)
    summed_steps = max(1, sizes.count) if readout else 1  # a readout sums the currents of a block
    budget = CURRENT_LIMIT // summed_steps

    shape = (sizes.outputs, sizes.channels // sizes.group, *sizes.kernel)
    weight = random_weights(random, shape, values.weights, sizes.copies, budget // 2)
    bias = random_magnitudes(random, budget // 4, (sizes.outputs,)) * int(values.bias)
    bound = largest_sum(weight) * sizes.copies + abs(bias)
    inputs = {
        "spikes": random_words(random, (sizes.copies * sizes.channels, *sizes.size), sizes, values),
        "weight": weight.astype(np.float32) if rank else weight.T.astype(np.float32),
    }
    attributes: dict[str, Any] = {}
    if rank:
        attributes = {name: list(getattr(sizes, name)) for name in ("strides", "dilations", "pads")}
        attributes["group"] = sizes.group
    if sizes.residual:
        channels, group, copies = sizes.residual
        shape = (sizes.outputs, channels // group, *[1] * rank)
        weight = random_weights(random, shape, values.weights, copies, budget // 4)
        bound += largest_sum(weight) * copies
        inputs["residual"] = random_words(random, (copies * channels, *sizes.neurons[1:]), sizes, values)
        inputs["residual_weight"] = weight.astype(np.float32)
        attributes["residual_group"] = group

    threshold = random_magnitudes(random, 2 * int(bound.max(initial=1)), (sizes.outputs,), signed=False)
    threshold = threshold.reshape(-1, *[1] * rank)
    room = (POTENTIAL_LIMIT - sizes.count * bound).reshape(threshold.shape)
    v = random_potentials(random, (sizes.batch, *sizes.neurons), values.potentials, threshold, room)
    inputs["v"] = v.astype(np.int32)
    if not readout:
        inputs["threshold"] = (threshold if values.per_channel else threshold.flat[0]).astype(np.int32)
        attributes["soft_reset"] = int(values.soft)
    inputs["count"] = np.array(sizes.count, np.int64)
    if values.bias:
        inputs["bias"] = bias.astype(np.float32)
    convolution = "SpikingConvAdd" if sizes.residual else "SpikingConv"
    return Layer("SpikeReadout" if readout else convolution if rank else "SpikingGemm", inputs, attributes)


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


def largest_sum(weights: Array) -> Array:
    """For every output, the largest magnitude that a sum of some of its weights can have."""
    rows = weights.reshape(len(weights), -1)
    sums: Array = np.maximum(np.maximum(rows, 0).sum(axis=1), -np.minimum(rows, 0).sum(axis=1))
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
        draw(st.sampled_from([1, 1, 2, 3, 4])), second, batch, count,
    )  # fmt: skip


@st.composite
def dense(draw: st.DrawFn) -> Sizes:
    """Fully connected layers."""
    batch, copies = draw(st.sampled_from([0, 1, 2, 3, 9])), draw(st.integers(1, 4))
    return Sizes(draw(CHANNELS), draw(CHANNELS), copies=copies, batch=batch, count=draw(COUNTS))
