"""Turn transposed convolutions into convolutions whose outputs are put side by side.

Takes and gives level SOURCE. Values change by rounding only. With stride s an output at place p reads only the taps k
for which p + pad - k·dilation is a multiple of s: one convolution for each of the s phases of p, written as one with s
times as many output channels, and a `Gather` that puts the phases in order:

    y[m, p] = Σ_c Σ_k W[c, m, k]·x[c, (p + pad - k·d)/s] = y'[phase(p), m, p div s]

`ConvTranspose` with constant weights, in any number of dimensions: groups, strides, pads, `auto_pad`, `output_shape`,
`output_padding`, dilations, with a bias or without. With a stride of 1 there is one phase, and nothing to be put in
order.

Left alone, and reported by `validate`: weights that are computed.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.alone import model_of, run_model, unlinked
from snnc.ir.chain import Chain
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import constant, sample_shape, sort_topologically
from snnc.ir.names import Names, names_in
from snnc.operators.tail import is_activation

# `ConvTranspose` means the same since opset 1.
_OPSET = 11


@dataclass(frozen=True)
class _Axis:
    """Along one axis: output p reads input (p + pad - k·dilation)/stride at every tap k where that is an integer."""

    size: int
    output: int
    taps: int
    stride: int
    dilation: int
    pad: int

    def reads(self, phase: int) -> list[tuple[int, int]]:
        """Tap and offset of what an output p = i·stride + phase reads: input i + offset."""
        found = []
        for tap in range(self.taps):
            place = phase + self.pad - tap * self.dilation
            if place % self.stride == 0:
                found.append((tap, place // self.stride))
        return found

    @property
    def phases(self) -> int:
        """Of how many kinds the outputs are."""
        return min(self.stride, self.output)

    @property
    def places(self) -> int:
        """Outputs of the phase that has most of them."""
        return -(-self.output // self.stride)

    @property
    def offsets(self) -> tuple[int, int]:
        """The least and the largest of all phases."""
        found = [offset for phase in range(self.phases) for _, offset in self.reads(phase)] or [0]
        return min(found), max(found)

    @property
    def begin(self) -> int:
        """Zeros in front of the input of the convolution."""
        return max(0, -self.offsets[0])

    @property
    def end(self) -> int:
        """Zeros behind it: as many as the last place reads."""
        return max(0, self.places - 1 + self.offsets[1] - (self.size - 1))


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    names = Names(names_in(graph.nodes))
    for node in list(graph.nodes):
        if node.op == "ConvTranspose" and is_activation(node.inputs[0]):
            weight, bias = constant(node, 1), constant(node, 2)
            biased = len(node.inputs) > 2 and not node.inputs[2].is_empty()
            if weight is not None and (bias is not None or not biased):
                _as_convolution(Chain(graph, node, names), node, weight, bias)
    graph.cleanup()
    sort_topologically(graph)


def _as_convolution(chain: Chain, node: gs.Node, weight: np.ndarray, bias: np.ndarray | None) -> None:
    axes, group = _axes(node, weight), int(node.attrs.get("group", 1))
    phases = list(itertools.product(*(range(axis.phases) for axis in axes)))
    by_output = _by_output(weight, group)
    kernels = np.stack([_kernel(by_output, axes, phase) for phase in phases], 1)
    outputs = len(by_output)
    chain.convolve(
        kernels.reshape(outputs * len(phases), *kernels.shape[2:]),
        None if bias is None else np.repeat(bias, len(phases)),
        pads=[axis.begin for axis in axes] + [axis.end for axis in axes],
        group=group,
    )
    for number, axis in enumerate(axes, start=1):
        chain.gather(number, max(0, axis.offsets[0]) + np.arange(axis.places))
    chain.reshape([outputs, *(axis.phases for axis in axes), *(axis.places for axis in axes)])
    rank = len(axes)
    chain.transpose([0, *itertools.chain.from_iterable((1 + rank + axis, 1 + axis) for axis in range(rank))])
    chain.reshape([outputs, *(axis.places * axis.phases for axis in axes)])
    for number, axis in enumerate(axes, start=1):
        chain.gather(number, np.arange(axis.output))
    chain.end()


def _by_output(weight: np.ndarray, group: int) -> np.ndarray:
    """Weights `[C, M/group, k...]` as `[M, C/group, k...]`."""
    inputs, outputs, *taps = weight.shape
    split = weight.reshape(group, inputs // group, outputs, *taps)
    return np.swapaxes(split, 1, 2).reshape(group * outputs, inputs // group, *taps)


def _kernel(by_output: np.ndarray, axes: Sequence[_Axis], phase: tuple[int, ...]) -> np.ndarray:
    """The weights of one phase `[M, C/group, offsets...]`, in the window of the offsets of all phases."""
    windows = [axis.offsets[1] - axis.offsets[0] + 1 for axis in axes]
    kernel = np.zeros((*by_output.shape[:2], *windows), by_output.dtype)
    for reads in itertools.product(*(axis.reads(each) for axis, each in zip(axes, phase, strict=True))):
        taps = tuple(tap for tap, _ in reads)
        places = tuple(offset - axis.offsets[0] for (_, offset), axis in zip(reads, axes, strict=True))
        both = slice(None), slice(None)
        kernel[both + places] = by_output[both + taps]
    return kernel


def _axes(node: gs.Node, weight: np.ndarray) -> list[_Axis]:
    rank = weight.ndim - 2
    attrs = node.attrs
    strides, dilations = attrs.get("strides", [1] * rank), attrs.get("dilations", [1] * rank)
    sizes, outputs = sample_shape(node.inputs[0])[1:], sample_shape(node.outputs[0])[1:]
    pads = _begins(node, weight.shape[2:], strides, dilations)
    return [_Axis(*each) for each in zip(sizes, outputs, weight.shape[2:], strides, dilations, pads, strict=True)]


def _begins(node: gs.Node, taps: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> list[int]:
    """The pads in front of every axis; where they follow from the size of the output, as onnxruntime has them."""
    attrs, rank = node.attrs, len(taps)
    auto_pad = attrs.get("auto_pad", "NOTSET")
    auto_pad = auto_pad.decode() if isinstance(auto_pad, bytes) else auto_pad
    if auto_pad in ("NOTSET", "VALID") and "output_shape" not in attrs:
        return list(attrs.get("pads", [0] * (2 * rank)))[:rank] if auto_pad == "NOTSET" else [0] * rank
    sizes, outputs = sample_shape(node.inputs[0])[1:], sample_shape(node.outputs[0])[1:]
    extra = attrs.get("output_padding", [0] * rank)
    missing = [
        stride * (size - 1) + more + (each - 1) * dilation + 1 - output
        for size, output, each, stride, dilation, more in zip(
            sizes, outputs, taps, strides, dilations, extra, strict=True
        )
    ]
    total = [max(0, each) for each in missing]  # what is longer than the taps reach ends in zeros
    extra = [more + max(0, -each) for more, each in zip(extra, missing, strict=True)]
    expected = _run(node, dict(attrs))
    for begins in ([each // 2 for each in total], [each - each // 2 for each in total]):
        explicit = {name: value for name, value in attrs.items() if name not in ("auto_pad", "output_shape")}
        explicit["output_padding"] = extra
        explicit["pads"] = [*begins, *(each - begin for each, begin in zip(total, begins, strict=True))]
        if np.array_equal(_run(node, explicit), expected):
            return begins
    raise AssertionError(f"pass transposed: the pads of {node.name!r} are shared out in a way that is not known")


def _run(node: gs.Node, attrs: dict[str, object]) -> np.ndarray:
    """What a node with these attributes gives for one sample, of weights that can be told apart: its own may be no
    numbers, or all alike."""
    random, copy = np.random.default_rng(1), unlinked(node, attrs)
    weight = random.normal(size=node.inputs[1].shape).astype(np.float32)
    copy.inputs = [copy.inputs[0], gs.Constant(copy.inputs[1].name, weight)]
    source = gs.Variable(copy.inputs[0].name, np.float32, node.inputs[0].shape)
    result = gs.Variable(copy.outputs[0].name, np.float32, node.outputs[0].shape)
    sample = random.normal(size=(1, *sample_shape(source))).astype(np.float32)
    return run_model(model_of([copy], [source], [result], _OPSET), {source.name: sample})[0]


PASS = Pass("transposed", Level.SOURCE, Level.SOURCE, run)
