"""What a spiking network is timed against: the ANN that it came from in onnxruntime, as it is or quantised to int8, and
the same spiking network in SpikingJelly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np
import onnx

from snnc.files import ConvertedFile
from snnc.measure.int8 import quantised_ann
from snnc.simulate.ann import Ann

Name = Literal["int8", "dense", "spikingjelly"]
NAMES: tuple[Name, ...] = get_args(Name)


@dataclass(frozen=True)
class Answer:
    """What an opponent gives for a batch: the first output of the network `[N, ...]` (None where it is not known), and
    from a spiking one its spikes, int64 `[N, L]` as those of the network (the input first, then the neurons)."""

    output: np.ndarray | None
    spike_totals: np.ndarray | None = None


class Opponent(ABC):
    """Somebody who does the same with a batch; `made` says how."""

    name: Name
    title: str
    made: str

    @abstractmethod
    def prepare(self, images: np.ndarray, first_sample: int) -> Callable[[], object]:
        """The function that runs a batch; what comes before it is not timed."""

    @abstractmethod
    def answer(self, images: np.ndarray, first_sample: int) -> Answer:
        """What it gives for a batch."""


class AnnOpponent(Opponent):
    """An ANN in onnxruntime; `output` is the name of its first output."""

    def __init__(self, name: Name, made: str, ann: Ann, output: str) -> None:
        self.name, self.title, self.made = name, f"{name} ANN", f"{made}, in onnxruntime"
        self.ann, self._output = ann, output

    def prepare(self, images: np.ndarray, first_sample: int) -> Callable[[], object]:
        return partial(self.ann.run, images)

    def answer(self, images: np.ndarray, first_sample: int) -> Answer:
        return Answer(self.ann.run(images)[self._output])


def make_opponent(
    name: Name,
    file: ConvertedFile,
    model: onnx.ModelProto,
    calibration: np.ndarray,
    *,
    steps: int,
    seed: int,
    threads: int,
) -> Opponent:
    """The opponent of that name of the network `file`, which was converted from `model`; `calibration` `[S, ...]`
    float32 finds the ranges of an int8 one.

    Raises:
        DiagnosticError: SNN407 where a package is missing, SNN405 where it refuses the network.
    """
    output = file.block.outputs[0].name
    if name == "dense":
        return AnnOpponent(name, "the float network as it is", Ann(model, threads), output)
    if name == "int8":
        return AnnOpponent(name, *quantised_ann(model, calibration, threads=threads), output)
    from snnc.measure.spikingjelly import SpikingJelly

    return SpikingJelly(file, steps=steps, seed=seed, threads=threads)
