"""A graph as a model in the versions that snnc writes, with the functions it needs."""

from __future__ import annotations

import onnx
from onnx import helper

from snnc.ir.domain import DOMAIN, DOMAIN_VERSION, IR_VERSION, OPSET
from snnc.operators.functions import functions_used_by


def make_model(graph: onnx.GraphProto) -> onnx.ModelProto:
    """The model of `graph`; runs with or without the native library."""
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, DOMAIN_VERSION)]
    functions = functions_used_by(graph)
    return helper.make_model(
        graph, opset_imports=opsets, functions=functions, ir_version=IR_VERSION, producer_name="snnc"
    )
