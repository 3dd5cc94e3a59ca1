"""An input that comes with the program, and what the network does with it: the test that the example runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnc.data import as_dataset
from snnc.data.synthetic import synthetic
from snnc.export.c.inputs import BYTE_VALUES, encoded
from snnc.export.c.program import Program
from snnc.files import ConvertedFile
from snnc.runtime.session import input_limit
from snnc.simulate.block_runner import StreamRunner


@dataclass(frozen=True)
class Sample:
    """`values` are pixels where the program takes them, else quotas or numbers, `[N]`; `spikes` those of every layer of
    the program, `sums` those of its readouts, after `steps` steps."""

    values: NDArray[np.int64]
    steps: int
    seed: int
    spikes: list[int]
    sums: list[NDArray[np.int64]]


def sample_of(file: ConvertedFile, program: Program) -> Sample:
    """A smooth random input, as the network runs it in onnxruntime."""
    given, steps = program.input, min(file.options.steps, program.most_steps or file.options.steps)
    if given.pixels is None:
        limit = float(input_limit(file.layers))
        images = synthetic(given.shape, 1, (-limit, limit), 0).images
        values = encoded(given, np.asarray(images, np.float32))
    else:
        pixels = np.rint(synthetic(given.shape, 1, (0.0, BYTE_VALUES - 1.0), 0).images).astype(np.uint8)
        said = {name: value for name, value in given.prepared.given.items() if name != "layout"}
        images, values = as_dataset(pixels, given.shape, **said).images, pixels.astype(np.int64)
    *_, last = StreamRunner(file.block).run(np.asarray(images, np.float32), [steps], seed=file.options.seed)
    names = {state.layer: state.name for state in file.block.states if state.what == "membrane potential"}
    sums = [last.states[names[readout.state.layer]].reshape(-1) for readout in program.readouts]
    totals = [int(total) for total in last.spike_totals[0]]
    return Sample(values.reshape(-1).astype(np.int64), steps, file.options.seed, totals, sums)
