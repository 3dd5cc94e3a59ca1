"""What the encoder of a converted network gives in every step: the input of the same network in other simulators."""

from __future__ import annotations

import numpy as np

from snnc.files import ConvertedFile
from snnc.simulate.block_runner import StreamRunner
from snnc.simulate.reference_coding import graded
from snnc.simulate.spike_words import spike_words


class EncodedInput:
    """Runs the network of `file` for its input spikes; numbers that enter as they are need no run."""

    def __init__(self, file: ConvertedFile, *, threads: int | None = None) -> None:
        self._file = file
        self._words = spike_words(file).get(file.layers[0].name)
        self._runner = (
            None if self._words is None else StreamRunner(file.block, expose=self._words.tensors, threads=threads)
        )

    def of(self, images: np.ndarray, steps: int, *, seed: int, first_sample: int = 0) -> np.ndarray:
        """Spikes, or integers that are the same in every step, `[T, N, ...]`."""
        if self._runner is None or self._words is None:
            return np.broadcast_to(self._numbers(images), (steps, *images.shape))
        first = 0 if self._file.options.controls == "fixed" else first_sample
        blocks = self._runner.run(images, [steps], seed=seed, first_sample=first)
        return np.concatenate([self._words.unpack(block.words, block.count) for block in blocks])

    def _numbers(self, images: np.ndarray) -> np.ndarray:
        """The integers of an input that is not coded into spikes."""
        attrs = next(node for node in self._file.calibrated().nodes if node.op == "DirectEncode").attrs
        unit = np.asarray(attrs["scale"] / np.asarray(attrs.get("factor", 1.0)), np.float32)
        origin = np.asarray(attrs.get("origin", 0.0), np.float32)
        return graded(images, unit, attrs.get("low", -255), attrs.get("high", 255), origin=origin)
