"""The smallest candidate that loses no more accuracy than `--target-drop` allows: of numbers of steps, or of levels.

1. More samples are held back than usual, four times as many as it takes to show the target where nothing is lost at
   all, if the data has them (`snnc.integers.calibration_split`);
2. candidate after candidate, in ascending order, classifies the samples held back, until the bound on the drop of one
   of them meets the target (`snnc.measure.drop`). The activations of the ANN are measured once for all. What does not
   fit the integers is out;
3. where none meets it, the one with the least bound is chosen, and warning SNN513 says what it would take;
4. all bounds go into the report.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from snnc.data import DataSet, check_labels
from snnc.diagnostics import DiagnosticError, fail
from snnc.integers.activations import Activations, in_batches
from snnc.ir.conversion import Conversion
from snnc.ir.report import Target, Tried
from snnc.measure.drop import CONFIDENCE, Pairs, Search, allowed_error, fewest_samples, samples_needed, smallest
from snnc.measure.outputs import predictions
from snnc.measure.trials import samples_of
from snnc.simulate.ann import Ann

What = Literal["steps", "levels"]
# Held back are as many times the samples that no difference at all would need: a few may well differ.
_ROOM = 4
# A target is met or missed for good after a few of these.
_FEW = 128
_MORE = {"steps": ", or more steps (`--max-steps`)", "levels": ""}


@dataclass(frozen=True)
class Classifier:
    """A candidate: gives the classes of images `[N, ...]` of which the first one is a given sample, up to `batch` of
    them at a time, and tells `progress` the share that is done."""

    classes: Callable[[np.ndarray, int], np.ndarray | None]
    batch: int
    progress: Callable[[str, float], None]


def choose(
    conversion: Conversion,
    what: What,
    candidates: Sequence[int],
    build: Callable[[int, tuple[float, float]], Classifier],
) -> int:
    """The chosen one of `candidates`, which are numbers of `what`; `conversion.target` says how (level SPIKING).

    `build(candidate, share)` makes a classifier of one, within this share of the progress.
    """
    target = conversion.options.target_drop
    assert target is not None
    assert conversion.data is not None
    error, labels = allowed_error(candidates), conversion.data.labels is not None
    conversion.most_held_back = _ROOM * fewest_samples(target, error, labels=labels)
    calibrating, held_back = samples_of(conversion)
    expected = _expected(conversion, held_back, what)
    conversion.activations = Activations(conversion.graph, in_batches(calibrating.stored, conversion.graph))
    conversion.estimates = {} if conversion.estimates is None else conversion.estimates
    failures: dict[int, DiagnosticError] = {}

    def evaluate(candidate: int, hopeless: Callable[[Pairs, int], bool]) -> Pairs:
        place = candidates.index(candidate)
        try:
            classifier = build(candidate, (place / len(candidates), (place + 1) / len(candidates)))
        except DiagnosticError as failure:
            failures[candidate] = failure
            return Pairs(len(held_back), len(held_back), 0 if labels else None)
        return _paired(classifier, held_back, expected, hopeless)

    found = smallest(candidates, target, evaluate)
    chosen = found.chosen.candidate
    if chosen in failures:
        raise failures[chosen]
    tried = [
        Tried(one.pairs.samples, one.pairs.lost, one.pairs.gained, one.bound, **{what: one.candidate})
        for one in found.tried
    ]
    conversion.target = Target(target, found.met, CONFIDENCE, tried)
    if not found.met:
        _warn(conversion, what, found, len(held_back), error)
    return chosen


def _expected(conversion: Conversion, held_back: DataSet, what: What) -> np.ndarray:
    """The classes that the ANN puts the samples into."""
    outputs = Ann(conversion.ann).run(held_back.images)[conversion.graph.outputs[0].name]
    expected = predictions(outputs)
    if expected is None:
        message = "target_drop is about classes, and the output of the network is none"
        fail("SNN405", message, hint=f"give `--{what}`")
    if held_back.labels is not None and outputs.ndim > 1 and np.issubdtype(outputs.dtype, np.floating):
        check_labels(held_back, outputs.shape[1])
    return expected


def _paired(
    classifier: Classifier, data: DataSet, expected: np.ndarray, hopeless: Callable[[Pairs, int], bool]
) -> Pairs:
    """The samples that the candidate puts into another class than the ANN, which put them into the `expected` ones;
    with labels, those that either classifies rightly alone. Stops where it is `hopeless`."""
    pairs, size = Pairs(0, 0, None if data.labels is None else 0), min(_FEW, classifier.batch)
    for start in range(0, len(data), size):
        chosen = slice(start, start + size)
        classes = classifier.classes(data.images[chosen], start)
        assert classes is not None
        pairs = pairs.with_more(classes, expected[chosen], None if data.labels is None else data.labels[chosen])
        classifier.progress("comparing with the ANN", pairs.samples / len(data))
        if hopeless(pairs, len(data)):
            break
    return pairs


def _warn(conversion: Conversion, what: What, found: Search, samples: int, error: float) -> None:
    """What was shown instead, and how many samples would show the target; held back are `samples`."""
    best, target = found.chosen, conversion.options.target_drop
    assert target is not None
    name = f"{best.candidate} {what if best.candidate != 1 else what.removesuffix('s')}"
    message = (
        f"a drop of at most {_percent(target)} could not be shown; {name}: {_percent(best.pairs.drop)} on "
        f"{best.pairs.samples:,} samples, at most {_percent(best.bound)} with {CONFIDENCE:.0%} confidence"
    )
    fewest = fewest_samples(target, error, labels=best.pairs.gained is not None)
    if samples < fewest:
        hint = f"at least {fewest:,} held-back samples are needed if nothing is lost: give more data"
    else:
        needed = samples_needed(best.pairs, target, error)
        hint = f"allow a larger drop{_MORE[what]}"
        if needed is not None:
            hint = f"if the shares stay as they are, {needed:,} held-back samples would show it: give more data"
    conversion.diagnostics.report("SNN513", message.replace("%", " %"), hint=hint)


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%"
