"""Layers of spiking neurons: a reference in numpy, and models of one node.

The reference follows docs/ops.md and shares nothing with the library or the functions in converted files: bits are
unpacked, copies summed, kernel taps visited one by one. Sums are float64, which is exact for integers below 2^53.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from snnc.ir.domain import DOMAIN, DOMAIN_VERSION, IR_VERSION, OPSET
from snnc.operators.functions import functions_used_by
from snnc.runtime.session import make_session

Array = npt.NDArray[Any]
Random = np.random.Generator
Axes = tuple[int, ...]

OPS = (
    *(f"{family}{layer}" for family in ("Spiking", "Staircase") for layer in ("Conv", "ConvAdd", "Gemm")),
    "SpikeReadout",
)
STATES = ("v", "counts")
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
        return [*([] if self.op == "SpikeReadout" else ["fired"]), *(f"{state}_out" for state in self.states)]

    @property
    def states(self) -> list[str]:
        """Inputs that come back as outputs."""
        return [state for state in STATES if state in self.inputs]

    @property
    def convolution(self) -> bool:
        """Whether it has spatial axes."""
        return "Conv" in self.op

    def having(self, **inputs: npt.ArrayLike) -> Layer:
        """The same layer with other inputs."""
        return replace(self, inputs={**self.inputs, **{name: np.asarray(value) for name, value in inputs.items()}})


# --- reference --------------------------------------------------------------------------------------------------------


def reference(layer: Layer) -> list[Array]:
    """The outputs of a layer, by the definitions in docs/ops.md."""
    inputs, attributes, count = layer.inputs, layer.attributes, int(layer.inputs["count"])
    current = step_currents(inputs["spikes"], *_kernel_of(layer), count)
    if "residual" in inputs:
        current += step_currents(inputs["residual"], *residual_kernel_of(layer), count)
    if "bias" in inputs:
        current += inputs["bias"].astype(np.int64).reshape(-1, *[1] * (current.ndim - 3))
    if layer.op == "SpikeReadout":
        return [inputs["v"] + current.sum(axis=0)]
    assert (abs(current) <= CURRENT_LIMIT).all()
    if "counts" in inputs:
        limits = attributes["low"], attributes["high"]
        return staircase(current, inputs["v"], inputs["counts"], inputs["threshold"], limits)
    soft, leak = bool(attributes["soft_reset"]), attributes.get("leak", 0)
    return integrate_and_fire(current, inputs["v"], inputs["threshold"], soft=soft, leak=leak)


def _kernel_of(layer: Layer) -> tuple[Array, dict[str, Any]]:
    """Weights as those of a convolution; a fully connected layer has no spatial axes."""
    weight = layer.inputs["weight"]
    return weight if layer.convolution else weight.T, layer.attributes


def residual_kernel_of(layer: Layer) -> tuple[Array, dict[str, Any]]:
    """Weights and attributes of the second current."""
    attributes = {name: layer.attributes[f"residual_{name}"] for name in ("group", "copies", "signed")}
    return layer.inputs["residual_weight"], attributes


def step_currents(words: Array, weight: Array, attributes: dict[str, Any], count: int) -> Array:
    """Convolution of every step, int64 `[count, N, M, y...]`."""
    kernel, rank = weight.shape[2:], weight.ndim - 2
    strides, dilations = (attributes.get(name, [1] * rank) for name in ("strides", "dilations"))
    pads, group = attributes.get("pads", [0] * (2 * rank)), attributes.get("group", 1)
    batch, outputs, inputs = len(words), weight.shape[0] // group, weight.shape[1]
    layout = (attributes["copies"], 1 + attributes["signed"], group, inputs)
    by_sign = unpack(words, count).reshape(count, batch, *layout, *words.shape[2:]).astype(np.int64).sum(axis=2)
    spikes = by_sign[:, :, 0] - by_sign[:, :, 1] if attributes["signed"] else by_sign[:, :, 0]
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


def integrate_and_fire(current: Array, v: Array, threshold: Array, *, soft: bool, leak: int = 0) -> list[Array]:
    """Neurons step by step; no potential leaves int32."""
    potential = v.astype(np.int64)
    fired = np.zeros(v.shape, np.uint64)
    for step, charge in enumerate(current):
        potential -= np.floor_divide(potential, 2**leak) if leak else 0
        potential = _as_int32(potential + charge).astype(np.int64)
        spikes = potential >= threshold
        fired |= spikes.astype(np.uint64) << np.uint64(step)
        potential = np.where(spikes, potential - threshold if soft else 0, potential)
    return [fired, _as_int32(potential)]


def staircase(current: Array, v: Array, counts: Array, threshold: Array, limits: tuple[int, int]) -> list[Array]:
    """Neurons with signed spikes, step by step."""
    low, high = limits
    potential, total = v.astype(np.int64), counts.astype(np.int64)
    plus, minus = np.zeros(v.shape, np.uint64), np.zeros(v.shape, np.uint64)
    for step, charge in enumerate(current):
        potential = _as_int32(potential + charge).astype(np.int64)
        up = (potential >= threshold) & (total < high)
        down = ~up & (potential < 0) & (total > low)
        plus |= up.astype(np.uint64) << np.uint64(step)
        minus |= down.astype(np.uint64) << np.uint64(step)
        change = up.astype(np.int64) - down
        potential, total = potential - change * threshold, total + change
    return [np.concatenate([plus, minus], axis=1), _as_int32(potential), _as_int32(total)]


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
    outputs = [
        helper.make_tensor_value_info(
            name, TensorProto.UINT64 if name == "fired" else _element(layer.inputs[name.removesuffix("_out")]), None
        )
        for name in layer.outputs
    ]
    graph = helper.make_graph([_node(layer)], "layer", inputs, outputs, _constants(layer))
    return _model(graph, functions)


def loop_of(layer: Layer) -> onnx.ModelProto:
    """The node in a Loop over blocks, its constants in the body's initializers and its states carried.

    Inputs that change from block to block have a leading axis for the blocks, as has the output `fired`.
    """
    states = layer.states
    changing = [name for name in layer.feeds if name not in states]
    nodes = [helper.make_node("Gather", [f"all/{name}", "iteration"], [name], axis=0) for name in changing]
    nodes += [helper.make_node("Identity", ["go_in"], ["go_out"]), _node(layer)]
    trains = [name for name in layer.outputs if name == "fired"]
    body = helper.make_graph(
        nodes,
        "block",
        [
            helper.make_tensor_value_info("iteration", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_in", TensorProto.BOOL, []),
            *(_info(state, layer.inputs[state], True) for state in states),
        ],
        [
            helper.make_tensor_value_info("go_out", TensorProto.BOOL, []),
            *(_info(f"{state}_out", layer.inputs[state], True) for state in states),
            *(helper.make_tensor_value_info(name, TensorProto.UINT64, None) for name in trains),
        ],
        _constants(layer),
    )
    scans = [f"all/{name}" for name in trains]
    starts, ends = [f"{state}/start" for state in states], [f"{state}/end" for state in states]
    loop = helper.make_node("Loop", ["blocks", "go", *starts], [*ends, *scans], body=body)
    inputs = [_info(f"all/{name}", layer.inputs[name], False) for name in changing]
    inputs += [_info(start, layer.inputs[state], True) for start, state in zip(starts, states, strict=True)]
    inputs.append(helper.make_tensor_value_info("blocks", TensorProto.INT64, []))
    outputs = [*(_info(name, layer.inputs["spikes"], False) for name in scans)]
    outputs += [_info(end, layer.inputs[state], True) for end, state in zip(ends, states, strict=True)]
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


def describe(layer: Layer) -> str:
    """What to say of a layer in a failure."""
    shapes = {name: value.shape for name, value in layer.inputs.items()}
    return f"{layer.op} {layer.attributes} {shapes}"


def _node(layer: Layer) -> onnx.NodeProto:
    return helper.make_node(
        layer.op, list(layer.inputs), layer.outputs, name=f"the {layer.op}", domain=DOMAIN, **layer.attributes
    )


def _constants(layer: Layer) -> list[onnx.TensorProto]:
    return [numpy_helper.from_array(value, name) for name, value in layer.inputs.items() if name in CONSTANTS]


def _info(name: str, value: Array, shaped: bool) -> onnx.ValueInfoProto:
    """Type and, if `shaped`, shape of an input: the batch has a name, other axes a size."""
    shape = ["N", *value.shape[1:]] if value.ndim else []
    return helper.make_tensor_value_info(name, _element(value), shape if shaped else None)


def _element(value: Array) -> int:
    element: int = helper.np_dtype_to_tensor_dtype(value.dtype)
    return element


def _model(graph: onnx.GraphProto, functions: bool) -> onnx.ModelProto:
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, DOMAIN_VERSION)]
    bodies = functions_used_by(graph) if functions else []
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, functions=bodies)
