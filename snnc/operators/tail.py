"""What lies behind the last layer of an ANN: the tail. It works on decoded values, as it is.

    ... → Gemm → Softmax → TopK          ... → Conv → Tanh → Mul → Add of a second head

The tail begins with a node that no spiking operator stands for, from which no layer can be reached, and holds
everything behind that.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.graph import NEURONS, activation_inputs

# What is a layer even where its form is not known: it never runs on decoded values.
_LAYERS = (
    *("BatchNormalization", "Conv", "ConvInteger", "ConvTranspose", "DeformConv", "Einsum", "GRU", "Gemm", "If"),
    *("LSTM", "Loop", "MatMul", "MatMulInteger", "QLinearConv", "QLinearMatMul", "RNN", "Scan"),
)


def tail_of(graph: gs.Graph, spikes: Callable[[gs.Node], bool]) -> set[str]:
    """Names of the nodes of the tail; `spikes` says of a node whether a spiking operator stands for it as it is.

    Nodes are in order.
    """
    to_layers: set[str] = set()
    for node in reversed(graph.nodes):
        readers = (reader.name for tensor in node.outputs for reader in tensor.outputs)
        if node.op in (*NEURONS, *_LAYERS) or any(name in to_layers for name in readers):
            to_layers.add(node.name)
    tail: set[str] = set()
    for node in graph.nodes:
        behind = any(tensor.inputs and tensor.inputs[0].name in tail for tensor in activation_inputs(node))
        if behind or (node.name not in to_layers and activation_inputs(node) and not spikes(node)):
            tail.add(node.name)
    return tail - to_layers


def is_activation(tensor: gs.Tensor) -> bool:
    """Whether a tensor is what a spiking operator may give: float32 `[batch, ...]` with at least one axis behind it."""
    shape = tensor.shape
    return shape is not None and len(shape) >= 2 and isinstance(shape[0], str) and tensor.dtype == np.float32
