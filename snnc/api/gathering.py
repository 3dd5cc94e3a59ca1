"""What pictures of a converted network need: measured together on some samples, as far as there is data and an ANN."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx

from snnc.api.layers import compare, record
from snnc.api.measuring import error_budget, evaluate
from snnc.api.model import SpikingModel
from snnc.data import DataSet
from snnc.files import ConvertedFile
from snnc.measure.budget import Budget
from snnc.measure.evaluation import Curve
from snnc.measure.outputs import predictions
from snnc.measure.recording import Recording
from snnc.runtime.session import largest_batch
from snnc.simulate.ann import Ann
from snnc.simulate.block_runner import StreamRunner

#: Samples of everything but the curve: of layers beside the ANN's, of classes, of spikes in every step.
LAYER_SAMPLES, CLASS_SAMPLES, RECORDED_SAMPLES = 16, 500, 2
# Spikes and potentials are recorded for so many steps at most, of a large network for as many as take so many bytes.
_RECORDED_STEPS, _RECORDED_BYTES = 128, 2**28
_BYTES_PER_NEURON = 5  # in a step: a spike and a potential


@dataclass(frozen=True)
class Gathered:
    """What there is to draw. None: it was not asked for, or there is no ANN or no labels for it.

    Attributes:
        model: the network, with the report of its conversion.
        data: the name of the data.
        curves: accuracy, spikes and operations against steps, one curve for each seed.
        layers: ANN activation and spike rate in ANN units by layer (`snnc.compare`).
        recording: spikes and potentials of a few samples.
        budget: what every layer loses.
        confusion: int64 `[classes, classes]`, rows are labels, or classes of the ANN where `against_ann`.
    """

    model: SpikingModel
    data: str
    curves: list[Curve] | None = None
    layers: dict[str, tuple[np.ndarray, np.ndarray]] | None = None
    recording: Recording | None = None
    budget: Budget | None = None
    confusion: np.ndarray | None = None
    against_ann: bool = False


#: What can be gathered, in the order in which it is shown.
WHATS = ("curves", "layers", "recording", "budget", "confusion")


def gather(
    model: SpikingModel,
    file: ConvertedFile,
    data: DataSet,
    ann: onnx.ModelProto | None,
    *,
    whats: tuple[str, ...] = WHATS,
    curves: list[Curve] | None = None,
    threads: int | None = None,
    progress: Callable[[str, float], None] = lambda stage, share: None,
) -> Gathered:
    """Measure everything of `whats` that this data and ANN allow; `curves` that are known are taken."""
    found: dict[str, object] = {}
    some = data.select(np.arange(min(LAYER_SAMPLES, len(data))))
    if "curves" in whats:
        progress("drawing: simulating", 0.0)
        found["curves"] = curves or [evaluate(model, data, ann=ann, threads=threads)]
    if "layers" in whats and ann is not None:
        progress("drawing: comparing layers", 0.4)
        found["layers"] = compare(model, ann, some)
    if "recording" in whats:
        progress("drawing: recording spikes", 0.6)
        found["recording"] = _recorded(model, file, some.images[:RECORDED_SAMPLES])
    if "budget" in whats and ann is not None:
        progress("drawing: splitting the error", 0.7)
        found["budget"] = error_budget(model, ann, some, threads=threads)
    if "confusion" in whats:
        progress("drawing: counting classes", 0.9)
        found["confusion"], found["against_ann"] = _confusion(file, data, ann, threads)
    return Gathered(model=model, data=data.name, **found)  # type: ignore[arg-type]


def _recorded(model: SpikingModel, file: ConvertedFile, images: np.ndarray) -> Recording | None:
    """Spikes and potentials in every step; None of a network of which not even one sample has room."""
    each = sum(layer.neurons for layer in file.layers) * _BYTES_PER_NEURON
    wanted = min(file.options.steps, _RECORDED_STEPS)
    samples = min(len(images), max(1, _RECORDED_BYTES // (each * wanted)))
    steps = min(wanted, _RECORDED_BYTES // (each * samples))
    if steps <= file.options.delay:
        return None
    return record(model, images[:samples], steps=steps, potentials=True)


def _confusion(
    file: ConvertedFile, data: DataSet, ann: onnx.ModelProto | None, threads: int | None
) -> tuple[np.ndarray | None, bool]:
    """How often each class is taken for each, and whether that is against the ANN; None where there are no classes."""
    chosen = data.select(np.linspace(0, len(data) - 1, min(CLASS_SAMPLES, len(data))).round().astype(np.int64))
    runner = StreamRunner(file.block, threads=threads)
    batch = largest_batch(file.layers)
    last = runner.run_to_end(chosen.images, file.options.steps, batch=batch, seed=file.options.seed)
    output = last.outputs[file.block.outputs[0].name]
    found, truth = predictions(output), chosen.labels
    against_ann = truth is None and ann is not None
    if truth is None and ann is not None:
        truth = predictions(Ann(ann, threads).run(chosen.images)[file.block.outputs[0].name])
    if found is None or truth is None:
        return None, against_ann
    classes = int(max(found.max(), truth.max())) + 1
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (truth.astype(np.int64), found.astype(np.int64)), 1)
    return counts, against_ann
