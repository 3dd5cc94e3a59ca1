"""Bring convolutions and pooling to explicit form.

Takes and gives level SOURCE. Values are unchanged (up to rounding):

1. `Conv`: `auto_pad` becomes explicit pads, all attributes are written out;
2. `GlobalAveragePool` → `AveragePool` with the kernel of the whole plane;
3. `AveragePool`: `auto_pad` becomes explicit pads, `ceil_mode` is resolved into the observed output shape;
4. `MaxPool`: the same, the pads reaching as far as the windows do; `GlobalMaxPool` → `MaxPool`.

Left alone: dilated average pooling, which `validate` reports.
"""

from __future__ import annotations

import onnx_graphsurgeon as gs

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import constant, sample_shape


def run(conversion: Conversion) -> None:
    for node in conversion.graph.nodes:
        if not node.inputs or not isinstance(node.inputs[0], gs.Variable) or not node.inputs[0].shape:
            continue
        if node.op == "Conv" and len(node.inputs) > 2 and node.inputs[2].is_empty():
            node.inputs = node.inputs[:2]  # an omitted bias
        if node.op == "GlobalAveragePool":
            node.op = "AveragePool"
            node.attrs = {"kernel_shape": list(sample_shape(node.inputs[0])[1:])}
        if node.op == "GlobalMaxPool":
            node.op = "MaxPool"
            node.attrs = {"kernel_shape": list(sample_shape(node.inputs[0])[1:])}
        if node.op == "AveragePool":
            _explicit(node, list(node.attrs["kernel_shape"]))
            node.attrs.setdefault("count_include_pad", 0)
        elif node.op == "MaxPool":
            _explicit(node, list(node.attrs["kernel_shape"]))
            _pads_to_the_last_window(node)
        elif node.op == "Conv":
            weight = constant(node, 1)
            if weight is not None:
                _explicit(node, list(weight.shape[2:]))
                node.attrs.setdefault("group", 1)


def _pads_to_the_last_window(node: gs.Node) -> None:
    """`ceil_mode` lets the last window reach beyond the pads: they become as wide as the observed output needs."""
    node.attrs.pop("ceil_mode", None)
    node.attrs.pop("storage_order", None)  # of the indices, which nothing reads
    rank = len(node.attrs["kernel_shape"])
    sizes_in, sizes_out = sample_shape(node.inputs[0])[1:], sample_shape(node.outputs[0])[1:]
    for axis in range(rank):
        reach = (node.attrs["kernel_shape"][axis] - 1) * node.attrs["dilations"][axis] + 1
        end = (sizes_out[axis] - 1) * node.attrs["strides"][axis] + reach
        node.attrs["pads"][rank + axis] = max(0, end - sizes_in[axis] - node.attrs["pads"][axis])


def _explicit(node: gs.Node, kernel: list[int]) -> None:
    rank = len(kernel)
    attrs = node.attrs
    attrs["kernel_shape"] = kernel
    attrs["strides"] = list(attrs.get("strides", [1] * rank))
    attrs["dilations"] = list(attrs.get("dilations", [1] * rank))
    auto_pad = attrs.pop("auto_pad", "NOTSET")
    auto_pad = auto_pad.decode() if isinstance(auto_pad, bytes) else auto_pad
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        attrs["pads"] = _same_pads(node, upper=auto_pad == "SAME_UPPER")
    elif auto_pad == "VALID":
        attrs["pads"] = [0] * (2 * rank)
    else:
        attrs["pads"] = list(attrs.get("pads", [0] * (2 * rank)))


def _same_pads(node: gs.Node, upper: bool) -> list[int]:
    sizes_in, sizes_out = sample_shape(node.inputs[0])[1:], sample_shape(node.outputs[0])[1:]
    begins, ends = [], []
    for axis, (size_in, size_out) in enumerate(zip(sizes_in, sizes_out, strict=True)):
        reach = (node.attrs["kernel_shape"][axis] - 1) * node.attrs["dilations"][axis] + 1
        total = max(0, (size_out - 1) * node.attrs["strides"][axis] + reach - size_in)
        smaller, larger = total // 2, total - total // 2
        begins.append(smaller if upper else larger)
        ends.append(larger if upper else smaller)
    return begins + ends


PASS = Pass("windows", Level.SOURCE, Level.SOURCE, run)
