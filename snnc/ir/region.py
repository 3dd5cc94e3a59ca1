"""A region: elementwise nodes of an ANN that make one function of one tensor, whatever the exporter wrote it as.

    y = f(x),  element by element; f may differ from channel to channel (axis 1 of x)

What f is, is found out by running it (`snnc.ir.function_kind`), never from the names of its operators.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnx
import onnx_graphsurgeon as gs
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from snnc.ir.domain import OPSET
from snnc.ir.elementwise import constants_of
from snnc.runtime.session import cpu_session

if TYPE_CHECKING:
    from snnc.emit.nodes import Nodes

Float32 = npt.NDArray[np.float32]

#: How far apart two float32 computations of the same value are at most, as a share of it.
TOLERANCE = 2.0**-21
_IR_VERSION = 10
# Vector units compute the elements behind the last whole vector by other code, which may round otherwise.
_WHOLE_VECTORS = 64


class NotARegion(Exception):
    """These nodes cannot be taken out of the ANN as a function; the text says why."""


@dataclass(frozen=True, eq=False)
class Region:
    """An elementwise function of one tensor of `rank` axes, the batch being the first.

    `nodes` are in order and mean what `opset` (18 or newer) says; `constants` broadcast against `[N, C, 1, ...]` or are
    parameters of an operator by channel. `channels` is C where f differs from channel to channel, else 1.
    """

    nodes: tuple[onnx.NodeProto, ...]
    constants: Mapping[str, np.ndarray]
    input: str
    output: str
    rank: int
    channels: int
    opset: int

    def __str__(self) -> str:
        return "-".join(node.op_type for node in self.nodes)

    @property
    def per_channel(self) -> bool:
        """Whether constants vary along the channels."""
        return self.channels > 1

    def evaluate(self, values: Float32) -> Float32:
        """f of `values` `[K, C, 1, ...]`; where f differs by channel, C is `channels` or 1 (the same for all).

        The result for a value does not depend on what else is evaluated with it.
        """
        count, (*ones,) = len(values), values.shape[2:]
        channels = values.shape[1] if values.shape[1] > 1 else self.channels
        padded = np.zeros((math.ceil(count / _WHOLE_VECTORS) * _WHOLE_VECTORS, channels, *ones), np.float32)
        padded[:count] = values
        found: Float32 = self._session.run([self.output], {self.input: padded})[0]
        return found[:count]

    def curve(self, values: Float32) -> Float32:
        """`evaluate` on `[K, C]`, whatever the rank."""
        count, channels = values.shape
        found = self.evaluate(values.reshape(count, channels, *[1] * (self.rank - 2)))
        return found.reshape(count, -1)

    def write(self, nodes: Nodes, x: str, output: str) -> str:
        """Write the nodes of the region behind the tensor `x`; `output` labels the result, whose name is given."""
        names = {self.input: x, "": ""}
        for node in self.nodes:
            for name in node.input:
                if name not in names:
                    names[name] = nodes.constant(f"{output}/{name}", self.constants[name])
            (result,) = node.output
            attrs = {attr.name: helper.get_attribute_value(attr) for attr in node.attribute}
            label = output if result == self.output else f"{output}/{result}"
            names[result] = nodes.node(node.op_type, [names[name] for name in node.input], label, **attrs)
        return names[self.output]

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        return _session(_model(self.nodes, self.constants, self.input, self.output, self._shape, self.opset))

    @property
    def _shape(self) -> list[int | None]:
        return [None, self.channels if self.per_channel else None, *[1] * (self.rank - 2)]


def region_between(source: gs.Variable, result: gs.Variable, nodes: Sequence[gs.Node], opset: int) -> Region:
    """The region of elementwise `nodes`, in order, that compute `result` from `source` in an ANN of this opset.

    Raises `NotARegion` where onnxruntime does not run them alone, or they mean something else in opset 18.
    """
    constants = constants_of(nodes)
    channels = int(source.shape[1]) if any(value.size > 1 for value in constants.values()) else 1
    protos = tuple(_proto(node) for node in nodes)
    region = Region(protos, constants, source.name, result.name, len(source.shape), channels, opset)
    try:
        values = region.evaluate(_probes(region))
        newer = _upgraded(region) if opset < OPSET else region
        same = newer is region or _close(newer.evaluate(_probes(region)), values)
    except Exception as error:  # onnx and onnxruntime raise several kinds, all about nodes that they cannot take
        raise NotARegion((str(error).strip().splitlines() or [type(error).__name__])[0]) from error
    if not same:
        raise NotARegion(f"its nodes of opset {opset} compute something else in opset {OPSET}")
    return newer


def _proto(node: gs.Node) -> onnx.NodeProto:
    inputs = [tensor.name for tensor in node.inputs]
    return helper.make_node(node.op, inputs, [node.outputs[0].name], name=node.name, **node.attrs)


def _model(
    nodes: Iterable[onnx.NodeProto],
    constants: Mapping[str, np.ndarray],
    source: str,
    result: str,
    shape: Sequence[int | None],
    opset: int,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "region",
        [helper.make_tensor_value_info(source, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(result, TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=_IR_VERSION)


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """One thread and no optimisation: the same arithmetic for every element, that of the ANN's own operators."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return cpu_session(model.SerializeToString(), options)


def _upgraded(region: Region) -> Region:
    """The same region at opset 18, as onnx converts it."""
    model = _model(region.nodes, region.constants, region.input, region.output, region._shape, region.opset)
    graph = onnx.version_converter.convert_version(model, OPSET).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        else:
            nodes.append(node)
    return Region(tuple(nodes), constants, region.input, region.output, region.rank, region.channels, OPSET)


def _probes(region: Region) -> Float32:
    """A few values of every magnitude and both signs."""
    magnitudes = np.exp2(np.arange(-20, 20, 0.37))
    values = np.concatenate([-magnitudes, [0.0], magnitudes]).astype(np.float32)
    return values.reshape(-1, *[1] * (region.rank - 1))


def _close(found: Float32, expected: Float32) -> bool:
    return bool(np.allclose(found, expected, rtol=TOLERANCE, atol=0, equal_nan=True))


def constant_numbers(region: Region) -> Iterator[npt.NDArray[np.float64]]:
    """Every number of the region, `[]` or by channel `[C]`: constants and attributes."""
    for value in region.constants.values():
        numbers = np.asarray(value, np.float64).reshape(-1)
        yield numbers if numbers.size > 1 else numbers.reshape(())
    for node in region.nodes:
        for attr in node.attribute:
            if attr.type == onnx.AttributeProto.FLOAT:
                yield np.asarray(attr.f, np.float64)
