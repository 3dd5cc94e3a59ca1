"""Changes of what a model says of itself: shapes, types, versions, metadata."""

from __future__ import annotations

import random

import onnx

from .graph import EXTREMES, NAMES, tensor_names

_TYPES = (0, 2, 3, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 22, 23, 99, -1)


def _some_value(model: onnx.ModelProto, draw: random.Random) -> onnx.ValueInfoProto:
    found = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    if not found:
        raise ValueError("nothing is declared")
    value: onnx.ValueInfoProto = draw.choice(found)
    return value


def change_size(model: onnx.ModelProto, draw: random.Random) -> None:
    """A declared size: absurd, open, or of a name that another has."""
    dims = _some_value(model, draw).type.tensor_type.shape.dim
    if not dims:
        raise ValueError("no shape")
    dim = draw.choice(dims)
    kind = draw.randrange(4)
    if kind < 2:
        dim.dim_value = draw.choice(EXTREMES)
    elif kind == 2:
        dim.dim_param = draw.choice(["N", "batch", "M", *NAMES])
    else:
        dim.Clear()


def change_rank(model: onnx.ModelProto, draw: random.Random) -> None:
    """A declared axis more or less, or no shape."""
    tensor = _some_value(model, draw).type.tensor_type
    kind = draw.randrange(4)
    if kind == 0:
        tensor.ClearField("shape")
    elif kind == 1:
        del tensor.shape.dim[draw.choice([0, -1]) :]
    elif kind == 2:
        tensor.shape.dim.add().dim_value = draw.choice(EXTREMES)
    else:
        for _ in range(draw.choice([9, 70])):
            tensor.shape.dim.add().dim_value = draw.choice([1, 1, 2])


def change_type(model: onnx.ModelProto, draw: random.Random) -> None:
    """A declared type: other numbers, text, a sequence, none."""
    value = _some_value(model, draw)
    kind = draw.randrange(5)
    if kind < 3:
        value.type.tensor_type.elem_type = draw.choice(_TYPES)
    elif kind == 3:
        value.type.sequence_type.elem_type.tensor_type.elem_type = 1
    else:
        value.ClearField("type")


def change_inputs(model: onnx.ModelProto, draw: random.Random) -> None:
    """An input more, twice, of another name, or none."""
    inputs = model.graph.input
    kind = draw.randrange(4)
    if kind == 0:
        del inputs[:]
    elif kind == 1 and inputs:
        inputs.append(inputs[0])
    elif kind == 2 and inputs:
        inputs[0].name = draw.choice([*NAMES, *tensor_names(model)])
    else:
        inputs.add().name = draw.choice([*NAMES, *tensor_names(model)])


def change_versions(model: onnx.ModelProto, draw: random.Random) -> None:
    """The version of the format or of the operators, one more, or none."""
    kind = draw.randrange(5)
    version = draw.choice([0, -1, 1, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 18, 21, 23, 25, 99, 2**40])
    if kind == 0:
        model.ir_version = draw.choice([0, 1, 2, 3, 4, 7, 9, 10, 13, 99, 2**40])
    elif kind == 1:
        del model.opset_import[:]
    elif kind == 2:
        model.opset_import.add(domain=draw.choice(["", "ai.onnx", "own"]), version=version)
    elif model.opset_import:
        model.opset_import[0].version = version


def change_metadata(model: onnx.ModelProto, draw: random.Random) -> None:
    """Metadata, names and texts that are strange, or those of snnc."""
    kind = draw.randrange(5)
    if kind == 0:
        key = draw.choice(["snnc.format_version", "snnc.options", "Image.NominalPixelRange", "denotation", "", "é"])
        model.metadata_props.add(key=key, value=draw.choice(["", "2", "x" * 10000, "{}"]))
    elif kind == 1:
        model.graph.name = draw.choice(NAMES)
    elif kind == 2:
        model.producer_name, model.domain = draw.choice(NAMES), draw.choice(NAMES)
    elif kind == 3:
        model.graph.doc_string = draw.choice(NAMES)
    else:
        model.graph.quantization_annotation.add().tensor_name = draw.choice([*NAMES, *tensor_names(model)])


def declare(model: onnx.ModelProto, draw: random.Random) -> None:
    """Something is said of an inner tensor, which may be wrong."""
    value = model.graph.value_info.add()
    value.name = draw.choice([*tensor_names(model), *NAMES])
    value.type.tensor_type.elem_type = draw.choice([1, 1, *_TYPES])
    for _ in range(draw.randrange(4)):
        value.type.tensor_type.shape.dim.add().dim_value = draw.choice(EXTREMES)


MUTATORS = (
    change_size, change_size, change_rank, change_type, change_inputs, change_versions, change_metadata, declare,
)  # fmt: skip
