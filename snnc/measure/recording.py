"""The spikes of layers in every step, and their membrane potentials beside them.

Spikes are taken from the words of whole blocks. For potentials the network runs step by step, since states are only
known where a block ends.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from snnc.diagnostics import fail
from snnc.files import ConvertedFile
from snnc.ir.conversion import LayerReport
from snnc.simulate.block_runner import StreamRunner
from snnc.simulate.spike_words import spike_words

#: Bytes that a recording may take where nothing else is said.
MOST_BYTES = 2**31
_SPIKE_BYTES, _POTENTIAL_BYTES = 1, 4


class Recording(dict[str, np.ndarray]):
    """Spikes by layer name, bool `[T, N, ...]`, int8 in {-1, 0, 1} where they have signs.

    `potentials` has the membrane potentials of the layers after each step, float32 `[T, N, ...]`, where they were asked
    for: in thresholds, after what the spike of that step has taken. A neuron fires at 1, and a staircase takes a spike
    back below 0; times λ, the layer's `scale`, potentials are in ANN units. A neuron that looks its count up in a table
    (`StaircaseTable`) has no threshold: its charge is in units of its integer grid. The input has no potential.
    """

    def __init__(self) -> None:
        super().__init__()
        self.potentials: dict[str, np.ndarray] = {}

    def __missing__(self, name: str) -> np.ndarray:
        raise KeyError(
            f"no spikes of {name!r} were recorded; there are those of {', '.join(map(repr, self)) or 'none'}"
        )


def record(
    file: ConvertedFile,
    images: np.ndarray,
    *,
    steps: int,
    layers: Sequence[str] | None,
    seed: int,
    first_sample: int,
    potentials: bool,
    most_bytes: int = MOST_BYTES,
) -> Recording:
    """`snnc.record` of prepared `images`."""
    words = spike_words(file)
    reports = {layer.name: layer for layer in file.layers}
    chosen = [name for name in words if reports[name].kind == "neuron"] if layers is None else list(layers)
    for name in chosen:
        if name not in words:
            raise KeyError(f"no layer {name!r}; the spiking layers are {', '.join(map(repr, words))}")
    states = _potential_states(file, chosen) if potentials else {}
    neurons = sum(reports[name].neurons * _SPIKE_BYTES for name in chosen)
    _check_memory(neurons + sum(reports[name].neurons * _POTENTIAL_BYTES for name in states), images, steps, most_bytes)
    runner = StreamRunner(file.block, expose=[part for name in chosen for part in words[name].tensors])
    found = Recording()
    for name in chosen:
        kind = np.int8 if words[name].signed else np.bool_
        found[name] = np.empty((steps, len(images), *reports[name].shape), kind)
    for name in states:
        found.potentials[name] = np.empty((steps, len(images), *reports[name].shape), np.float32)
    cuts = range(1, steps + 1) if potentials else [steps]
    for snapshot in runner.run(images, cuts, seed=seed, first_sample=first_sample):
        first = snapshot.step - snapshot.count
        for name in chosen:
            found[name][first : snapshot.step] = words[name].unpack(snapshot.words, snapshot.count)
        for name, state in states.items():
            found.potentials[name][first] = _in_thresholds(snapshot.states[state], reports[name])
    return found


def _potential_states(file: ConvertedFile, chosen: Sequence[str]) -> dict[str, str]:
    """The states that are the membrane potentials of layers, by layer; SNN405 where a file does not say which are."""
    states = {state.layer: state.name for state in file.block.states if state.what == "membrane potential"}
    kinds = {layer.name: layer.kind for layer in file.layers}
    neurons = [name for name in chosen if kinds[name] == "neuron"]
    for name in neurons:
        if name not in states:
            hint = "convert the ANN again: files of format 1 do not say which of their states are potentials"
            fail("SNN405", f"{file.name} does not tell the membrane potential of layer {name!r}", hint=hint)
    return {name: states[name] for name in neurons}


def _check_memory(bytes_of_a_step: int, images: np.ndarray, steps: int, most_bytes: int) -> None:
    needed = bytes_of_a_step * len(images) * steps
    if needed > most_bytes:
        fail(
            "SNN413",
            f"{len(images):,} samples in {steps:,} steps take {needed / 2**20:,.0f} MiB, more than "
            f"{most_bytes / 2**20:,.0f} MiB",
        )


def _in_thresholds(potential: np.ndarray, layer: LayerReport) -> np.ndarray:
    """Integer potentials `[N, ...]` over the thresholds of the layer; as they are where it has none."""
    if layer.threshold_integer is None:
        return potential.astype(np.float32)
    thresholds = np.asarray(layer.threshold_integer, np.float64)
    shaped = thresholds.reshape(-1, *[1] * (len(layer.shape) - 1))
    return (potential / shaped).astype(np.float32)
