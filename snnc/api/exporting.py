"""Writing a converted network in the form of others: `export_nir`."""

from __future__ import annotations

import io
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from snnc.api.model import SpikingModel, open_converted
from snnc.data import DataSet, Preparation
from snnc.data.synthetic import synthetic
from snnc.diagnostics import fail
from snnc.export.nir_check import TIMEOUT, Check, check, recorded, trains_of
from snnc.export.nir_graph import NirNetwork, nir_network
from snnc.export.nir_targets import TARGETS
from snnc.export.nir_writer import require_nir
from snnc.files import ConvertedFile, write_atomically
from snnc.ir.option import whole
from snnc.runtime.session import input_limit

#: Samples that the check takes where no number is given.
SAMPLES = 4


@dataclass(frozen=True)
class NirExport:
    """A network as NIR, checked: `content` is the file, `graph` the same as an object of the package nir, `data` what
    the network did on the samples of the check (a file of `nir.read_data`), `check` what was compared."""

    content: bytes
    network: NirNetwork
    data: bytes
    check: Check

    @property
    def graph(self) -> Any:
        """The `nir.NIRGraph`."""
        return self.network.graph

    def save(self, path: str | PathLike[str]) -> None:
        """Write the graph; SNN401 where that is not possible."""
        write_atomically(path, self.content)


def export_nir(
    model: str | PathLike[str] | SpikingModel,
    target: str = "generic",
    *,
    data: Any = None,
    preparation: Preparation | None = None,
    samples: int | None = None,
    steps: int | None = None,
    seed: int | None = None,
    simulator: str | PathLike[str] | None = None,
    timeout: int = TIMEOUT,
) -> NirExport:
    """The network as a graph of NIR for `target` (`generic`, `norse`, `snntorch`, `spyx`), with the same spikes.

    The graph is run on `samples` of `data` (as in `evaluate`; smooth random images where there are none) for `steps`,
    and every spike compared: by an interpreter of NIR, and in the target's own simulator where it is installed, here or
    for the Python interpreter `simulator`, which may take `timeout` seconds and then is ended.

    Raises:
        DiagnosticError: SNN420: what the target cannot compute, all at once. SNN421, SNN422: it fires otherwise or does
            not run. SNN407: the package nir is missing.
    """
    if target not in TARGETS:
        fail("SNN405", f"no target of NIR is called {target!r}", hint=f"choose one of {', '.join(TARGETS)}")
    if whole("timeout", timeout) < 1:
        fail("SNN405", f"timeout is {timeout}, must be at least 1 second")
    require_nir()
    file = open_converted(model)
    _check_neurons(file, target)
    samples = None if samples is None else whole("samples", samples)
    chosen = file.choose_steps(steps)
    network = nir_network(file.calibrated(), TARGETS[target], steps=chosen, name=file.name)
    dataset = samples_of(file, data, preparation, SAMPLES if samples is None else samples)
    images = np.asarray(dataset.images, np.float32)
    content = _content(network)
    trains = trains_of(file, images, chosen, file.choose_seed(seed))
    found = check(network, content, trains, None if simulator is None else str(simulator), timeout)
    return NirExport(content, network, recorded(network, trains), found)


def _check_neurons(file: ConvertedFile, target: str) -> None:
    """SNN420 for networks of which a file has no graph of single operators: those that settle."""
    if file.settles:
        first = next(layer for layer in file.layers if layer.kind == "neuron")
        fail(
            "SNN420",
            f"its neurons take spikes back, and NIR has none that do (the method was {file.options.method})",
            node=first.name,
            op=first.op,
            hint="convert the ANN with `--method rmp` or `--method low-latency`",
        )


def samples_of(file: ConvertedFile, data: Any, preparation: Preparation | None, samples: int) -> DataSet:
    """So many samples, evenly spread over `data`; smooth images in the range of the input where there are none."""
    if samples < 1:
        fail("SNN405", f"samples is {samples}, must be at least 1")
    if data is None:
        return synthetic(file.input_dims, samples, _input_range(file), 0)
    dataset = file.dataset(data, preparation)
    if samples >= len(dataset):
        return dataset
    return dataset.select(np.linspace(0, len(dataset) - 1, samples).round().astype(np.int64))


def _input_range(file: ConvertedFile) -> tuple[float, float]:
    """All values that are not clipped in one channel or the other."""
    first, limit = file.layers[0], float(input_limit(file.layers))
    factor, origin = np.asarray(first.factor, np.float64), np.asarray(first.origin, np.float64)
    reach = limit / np.abs(factor)
    return float((origin - reach).min()), float((origin + reach).max())


def _content(network: NirNetwork) -> bytes:
    buffer = io.BytesIO()
    require_nir().write(buffer, network.graph)
    return buffer.getvalue()
