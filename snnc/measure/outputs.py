"""Every output of a network against that of its ANN: what its values stand for, its error, its agreement.

What an output stands for follows from how it is made, and from its shape `[N, ...]`:

1. integers, truth values and text are class numbers, one for each place; so is an ArgMax that was only cast or moved;
2. behind a Softmax or LogSoftmax there are classes along its axis;
3. scores `[N, K]` (and `[N, K, 1, ...]`) with K > 1 are classes, unless they are as many as the input has values, and
   more than a few: that is a reconstruction (autoencoders);
4. maps `[N, K, H, ...]` with K > 1, of as many axes as the input, have a class for every place (segmentation), unless
   they have as many channels as the input: these are images, as are maps behind a Sigmoid;
5. all others are values (boxes `[N, K, 4]` of an image, the largest scores of a TopK): they have an error, and no
   agreement.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import onnx

from snnc.emit.block import Block
from snnc.measure.intervals import Interval, interval_of_means

Meaning = Literal["classes", "class numbers", "values"]
# Fewer values than this, as many as the input has, may well be classes.
_FEWEST_RECONSTRUCTED = 32
_INTEGERS = tuple(
    getattr(onnx.TensorProto, name)
    for name in ("STRING", "BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
)
_MOVING = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")


@dataclass(frozen=True)
class OutputKind:
    """What an output stands for: `classes` along the `axis`, at so many `places` of a sample (1: of the sample as a
    whole)."""

    name: str
    meaning: Meaning
    axis: int
    places: int

    def classes(self, output: np.ndarray) -> np.ndarray | None:
        """The class of every place, `[N, places]`; None of values."""
        if self.meaning == "values":
            return None
        found: np.ndarray = output if self.meaning == "class numbers" else output.argmax(self.axis)
        return found.reshape(len(output), -1)


@dataclass(frozen=True)
class OutputFacts:
    """What is known of an output of the ANN: what it stands for, the places of a sample that have a class of their own,
    and the share of them that have the commonest class (None of values)."""

    meaning: Meaning
    places: int
    commonest_class: float | None


@dataclass(frozen=True)
class OutputPoint:
    """An output after some steps against that of the ANN.

    `agreement` is the share of places in the ANN's class, with its 95 % interval over samples; None of values. `error`
    is ‖ŷ - y‖₂/‖y‖₂ and `spread_error` ‖ŷ - y‖₂/‖y - ȳ‖₂, where ȳ is the mean of the samples: 1 is as good as an output
    that never changes. Both are None where they are no finite numbers, and of class numbers.
    """

    agreement: float | None
    agreement_interval: Interval | None
    error: float | None
    spread_error: float | None


def output_kinds(block: Block) -> dict[str, OutputKind]:
    """What every output of a network stands for, by name, in order."""
    producers = {name: node for node in block.decode for name in node.output}
    return {value.name: kind_of(value, producers, block.input_dims) for value in block.outputs}


def kind_of(
    value: onnx.ValueInfoProto, producers: Mapping[str, onnx.NodeProto], input_dims: Sequence[int]
) -> OutputKind:
    """What the output `value` stands for; `producers` are the nodes behind the readouts, by what they give."""
    tensor = value.type.tensor_type
    dims = [dim.dim_value for dim in tensor.shape.dim][1:]
    origin = _origin(value.name, producers)
    if tensor.elem_type in _INTEGERS or origin in ("ArgMax", "ArgMin"):
        return OutputKind(value.name, "class numbers", 0, math.prod(dims))
    if origin == "TopK":
        return OutputKind(value.name, "values", 1, math.prod(dims))
    producer = producers.get(value.name)
    op = "" if producer is None else producer.op_type
    axis = 1
    if producer is not None and op in ("Softmax", "LogSoftmax"):
        axis = next((attribute.i for attribute in producer.attribute if attribute.name == "axis"), -1)
        axis = axis if axis >= 0 else axis + len(dims) + 1
    size = dims[axis - 1] if 0 < axis <= len(dims) else 1
    places = math.prod(dims) // max(1, size)
    is_list = places > 1 and len(dims) != len(input_dims)
    if size < 2 or (op not in ("Softmax", "LogSoftmax") and (is_list or _is_like_input(size, places, input_dims, op))):
        return OutputKind(value.name, "values", axis, math.prod(dims))
    return OutputKind(value.name, "classes", axis, places)


def _origin(name: str, producers: Mapping[str, onnx.NodeProto]) -> str:
    """The operator that gave the values of `name`, which are only cast or moved since; "" where a readout did."""
    node = producers.get(name)
    while node is not None and node.op_type in _MOVING:
        node = producers.get(node.input[0])
    return "" if node is None else node.op_type


def _is_like_input(size: int, places: int, input_dims: Sequence[int], op: str) -> bool:
    """Whether an output with so many channels at so many places is an image (or masks), or a reconstruction."""
    if places > 1:
        return op == "Sigmoid" or (len(input_dims) > 1 and size == input_dims[0])
    return math.prod(input_dims) == size >= _FEWEST_RECONSTRUCTED


def predictions(output: np.ndarray) -> np.ndarray | None:
    """The class of each sample: argmax of scores `[N, classes, 1...]`, or class numbers where there is one for each
    sample; else None."""
    if output.ndim > 2 and output.size == len(output) * output.shape[1]:
        output = output.reshape(len(output), -1)
    if np.issubdtype(output.dtype, np.integer):
        return output.reshape(-1) if output.size == len(output) else None
    if output.ndim == 2 and output.shape[1] > 1:
        best: np.ndarray = output.argmax(1)
        return best
    return None


@dataclass(frozen=True)
class OutputPart:
    """Some samples of an output beside the ANN's: of each the share of places in the ANN's class (None of values), and
    ‖ŷ - y‖₂² of all (0 of class numbers)."""

    shares: list[float] | None
    error: float


class Truth:
    """An output of the ANN on some samples, and what the error is measured by."""

    def __init__(self, kind: OutputKind, values: np.ndarray) -> None:
        self.kind, self.values = kind, values
        self.classes = kind.classes(values)
        self.is_number = kind.meaning != "class numbers"

    @cached_property
    def norm(self) -> float:
        """‖y‖₂²."""
        with np.errstate(over="ignore", invalid="ignore"):
            return sum(float(np.square(sample, dtype=np.float64).sum()) for sample in self.values)

    @cached_property
    def spread(self) -> float:
        """‖y - ȳ‖₂²."""
        with np.errstate(over="ignore", invalid="ignore"):
            mean = self.values.mean(0, dtype=np.float64)
            return sum(float(np.square(sample - mean).sum()) for sample in self.values)

    @property
    def facts(self) -> OutputFacts:
        """What is known of it."""
        commonest = None
        if self.classes is not None:
            commonest = float(np.unique(self.classes, return_counts=True)[1].max() / self.classes.size)
        return OutputFacts(self.kind.meaning, self.kind.places, commonest)

    def compared(self, output: np.ndarray) -> OutputPart:
        """The same samples in the spiking network."""
        classes, error = self.kind.classes(output), 0.0
        shares = None if classes is None or self.classes is None else (classes == self.classes).mean(1).tolist()
        if self.is_number:
            with np.errstate(over="ignore", invalid="ignore"):
                error = float(((output.astype(np.float64) - self.values) ** 2).sum())
        return OutputPart(shares, error)


class OutputSums:
    """Running sums of one output over the parts of all samples, beside all that the ANN gives."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self.name = truth.kind.name
        self._shares: list[float] = []
        self._error = 0.0

    def add(self, part: OutputPart) -> None:
        """The next samples."""
        self._shares += part.shares or []
        self._error += part.error

    def point(self) -> OutputPoint:
        """What was found."""
        truth = self._truth
        shares = np.array(self._shares) if self._shares else None
        return OutputPoint(
            agreement=None if shares is None else float(shares.mean()),
            agreement_interval=None if shares is None else interval_of_means(shares, truth.kind.places),
            error=_relative(self._error, truth.norm) if truth.is_number else None,
            spread_error=_relative(self._error, truth.spread) if truth.is_number and truth.spread > 0 else None,
        )


def _relative(squared_error: float, squared_norm: float) -> float | None:
    """‖ŷ - y‖/‖y‖, None where it is not a finite number (outputs beyond float32)."""
    if squared_error == 0:
        return 0.0
    ratio = squared_error / squared_norm if squared_norm else math.inf
    return math.sqrt(ratio) if math.isfinite(ratio) else None
