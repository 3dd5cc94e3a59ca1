"""Choose the event-driven operator of every layer, where there is one.

Takes level CALIBRATED, gives FUSED. Every neuron and readout gets the attribute `fused`, and the report tells it: the
operator that stands for it and its tree (`snnc.emit.layer_operators`, docs/event-driven.md), or `plain`:

1. `Conv` on moved words → `SpikingConv`;
2. `Add` of two such branches, of which one sees a single position (`Scale`, 1x1 `Conv`) → `SpikingConvAdd`;
3. `Gemm` on moved words → `SpikingGemm`, under a readout `SpikeReadout`;
4. anything else stays plain.

The graph is not changed otherwise: it still says what is computed, the attribute says by what. Arithmetic is on
integers either way, so the choice changes no spike.
"""

from __future__ import annotations

from snnc.emit.layer_operators import PLAIN, select
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.trees import targets


def run(conversion: Conversion) -> None:
    layers = {layer.name: layer for layer in conversion.report.layers}
    for target in targets(conversion.graph):
        fused = select(target)
        target.attrs["fused"] = PLAIN if fused is None else fused.op
        layers[target.name].fused = target.attrs["fused"]


PASS = Pass("fuse", Level.CALIBRATED, Level.FUSED, run)
