"""Running a calibrated network against its ANN on the samples held back from calibration, before a file is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from snnc.emit.block import build_block
from snnc.emit.decode import add_decoding
from snnc.integers.calibration_split import calibration_split
from snnc.ir.conversion import Conversion
from snnc.ir.trees import source_nodes
from snnc.measure.evaluation import Curve, measure_curve
from snnc.measure.layer_report import potentials

INITIAL_POTENTIALS = (0.0, 0.5)
_LEAST_SAMPLES = 8
_BUDGET = 4e11  # multiply-accumulates of one simulation; about ten seconds


def held_back_images(conversion: Conversion) -> np.ndarray:
    """The samples to verify on: fewer for a network that is expensive to simulate."""
    assert conversion.data is not None
    options, macs = conversion.options, sum(layer.macs for layer in conversion.report.layers)
    affordable = max(_LEAST_SAMPLES, int(_BUDGET // (max(1, macs) * options.steps)))
    return calibration_split(conversion.data, options.calib_samples)[1].images[:affordable]


def start_from(conversion: Conversion, v_init: float) -> None:
    """Let every neuron start at `v_init` thresholds."""
    layers = {layer.name: layer for layer in conversion.report.layers}
    for node in source_nodes(conversion.graph):
        if "v_init" in node.attrs:
            node.attrs["v_init"] = v_init
            layers[node.name].v_init = potentials(node)


def simulate_against(
    conversion: Conversion,
    images: np.ndarray,
    ann_outputs: dict[str, np.ndarray],
    cuts: Sequence[int],
    progress: Callable[[float], None] = lambda share: None,
) -> Curve:
    """Agreement and error against steps of the network as it is now (level FUSED)."""
    block = build_block(conversion.graph)
    add_decoding(conversion.graph, block)
    layers, seed = conversion.report.layers, conversion.options.seed
    return measure_curve(block, layers, images, cuts, ann_outputs=ann_outputs, seed=seed, progress=progress)
