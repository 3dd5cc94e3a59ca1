"""Let the encoder take the steps of a quantiser that the network has at its input.

Takes and gives level SPIKING. The input is charge that enters at once, so its steps cost nothing there, while a neuron
needs as many steps as it has counts:

    x → ChargeEncode → StaircaseTable(q·clip(round(x/q), low, high))  =  x → ChargeEncode of unit q, from low to high

That is so where the encoder prepares the input too (pass `input_scale`).

1. the only reader of the encoder is a neuron with steps of its own, uniform ones, one size for all channels: it goes;
2. anything else is left alone.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import constant, producer, replace_uses
from snnc.operators.graded_encoder import ChargeEncode
from snnc.operators.scale import Scale
from snnc.operators.staircase import StaircaseTable


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    encoder = next(node for node in graph.nodes if node.inputs[0] is graph.inputs[0])
    quantiser = _only_reader(encoder)
    if encoder.op != ChargeEncode.name or quantiser is None or not _is_uniform(quantiser):
        return
    encoder.attrs |= {"unit": float(quantiser.attrs["value"])}
    encoder.attrs |= {name: int(quantiser.attrs[name]) for name in ("low", "high")}
    replace_uses(quantiser.outputs[0], encoder.outputs[0])
    quantiser.outputs.clear()
    graph.cleanup()


def _only_reader(encoder: gs.Node) -> gs.Node | None:
    """The neuron with steps of its own that reads the input and nothing else does; None if there is none."""
    readers = encoder.outputs[0].outputs
    behind = readers[0].outputs[0].outputs if len(readers) == 1 and _is_identity(readers[0]) else []
    if len(behind) != 1 or behind[0].op != StaircaseTable.name or producer(behind[0].inputs[0]) is not readers[0]:
        return None
    node: gs.Node = behind[0]
    return node if np.asarray(node.attrs.get("value", [0, 0])).size == 1 else None


def _is_identity(node: gs.Node) -> bool:
    weight = constant(node, 1)
    return node.op == Scale.name and weight is not None and bool((weight == 1).all()) and constant(node, 2) is None


def _is_uniform(neuron: gs.Node) -> bool:
    """Whether it computes q·clip(round(x/q), low, high)."""
    value, low, high = float(neuron.attrs["value"]), neuron.attrs["low"], neuron.attrs["high"]
    counts = np.arange(low - 2, high + 3, dtype=np.float64)
    expected = np.clip(counts, low, high)
    region = neuron.attrs["region"]
    if region.channels > 1:
        return False
    return all(
        np.array_equal(
            np.rint(region.curve(((counts + off) * value).astype(np.float32)[:, None])[:, 0] / value), expected
        )
        for off in (-0.4, 0.0, 0.4)
    )


PASS = Pass("input_steps", Level.SPIKING, Level.SPIKING, run)
