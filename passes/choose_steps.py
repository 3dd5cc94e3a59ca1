"""Choose the fewest steps that lose no more accuracy than `--target-drop` allows, where it is given.

Takes and gives level SPIKING. Left alone: a conversion without a target. Otherwise, for every number of steps of
`CANDIDATES` above `--delay` and up to `--max-steps`, in ascending order, a copy of the network gets the thresholds for
these steps and runs on the samples held back, by the passes that follow here up to level FUSED, until one meets the
target (`snnc.measure.target`). It becomes the option `steps`.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from snnc.diagnostics import fail
from snnc.emit.block import build_block
from snnc.emit.decode import add_decoding
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.measure.outputs import predictions
from snnc.measure.target import Classifier, choose
from snnc.measure.trials import trial
from snnc.runtime.session import largest_batch
from snnc.simulate.block_runner import StreamRunner

CANDIDATES = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)


def run(conversion: Conversion) -> None:
    options = conversion.options
    if options.target_drop is None:
        return
    candidates = [steps for steps in CANDIDATES if options.delay < steps <= options.max_steps]
    if not candidates:
        fail("SNN405", f"no number of steps is left above the delay of {options.delay}", hint="give `--steps`")

    def build(steps: int, share: tuple[float, float]) -> Classifier:
        return _classifier(trial(conversion, PASS, f"{steps} steps", share, measured=False, steps=steps))

    steps = choose(conversion, "steps", candidates, build)
    conversion.options = dataclasses.replace(options, steps=steps)


def _classifier(conversion: Conversion) -> Classifier:
    """The network (level FUSED) after its steps."""
    block, options = build_block(conversion.graph), conversion.options
    add_decoding(conversion.graph, block)
    runner = StreamRunner(block)

    def classes(images: np.ndarray, first_sample: int) -> np.ndarray | None:
        *_, last = runner.run(images, [options.steps], seed=options.seed, first_sample=first_sample)
        return predictions(last.outputs[block.outputs[0].name])

    sources = [layer for layer in conversion.report.layers if layer.kind != "readout"]
    return Classifier(classes, largest_batch(sources), conversion.progress)


PASS = Pass("choose_steps", Level.SPIKING, Level.SPIKING, run)
