"""Fold constants, drop dead code and the nodes that do nothing at inference.

Takes and gives level SOURCE. Values are unchanged:

1. a subgraph of constants becomes a constant (onnx-graphsurgeon computes it with onnxruntime);
2. `Identity`, `Sum` of one, `Dropout` (not in training mode), and `Cast` from float32 to float32 are bypassed;
3. nodes that no output depends on are removed.

Left alone: `Dropout` with a constant `training_mode` of true, which `validate` reports.
"""

from __future__ import annotations

import logging

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnxruntime
from onnx_graphsurgeon.logger import G_LOGGER

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import constant


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    G_LOGGER.severity = logging.CRITICAL
    onnxruntime.set_default_logger_severity(3)  # folding runs sessions of its own, with warnings nobody asked for
    graph.fold_constants()
    onnxruntime.set_default_logger_severity(2)
    for node in list(graph.nodes):
        if node.outputs and _does_nothing(node):  # no outputs: folded into a constant
            _bypass(graph, node)
    graph.cleanup()


def _does_nothing(node: gs.Node) -> bool:
    if node.op == "Identity" or (node.op == "Sum" and len(node.inputs) == 1):
        return True
    if node.op == "Dropout":
        training = constant(node, 2)
        return training is None or not bool(np.asarray(training).any())
    if node.op == "Cast":
        return bool(node.attrs.get("to") == onnx.TensorProto.FLOAT and node.inputs[0].dtype == np.float32)
    return False


def _bypass(graph: gs.Graph, node: gs.Node) -> None:
    """Let the consumers of the node's output read its input; an output of the graph keeps its name."""
    source, result = node.inputs[0], node.outputs[0]
    if any(result is output for output in graph.outputs):
        if not isinstance(source, gs.Variable) or not source.inputs or source in graph.outputs:
            return  # the graph's input or another output: the node is needed to give the value this name
        before = source.inputs[0]
        for consumer in list(source.outputs):
            for index, tensor in enumerate(consumer.inputs):
                if tensor is source and consumer is not node:
                    consumer.inputs[index] = result
        node.outputs.clear()
        before.outputs[[output is source for output in before.outputs].index(True)] = result
        node.inputs.clear()
        return
    for consumer in list(result.outputs):
        for index, tensor in enumerate(consumer.inputs):
            if tensor is result:
                consumer.inputs[index] = source
    node.outputs.clear()


PASS = Pass("fold", Level.SOURCE, Level.SOURCE, run)
