"""Running a calibrated network against its ANN on the samples held back from calibration, before a file is written: the
network of a conversion, or copies of it with other options."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from snnc.data import DataSet
from snnc.data.rows import JoinedRows, Rows
from snnc.diagnostics import Diagnostics
from snnc.emit.block import build_block
from snnc.emit.decode import add_decoding
from snnc.integers.calibration_split import MOST_HELD_BACK, calibration_split, image_memory
from snnc.ir.conversion import Conversion, Level, Pass, Report
from snnc.ir.domain import BLOCK_STEPS
from snnc.ir.trees import source_nodes
from snnc.levels import run_pass
from snnc.measure.evaluation import Curve, measure_curve
from snnc.measure.layer_report import potentials
from snnc.methods import METHODS

INITIAL_POTENTIALS = (0.0, 0.5)
_LEAST_SAMPLES = 8
_BUDGET = 4e11  # multiply-accumulates of one simulation; about ten seconds


def samples_of(conversion: Conversion) -> tuple[DataSet, DataSet]:
    """The samples that calibrate, in memory if they take no more of it than images may, and those that are held back:
    as many as `--target-drop` asks for."""
    assert conversion.data is not None
    most = max(MOST_HELD_BACK, conversion.most_held_back)
    calibrating, held_back = calibration_split(conversion.data, conversion.options.calib_samples, most)
    return calibrating.within(image_memory(conversion.calib_memory)), held_back.within(None)


def first_images(conversion: Conversion, most: int) -> Rows:
    """Up to `most` samples, those held back first."""
    calibrating, held_back = samples_of(conversion)
    rest = calibrating.select(slice(0, max(0, most - len(held_back))))
    return JoinedRows([held_back.select(slice(0, most)).stored, rest.stored])


def held_back_images(conversion: Conversion) -> np.ndarray:
    """The samples to verify on: fewer for a network that is expensive to simulate. One that settles does so long before
    the bound on its steps, mostly within a block."""
    options, macs = conversion.options, sum(layer.macs for layer in conversion.report.layers)
    steps = min(options.steps, BLOCK_STEPS) if METHODS[options.method].settles else options.steps
    affordable = max(_LEAST_SAMPLES, int(_BUDGET // (max(1, macs) * steps)))
    return samples_of(conversion)[1].images[:affordable]


def _labels_of(conversion: Conversion, samples: int, ann_outputs: dict[str, np.ndarray]) -> np.ndarray | None:
    """The labels of the first so many samples that are held back; None without, and where they are no classes of the
    ANN's first output."""
    labels = samples_of(conversion)[1].labels
    output = next(iter(ann_outputs.values()))
    classes = output.shape[1] if output.ndim > 1 and output.dtype.kind == "f" else np.iinfo(np.int64).max
    return None if labels is None or labels.max() >= classes else labels[:samples]


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
    *,
    to_rest: bool = False,
) -> Curve:
    """Agreement, error and, with labels, accuracy against steps of the network as it is now (level FUSED), on the first
    samples that are held back: `images`; `to_rest` as in `measure_curve`."""
    block = build_block(conversion.graph)
    add_decoding(conversion.graph, block)
    layers, seed = conversion.report.layers, conversion.options.seed
    labels = _labels_of(conversion, len(images), ann_outputs)
    return measure_curve(
        block,
        layers,
        images,
        cuts,
        labels=labels,
        ann_outputs=ann_outputs,
        seed=seed,
        workers=conversion.workers,
        to_rest=to_rest,
        progress=progress,
    )


def trial(
    conversion: Conversion,
    behind: Pass,
    what: str,
    share: tuple[float, float],
    *,
    measured: bool = True,
    **options: Any,
) -> Conversion:
    """A copy of the network as it is now with other options, taken to level FUSED by the passes `behind` a pass, and
    through those that measure it there if it is to be `measured`; what it estimates is shared. Progress is told of
    `what`, from one share to the other."""
    first, last = share

    def progress(stage: str, part: float) -> None:
        conversion.progress(f"{what}: {stage}", first + part * (last - first))

    copy = dataclasses.replace(
        conversion,
        options=dataclasses.replace(conversion.options, **options),
        graph=conversion.graph.copy(),
        trials={},
        report=Report(diagnostics=Diagnostics(logged=False)),
        progress=progress,
    )
    passes = METHODS[conversion.options.method].passes
    for step in passes[passes.index(behind) + 1 :]:
        if step.gives <= Level.FUSED and (measured or step.takes < Level.FUSED):
            run_pass(step, copy)
    return copy
