"""Running a converted network with onnxruntime and numpy alone."""

from __future__ import annotations

import json
import logging
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from html import escape
from os import PathLike, fspath
from typing import Any, Protocol, TypeVar

import numpy as np
import onnxruntime

from snnc.runtime.library import library_path

log = logging.getLogger("snnc.runtime")

Record = TypeVar("Record", "FileOptions", "SpikingLayer")

FORMAT_VERSION = 2
#: In the place of a schedule: a frame is one sweep over the layers (`GradedSession`).
GRADED = "graded"
# What the tensors of the largest layer may take for one block: batches that stay near the caches run fastest.
_BATCH_BYTES = 16 * 2**20
_PLAIN_BYTES = 64 * 4  # per neuron: a float32 current at every step of a block
_FUSED_BYTES = 32  # per neuron: words in and out, potentials before and after
_ERRORS_ONLY = 3


def whole(name: str, value: Any) -> int:
    """`value` as an int: numpy's integers count; TypeError for floats and booleans, which would be cut or read as 1."""
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} is {value!r}, must be an integer")
    return operator.index(value)


def make_session(
    model: bytes | str,
    *,
    native: bool = True,
    threads: int | None = None,
    profile: str | None = None,
    frugal: bool = False,
) -> onnxruntime.InferenceSession:
    """An onnxruntime session for a converted network (a path or a serialized model).

    `native=False` leaves the library out: the functions inside the file compute the same spikes, slower. A `frugal`
    session takes more time and less memory: what it computes from constants, and the memory of a run, are not kept.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY  # onnxruntime warns of every optional input of a Loop model
    if threads is not None:
        options.intra_op_num_threads = whole("threads", threads)
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = profile
    if native:
        options.register_custom_ops_library(str(library_path()))
    options.enable_cpu_mem_arena = not frugal
    return cpu_session(model, options, disabled_optimizers=["ConstantFolding"] if frugal else [])


def cpu_session(
    model: bytes | str, options: onnxruntime.SessionOptions, *, disabled_optimizers: Sequence[str] = ()
) -> onnxruntime.InferenceSession:
    """A session of onnxruntime for any model. Where that fails it raises what onnxruntime says, and prints nothing: its
    Python package would print that it tries the same again (`enable_fallback`)."""
    return onnxruntime.InferenceSession(
        model,
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=list(disabled_optimizers),
        enable_fallback=0,
    )


class Sized(Protocol):
    """What a layer of a file tells of the memory that it takes (docs/format.md)."""

    @property
    def kind(self) -> str: ...

    @property
    def neurons(self) -> int: ...

    @property
    def fused(self) -> str | None: ...


class Coded(Protocol):
    """What the coding of an input is known by."""

    @property
    def scale(self) -> float | list[float]: ...

    @property
    def levels(self) -> int: ...

    @property
    def factor(self) -> float | list[float]: ...

    @property
    def origin(self) -> float | list[float]: ...


@dataclass(frozen=True)
class SpikingLayer:
    """A layer that spikes: its name, what it is (`input` or `neuron`), how many neurons it has, λ, what runs it."""

    name: str
    kind: str
    neurons: int
    scale: float | list[float] = 1.0
    fused: str | None = None
    levels: int = 1
    factor: float | list[float] = 1.0
    origin: float | list[float] = 0.0


@dataclass(frozen=True)
class FileOptions:
    """Those options of a conversion that say how its file runs (docs/format.md)."""

    steps: int
    seed: int
    max_steps: int
    schedule: str
    controls: str
    method: str = "rmp"
    coding: str = "poisson"

    @property
    def fixed_by(self) -> str:
        """What fixes the steps in the file, or ""."""
        if self.schedule == "unrolled":
            return "--schedule unrolled"
        return "--controls fixed" if self.controls == "fixed" else ""


def largest_batch(layers: Iterable[Sized], *, native: bool = True) -> int:
    """How many samples to run at once so that a block of 64 steps stays small, for the layers of a file.

    Without the native operators (`native=False`) every layer unpacks its spikes.
    """
    largest = max(layer.neurons * _bytes_per_neuron(layer, native) for layer in layers)
    return max(1, min(256, _BATCH_BYTES // max(1, largest)))


def bytes_per_sample(layers: Iterable[Sized]) -> int:
    """What a sample takes in memory while a batch is simulated with the native operators: words and potentials of every
    layer, and what the largest plain one unpacks."""
    sizes = [(layer.neurons, _bytes_per_neuron(layer, native=True)) for layer in layers]
    kept = sum(neurons for neurons, _ in sizes) * _FUSED_BYTES
    return kept + max((neurons * size for neurons, size in sizes if size > _FUSED_BYTES), default=0)


def _bytes_per_neuron(layer: Sized, native: bool) -> int:
    one_operator = layer.kind == "input" or layer.fused not in (None, "plain")
    return _FUSED_BYTES if native and one_operator else _PLAIN_BYTES


def check_images(images: Any, dims: tuple[int, ...], what: str = "images") -> np.ndarray:
    """`images` as finite float32 `[N, *dims]`; raises ValueError or TypeError that says what is wrong with `what`."""
    array = np.asarray(images)
    if array.dtype == object or array.dtype.kind not in "fiub":
        raise TypeError(f"{what} have dtype {array.dtype}, must be numbers")
    if array.dtype == np.uint8:
        raise TypeError(f"{what} are uint8: scale them as the network was trained, such as {what} / np.float32(255)")
    if array.ndim == len(dims):
        raise ValueError(f"{what} have shape {array.shape}, must be [N, {', '.join(map(str, dims))}]: add a batch axis")
    if array.ndim != len(dims) + 1 or array.shape[1:] != tuple(dims):
        raise ValueError(f"{what} have shape {array.shape}, must be [N, {', '.join(map(str, dims))}]")
    array = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(array).all():
        first = int(np.argwhere(~np.isfinite(array))[0][0])
        raise ValueError(f"{what} have NaN or infinite values, first in sample {first}")
    return array


def read_metadata(session: onnxruntime.InferenceSession) -> tuple[FileOptions, list[SpikingLayer]]:
    """The options of the file in a session, and its layers that spike.

    Raises:
        ValueError: the file was not converted by snnc, or has a newer format.
    """
    metadata = session.get_modelmeta().custom_metadata_map
    if "snnc.format_version" not in metadata:
        raise ValueError("the file is not a network converted by snnc")
    if int(metadata["snnc.format_version"]) > FORMAT_VERSION:
        raise ValueError(
            f"the file has format {metadata['snnc.format_version']}, this snnc reads up to {FORMAT_VERSION}"
        )
    layers = [_chosen(SpikingLayer, layer) for layer in json.loads(metadata["snnc.layers"])]
    options = _chosen(FileOptions, json.loads(metadata["snnc.options"]))
    return options, [layer for layer in layers if layer.kind != "readout"]


def input_limit(layers: Sequence[Coded]) -> np.float32:
    """The largest magnitude of an input element, prepared where the network does that, that is not clipped."""
    limit: np.float32 = np.float32(np.max(layers[0].scale) * layers[0].levels)
    return limit


def beyond_limit(layers: Sequence[Coded], images: np.ndarray) -> np.ndarray:
    """Which elements of `images` `[N, C, ...]` are clipped, of the shape of `images`; `layers` begin with the input."""
    first, ones = layers[0], [1] * (images.ndim - 2)
    factor, origin = (np.asarray(value, np.float32).reshape(-1, *ones) for value in (first.factor, first.origin))
    prepared = (images - origin) * factor if origin.any() or (factor != 1).any() else images
    found: np.ndarray = np.abs(prepared) > input_limit(layers)
    return found


@dataclass(frozen=True, repr=False)
class Result:
    """What a run gives.

    Attributes:
        logits: the network's first output, `[N, ...]`, in ANN units.
        outputs: every output of the ANN by name.
        spike_totals: spikes per sample and layer, int64 `[N, L]`; column 0 is the input.
        synaptic_operations: accumulations per sample and layer that these spikes cause, int64 `[N, L]`.
        spike_rates: spikes per neuron and step of each layer, mean over the samples.
        steps_used: T, or of a network that settles the steps until the last spike of all samples.
        clipped: share of input elements beyond the input scale (their rate is cut to 1; logged as a warning).
        sample_steps: of a network that settles, the steps until the last spike of each sample, int64 `[N]`; of one that
            lets samples leave (`snnc.runtime.early_exit`) those that each sample took; else None.
    """

    logits: np.ndarray
    outputs: dict[str, np.ndarray]
    spike_totals: np.ndarray
    synaptic_operations: np.ndarray
    spike_rates: dict[str, float]
    steps_used: int
    clipped: float
    sample_steps: np.ndarray | None = None

    def __repr__(self) -> str:
        samples, steps = len(self.logits), self.steps_used
        means = (self.spike_totals.sum() / max(1, samples), self.synaptic_operations.sum() / max(1, samples))
        words = (
            f"outputs {', '.join(f'{name} {list(value.shape)}' for name, value in self.outputs.items())}",
            f"{steps:,} step{'' if steps == 1 else 's'}",
            f"{means[0]:,.0f} spikes and {means[1]:,.0f} synaptic operations per sample",
        )
        return f"Result({'; '.join(words)})"

    def _repr_html_(self) -> str:
        rows = ((escape(name), f"{rate:.4f}") for name, rate in self.spike_rates.items())
        cells = "".join(f"<tr><td>{name}</td><td>{rate}</td></tr>" for name, rate in rows)
        head = "<tr><th>layer</th><th>spikes per neuron and step</th></tr>"
        return f"<p>{escape(repr(self))}</p><table><thead>{head}</thead><tbody>{cells}</tbody></table>"


class SpikingSession:
    """A converted network, ready to run. Thread-safe as onnxruntime sessions are.

    Args:
        model: path of a `.snn.onnx` file, or its bytes, of the schedules `loop` and `unrolled`.
        native: use the native operators (default) or the functions inside the file.
        threads: intra-op threads; None leaves it to onnxruntime.

    Raises:
        ValueError: the file was not converted by snnc, has a newer format, or another schedule. What onnxruntime
            raises where it cannot read the file goes through.
    """

    def __init__(self, model: str | PathLike[str] | bytes, *, native: bool = True, threads: int | None = None) -> None:
        source = model if isinstance(model, bytes) else fspath(model)
        self._native = native
        self.session = make_session(source, native=native, threads=threads)
        self.options, self.layers = read_metadata(self.session)
        if self.options.schedule in ("stream", GRADED):
            raise ValueError(
                f"SpikingSession runs the schedules loop and unrolled, the file has {self.options.schedule!r}"
            )
        self.max_steps = self.options.max_steps
        self._controls = {value.name for value in self.session.get_inputs()[1:]} | {
            value.name for value in self.session.get_overridable_initializers()
        }
        self._input = self.session.get_inputs()[0]
        self._outputs = [value.name for value in self.session.get_outputs()]

    @property
    def input_dims(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return tuple(self._input.shape[1:])

    def run(
        self,
        images: Any,
        steps: int | None = None,
        *,
        seed: int | None = None,
        first_sample: int = 0,
        batch_size: int | None = None,
        warn: bool = True,
        progress: Callable[[int, int], None] | None = None,
    ) -> Result:
        """Simulate `images` (`[N, ...]`, any real dtype) for `steps` steps.

        Sample n draws the random numbers of global sample `first_sample + n`, whatever the batch size. `steps` and
        `seed` default to the values in the file; an unrolled file runs its own steps only. `progress(done, all)` is
        called after each batch. Inputs beyond the input scale are logged where `warn` is set. uint8 images are refused:
        scale them as the network was trained.
        """
        array = check_images(images, self.input_dims)
        steps = self.options.steps if steps is None else whole("steps", steps)
        if not 1 <= steps <= self.max_steps:
            raise ValueError(f"steps is {steps}, must be from 1 to {self.max_steps} (the file's max_steps)")
        controls = {"steps": steps, "seed": self.options.seed if seed is None else whole("seed", seed)}
        first_sample = whole("first_sample", first_sample)
        if batch_size is not None and whole("batch_size", batch_size) < 1:
            raise ValueError(f"batch_size is {batch_size}, must be at least 1")
        size = batch_size or largest_batch(self.layers, native=self._native)
        parts = []
        for start in range(0, max(1, len(array)), size):
            batch = array[start : start + size]
            parts.append(self._run_batch(batch, {**controls, "first_sample": first_sample + start}))
            if progress is not None:
                progress(start + len(batch), len(array))
        joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
        outputs = dict(zip(self._outputs, joined, strict=True))
        totals, operations = outputs.pop("spike_totals"), outputs.pop("synaptic_operations")
        sample_steps = outputs.pop("steps_used", None)
        if sample_steps is not None:
            steps = int(max(1, sample_steps.max(initial=0)))
        rates = {
            layer.name: float(totals[:, column].sum() / max(1, len(array)) / layer.neurons / steps)
            for column, layer in enumerate(self.layers)
        }
        scale = input_limit(self.layers)
        clipped = float(beyond_limit(self.layers, array).mean()) if array.size else 0.0
        if clipped and warn:
            share = 100 * clipped
            log.warning("%.2f%% of the input elements exceed the input scale %g and are clipped to it", share, scale)
        return Result(next(iter(outputs.values())), outputs, totals, operations, rates, steps, clipped, sample_steps)

    def _run_batch(self, batch: np.ndarray, controls: dict[str, int]) -> list[np.ndarray]:
        feeds: dict[str, np.ndarray] = {self._input.name: batch}
        fixed = {"steps": self.options.steps, "seed": self.options.seed, "first_sample": 0}
        for name, value in controls.items():
            if name in self._controls:
                feeds[name] = np.array(value, np.int64)
            elif value != fixed[name]:
                hint = ": run one batch at a time" if name == "first_sample" else ""
                reason = self.options.fixed_by if name == "steps" else "--controls fixed"
                raise ValueError(f"{name} is fixed to {fixed[name]} in this file ({reason}){hint}")
        results: list[np.ndarray] = self.session.run(None, feeds)
        return results


def _chosen(kind: type[Record], values: dict[str, Any]) -> Record:
    """A dataclass of those of `values` that it has fields for."""
    return kind(**{field.name: values[field.name] for field in fields(kind) if field.name in values})
