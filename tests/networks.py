"""Small networks that tests share, and random ones of everything that can be converted as hypothesis strategies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from golden import run_to
from hypothesis import reject
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from staircases import OTHER_NEURONS

from snnc.data import DataSet
from snnc.diagnostics import DiagnosticError
from snnc.emit.block import Block, build_block
from snnc.emit.decode import add_decoding
from snnc.emit.layer_operators import PLAIN
from snnc.ir.conversion import Conversion, Level
from snnc.ir.trees import targets
from snnc.operators import SOURCES
from snnc.simulate.block_runner import Snapshot
from snnc.simulate.word_trains import unpack_words

BATCH = "N"
SAMPLES = 5


@dataclass
class Network:
    """An ONNX graph under construction. `current` is the tensor at its end, `shape` that of one sample of it."""

    input_shape: tuple[int, ...]
    rng: np.random.Generator
    shape: tuple[int, ...] = ()
    current: str = "x"
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)
    outputs: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shape = self.input_shape

    def weight(self, *dims: int, mean: float = 0.0) -> str:
        name = f"w{len(self.weights)}"
        fan_in = dims[0] if len(dims) == 2 else max(1, int(np.prod(dims[1:])))
        values = self.rng.normal(mean, 1.0, dims) / np.sqrt(fan_in)
        self.weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def then(self, op: str, *more: str, shape: tuple[int, ...] | None = None, **attrs: Any) -> str:
        """Append `op` behind the current tensor; `shape` is that of its output."""
        output = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [self.current, *more], [output], f"{op}_{len(self.nodes)}", **attrs))
        self.current = output
        self.shape = self.shape if shape is None else shape
        return output

    def convolve(
        self, channels: int, kernel: int, stride: int, pad: int, dilation: int, group: int, bias: bool
    ) -> bool:
        """A convolution, the same along all axes; False (and nothing appended) where the kernel does not fit."""
        planes, *sizes = self.shape
        reach = (kernel - 1) * dilation + 1
        if any(size + 2 * pad < reach for size in sizes) or planes % group or channels % group:
            return False
        out = [(size + 2 * pad - reach) // stride + 1 for size in sizes]
        rank = len(sizes)
        inputs = [self.weight(channels, planes // group, *[kernel] * rank)]
        if bias:
            inputs.append(self.weight(channels))
        self.then(
            "Conv", *inputs, shape=(channels, *out), strides=[stride] * rank, pads=[pad] * (2 * rank),
            dilations=[dilation] * rank, group=group,
        )  # fmt: skip
        return True

    def average(self, kernel: int, stride: int, pad: int, count_pads: bool) -> None:
        planes, *sizes = self.shape
        if pad >= kernel or any(size + 2 * pad < kernel for size in sizes):
            return
        rank = len(sizes)
        out = [(size + 2 * pad - kernel) // stride + 1 for size in sizes]
        self.then(
            "AveragePool", shape=(planes, *out), kernel_shape=[kernel] * rank, strides=[stride] * rank,
            pads=[pad] * (2 * rank), count_include_pad=int(count_pads),
        )  # fmt: skip

    def largest(self, kernel: int, stride: int, pad: int, dilation: int) -> None:
        """Max-pooling, the same along all axes; nothing where the window does not fit."""
        rank, reach = len(self.shape) - 1, (kernel - 1) * dilation + 1
        pad = min(pad, kernel // 2) if dilation == 1 else 0
        sizes = [(size + 2 * pad - reach) // stride + 1 for size in self.shape[1:]]
        if min(sizes) < 1 or any(size + 2 * pad < reach for size in self.shape[1:]):
            return
        attrs = {"kernel_shape": [kernel] * rank, "strides": [stride] * rank, "dilations": [dilation] * rank}
        self.then("MaxPool", shape=(self.shape[0], *sizes), pads=[pad] * (2 * rank), **attrs)

    def residual(self, projection: bool, channels: int, bias: bool, stride: int = 2, group: int = 1) -> None:
        """A block with a shortcut: identity, or a 1x1 convolution with a stride, in groups where they divide."""
        start, shape = self.current, self.shape
        if not projection:
            channels, stride = shape[0], 1
        self.convolve(channels, 3, stride, 1, 1, 1, bias)
        branch, out = self.current, self.shape
        if projection:
            self.current, self.shape = start, shape
            if not self.convolve(channels, 1, stride, 0, 1, group, bias and group > 1):
                self.convolve(channels, 1, stride, 0, 1, 1, False)
            start = self.current
        self.current, self.shape = branch, out
        self.then("Add", start)

    def beside(self, channels: int, bias: bool, *, fires: bool, spatial: bool = False) -> None:
        """What a convolution makes of the current tensor, with a ReLU where it `fires`, beside that tensor itself."""
        start, shape = self.current, self.shape
        self.convolve(shape[0] if spatial else channels, 3, 1, 1, 1, 1, bias)
        if fires:
            self.then("Relu")
        axis = len(shape) - 1 if spatial else 0
        joined = list(shape)
        joined[axis] += self.shape[axis]
        self.then("Concat", start, shape=tuple(joined), axis=axis + 1)

    def shuffle(self, channels: Sequence[int]) -> None:
        """These channels alone, in this order."""
        indices = numpy_helper.from_array(np.array(channels, np.int64), f"w{len(self.weights)}")
        self.weights.append(indices)
        self.then("Gather", indices.name, shape=(len(channels), *self.shape[1:]), axis=1)

    def transpose(self) -> None:
        """Channels last."""
        channels, *sizes = self.shape
        rank = len(sizes)
        self.then("Transpose", shape=(*sizes, channels), perm=[0, *range(2, 2 + rank), 1])

    def flatten(self) -> None:
        if len(self.shape) > 1:
            self.then("Flatten", shape=(int(np.prod(self.shape)),))

    def dense(self, outputs: int, bias: bool) -> None:
        self.flatten()
        inputs = [self.weight(self.shape[0], outputs)]
        if bias:
            inputs.append(self.weight(outputs))
        self.then("Gemm", *inputs, shape=(outputs,))

    def output(self) -> None:
        self.outputs[self.current] = self.shape

    def model(self) -> onnx.ModelProto:
        def info(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, [BATCH, *shape])

        graph = helper.make_graph(
            self.nodes,
            "random",
            [info("x", self.input_shape)],
            [info(name, shape) for name, shape in self.outputs.items()],
            self.weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def small(group: int = 2, hidden_output: bool = True) -> Network:
    """Convolution, pooling, junction with projection, dense; the last ReLU may be an output. Inputs `[N, 2, 6, 6]`."""
    net = Network((2, 6, 6), np.random.default_rng(4))
    net.convolve(4, 3, 1, 1, 1, group, True)
    net.then("Relu")
    net.average(2, 2, 0, False)
    net.residual(True, 4, True)
    net.then("Relu")
    if hidden_output:
        net.output()
    net.dense(3, True)
    net.output()
    return net


def perceptron(hidden: list[int], *, inputs: int = 4, outputs: int = 2, seed: int = 1) -> Network:
    """Dense layers with a ReLU between each two, without bias."""
    net = Network((inputs,), np.random.default_rng(seed))
    for width in hidden:
        net.dense(width, False)
        net.then("Relu")
    net.dense(outputs, False)
    net.output()
    return net


@st.composite
def models(draw: st.DrawFn) -> onnx.ModelProto:
    """A random network of convolutions (1-D to 3-D), pooling, junctions and dense layers with at least one ReLU."""
    rank = draw(st.sampled_from([1, 2, 2, 2, 3]))
    largest = {1: 9, 2: 7, 3: 4}[rank]
    sizes = tuple(draw(st.integers(2, largest)) for _ in range(rank))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    net = Network((draw(st.integers(1, 4)), *sizes), rng)
    small = st.integers(1, 3)
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(
            st.sampled_from(["conv", "conv", "identity", "projection", "pool", "pool", "linear", "beside", "shuffle"])
        )
        bias = draw(st.booleans())
        if kind in ("conv", "linear"):
            net.convolve(
                draw(st.sampled_from([1, 2, 4])), draw(small), draw(st.integers(1, 2)), draw(st.integers(0, 2)),
                draw(st.integers(1, 2)), draw(st.sampled_from([1, 1, 2])), bias,
            )  # fmt: skip
        elif kind == "beside":
            net.beside(draw(small), bias, fires=draw(st.booleans()), spatial=draw(st.booleans()))
        elif kind == "shuffle":
            net.shuffle(draw(st.lists(st.integers(0, net.shape[0] - 1), min_size=1, max_size=5)))
        elif kind == "pool":
            pad, count_pads = draw(st.sampled_from([(0, False), (1, False), (1, False), (1, True)]))
            net.average(draw(st.integers(2, 3)), draw(small), pad, count_pads)
        else:
            net.residual(kind == "projection", draw(st.integers(1, 4)), bias)
        if kind != "linear":
            net.then("Relu")
            if draw(st.sampled_from([False, False, True])):
                net.largest(draw(st.integers(1, 3)), draw(small), draw(st.integers(0, 1)), draw(st.integers(1, 2)))
    if net.nodes and net.nodes[-1].op_type == "Relu" and draw(st.booleans()):
        net.output()
    if draw(st.booleans()):
        net.then("GlobalAveragePool", shape=(net.shape[0], *[1] * rank))
    net.dense(draw(st.integers(2, 6)), draw(st.booleans()))
    net.then("Relu")
    if draw(st.booleans()):
        net.dense(3, draw(st.booleans()))
    net.output()
    return net.model()


@st.composite
def fusable(draw: st.DrawFn) -> onnx.ModelProto:
    """A random network of what the operators of whole layers are for: each layer behind up to two pools."""
    rank = draw(st.sampled_from([1, 2, 2, 3]))
    largest = {1: 17, 2: 9, 3: 5}[rank]
    sizes = tuple(draw(st.integers(3, largest)) for _ in range(rank))
    net = Network((draw(st.integers(1, 3)), *sizes), np.random.default_rng(draw(st.integers(0, 2**32 - 1))))
    few, bias = st.integers(1, 3), st.booleans()
    for _ in range(draw(st.integers(1, 3))):
        for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
            kernel, pad = draw(few), draw(st.integers(0, 1))
            net.average(kernel, draw(st.sampled_from([kernel, kernel, 1, 2])), pad, True)
        channels, group = draw(st.sampled_from([1, 2, 4])), draw(st.sampled_from([1, 1, 2]))
        kind = draw(st.sampled_from(["conv", "identity", "projection"]))
        if kind == "conv":
            net.convolve(channels, draw(few), draw(few), draw(st.integers(0, 2)), draw(few), group, draw(bias))
        else:
            net.residual(kind == "projection", channels, draw(bias), draw(few), group)
        net.then("Relu")
    ending = draw(st.sampled_from(["", "global pool", "pool and transpose"]))
    if ending == "global pool":
        net.then("GlobalAveragePool", shape=(net.shape[0], *[1] * rank))
    elif ending:
        net.average(2, 2, 0, False)
        net.transpose()
    for _ in range(draw(st.integers(0, 1))):
        net.dense(draw(st.integers(2, 6)), draw(bias))
        net.then("Relu")
    net.dense(3, draw(bias))
    net.output()
    return net.model()


def options() -> st.SearchStrategy[dict[str, Any]]:
    """Options that change what is computed."""
    return st.fixed_dictionaries(
        {
            "reset": st.sampled_from(["soft", "hard"]),
            "leak": st.sampled_from([0, 0, 0, 1, 4, 12]),
            "neurons": st.sampled_from([None, None, "staircase", "table"]),
            "coding": st.sampled_from(["poisson", "poisson", "direct"]),
            "per_channel": st.booleans(),
            "v_init": st.sampled_from([0.0, 0.5]),
            "alpha": st.sampled_from([1.0, 0.6]),
            "alpha_when": st.sampled_from(["after", "during"]),
            "threshold": st.sampled_from(["rate", "vmax", "model", "max", "mmse", "balance"]),
            "seed": st.sampled_from([0, 7, -3, 2**40 + 1]),
            "max_steps": st.sampled_from([256, 4096]),
        }
    )


def images_for(
    model: onnx.ModelProto, samples: int = SAMPLES, seed: int = 0, dims: Sequence[int] | None = None
) -> np.ndarray:
    """Signed images in the input shape of `model`, or of the shape `dims`, float32 `[samples, ...]`; of an input of
    integers whole numbers that are not signed."""
    value = model.graph.input[0].type.tensor_type
    dims = [dim.dim_value for dim in value.shape.dim[1:]] if dims is None else dims
    images = np.random.default_rng(seed).normal(0.2, 0.7, (samples, *dims)).astype(np.float32)
    return images if value.elem_type == onnx.TensorProto.FLOAT else np.abs(np.rint(100 * images))


def emit(model: onnx.ModelProto, neurons: str | None = None, **choices: Any) -> Conversion:
    """Convert up to the emitted file, without the verification that ends a conversion; with other `neurons` than those
    of the options if named (`staircases.OTHER_NEURONS`)."""
    data = DataSet(images_for(model, 6, seed=1), None, "random")
    defaults = {"bias": "current", "max_pool": "exact", "calib_steps": 30, "steps": 64}
    behind = [OTHER_NEURONS[neurons]] if neurons else []
    try:
        return run_to(model, Level.EMITTED, data, behind, **{**defaults, **choices})
    except DiagnosticError as error:
        if {found.rule.code for found in error.diagnostics} <= {"SNN208", "SNN406"}:
            reject()  # a layer with negative weights only, or one that loses its weights on the grid
        raise


def block_of(conversion: Conversion, *, plain: bool = False) -> Block:
    """The block of a fused graph, with the decoding; `plain` takes no operator for a whole layer."""
    noted = {target.name: target.attrs["fused"] for target in targets(conversion.graph)}
    try:
        for target in targets(conversion.graph):
            target.attrs["fused"] = PLAIN if plain else noted[target.name]
        block = build_block(conversion.graph)
    finally:
        for target in targets(conversion.graph):
            target.attrs["fused"] = noted[target.name]
    add_decoding(conversion.graph, block)
    return block


WITHOUT_SPIKES = ("DirectEncode", "ChargeEncode")


def trains(conversion: Conversion, snapshots: Sequence[Snapshot]) -> dict[str, np.ndarray]:
    """The spikes of every source that spikes, int8 `[steps, N, ...]`, by its name; negative ones stand behind the
    positive ones in words."""
    found = {}
    for node in source_nodes(conversion):
        if node.op not in WITHOUT_SPIKES:
            words = node.outputs[0].name
            parts = [unpack_words(part.words[words], part.count) for part in snapshots]
            spikes = np.concatenate(parts).astype(np.int8)
            if spikes.shape[2] == 2 * node.outputs[0].shape[1]:
                plus, minus = np.split(spikes, 2, axis=2)
                spikes = plus - minus
            found[node.name] = spikes
    return found


def spike_words(conversion: Conversion) -> list[str]:
    """The tensors of these spikes in a block."""
    return [node.outputs[0].name for node in source_nodes(conversion) if node.op not in WITHOUT_SPIKES]


def source_nodes(conversion: Conversion) -> list[Any]:
    """Encoder, neurons and pools, in the order of the columns of `spike_totals`."""
    return [node for node in conversion.graph.nodes if node.op in SOURCES]
