"""The Python interface: `snnc.convert`, `check`, `evaluate`, `record`, `compare`, `error_budget`, `from_torch`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from snnc import pipeline
from snnc.data import DataSet, Preparation, as_dataset, check_labels
from snnc.data.synthetic import synthetic_seed
from snnc.diagnostics import Diagnostic, DiagnosticError, Diagnostics, fail
from snnc.files import ConvertedFile, write_atomically
from snnc.integers.calibration_split import CALIB_MEMORY, image_memory
from snnc.integers.checkpoint import Checkpoint
from snnc.ir.conversion import Conversion, Report
from snnc.ir.names import is_reserved
from snnc.ir.option import whole
from snnc.ir.options import AUTO, OPTIONS
from snnc.ir.report import Certificate
from snnc.ir.trees import targets
from snnc.measure import recording
from snnc.measure.budget import Budget, measure_budget
from snnc.measure.certificate import Equality, compare_with_quantised
from snnc.measure.early_exit import Exits, measure_exits
from snnc.measure.evaluation import Curve, measure_curve
from snnc.measure.fanout import count_macs
from snnc.measure.judge import judge
from snnc.measure.recording import MOST_BYTES, Recording
from snnc.methods.defaults import check_drop_is_measurable, check_range_is_used, make_options
from snnc.reading import structured
from snnc.reading.external import check_size
from snnc.reading.precision import takes_integers
from snnc.reading.protos import data_inputs
from snnc.reading.sizes import with_shape
from snnc.reading.torch_export import exported
from snnc.runtime.early_exit import EarlyExitSession
from snnc.runtime.session import Result, SpikingSession, largest_batch
from snnc.runtime.states import LONGEST_BLOCK
from snnc.runtime.stream import StreamSession
from snnc.simulate.ann import Ann, layer_probe, load_model
from snnc.simulate.block_runner import StreamRunner, default_cuts
from snnc.thresholds import Estimate

if TYPE_CHECKING:
    import torch

Model = str | PathLike[str] | onnx.ModelProto
Progress = Callable[[str, float], None]
Estimates = dict[Any, dict[str, Estimate]]
# Of a check: thresholds need to be of the right size only.
_TRIAL_STEPS = 16
# What takes a few seconds.
_MOST_TRIAL_MACS = 2e8


class SpikingModel:
    """A converted network: the ONNX model, and the report of its conversion."""

    def __init__(self, model: onnx.ModelProto, report: Report, quantised: onnx.ModelProto | None = None) -> None:
        self.model = model
        self.report = report
        #: The quantised ANN at which the network settles; None where the method is none that settles.
        self.quantised = quantised

    @property
    def certificate(self) -> Certificate | None:
        """On what the network was found to equal its quantised ANN; None where the method is none that settles."""
        return self.report.certificate

    @property
    def preparation(self) -> Preparation | None:
        """What was said of the data that calibrated it (scale, mean, std, layout), and is done to data that it gets;
        None where nobody knows: of random images, and of a `DataSet` that does not tell."""
        return None if self.report.calibration is None else self.report.calibration.preparation

    def save(self, path: str | PathLike[str]) -> None:
        """Write the `.snn.onnx` file, whole or not at all."""
        write_atomically(path, self.model.SerializeToString())

    def session(self, *, native: bool = True, threads: int | None = None) -> SpikingSession:
        """A session that runs this network."""
        return SpikingSession(self.model.SerializeToString(), native=native, threads=threads)

    def run(
        self,
        images: Any,
        steps: int | None = None,
        *,
        exit_margin: float | None = None,
        exit_every: int | None = None,
        seed: int | None = None,
        first_sample: int = 0,
        native: bool = True,
        threads: int | None = None,
    ) -> Result:
        """Simulate `images` `[N, ...]` once; for more than one call make a `session`.

        With an `exit_margin` a sample leaves as soon as the largest of its outputs leads by as much, in their own
        units; it is looked at every `exit_every` steps (`snnc.runtime.early_exit`). Its outputs are those of a run of
        as many steps, `sample_steps` of the result.

        Raises:
            DiagnosticError: SNN405 where the margin makes no sense for this network.
        """
        if exit_margin is None:
            if exit_every is not None:
                fail("SNN405", "exit_every is given, and no exit_margin")
            session = self.session(native=native, threads=threads)
            return session.run(images, steps, seed=seed, first_sample=first_sample)
        file = open_converted(self)
        check_exits(file, [exit_margin], exit_every)
        leaving = EarlyExitSession(file.stream_form().SerializeToString(), native=native, threads=threads)
        return leaving.run(images, exit_margin, steps, every=exit_every, seed=seed, first_sample=first_sample)

    def stream(self, streams: int = 1, *, native: bool = True, threads: int | None = None) -> StreamSession:
        """A session for the frames of streams, whatever the schedule; ValueError where the network never settles."""
        model = open_converted(self).stream_form()
        return StreamSession(model.SerializeToString(), streams=streams, native=native, threads=threads)


def convert(
    model: Model,
    *,
    calib: Any = None,
    calib_memory: int = CALIB_MEMORY,
    checkpoint: str | PathLike[str] | None = None,
    preparation: Preparation | None = None,
    progress: Progress | None = None,
    estimates: Estimates | None = None,
    **options: Any,
) -> SpikingModel:
    """Convert a trained ANN into a spiking network.

    Args:
        model: path of an ONNX file, or an `onnx.ModelProto`.
        calib: calibration data: images `[S, ...]` in the network's input shape, a pair (images, labels), a DATA string
            as on the command line, a `DataSet`, a dictionary with `images` and `labels`, a data set of torch, or an
            iterable of batches of these (a generator, a loader); arrays or tensors. Labels that are no classes are
            ignored unless a `target_drop` needs them. Without it (or with `"synthetic[:SEED]"`): smooth random images.
        calib_memory: what images and spike trains may take in memory, in bytes. More of them lie in temporary files, or
            where they are; the thresholds are the same.
        checkpoint: a file that keeps what is known of the thresholds while the conversion runs, and from which the same
            conversion goes on with the same result if it was interrupted. It is removed at the end.
        preparation: what is to be done to the calibration data (`snnc.data.Preparation`); without it uint8 is divided
            by 255. It is stored: `evaluate`, `verify`, `record`, `compare` and the commands prepare data in the same
            way. A `DataSet` brings its own.
        progress: called as `progress(stage, share)` while the conversion runs.
        estimates: a dictionary that conversions of the same network share, so that what was measured once for several
            of them (`alpha_when="after"`, another number of steps) is not measured again.
        **options: the fields of `snnc.ir.options.Options`; `relaxed=True` stands for `bias="current",
            batchnorm="fold", max_pool="exact"`. Other names are options of the plug-in that brought the method or the
            threshold rule.

    Raises:
        DiagnosticError: the model or the data is at fault, or the spiking network follows the ANN so poorly that it is
            of no use (SNN408; `accept_poor=True` lets it pass); `.diagnostics` lists every problem.
    """
    ann = _load(model)
    conversion = Conversion(ann, make_options(**options), calib_memory=calib_memory)
    if progress is not None:
        conversion.progress = progress
    conversion.estimates = estimates
    check_range_is_used(conversion.options, calib)
    check_drop_is_measurable(conversion.options, calib)
    seed = synthetic_seed(calib)
    if (calib is None or seed is not None) and preparation is not None and preparation.given:
        fail("SNN405", "a preparation tells how samples are stored, and there are none: synthetic images have a range")
    if seed is not None:
        conversion.synthetic_seed = seed
    elif calib is not None:
        dims, said = input_dims(ann, conversion.options.shape), preparation or Preparation()
        if not isinstance(calib, DataSet):  # which has been prepared
            said = preparation_for(ann, said)
        conversion.data = as_dataset(calib, dims, memory=image_memory(calib_memory), **said.given)
        if conversion.options.target_drop is not None and conversion.data.label_problem:
            fail("SNN305", conversion.data.label_problem)
    with nullcontext() if checkpoint is None else Checkpoint(Path(checkpoint)) as conversion.checkpoint:
        pipeline.run(conversion)
        judge(conversion)
    assert conversion.emitted is not None
    return SpikingModel(conversion.emitted, conversion.report, conversion.quantised)


def check(model: Model, **options: Any) -> list[Diagnostic]:
    """Everything that keeps `model` from being converted, and what a user should know; empty if all is well.

    All that a conversion finds before it calibrates and, of networks of up to 2e8 multiply-accumulates, whether every
    layer fits its integer grid, with thresholds from a few synthetic samples.
    """
    try:
        conversion = Conversion(_load(model), make_options(**options))
    except DiagnosticError as error:
        return error.diagnostics
    try:
        pipeline.run(conversion, pipeline.before_data(conversion))
    except DiagnosticError as error:
        return [*conversion.diagnostics.warnings, *error.diagnostics]
    found = conversion.diagnostics.found
    if sum(count_macs(target.inputs[0]) for target in targets(conversion.graph)) > _MOST_TRIAL_MACS:
        return found
    trial: dict[str, Any] = {"calib_samples": 2, "calib_steps": min(_TRIAL_STEPS, conversion.options.calib_steps)}
    if conversion.options.alpha == AUTO:
        trial["alpha"] = 1.0
    conversion.options = dataclasses.replace(conversion.options, **trial)
    conversion.report.diagnostics = Diagnostics(logged=False)
    try:
        pipeline.run(conversion, pipeline.up_to_the_grid(conversion))
    except DiagnosticError as error:
        return [*found, *error.diagnostics]
    return found


def from_torch(module: torch.nn.Module, example: torch.Tensor, *, calib: Any = None, **options: Any) -> SpikingModel:
    """Export a PyTorch module (needs torch) and convert it; `example` is one input batch, `calib` as in `convert`."""
    return convert(exported(module, example), calib=calib, **options)


def evaluate(
    model: str | PathLike[str] | SpikingModel,
    data: Any,
    *,
    ann: Model | None = None,
    preparation: Preparation | None = None,
    steps: int | Sequence[int] | None = None,
    seed: int | None = None,
    threads: int | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Curve:
    """Accuracy, agreement with the ANN, spike rate and operations at each of `steps`, from one simulation.

    `data` as in `convert`, prepared as the calibration data were (`preparation` comes first; a `DataSet` stays as it
    is); labels are needed for accuracy, `ann` for agreement. `steps` defaults to the powers of two
    up to the file's number of steps.
    """
    threads = None if threads is None else whole("threads", threads)
    file = open_converted(model)
    dataset = file.dataset(data, preparation)
    cuts = default_steps(file) if steps is None else _cuts(file, steps)
    check_classes(file, dataset)
    ann_outputs = _outputs_of(ann, file, dataset, threads)
    return measure_curve(
        file.block,
        file.layers,
        dataset.images,
        cuts,
        labels=dataset.labels,
        ann_outputs=ann_outputs,
        seed=file.choose_seed(seed),
        threads=threads,
        progress=progress,
    )


def _outputs_of(
    ann: Model | None, file: ConvertedFile, dataset: DataSet, threads: int | None
) -> dict[str, np.ndarray] | None:
    """What the ANN that the file was converted from gives; None where it is not given."""
    if ann is None:
        return None
    loaded = _load(ann)
    require_same_network(file, loaded, "the given network")
    return Ann(loaded, threads).run(dataset.images)


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
    progress: Callable[[float], None] = lambda share: None,
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
        progress=progress,
    )


def check_exits(file: ConvertedFile, margins: Sequence[float], every: int | None) -> None:
    """SNN405 where samples cannot leave at these margins, looked at after `every` steps."""
    for margin in margins:
        if not margin > 0:
            fail("SNN405", f"exit_margin is {margin:g}, must be above 0")
    if every is not None and not 1 <= every <= LONGEST_BLOCK:
        fail("SNN405", f"exit_every is {every}, must be from 1 to {LONGEST_BLOCK}")
    file.check_early_exit()


def default_steps(file: ConvertedFile) -> list[int]:
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
    progress: Callable[[float], None] = lambda share: None,
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
        progress=progress,
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
    loaded = _load(ann)
    require_same_network(file, loaded, "the given network")
    scales = {layer.name: layer.scales() for layer in file.layers if layer.kind == "neuron"}
    probe, tensors = layer_probe(loaded, scales)
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


def error_budget(
    model: str | PathLike[str] | SpikingModel,
    ann: Model,
    images: Any,
    *,
    steps: int | None = None,
    seed: int | None = None,
    threads: int | None = None,
    preparation: Preparation | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Budget:
    """What every layer loses against the ANN on the samples of `images`, and to what: what came with its inputs,
    clipping, quantisation, timing (`snnc.measure.budget` has the equations).

    `steps` and `preparation` as in `compare`; a network that settles runs until it is quiet where they are None.
    """
    file = open_converted(model)
    if steps is not None:
        steps = file.choose_steps(steps)
    loaded = _load(ann)
    require_same_network(file, loaded, "the given network")
    array = file.dataset(images, preparation).images
    return measure_budget(
        file, loaded, array, steps=steps, seed=file.choose_seed(seed), threads=threads, progress=progress
    )


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


def open_converted(model: str | PathLike[str] | SpikingModel) -> ConvertedFile:
    """A converted network from a path or from `convert`."""
    if isinstance(model, SpikingModel):
        return ConvertedFile(model.model, "the model")
    return ConvertedFile(load_model(model), fspath(model))


def input_dims(ann: onnx.ModelProto, shape: str = "") -> tuple[int | None, ...]:
    """Shape of one sample of the ANN's input, None where a size is not static and the option `shape` says nothing."""
    model = structured(ann)
    inputs = data_inputs(with_shape(model, shape) if shape else model)
    dims = inputs[0].type.tensor_type.shape.dim[1:] if inputs else []
    return tuple(dim.dim_value if dim.dim_value > 0 else None for dim in dims)


def preparation_for(ann: onnx.ModelProto, said: Preparation) -> Preparation:
    """What is done to data for the ANN where this is `said`: integers for an input of integers stay as they are."""
    if said.scale is None and takes_integers(structured(ann)):
        return dataclasses.replace(said, scale=1.0)
    return said


def _load(model: Model) -> onnx.ModelProto:
    if isinstance(model, onnx.ModelProto):
        check_size(model.ByteSize(), "the model")
        return model
    return load_model(model)
