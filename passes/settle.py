"""Bound the steps that the network takes to settle, and let it settle on held-back samples beside the ANN.

Takes and gives level FUSED:

1. a layer changes its count by at most one in a step, so once everything in front of it has settled it needs no more
   steps than it has counts. From layer to layer that is a bound on the steps of the whole network; it becomes the
   options `steps` and `max_steps` of the file, which stops earlier, when it is quiet;
2. the network runs until it is quiet beside the ANN, and the curve against steps is kept for `verify`.
"""

from __future__ import annotations

import dataclasses

import onnx_graphsurgeon as gs

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.trees import layers, source_nodes, sources_of
from snnc.measure.trials import held_back_images, simulate_against
from snnc.operators import SOURCES
from snnc.simulate.ann import Ann
from snnc.simulate.block_runner import default_cuts

_QUIET_STEP = 1


def run(conversion: Conversion) -> None:
    steps = settling_steps(conversion.graph)
    conversion.options = dataclasses.replace(conversion.options, steps=steps, calib_steps=1, max_steps=steps)
    images = held_back_images(conversion)
    ann_outputs = Ann(conversion.ann).run(images)

    def progress(share: float) -> None:
        conversion.progress("comparing with the ANN", share)

    curve = simulate_against(conversion, images, ann_outputs, default_cuts(steps), progress, to_rest=True)
    assert conversion.options.v_init is not None
    conversion.trials[conversion.options.v_init] = curve


def settling_steps(graph: gs.Graph) -> int:
    """The most steps until the network is quiet, the one in which nothing happens included."""
    bounds: dict[str, int] = {}
    for node in source_nodes(graph):
        before = [bounds[leaf.name] for leaf in sources_of(node) if leaf.name in bounds]
        bounds[node.outputs[0].name] = max(before, default=0) + SOURCES[node.op].settling_steps(node)
    return max(bounds[leaf.name] for node in layers(graph) for leaf in sources_of(node)) + _QUIET_STEP


PASS = Pass("settle", Level.FUSED, Level.FUSED, run)
