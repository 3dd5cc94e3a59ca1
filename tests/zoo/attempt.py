"""One model and one method: converted and judged, or what is in the way."""

from __future__ import annotations

import dataclasses
import logging
import math
import resource
import traceback
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from .known import SIZES, Data

# To be quick: a model that converts on so few samples converts on more.
_SAMPLES = {"exact": 8, "rmp": 32, "low-latency": 32}
# Of models with inputs of more elements than these.
_LARGE, _FEW = 2**16, 2
_STEPS = 32
_CALIBRATION = 1000


@dataclass(frozen=True)
class Task:
    """A file, and how it is to be converted; `data` to calibrate and judge on, of which `samples` test images."""

    path: Path
    method: str
    levels: int | None = None
    data: Data | None = None
    samples: int = 0

    def failed(self, why: str) -> Attempt:
        """It neither converted nor was it refused."""
        return Attempt(self, "failed", why)


@dataclass
class Attempt:
    """What came of a task: its `outcome` is converted, refused (by the rules of these `codes`) or failed."""

    task: Task
    outcome: str
    detail: str
    codes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    megabytes: float = 0.0

    def line(self) -> str:
        """For people."""
        name = f"{self.task.path.stem}, {self.task.method}"
        return f"{name:56} {self.outcome:9} {self.seconds:5.1f} s {self.megabytes:6.0f} MB  {self.detail}"

    def record(self) -> dict[str, Any]:
        """For programs."""
        found = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "task"}
        return {"model": self.task.path.stem, "method": self.task.method, **found}


def answer(sender: Connection, task: Task) -> None:
    """What a process of its own does; warnings are not printed."""
    logging.getLogger("snnc").setLevel(logging.ERROR)
    sender.send(attempt(task))


def attempt(task: Task) -> Attempt:
    """Convert it, in this process."""
    from snnc.diagnostics import DiagnosticError

    try:
        found = Attempt(task, "converted", _converted(task))
    except DiagnosticError as error:
        codes = sorted({each.rule.code for each in error.diagnostics})
        found = Attempt(task, "refused", "; ".join(_short(str(each)) for each in error.diagnostics), codes)
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        found = task.failed(f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}: {error}"[:300])
    found.megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def _converted(task: Task) -> str:
    import snnc
    from snnc.api import input_dims, verify
    from snnc.data import load
    from snnc.measure.outputs import predictions
    from snnc.simulate.ann import Ann, load_model

    ann = load_model(task.path)
    options: dict[str, Any] = {"method": task.method, "relaxed": True, "accept_poor": True}
    if task.path.name in SIZES:
        options["shape"] = SIZES[task.path.name]
    if task.method == "exact":
        options |= {} if task.levels is None else {"levels": task.levels}
    else:
        options |= {"steps": _STEPS}
    if task.data is None:
        large = math.prod(size or 1 for size in input_dims(ann)) > _LARGE
        options |= {"calib_samples": _FEW if large else _SAMPLES.get(task.method, 32)}
        return _verified(snnc.convert(ann, **options))
    dims, form = input_dims(ann), task.data.form
    calib = load(f"{task.data.place}:train", dims, **form)
    model = snnc.convert(ann, calib=calib, calib_samples=_CALIBRATION, **options)
    test = load(f"{task.data.place}:test", dims, **form)
    test = test.select(np.linspace(0, len(test) - 1, task.samples).round().astype(np.int64))
    assert test.labels is not None
    output = model.model.graph.output[0].name
    spiking = verify(model, test) if task.method == "exact" else model.run(test.images)
    classes = [predictions(outputs[output]) for outputs in (Ann(ann).run(test.images), spiking.outputs)]
    shares = [float(np.mean(found == test.labels)) for found in classes]
    return f"ANN {100 * shares[0]:.2f} %, SNN {100 * shares[1]:.2f} %; {_verified(model)}"


def _verified(model: Any) -> str:
    found, certificate = model.report.verification, model.certificate
    parts = [] if certificate is None else [f"certificate over {certificate.layers} layers, {certificate.steps} steps"]
    if found is not None:
        parts += [] if found.agreement is None else [f"agreement {100 * found.agreement:.0f} %"]
        parts += [] if found.error is None else [f"error {found.error:.3f}"]
    return ", ".join(parts)


def _short(text: str) -> str:
    return " ".join(text.split())[:200]
