"""How well a spiking network does: `evaluate`, `evaluate_exits`, `verify`, `error_budget`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from typing import Any

import numpy as np
import onnx

from snnc.api.model import Model, SpikingModel, check_exits, input_dims, loaded, open_converted
from snnc.data import DataSet, Preparation, check_labels
from snnc.data.rows import Rows
from snnc.diagnostics import fail
from snnc.files import ConvertedFile
from snnc.integers.calibration_split import CALIB_MEMORY, image_memory
from snnc.ir.option import whole
from snnc.ir.options import OPTIONS
from snnc.measure.budget import Budget, measure_budget
from snnc.measure.certificate import Equality, compare_with_quantised
from snnc.measure.early_exit import Exits, measure_exits
from snnc.measure.evaluation import Curve, measure_curve
from snnc.measure.simulation import samples_in_part
from snnc.reading.samples import with_samples_in_front
from snnc.runtime.session import largest_batch
from snnc.simulate.ann import Ann
from snnc.simulate.block_runner import default_cuts
from snnc.workers import Workers, opened
from snnc.workers.journal import JournalFile, journal_at


def _tell_nobody(share: float) -> None:
    """Progress that nobody asked for."""


def evaluate(
    model: str | PathLike[str] | SpikingModel,
    data: Any,
    *,
    ann: Model | None = None,
    preparation: Preparation | None = None,
    steps: int | Sequence[int] | None = None,
    seed: int | None = None,
    first_sample: int = 0,
    threads: int | None = None,
    on: str | Workers | None = None,
    checkpoint: str | PathLike[str] | JournalFile | None = None,
    progress: Callable[[float], None] | None = None,
) -> Curve:
    """Accuracy, agreement with the ANN, spike rate and operations at each of `steps`, from one simulation.

    `data` as in `convert`, as they are stored: they are prepared as the calibration data were (`preparation` comes
    first; a `DataSet` stays as it is). Arrays that are normalised already, as `SpikingSession.run` takes them, need
    `snnc.data.Preparation(scale=1, mean=0, std=1)`; SNN524 is logged where they seem to be and nothing was said.

    Labels are needed for accuracy, `ann` for agreement. `steps` defaults to the powers of two up to the file's number
    of steps. Data may be measured part by part: with the index of its first sample as `first_sample`, a part gets the
    input spikes that it would get as a part of the whole.

    `on` says who simulates: None is this process, `"ray"` a cluster of Ray on this machine, `"ray://HOST:PORT"` or
    `"HOST:PORT"` one that runs; `threads` are those of each worker then (1 if None). The numbers are the same.
    `checkpoint` is a file that keeps what is known while it runs, and from which the same evaluation goes on if it was
    interrupted. It is removed at the end.
    """
    threads = None if threads is None else whole("threads", threads)
    first_sample = whole("first_sample", first_sample)
    file = open_converted(model)
    dataset = file.dataset(data, preparation, memory=image_memory(CALIB_MEMORY))
    cuts = _default_steps(file) if steps is None else _cuts(file, steps)
    check_classes(file, dataset)
    chosen_seed = file.choose_seed(seed)
    if isinstance(dataset.stored, Rows):
        dataset.survey()  # whether all are numbers
    with opened(on, threads) as workers, journal_at(checkpoint) as journal:
        ann_outputs = _outputs_of(ann, file, dataset, threads)
        kept = None
        if journal is not None:
            parts = -(-len(dataset) // samples_in_part(file.layers))
            kept = journal.of(_dependencies(file, dataset, ann_outputs, cuts, chosen_seed, first_sample), parts)
        return measure_curve(
            file.block,
            file.layers,
            dataset.stored,
            cuts,
            labels=dataset.labels,
            ann_outputs=ann_outputs,
            seed=chosen_seed,
            first_sample=first_sample,
            workers=workers,
            journal=kept,
            progress=progress or _tell_nobody,
        )


def _dependencies(
    file: ConvertedFile, dataset: DataSet, ann_outputs: dict[str, np.ndarray] | None, *controls: Any
) -> Any:
    """All that the parts of an evaluation depend on."""
    network = hashlib.sha256(file.model.SerializeToString(deterministic=True)).hexdigest()
    truth = hashlib.sha256()
    for name, values in (ann_outputs or {}).items():
        truth.update(f"{name} {values.dtype} {values.shape}".encode())
        truth.update(np.ascontiguousarray(values).data)
    return network, dataset.content_hash(), truth.hexdigest(), controls


def _outputs_of(
    ann: Model | None, file: ConvertedFile, dataset: DataSet, threads: int | None
) -> dict[str, np.ndarray] | None:
    """What the ANN that the file was converted from gives; None where it is not given."""
    if ann is None:
        return None
    network = loaded(ann)
    require_same_network(file, network, "the given network")
    network = with_samples_in_front(network)
    return Ann(network, threads).run(dataset.stored)


def check_classes(file: ConvertedFile, dataset: DataSet) -> None:
    """SNN305 where there are labels that are no classes of the first output."""
    classes = file.model.graph.output[0].type.tensor_type.shape.dim
    scores = len(classes) >= 2 and all(dim.dim_value == 1 for dim in classes[2:])
    told = dataset.labels is not None or dataset.label_problem
    if told and scores and classes[1].dim_value > 1:
        check_labels(dataset, classes[1].dim_value)


def _cuts(file: ConvertedFile, steps: int | Sequence[int]) -> list[int]:
    """One number of steps or several, checked."""
    several: list[Any] = list(steps) if isinstance(steps, Iterable) else [steps]
    if not several:
        fail("SNN404", "no numbers of steps are given")
    return [file.choose_steps(count) for count in several]


def evaluate_exits(
    model: str | PathLike[str] | SpikingModel,
    data: Any,
    margins: Sequence[float] = (),
    *,
    target_drop: float | str | None = None,
    ann: Model | None = None,
    steps: int | None = None,
    every: int | None = None,
    seed: int | None = None,
    threads: int | None = None,
    preparation: Preparation | None = None,
    progress: Callable[[float], None] | None = None,
) -> Exits:
    """What samples of `data` take and give when they leave at each of the `margins`, beside the run of all `steps`
    (those of the file if None). `every`: steps between two looks at the outputs. With a `target_drop` instead of
    margins (a share, or text: `"0.5%"`) the smallest one is chosen that is shown to lose no more; `data` should be
    calibration data then. `preparation` as in `evaluate`.

    Raises:
        DiagnosticError: SNN404, SNN405: steps or margins that make no sense for this network.
    """
    file = open_converted(model)
    check_exits(file, margins, every)
    if (target_drop is None) == (not margins):
        fail("SNN405", "margins of exits are given, or a target_drop that chooses one: not both, and not neither")
    drop = None if target_drop is None else OPTIONS["target_drop"].plain(target_drop)
    OPTIONS["target_drop"].check(drop)
    dataset = file.dataset(data, preparation)
    check_classes(file, dataset)
    steps = file.choose_steps(steps)
    ann_outputs = _outputs_of(ann, file, dataset, threads)
    return measure_exits(
        file.block,
        file.layers,
        dataset.images,
        margins,
        target_drop=drop,
        steps=steps,
        every=every,
        labels=dataset.labels,
        ann_outputs=ann_outputs,
        seed=file.choose_seed(seed),
        threads=threads,
        progress=progress or _tell_nobody,
    )


def _default_steps(file: ConvertedFile) -> list[int]:
    """Powers of two up to the file's steps; of one that settles up to what its certificate says, and the bound."""
    if not file.settles:
        return default_cuts(file.options.steps, file.options.delay)
    usual = 1 if file.certificate is None else max(1, file.certificate.steps)
    return [*default_cuts(usual)[:-1], file.options.steps]


def verify(
    model: str | PathLike[str] | SpikingModel,
    data: Any,
    *,
    quantised: onnx.ModelProto | None = None,
    preparation: Preparation | None = None,
    threads: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Equality:
    """Whether a network of the method `exact` settles at its quantised ANN on all samples of `data`: counts and
    potentials of every layer, integer for integer (`Equality.differences` is empty then).

    `quantised` is that ANN; None takes the one that the file carries. `data` and `preparation` as in `evaluate`.

    Raises:
        DiagnosticError: SNN402 where the file carries none.
    """
    threads = None if threads is None else whole("threads", threads)
    file = open_converted(model)
    opponent = file.quantised() if quantised is None else quantised
    images = file.dataset(data, preparation).images
    return compare_with_quantised(
        file.block,
        opponent,
        images,
        most_steps=file.options.steps,
        batch=largest_batch([layer for layer in file.layers if layer.kind != "readout"]),
        threads=threads,
        progress=progress or _tell_nobody,
    )


def require_same_network(file: ConvertedFile, ann: onnx.ModelProto, name: str) -> None:
    """SNN405 if `ann` cannot be what the file was converted from: its input or first output is another."""
    if any(entry.key == "snnc.format_version" for entry in ann.metadata_props):
        fail("SNN405", f"{name} is a converted network, not an ANN", hint="give the network it was converted from")
    dims, output = input_dims(ann), ann.graph.output[0].name
    fits = len(dims) == len(file.input_dims) and all(
        size in (None, expected) for size, expected in zip(dims, file.input_dims, strict=True)
    )
    if not fits or output != file.model.graph.output[0].name:
        fail(
            "SNN405",
            f"{name} is not the ANN of {file.name}: input {list(dims)}, output {output!r}",
            hint=f"give the network that {file.name} was converted from",
        )


def error_budget(
    model: str | PathLike[str] | SpikingModel,
    ann: Model,
    images: Any,
    *,
    steps: int | None = None,
    seed: int | None = None,
    threads: int | None = None,
    preparation: Preparation | None = None,
    progress: Callable[[float], None] | None = None,
) -> Budget:
    """What every layer loses against the ANN on the samples of `images`, and to what: what came with its inputs,
    clipping, quantisation, timing (`snnc.measure.budget` has the equations).

    `steps` and `preparation` as in `compare`; a network that settles runs until it is quiet where they are None.
    """
    file = open_converted(model)
    if steps is not None:
        steps = file.choose_steps(steps)
    network = loaded(ann)
    require_same_network(file, network, "the given network")
    network = with_samples_in_front(network)
    array = file.dataset(images, preparation).images
    return measure_budget(
        file,
        network,
        array,
        steps=steps,
        seed=file.choose_seed(seed),
        threads=threads,
        progress=progress or _tell_nobody,
    )
