"""A converted network in memory, and what the interface takes for networks."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from os import PathLike, fspath
from typing import Any

import numpy as np
import onnx

from snnc.data import Preparation
from snnc.diagnostics import fail
from snnc.files import ConvertedFile, write_atomically
from snnc.ir.conversion import Report
from snnc.ir.report import Certificate
from snnc.measure.shown import report_html, report_summary, report_text
from snnc.reading import structured
from snnc.reading.external import check_size
from snnc.reading.precision import takes_integers
from snnc.reading.protos import data_inputs
from snnc.reading.sizes import with_shape
from snnc.runtime.early_exit import EarlyExitSession
from snnc.runtime.session import Result, SpikingSession
from snnc.runtime.states import LONGEST_BLOCK
from snnc.runtime.stream import StreamSession
from snnc.simulate.ann import load_model

Model = str | PathLike[str] | onnx.ModelProto


class SpikingModel:
    """A converted network: the ONNX model, and the report of its conversion."""

    def __init__(self, model: onnx.ModelProto, report: Report, quantised: onnx.ModelProto | None = None) -> None:
        self.model = model
        self.report = report
        #: The quantised ANN at which the network settles; None where the method is none that settles.
        self.quantised = quantised

    @classmethod
    def load(cls, path: str | PathLike[str]) -> SpikingModel:
        """A converted network from its file, with the report that it carries; SNN402 where it is none."""
        file = open_converted(path)
        report = Report(file.layers, file.calibration, file.verification, file.certificate)
        return cls(file.model, report, file.quantised() if file.settles else None)

    def __repr__(self) -> str:
        return f"SpikingModel({report_summary(self.report)})"

    def __str__(self) -> str:
        return report_text(self.report)

    def _repr_html_(self) -> str:
        return report_html(self.report)

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
        """Simulate `images` `[N, ...]` once; for more than one call make a `session`. Pixels as they are stored (uint8)
        are prepared as those that calibrated the network; floats are taken as they are, as the ANN takes them.

        With an `exit_margin` a sample leaves as soon as the largest of its outputs leads by as much, in their own
        units; it is looked at every `exit_every` steps (`snnc.runtime.early_exit`). Its outputs are those of a run of
        as many steps, `sample_steps` of the result.

        Raises:
            DiagnosticError: SNN405 where the margin makes no sense for this network.
        """
        if self.preparation is not None and getattr(images, "dtype", None) == np.uint8:
            images = open_converted(self).dataset(images).images
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


def open_converted(model: str | PathLike[str] | SpikingModel) -> ConvertedFile:
    """A converted network from a path or from `convert`."""
    if isinstance(model, SpikingModel):
        return ConvertedFile(model.model, "the model")
    return ConvertedFile(load_model(model), fspath(model))


def check_exits(file: ConvertedFile, margins: Sequence[float], every: int | None) -> None:
    """SNN405 where samples cannot leave at these margins, looked at after `every` steps."""
    for margin in margins:
        if not margin > 0:
            fail("SNN405", f"exit_margin is {margin:g}, must be above 0")
    if every is not None and not 1 <= every <= LONGEST_BLOCK:
        fail("SNN405", f"exit_every is {every}, must be from 1 to {LONGEST_BLOCK}")
    file.check_early_exit()


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


def loaded(model: Model) -> onnx.ModelProto:
    """An ANN from a path or as it is."""
    if isinstance(model, onnx.ModelProto):
        check_size(model.ByteSize(), "the model")
        return model
    return load_model(model)
