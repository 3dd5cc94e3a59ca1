"""The Python interface: `snnc.convert`, `check`, `evaluate`, `record`, `compare`, `from_torch`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from snnc import pipeline
from snnc.data import as_dataset, check_labels
from snnc.data.synthetic import synthetic_seed
from snnc.diagnostics import Diagnostic, DiagnosticError, fail
from snnc.files import ConvertedFile, write_atomically
from snnc.ir.conversion import Conversion, Level, Report
from snnc.ir.names import is_reserved
from snnc.ir.options import OPTIONS
from snnc.ir.report import Certificate
from snnc.measure.certificate import Equality, compare_with_quantised
from snnc.measure.early_exit import Exits, measure_exits
from snnc.measure.evaluation import Curve, measure_curve
from snnc.measure.judge import judge
from snnc.methods.defaults import check_drop_is_measurable, check_range_is_used, make_options
from snnc.runtime.early_exit import EarlyExitSession
from snnc.runtime.session import Result, SpikingSession, largest_batch
from snnc.runtime.states import LONGEST_BLOCK
from snnc.runtime.stream import StreamSession
from snnc.simulate.ann import Ann, layer_probe, load_model
from snnc.simulate.block_runner import StreamRunner, default_cuts, unpack_words
from snnc.thresholds import Estimate

if TYPE_CHECKING:
    import torch

Model = str | PathLike[str] | onnx.ModelProto
Progress = Callable[[str, float], None]
Estimates = dict[Any, dict[str, Estimate]]


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
    progress: Progress | None = None,
    estimates: Estimates | None = None,
    **options: Any,
) -> SpikingModel:
    """Convert a trained ANN into a spiking network.

    Args:
        model: path of an ONNX file, or an `onnx.ModelProto`.
        calib: calibration data: images `[S, ...]` in the network's input shape, a pair (images, labels), a DATA string
            as on the command line, or a `DataSet`. Without it (or with `"synthetic[:SEED]"`): smooth random images.
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
    conversion = Conversion(ann, make_options(**options))
    if progress is not None:
        conversion.progress = progress
    conversion.estimates = estimates
    check_range_is_used(conversion.options, calib)
    check_drop_is_measurable(conversion.options, calib)
    seed = synthetic_seed(calib)
    if seed is not None:
        conversion.synthetic_seed = seed
    elif calib is not None:
        conversion.data = as_dataset(calib, input_dims(ann))
    pipeline.run(conversion)
    judge(conversion)
    assert conversion.emitted is not None
    return SpikingModel(conversion.emitted, conversion.report, conversion.quantised)


def check(model: Model, **options: Any) -> list[Diagnostic]:
    """Everything that keeps `model` from being converted, and what a user should know; empty if all is well."""
    try:
        conversion = Conversion(_load(model), make_options(**options))
        before = [step for step in pipeline.passes_of(conversion) if step.takes == Level.SOURCE]
        pipeline.run(conversion, before)
    except DiagnosticError as error:
        return error.diagnostics
    return conversion.diagnostics.found


def from_torch(module: torch.nn.Module, example: torch.Tensor, *, calib: Any = None, **options: Any) -> SpikingModel:
    """Export a PyTorch module (needs torch) and convert it; `example` is one input batch."""
    import torch

    was_training = module.training
    module.eval()
    try:
        with tempfile.TemporaryDirectory(prefix="snnc-") as folder:
            exported = str(Path(folder) / "module.onnx")
            torch.onnx.export(
                module,
                (example,),
                exported,
                dynamo=False,
                opset_version=18,
                input_names=["input"],
                output_names=["output"],
                dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}},
            )
            ann = load_model(exported)
    finally:
        module.train(was_training)
    if isinstance(calib, torch.Tensor):
        calib = calib.detach().cpu().numpy()
    return convert(ann, calib=calib, **options)


def evaluate(
    model: str | PathLike[str] | SpikingModel,
    data: Any,
    *,
    ann: Model | None = None,
    steps: Sequence[int] | None = None,
    seed: int | None = None,
    threads: int | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Curve:
    """Accuracy, agreement with the ANN, spike rate and operations at each of `steps`, from one simulation.

    `data` as in `convert`; labels are needed for accuracy, `ann` for agreement. `steps` defaults to the powers of two
    up to the file's number of steps.
    """
    file = open_converted(model)
    dataset = as_dataset(data, file.input_dims)
    cuts = default_steps(file) if steps is None else list(steps)
    if not cuts:
        fail("SNN404", "no numbers of steps are given")
    for cut in cuts:
        file.check_steps(cut)
    classes = file.model.graph.output[0].type.tensor_type.shape.dim
    scores = len(classes) >= 2 and all(dim.dim_value == 1 for dim in classes[2:])
    if dataset.labels is not None and scores and classes[1].dim_value > 1:
        check_labels(dataset, classes[1].dim_value)
    ann_outputs = None
    if ann is not None:
        loaded = _load(ann)
        require_same_network(file, loaded, "the given network")
        ann_outputs = Ann(loaded, threads).run(dataset.images)
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
    progress: Callable[[float], None] = lambda share: None,
) -> Exits:
    """What samples of `data` take and give when they leave at each of the `margins`, beside the run of all `steps`
    (those of the file if None). `every`: steps between two looks at the outputs. With a `target_drop` instead of
    margins (a share, or text: `"0.5%"`) the smallest one is chosen that is shown to lose no more; `data` should be
    calibration data then.

    Raises:
        DiagnosticError: SNN404, SNN405: steps or margins that make no sense for this network.
    """
    file = open_converted(model)
    check_exits(file, margins, every)
    if (target_drop is None) == (not margins):
        fail("SNN405", "margins of exits are given, or a target_drop that chooses one: not both, and not neither")
    drop = None if target_drop is None else OPTIONS["target_drop"].plain(target_drop)
    OPTIONS["target_drop"].check(drop)
    dataset = as_dataset(data, file.input_dims)
    if dataset.labels is not None:
        check_labels(dataset, file.model.graph.output[0].type.tensor_type.shape.dim[1].dim_value)
    steps = file.options.steps if steps is None else steps
    file.check_steps(steps)
    ann_outputs = None
    if ann is not None:
        loaded = _load(ann)
        require_same_network(file, loaded, "the given network")
        ann_outputs = Ann(loaded, threads).run(dataset.images)
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
    threads: int | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Equality:
    """Whether a network of the method `exact` settles at its quantised ANN on all samples of `data`: counts and
    potentials of every layer, integer for integer (`Equality.differences` is empty then).

    `quantised` is that ANN; None takes the one that the file carries.

    Raises:
        DiagnosticError: SNN402 where the file carries none.
    """
    file = open_converted(model)
    opponent = file.quantised() if quantised is None else quantised
    images = as_dataset(data, file.input_dims).images
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
) -> dict[str, np.ndarray]:
    """The spikes of layers (names as in `report.layers`; all neurons if None): bool `[T, N, ...]` by layer name.

    The input layer has its spikes' signs: int8 in {-1, 0, 1}. Images are prepared as by `convert` (uint8 is divided
    by 255); image n draws the random numbers of sample `first_sample + n`.
    """
    file = open_converted(model)
    steps = file.options.steps if steps is None else steps
    file.check_steps(steps)
    words = _spike_words(file)
    neurons = [layer.name for layer in file.layers if layer.kind == "neuron"]
    chosen = neurons if layers is None else list(layers)
    for name in chosen:
        if name not in words:
            raise KeyError(f"no layer {name!r}; the spiking layers are {', '.join(map(repr, words))}")
    runner = StreamRunner(file.block, expose=[part for name in chosen for part in words[name].tensors])
    array = as_dataset(images, file.input_dims).images
    seed = file.choose_seed(seed)
    pieces: dict[str, list[np.ndarray]] = {name: [] for name in chosen}
    for snapshot in runner.run(array, [steps], seed=seed, first_sample=first_sample):
        for name in chosen:
            pieces[name].append(words[name].unpack(snapshot.words, snapshot.count))
    return {name: np.concatenate(parts) for name, parts in pieces.items()}


def compare(
    model: str | PathLike[str] | SpikingModel, ann: Model, images: Any, *, steps: int | None = None
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """ANN activations and spike rates in ANN units, layer by layer: name → (activation, λ·count/T), both `[N, ...]`; of
    a network that settles λ·count.

    Layers are the neurons that the ANN has; their names are those of its nodes.
    """
    file = open_converted(model)
    steps = file.options.steps if steps is None else steps
    array = as_dataset(images, file.input_dims).images
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
        part = record(model, array[start : start + batch], steps=steps, layers=list(expected), first_sample=start)
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


def open_converted(model: str | PathLike[str] | SpikingModel) -> ConvertedFile:
    """A converted network from a path or from `convert`."""
    if isinstance(model, SpikingModel):
        return ConvertedFile(model.model, "the model")
    return ConvertedFile(load_model(model), fspath(model))


def input_dims(ann: onnx.ModelProto) -> tuple[int | None, ...]:
    """Shape of one sample of the ANN's input, None where a size is not static."""
    initialized = {tensor.name for tensor in ann.graph.initializer}
    inputs = [value for value in ann.graph.input if value.name not in initialized]
    dims = inputs[0].type.tensor_type.shape.dim[1:] if inputs else []
    return tuple(dim.dim_value or None for dim in dims)


def _load(model: Model) -> onnx.ModelProto:
    return model if isinstance(model, onnx.ModelProto) else load_model(model)


@dataclass(frozen=True)
class _SpikeWords:
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


def _spike_words(file: ConvertedFile) -> dict[str, _SpikeWords]:
    """Spikes by layer name; an encoder is known by what it reads, any other layer by its name."""
    nodes = {node.name: node for node in file.block.body}
    encoder = next(node for node in file.block.body if node.input and node.input[0] == file.block.input_name)
    words: dict[str, _SpikeWords] = {}
    for layer in file.layers:
        if layer.kind != "readout" and layer.levels == 1:
            outputs = encoder.output if layer.kind == "input" else nodes[layer.name].output[:1]
            words[layer.name] = _SpikeWords(tuple(outputs), layer.signed or len(outputs) == 2)
    return words
