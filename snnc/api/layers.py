"""What happens inside: spikes and membrane potentials (`record`), layers beside those of the ANN (`compare`)."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np

from snnc.api.measuring import require_same_network
from snnc.api.model import Model, SpikingModel, loaded, open_converted
from snnc.data import Preparation
from snnc.files import ConvertedFile
from snnc.ir.names import is_reserved
from snnc.ir.option import whole
from snnc.measure import recording
from snnc.measure.recording import MOST_BYTES, Recording
from snnc.reading.samples import with_samples_in_front
from snnc.runtime.session import largest_batch
from snnc.simulate.ann import layer_probe
from snnc.simulate.block_runner import StreamRunner


def record(
    model: str | PathLike[str] | SpikingModel,
    images: Any,
    *,
    steps: int | None = None,
    layers: Sequence[str] | None = None,
    seed: int | None = None,
    first_sample: int = 0,
    preparation: Preparation | None = None,
    potentials: bool = False,
    most_bytes: int = MOST_BYTES,
) -> Recording:
    """The spikes of layers (names as in `report.layers`; all neurons if None): bool `[T, N, ...]` by layer name.

    The input layer has its spikes' signs: int8 in {-1, 0, 1}. `images` and `preparation` as in `evaluate`; image n
    draws the random numbers of sample `first_sample + n`. With `potentials` the result has membrane potentials too
    (`snnc.measure.recording.Recording`).

    Raises:
        DiagnosticError: SNN413 where the recording would take more than `most_bytes`.
        KeyError: there is no such layer, or it does not spike.
    """
    file = open_converted(model)
    return recording.record(
        file,
        file.dataset(images, preparation).images,
        steps=file.choose_steps(steps),
        layers=layers,
        seed=file.choose_seed(seed),
        first_sample=whole("first_sample", first_sample),
        potentials=potentials,
        most_bytes=most_bytes,
    )


def compare(
    model: str | PathLike[str] | SpikingModel,
    ann: Model,
    images: Any,
    *,
    steps: int | None = None,
    preparation: Preparation | None = None,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """ANN activations and spike rates in ANN units, layer by layer: name → (activation, λ·count/T), both `[N, ...]`; of
    a network that settles λ·count.

    Layers are the neurons that the ANN has; their names are those of its nodes. `images` and `preparation` as in
    `evaluate`.
    """
    file = open_converted(model)
    steps = file.choose_steps(steps)
    array = file.dataset(images, preparation).images
    network = loaded(ann)
    require_same_network(file, network, "the given network")
    network = with_samples_in_front(network)
    scales = {layer.name: layer.scales() for layer in file.layers if layer.kind == "neuron"}
    probe, tensors = layer_probe(network, scales)
    outputs = probe.run(array)
    expected = {name: outputs[tensor] for name, tensor in tensors.items()}
    if file.settles:
        return {name: (expected[name], scales[name] * count) for name, count in _settled_counts(file, array).items()}
    rates: dict[str, np.ndarray] = {}
    batch = largest_batch(file.layers)
    for start in range(0, len(array), batch):
        part = recording.record(
            file,
            array[start : start + batch],
            steps=steps,
            layers=list(expected),
            seed=file.options.seed,
            first_sample=start,
            potentials=False,
        )
        for name, spikes in part.items():
            values = scales[name] * spikes.mean(0)
            rates[name] = np.concatenate([rates[name], values]) if name in rates else values
    return {name: (expected[name], rates[name]) for name in expected}


def _settled_counts(file: ConvertedFile, images: np.ndarray) -> dict[str, np.ndarray]:
    """The spike counts of the ANN's neurons once the network is quiet, int32 `[N, ...]`."""
    counts = {state.name: state.layer for state in file.block.states if state.what == "spike count"}
    runner, size = StreamRunner(file.block), largest_batch(file.layers)
    parts: dict[str, list[np.ndarray]] = {}
    for start in range(0, max(1, len(images)), size):
        last = runner.run_until_quiet(images[start : start + size], file.options.steps)
        for name, layer in counts.items():
            if not is_reserved(layer):
                parts.setdefault(layer, []).append(last.states[name])
    return {layer: np.concatenate(found) for layer, found in parts.items()}
