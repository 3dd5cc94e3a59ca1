"""Where the spikes of the layers of a converted file are, and what they are as booleans or signs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.files import ConvertedFile
from snnc.simulate.word_trains import unpack_words


@dataclass(frozen=True)
class SpikeWords:
    """Where the spikes of a layer are: one tensor of words, with the negative spikes behind the positive ones if they
    are signed, or in files of format 1 two tensors."""

    tensors: tuple[str, ...]
    signed: bool

    def unpack(self, words: dict[str, np.ndarray], count: int) -> np.ndarray:
        """bool `[count, N, ...]`, or int8 with signs."""
        parts = [words[name] for name in self.tensors]
        if not self.signed:
            return unpack_words(parts[0], count)
        plus, minus = parts if len(parts) == 2 else np.split(parts[0], 2, axis=1)
        signed: np.ndarray = unpack_words(plus, count).astype(np.int8) - unpack_words(minus, count)
        return signed


def spike_words(file: ConvertedFile) -> dict[str, SpikeWords]:
    """Spikes by layer name; an encoder is known by what it reads, any other layer by its name."""
    nodes = {node.name: node for node in file.block.body}
    encoder = next(node for node in file.block.body if node.input and node.input[0] == file.block.input_name)
    words: dict[str, SpikeWords] = {}
    for layer in file.layers:
        if layer.kind not in ("product", "readout") and layer.levels == 1:
            outputs = encoder.output if layer.kind == "input" else nodes[layer.name].output[:1]
            words[layer.name] = SpikeWords(tuple(outputs), layer.signed or len(outputs) == 2)
    return words
