"""A graph as a model in the versions that snnc writes, with the functions it needs."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import helper

from snnc.ir.domain import DOMAIN, DOMAIN_VERSION, IR_VERSION, OPSET
from snnc.operators.functions import functions_used_by, opsets_for


def make_model(
    graph: onnx.GraphProto,
    brought: Sequence[onnx.FunctionProto] = (),
    version: int = DOMAIN_VERSION,
    opset: int = OPSET,
) -> onnx.ModelProto:
    """The model of `graph`; runs with or without the native library.

    `brought` are the functions of the file that the nodes come from, where they come from one, and `version` is that of
    its operators; `opset` is that of the standard operators.
    """
    functions = functions_used_by(graph, brought)
    opsets = opsets_for(functions)
    for entry in opsets:
        if entry.domain in ("", DOMAIN):
            entry.version = opset if entry.domain == "" else version
    ir_version = max(IR_VERSION, helper.find_min_ir_version_for(opsets, ignore_unknown=True))
    return helper.make_model(
        graph, opset_imports=opsets, functions=functions, ir_version=ir_version, producer_name="snnc"
    )
