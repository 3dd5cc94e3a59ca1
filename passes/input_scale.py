"""Let the encoder do what the network does to its input before anything else: an affine function.

Takes and gives level SPIKING. The encoder rounds x anyway; so it rounds what the network makes of it:

    x → Encode → Scale by a, + b    =    x → Encode of (x - m)·a,  m = -b/a

1. all that read the encoder are `Scale`s of the same constants, none of its factors 0: the encoder gets the attributes
   `factor` and `origin`, and they scale by 1;
2. anything else is left alone: spikes of the input (`PoissonEncode`), and an input that the network quantises first.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import constant
from snnc.ir.names import own
from snnc.ir.signal import FloatArray
from snnc.operators import SOURCES
from snnc.operators.graded_encoder import GradedEncoder
from snnc.operators.scale import Scale


def run(conversion: Conversion) -> None:
    graph = conversion.graph
    encoder = next(node for node in graph.nodes if node.inputs[0] is graph.inputs[0])
    readers = list(encoder.outputs[0].outputs)
    if not isinstance(SOURCES[encoder.op], GradedEncoder) or "unit" in encoder.attrs or not _alike(readers):
        return
    factor, shift = _numbers(readers[0])
    if not factor.all():
        return
    encoder.attrs |= {"factor": factor, "origin": -shift / factor}
    for scale in readers:
        scale.inputs = [scale.inputs[0], gs.Constant(own(f"{scale.name}/weight"), np.ones((), np.float32))]


def _alike(readers: list[gs.Node]) -> bool:
    """Whether all of them are `Scale`s by the same numbers, which are not 1 and 0."""
    if not readers or any(node.op != Scale.name for node in readers):
        return False
    (factor, shift), *others = map(_numbers, readers)
    same = all(np.array_equal(factor, a) and np.array_equal(shift, b) for a, b in others)
    return same and bool((factor != 1).any() or shift.any())


def _numbers(scale: gs.Node) -> tuple[FloatArray, FloatArray]:
    factor, shift = constant(scale, 1), constant(scale, 2)
    assert factor is not None
    return factor.astype(np.float64), np.zeros(()) if shift is None else shift.astype(np.float64)


PASS = Pass("input_scale", Level.SPIKING, Level.SPIKING, run)
