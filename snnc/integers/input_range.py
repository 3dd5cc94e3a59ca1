"""The range of values that a model expects at its input, where the model says so."""

from __future__ import annotations

import onnx

from snnc.reading.precision import input_type, takes_integers
from snnc.reading.protos import data_inputs

# onnx/docs/MetadataProps.md
_NOMINAL_RANGES = {
    "NominalRange_0_255": (0.0, 255.0),
    "NominalRange_16_235": (16.0, 235.0),
    "Normalized_0_1": (0.0, 1.0),
    "Normalized_1_1": (-1.0, 1.0),
}
_INTEGERS: dict[int, tuple[float, float]] = {onnx.TensorProto.INT8: (-128.0, 127.0), onnx.TensorProto.BOOL: (0.0, 1.0)}


def range_of_integers(ann: onnx.ModelProto) -> tuple[float, float]:
    """(lowest, highest) value of an input of integers: those of pixels, or all that it can hold."""
    return _INTEGERS.get(input_type(ann), (0.0, 255.0))


def range_of_input(ann: onnx.ModelProto) -> tuple[tuple[float, float], str]:
    """(lowest, highest) value of the first input, and what shows it:

    1. the standard metadata `Image.NominalPixelRange`;
    2. it is of integers: 0 to 255, of int8 -128 to 127, of bool 0 to 1;
    3. negative values would be cut off by a Relu: 0 to 1;
    4. nothing: -2 to 2. Normalised images reach from -2 to 2.6. A range that is too narrow clips them for good and lets
       layers saturate, one that is too wide costs steps (docs/results/deep-networks.md).
    """
    for entry in ann.metadata_props:
        if entry.key == "Image.NominalPixelRange" and entry.value in _NOMINAL_RANGES:
            return _NOMINAL_RANGES[entry.value], f"the model's metadata say {entry.value}"
    if takes_integers(ann):
        return range_of_integers(ann), f"the input is {onnx.TensorProto.DataType.Name(input_type(ann)).lower()}"
    pixels = data_inputs(ann)[0].name
    readers = [node for node in ann.graph.node if pixels in node.input]
    if readers and all(node.op_type == "Relu" for node in readers):
        return (0.0, 1.0), "a Relu would cut off negative ones"
    return (-2.0, 2.0), "a guess"
