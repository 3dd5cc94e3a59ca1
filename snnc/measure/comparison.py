"""Comparing the forms of a converted network on a few samples: every difference is an error of snnc.

1. The file as it is written, in its schedule, against its blocks with the states outside, which is how the compiler
   measures. Blocks end at other steps there.
2. The blocks against the independent reference simulator.

Both within budgets of work and memory. What was compared, and what was not and why, is a `Comparison`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.diagnostics import InternalError
from snnc.files import ConvertedFile
from snnc.ir.conversion import Conversion
from snnc.ir.domain import BLOCK_STEPS
from snnc.ir.report import Comparison
from snnc.memory import give_back
from snnc.simulate.plugged_reference import teach_reference
from snnc.simulate.traces import Names, Trace, block_traces, difference, reference_trace, written_trace

SAMPLES = 4
STEPS = BLOCK_STEPS + 6  # more than one block
REFERENCE_BUDGET = 4e9  # multiply-accumulates of the reference simulator; a few seconds
MEMORY_BUDGET = 2**30  # bytes of the traces that are held at once
_EARLY_CUT = 3  # a step count where no block of 64 steps ends


@dataclass(frozen=True)
class _Effort:
    """How much to compare: `batch` samples at once, `steps` of the file, `reference_*` of what the reference repeats.

    `batch` is 0 where one sample takes more memory than there may be, `reference_steps` where one step takes too much
    work.
    """

    samples: int
    steps: int
    batch: int
    reference_samples: int
    reference_steps: int


def compare_forms(conversion: Conversion, file: ConvertedFile, images: np.ndarray) -> list[Comparison]:
    """Compare the forms of an emitted conversion on the first of `images`; InternalError where they differ.

    With `controls=fixed` the file leaves no choice of steps and first sample, unrolled none of steps: it runs as it
    stands.
    """
    options, names = conversion.options, Names(conversion.graph)
    fixed = options.schedule != "stream" and options.controls == "fixed"
    all_steps = fixed or options.schedule == "unrolled"
    unknown = teach_reference(conversion.graph)
    if unknown:
        conversion.diagnostics.report("SNN511", f"it does not know {', '.join(unknown)}")
    effort = _effort(conversion, min(SAMPLES, len(images)), options.steps if all_steps else min(options.steps, STEPS))
    for start in range(0, effort.samples if effort.batch else 0, effort.batch or 1):
        batch = images[start : min(start + effort.batch, effort.samples)]
        where = {"seed": options.seed, "first_sample": 0 if fixed else start}
        cuts = {min(_EARLY_CUT, effort.steps), effort.reference_steps, effort.steps} - {0}
        blocks = block_traces(file, names, batch, sorted(cuts), **where)
        give_back()
        written = written_trace(file, names, batch, effort.steps, **where)
        _require_same((f"the file ({options.schedule})", written), ("its blocks", blocks[effort.steps]), names, start)
        few = batch[: max(0, effort.reference_samples - start)]
        if len(few) and not unknown:
            reference = _reference(conversion, names, few, effort.reference_steps, where)
            runtime = blocks[effort.reference_steps].of_first(len(few))
            _require_same(("the blocks", runtime), ("the reference simulator", reference), names, start)
    return _what_was_compared(conversion, effort, unknown)


def _effort(conversion: Conversion, samples: int, steps: int) -> _Effort:
    layers = conversion.report.layers
    neurons = [layer.neurons for layer in layers if layer.kind != "readout"]
    batch = min(samples, MEMORY_BUDGET // _bytes_of_a_sample(neurons, steps))
    sample_steps = int(REFERENCE_BUDGET // max(1, sum(layer.macs for layer in layers))) if batch else 0
    reference_samples = min(samples, sample_steps)
    reference_steps = min(steps, STEPS, sample_steps // max(1, reference_samples))
    return _Effort(samples, steps, batch, reference_samples, reference_steps)


def _bytes_of_a_sample(neurons: list[int], steps: int) -> int:
    """The words of all layers in two forms, and those of the largest layer once more in both, with their
    difference."""
    bytes_of_a_neuron = 8 * -(-steps // BLOCK_STEPS)
    return bytes_of_a_neuron * (2 * sum(neurons) + 3 * max(neurons))


def _reference(conversion: Conversion, names: Names, images: np.ndarray, steps: int, where: dict[str, int]) -> Trace:
    try:
        return reference_trace(conversion.graph, names, images, steps, **where)
    except (OverflowError, ValueError) as error:
        raise InternalError("verify", f"the reference simulator refuses the graph: {error}") from error


def _require_same(one: tuple[str, Trace], other: tuple[str, Trace], names: Names, first_sample: int) -> None:
    found = difference(one[1], other[1], list(names.words), first_sample)
    if found is not None:
        raise InternalError("verify", f"{one[0]} and {other[0]} are not the same: {found}")


def _what_was_compared(conversion: Conversion, effort: _Effort, unknown: list[str]) -> list[Comparison]:
    written, reference = (conversion.options.schedule, "blocks"), ("blocks", "reference")
    if not effort.batch:
        why = f"the spikes of one sample take more than {MEMORY_BUDGET / 2**20:,.0f} MiB"
        return [Comparison(written, 0, 0, why), Comparison(reference, 0, 0, why)]
    found = [Comparison(written, effort.samples, effort.steps)]
    if unknown:
        return [*found, Comparison(reference, 0, 0, f"it does not know {', '.join(unknown)}")]
    if effort.reference_steps:
        return [*found, Comparison(reference, effort.reference_samples, effort.reference_steps)]
    why = f"one step takes more than {REFERENCE_BUDGET:,.0f} multiply-accumulates"
    return [*found, Comparison(reference, 0, 0, why)]
