"""Writing a converted network as one sweep for each frame: `export_graded`."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import onnx

from snnc.api.exporting import SAMPLES, samples_of
from snnc.api.model import SpikingModel, open_converted
from snnc.data import Preparation
from snnc.files import write_atomically
from snnc.ir.option import whole
from snnc.measure.streams import Course, follow


@dataclass(frozen=True)
class GradedExport:
    """The graded form of a network, checked: `model` is the file, `course` what the frames of the check gave and
    cost."""

    model: onnx.ModelProto
    course: Course

    @property
    def content(self) -> bytes:
        """The file as it is written."""
        written: bytes = self.model.SerializeToString()
        return written

    def save(self, path: str | PathLike[str]) -> None:
        """Write the file; SNN401 where that is not possible."""
        write_atomically(path, self.content)


def export_graded(
    model: str | PathLike[str] | SpikingModel,
    *,
    data: Any = None,
    preparation: Preparation | None = None,
    samples: int | None = None,
) -> GradedExport:
    """The network as one sweep over its layers for each frame, for `snnc.runtime.GradedSession`.

    It is fed `samples` of `data` (as in `evaluate`; smooth random images where there are none) as the frames of one
    stream, and after each all counts and outputs are compared with those of a fresh run in steps, and the potentials
    of layers that are one operator (others keep their charge).

    Raises:
        DiagnosticError: SNN405: the network does not settle. SNN411: a frame ended elsewhere. SNN402: the file is older
            and does not tell its layers one by one.
    """
    file = open_converted(model)
    graded = file.graded_form()
    dataset = samples_of(file, data, preparation, SAMPLES if samples is None else whole("samples", samples))
    frames = np.asarray(dataset.images, np.float32)[:, None]
    return GradedExport(graded, follow(file, frames, graded=True, check=1))
