"""Turn constant currents into charge that is there from the start.

Takes and gives level SPIKING. Left alone: networks that do not settle. A layer that settles asks only for the sum of
all that it gets, and a current that comes in every step would never end:

1. the biases in the tree of a neuron: its `charge`, in ANN units, what the tree gives for an input of zeros (borders
   included), `[C, 1, ...]` where that is the same all over a channel; the calibration puts it on the grid;
2. those in the tree of a readout: added after decoding, with the bias of the last layer, which is there already.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs
from onnx import TensorProto, helper

from snnc.emit.model import make_model
from snnc.emit.nodes import Nodes
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import activation_inputs, constant, sample_shape
from snnc.ir.names import COUNT, Names, names_in, own
from snnc.ir.signal import collapsed
from snnc.ir.trees import leaves, targets, tree
from snnc.methods import METHODS
from snnc.operators import SOURCES, operator_of, weighted
from snnc.runtime.session import make_session


def run(conversion: Conversion) -> None:
    if not METHODS[conversion.options.method].settles:
        return
    for target in targets(conversion.graph):
        heavy = [node for node in tree(target.inputs[0]) if weighted(node) is not None]
        biased = [node for node in heavy if constant(node, 2) is not None]
        if target.op not in SOURCES:
            target.attrs["settles"] = 1
        if not biased:
            continue
        charge = collapsed(_of_zeros(target.inputs[0]))
        for node in biased:
            node.inputs = node.inputs[:2]
        if target.op in SOURCES:
            target.attrs["charge_value"] = charge
        else:
            bias = constant(target, 1)
            total = charge if bias is None else charge + np.asarray(bias, np.float64)
            target.inputs = [target.inputs[0], gs.Constant(own(f"{target.name}/bias"), total.astype(np.float32))]


def _of_zeros(root: gs.Tensor) -> np.ndarray:
    """What the tree under `root` gives in a step without spikes, in ANN units, float64 of a sample's shape."""
    nodes = Nodes(Names(names_in(tree(root))))
    nodes.write_constant(COUNT, np.int64(1))
    values = {
        leaf.name: nodes.constant(f"zeros/{leaf.name}", np.zeros((1, *sample_shape(leaf)))) for leaf in leaves(root)
    }
    for node in tree(root):
        label, room = f"{node.outputs[0].name}/of_zeros", operator_of(node)
        value = room.current(node, [values[operand.name] for operand in activation_inputs(node)], label, "sums", nodes)
        divisor = nodes.constant("divisor", np.float64(room.divisor(node)))
        values[node.outputs[0].name] = nodes.node("Div", [value, divisor], f"{label}/divided")
    info = helper.make_tensor_value_info(values[root.name], TensorProto.DOUBLE, None)
    graph = helper.make_graph(nodes.nodes, "of_zeros", [], [info], list(nodes.constants.values()))
    found: np.ndarray = make_session(make_model(graph).SerializeToString()).run(None, {})[0][0]
    return found


PASS = Pass("charges", Level.SPIKING, Level.SPIKING, run)
