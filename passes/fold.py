"""Fold constants, drop dead code and the nodes that do nothing at inference.

Takes and gives level SOURCE. Values are unchanged:

1. a subgraph of constants becomes a constant (onnx-graphsurgeon computes it with onnxruntime; quantised weights, which
   it leaves as they are, are computed here);
2. `Identity`, `Sum` of one, `Dropout` and `Cast` from float32 to float32 are bypassed; `Dropout` in training mode is
   what it is at inference, and so it is in the ANN that the network is held against;
3. nodes that no output depends on are removed.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from snnc.ir.alone import model_of, run_model
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import bypass, replace_uses
from snnc.ir.names import own
from snnc.reading.probe import quiet

_QUANTISED = ("QuantizeLinear", "DequantizeLinear")


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    _infer(conversion)
    with quiet():  # folding runs sessions of its own, with warnings nobody asked for
        graph.fold_constants()
        _fold_quantised(graph)
    for node in list(graph.nodes):
        if node.outputs and _does_nothing(node):  # no outputs: folded into a constant
            bypass(graph, node)
    graph.cleanup()


def _fold_quantised(graph: gs.Graph) -> None:
    """`QuantizeLinear` and `DequantizeLinear` of constants."""
    for node in graph.nodes:
        constants = [tensor for tensor in node.inputs if not tensor.is_empty()]
        if node.op not in _QUANTISED or not all(isinstance(tensor, gs.Constant) for tensor in constants):
            continue
        result = node.outputs[0]
        value = gs.Constant(own(result.name), run_model(model_of([node], [], [result], graph.opset), {})[0])
        replace_uses(result, value)
        node.outputs.clear()


def _infer(conversion: Conversion) -> None:
    """Take `Dropout` out of training mode in the ANN that is measured."""
    if not any(node.op_type == "Dropout" and len(node.input) > 2 for node in conversion.ann.graph.node):
        return
    ann = onnx.ModelProto()
    ann.CopyFrom(conversion.ann)
    for node in ann.graph.node:
        if node.op_type == "Dropout":
            del node.input[2:]
    conversion.ann = ann


def _does_nothing(node: gs.Node) -> bool:
    if node.op == "Identity" or (node.op == "Sum" and len(node.inputs) == 1):
        return True
    if node.op == "Dropout":
        return True
    if node.op == "Cast":
        return bool(node.attrs.get("to") == onnx.TensorProto.FLOAT and node.inputs[0].dtype == np.float32)
    return False


PASS = Pass("fold", Level.SOURCE, Level.SOURCE, run)
