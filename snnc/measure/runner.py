"""Running a converted file the way its hosts do, with onnxruntime alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from snnc.files import ConvertedFile
from snnc.runtime.session import SpikingSession
from snnc.simulate.block_runner import StreamRunner


@dataclass(frozen=True)
class Ran:
    """Of one batch: outputs in ANN units by name, `spike_totals` and `synaptic_operations` int64 `[N, L]`."""

    outputs: dict[str, np.ndarray]
    spike_totals: np.ndarray
    synaptic_operations: np.ndarray


#: Takes a batch and the index of its first sample, which decides on its random numbers.
Runner = Callable[[np.ndarray, int], Ran]


def make_runner(file: ConvertedFile, *, steps: int, seed: int, threads: int) -> Runner:
    """A function that runs a batch of images for `steps` steps, or until a network that settles is quiet.

    An unrolled file has every layer once for each block: it runs in its stream form. Where the file has fixed controls,
    every batch begins with sample 0.
    """
    if file.options.schedule != "loop":
        stream = StreamRunner(file.block, threads=threads)

        def run_stream(images: np.ndarray, first_sample: int) -> Ran:
            last = stream.run_until_quiet(images, steps, seed=seed, first_sample=first_sample)
            return Ran(last.outputs, last.spike_totals, last.synaptic_operations)

        return run_stream
    session = SpikingSession(file.model.SerializeToString(), threads=threads)

    def run_file(images: np.ndarray, first_sample: int) -> Ran:
        first = 0 if file.options.controls == "fixed" else first_sample
        result = session.run(images, steps, seed=seed, first_sample=first, batch_size=len(images), warn=False)
        return Ran(result.outputs, result.spike_totals, result.synaptic_operations)

    return run_file
