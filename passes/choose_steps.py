"""Choose the fewest steps that lose no more accuracy than `--target-drop` allows, where it is given.

Takes and gives level SPIKING. Left alone: a conversion without a target. Otherwise:

1. more samples are held back than usual, four times as many as it takes to show the target where nothing is lost at
   all, if the data has them (`snnc.integers.calibration_split`);
2. for every number of steps of `CANDIDATES` above `--delay` and up to `--max-steps`, in ascending order, a copy of the
   network gets the thresholds for these steps and runs on the samples held back, by the passes that follow here up to
   level FUSED, until one meets the target: the bound on its drop (`snnc.measure.drop`) is small enough. It becomes the
   option `steps`. The activations of the ANN are measured once for all;
3. where none meets it, those with the least bound become the steps, and warning SNN513 says what it would take;
4. all bounds go into the report.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from snnc.data import check_labels
from snnc.diagnostics import fail
from snnc.integers.activations import Activations, in_batches
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.report import Target, TriedSteps
from snnc.measure.drop import CONFIDENCE, Pairs, Search, allowed_error, fewest_samples, samples_needed, smallest
from snnc.measure.evaluation import predictions
from snnc.measure.trials import paired, samples_of, trial
from snnc.simulate.ann import Ann

CANDIDATES = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
# Held back are as many times the samples that no difference at all would need: a few may well differ.
_ROOM = 4


def run(conversion: Conversion) -> None:
    target = conversion.options.target_drop
    if target is None:
        return
    assert conversion.data is not None
    options = conversion.options
    candidates = [steps for steps in CANDIDATES if options.delay < steps <= options.max_steps]
    if not candidates:
        fail("SNN405", f"no number of steps is left above the delay of {options.delay}", hint="give `--steps`")
    error, labels = allowed_error(candidates), conversion.data.labels is not None
    conversion.most_held_back = _ROOM * fewest_samples(target, error, labels=labels)
    calibrating, held_back = samples_of(conversion)
    outputs = Ann(conversion.ann).run(held_back.images)[conversion.graph.outputs[0].name]
    expected = predictions(outputs)
    if expected is None:
        fail("SNN405", "target_drop is about classes, and the output of the network is none", hint="give `--steps`")
    if labels and outputs.ndim > 1 and np.issubdtype(outputs.dtype, np.floating):
        check_labels(held_back, outputs.shape[1])
    conversion.activations = Activations(conversion.graph, in_batches(calibrating.stored, conversion.graph))
    conversion.estimates = {} if conversion.estimates is None else conversion.estimates

    def evaluate(steps: int, hopeless: Callable[[Pairs, int], bool]) -> Pairs:
        place = candidates.index(steps)
        share = (place / len(candidates), (place + 1) / len(candidates))
        tried = trial(conversion, PASS, f"{steps} steps", share, measured=False, steps=steps)
        return paired(tried, held_back, expected, hopeless)

    found = smallest(candidates, target, evaluate)
    conversion.options = dataclasses.replace(conversion.options, steps=found.chosen.candidate)
    tried = [
        TriedSteps(tried.candidate, tried.pairs.samples, tried.pairs.lost, tried.pairs.gained, tried.bound)
        for tried in found.tried
    ]
    conversion.target = Target(target, found.met, CONFIDENCE, tried)
    if not found.met:
        _warn(conversion, found, len(held_back), error)


def _warn(conversion: Conversion, found: Search, samples: int, error: float) -> None:
    """What was shown instead, and how many samples would show the target; held back are `samples`."""
    best, target = found.chosen, conversion.options.target_drop
    assert target is not None
    steps = f"{best.candidate} step{'' if best.candidate == 1 else 's'}"
    message = (
        f"a drop of at most {_percent(target)} could not be shown; {steps}: {_percent(best.pairs.drop)} on "
        f"{best.pairs.samples:,} samples, at most {_percent(best.bound)} with {CONFIDENCE:.0%} confidence"
    )
    fewest = fewest_samples(target, error, labels=best.pairs.gained is not None)
    if samples < fewest:
        hint = f"at least {fewest:,} held-back samples are needed if nothing is lost: give more data"
    else:
        needed = samples_needed(best.pairs, target, error)
        hint = "allow a larger drop, or more steps (`--max-steps`)"
        if needed is not None:
            hint = f"if the shares stay as they are, {needed:,} held-back samples would show it: give more data"
    conversion.diagnostics.report("SNN513", message.replace("%", " %"), hint=hint)


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%"


PASS = Pass("choose_steps", Level.SPIKING, Level.SPIKING, run)
