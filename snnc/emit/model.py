"""A graph as a model in the versions that snnc writes, with the functions it needs."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import helper

from snnc.ir.domain import DOMAIN, DOMAIN_VERSION, IR_VERSION
from snnc.operators.functions import functions_used_by, opsets_for


def make_model(
    graph: onnx.GraphProto, brought: Sequence[onnx.FunctionProto] = (), version: int = DOMAIN_VERSION
) -> onnx.ModelProto:
    """The model of `graph`; runs with or without the native library.

    `brought` are the functions of the file that the nodes come from, where they come from one, and `version` is that of
    its operators.
    """
    functions = functions_used_by(graph, brought)
    opsets = opsets_for(functions)
    for opset in opsets:
        if opset.domain == DOMAIN:
            opset.version = version
    return helper.make_model(
        graph, opset_imports=opsets, functions=functions, ir_version=IR_VERSION, producer_name="snnc"
    )
