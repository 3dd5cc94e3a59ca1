"""What a model can be fed with: one tensor of samples, whose first axis counts them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx
from onnx import TensorShapeProto

from snnc.diagnostics import Diagnostics
from snnc.ir.names import is_reserved
from snnc.reading.precision import READABLE
from snnc.reading.protos import data_inputs, shape_text, type_name
from snnc.reading.tensors import MOST_AXES

#: A sample of more elements is an error in the file.
MOST_ELEMENTS = 2**28


def check_interface(model: onnx.ModelProto, diagnostics: Diagnostics) -> None:
    """SNN105 where there is not one tensor `[batch, static...]` to feed, SNN106 where a name is reserved."""
    inputs = data_inputs(model)
    if len(inputs) != 1:
        names = ", ".join(f"{value.name!r} {shape_text(value)}" for value in inputs) or "none"
        hint = "make the others constants of the model, or export the part of it that has one input"
        diagnostics.report("SNN105", f"outputs depend on {len(inputs)} inputs: {names}", hint=hint if inputs else "")
        return
    _check_shape(inputs[0], diagnostics)
    for value in [*inputs, *model.graph.output]:
        if is_reserved(value.name):
            diagnostics.report("SNN106", f"the name {value.name!r} is reserved")


def _check_shape(value: onnx.ValueInfoProto, diagnostics: Diagnostics) -> None:
    tensor, dims = value.type.tensor_type, value.type.tensor_type.shape.dim
    place = {"node": value.name, "op": "input", "shape": shape_text(value)}
    if not value.type.HasField("tensor_type"):
        diagnostics.report("SNN105", "it is no tensor", node=value.name, op="input")
    elif tensor.elem_type not in READABLE:
        kind = type_name(tensor.elem_type)
        diagnostics.report("SNN105", f"the input is {kind}, must be of numbers", **place)
    elif not tensor.HasField("shape"):
        hint = "export it with its shape; onnx.tools.update_model_dims sets one"
        diagnostics.report("SNN105", "the model does not say what shape its input has", **place, hint=hint)
    elif len(dims) < 2:
        message = "it has no axis of samples" if dims else "it is a single number"
        hint = "export the network for a batch of samples: `[batch, ...]`, with at least one axis behind the batch"
        diagnostics.report(
            "SNN105", f"{message}: the first axis must be the batch, and others follow", **place, hint=hint
        )
    elif len(dims) > MOST_AXES:
        diagnostics.report("SNN105", f"it has {len(dims)} axes: more than {MOST_AXES} cannot be fed", **place)
    elif any(dim.dim_value < 1 for dim in dims[1:]):
        _report_free_sizes(dims, place, diagnostics)
    elif math.prod(dim.dim_value for dim in dims[1:]) * max(1, dims[0].dim_value) > MOST_ELEMENTS:
        diagnostics.report("SNN105", f"a sample of more than {MOST_ELEMENTS} elements cannot be fed", **place)


def _report_free_sizes(dims: Sequence[TensorShapeProto.Dimension], place: dict[str, str], found: Diagnostics) -> None:
    free = [str(axis) for axis, dim in enumerate(dims) if axis and dim.dim_value < 1]
    axes = f"axis {free[0]} has no size" if len(free) == 1 else f"axes {' and '.join(free)} have no size"
    example = ",".join(str(dim.dim_value) if dim.dim_value > 0 else "SIZE" for dim in list(dims)[1:])
    hint = f"pass `--shape {example}`, or convert with `--calib DATA` of the size that the network gets"
    found.report("SNN105", f"{axes}, and the neurons have to be counted", **place, hint=hint)
