"""From an ANN to a spiking network: `convert`, `check`, `from_torch`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from os import PathLike
from typing import TYPE_CHECKING, Any

from snnc import pipeline
from snnc.api.model import Model, SpikingModel, input_dims, loaded, preparation_for
from snnc.data import DataSet, Preparation, as_dataset
from snnc.data.synthetic import synthetic_seed
from snnc.diagnostics import Diagnostic, DiagnosticError, fail
from snnc.integers.calibration_split import CALIB_MEMORY, image_memory
from snnc.integers.checkpoint import Checkpoint, checkpoint_at
from snnc.ir.conversion import Conversion
from snnc.ir.options import AUTO
from snnc.ir.trees import targets
from snnc.measure.fanout import count_macs
from snnc.measure.judge import judge
from snnc.memory import require_memory
from snnc.methods.defaults import check_drop_is_measurable, check_range_is_used, make_options
from snnc.reading.torch_export import exported
from snnc.scratch import text_of
from snnc.thresholds import Estimate
from snnc.workers import Workers, opened

if TYPE_CHECKING:
    import torch
    from typing_extensions import Unpack

    from snnc.api.options import ConvertOptions

Progress = Callable[[str, float], None]
Estimates = dict[Any, dict[str, Estimate]]
# Of a check: thresholds need to be of the right size only.
_TRIAL_STEPS = 16
# What takes a few seconds.
_MOST_TRIAL_MACS = 2e8
# In memory at the peak of a conversion: 11 were measured for the method rmp, 16 for exact.
_COPIES_OF_WEIGHTS = 10


def convert(
    model: Model,
    *,
    calib: Any = None,
    calib_memory: int = CALIB_MEMORY,
    checkpoint: str | PathLike[str] | Checkpoint | None = None,
    preparation: Preparation | None = None,
    on: str | Workers | None = None,
    progress: Progress | None = None,
    estimates: Estimates | None = None,
    **options: Unpack[ConvertOptions],
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
        on: who simulates samples, as in `evaluate`: thresholds and file are the same. Rules that look at activations of
            the ANN, and the comparison with the reference simulator at the end, run in this process.
        progress: called as `progress(stage, share)` while the conversion runs.
        estimates: a dictionary that conversions of the same network share, so that what was measured once for several
            of them (`alpha_when="after"`, another number of steps) is not measured again.
        **options: how to convert; `help(snnc.ConvertOptions)` lists them all. Other names are options of the plug-in
            that brought the method or the threshold rule.

    Raises:
        DiagnosticError: the model or the data is at fault, or the spiking network follows the ANN so poorly that it is
            of no use (SNN408; `accept_poor=True` lets it pass); `.diagnostics` lists every problem.
    """
    ann = loaded(model)
    conversion = Conversion(ann, make_options(**options), calib_memory=calib_memory)
    _require_memory(ann.ByteSize())
    if progress is not None:
        conversion.progress = progress
    conversion.estimates = estimates
    check_range_is_used(conversion.options, calib)
    check_drop_is_measurable(conversion.options, calib)
    seed, said = synthetic_seed(calib), Preparation.said(preparation)
    if (calib is None or seed is not None) and said.given:
        fail("SNN405", "a preparation tells how samples are stored, and there are none: synthetic images have a range")
    if seed is not None:
        conversion.synthetic_seed = seed
    elif calib is not None:
        dims = input_dims(ann, conversion.options.shape)
        if not isinstance(calib, DataSet):  # which has been prepared
            said = preparation_for(ann, said)
        conversion.data = as_dataset(calib, dims, memory=image_memory(calib_memory), **said.given)
        if conversion.options.target_drop is not None and conversion.data.label_problem:
            fail("SNN305", conversion.data.label_problem)
    with opened(on) as conversion.workers, checkpoint_at(checkpoint) as conversion.checkpoint:
        pipeline.run(conversion)
        with conversion.diagnostics.together():
            judge(conversion)
    assert conversion.emitted is not None
    return SpikingModel(conversion.emitted, conversion.report, conversion.quantised)


def _require_memory(size: int) -> None:
    """SNN414 where a conversion of a model of so many bytes cannot fit."""
    what = f"a conversion of this model of {text_of(size)} takes {text_of(_COPIES_OF_WEIGHTS * size)} and more"
    hint = "use a machine with more memory, or convert the part of the network that is to be spiking"
    require_memory(_COPIES_OF_WEIGHTS * size, what, hint)


def check(model: Model, **options: Unpack[ConvertOptions]) -> list[Diagnostic]:
    """Everything that keeps `model` from being converted, and what a user should know; empty if all is well.

    All that a conversion finds before it calibrates and, of networks of up to 2e8 multiply-accumulates, whether every
    layer fits its integer grid, with thresholds from a few synthetic samples.
    """
    try:
        conversion = Conversion(loaded(model), make_options(**options))
    except DiagnosticError as error:
        return error.diagnostics
    try:
        pipeline.run(conversion, pipeline.before_data(conversion))
    except DiagnosticError as error:
        return [*conversion.diagnostics.warnings, *error.diagnostics]
    found = conversion.diagnostics.found
    if sum(count_macs(target.inputs[0]) for target in targets(conversion.graph)) > _MOST_TRIAL_MACS:
        return found
    return [*found, *_against_the_grid(conversion)]


def _against_the_grid(conversion: Conversion) -> list[Diagnostic]:
    """What keeps a layer from its integer grid."""
    trial: dict[str, Any] = {"calib_samples": 2, "calib_steps": min(_TRIAL_STEPS, conversion.options.calib_steps)}
    if conversion.options.alpha == AUTO:
        trial["alpha"] = 1.0
    conversion.options = dataclasses.replace(conversion.options, **trial)
    conversion.report.diagnostics = dataclasses.replace(conversion.diagnostics, found=[], logged=False)
    try:
        pipeline.run(conversion, pipeline.up_to_the_grid(conversion))
    except DiagnosticError as error:
        return error.diagnostics
    return []


def from_torch(
    module: torch.nn.Module, example: torch.Tensor, *, calib: Any = None, **options: Unpack[ConvertOptions]
) -> SpikingModel:
    """Export a PyTorch module (needs torch) and convert it; `example` is one input batch, `calib` as in `convert`."""
    return convert(exported(module, example), calib=calib, **options)
