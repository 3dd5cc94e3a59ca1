"""One network in the cells of RMP-SNN's figures: converted once, measured part by part, every part kept in a file.

A cell is a reset, an alpha, and when alpha is applied. What is in the folder is not computed again, so an interrupted
run goes on where it was, and one that is asked for more images measures only these.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import snnc
from snnc.api import Estimates, input_dims
from snnc.data import DataSet, load
from snnc.files import write_atomically
from snnc.measure.evaluation import Curve, Point
from snnc.simulate.ann import load_model

#: Of a point, what is a mean over samples; the error of parts is averaged too.
_MEANS = (
    "accuracy",
    "agreement",
    "error",
    "spike_rate",
    "spikes_per_neuron",
    "operations",
    "macs",
    "energy_uj",
)
_SUMS = ("lost", "gained")


@dataclass(frozen=True)
class Cell:
    """One way to convert: `reset` soft or hard, `alpha` times V_max, applied `when` (during, after)."""

    reset: str
    alpha: float
    when: str = "during"

    @property
    def label(self) -> str:
        return f"{self.reset} α={self.alpha:g}"

    @property
    def name(self) -> str:
        return f"{self.reset}-{self.alpha:g}-{self.when}"


@dataclass(frozen=True)
class Settings:
    """What decides all numbers but how many images there are. `data` is measured; alphas are chosen on `calib`."""

    ann: str
    calib: str
    data: str
    mean: list[float] | None
    std: list[float] | None
    calib_samples: int
    calib_steps: int
    part: int
    relaxed: bool


class Laboratory:
    """Converts and measures in `folder`; SystemExit where that holds results of other settings."""

    def __init__(self, settings: Settings, folder: Path, threads: int) -> None:
        self.settings, self.folder, self.threads = settings, folder, threads
        self.ann = load_model(settings.ann)
        folder.mkdir(parents=True, exist_ok=True)
        self._claim()
        dims = input_dims(self.ann)
        form: dict[str, Any] = {"mean": settings.mean, "std": settings.std}
        train = load(settings.calib, dims, **form)
        order = np.random.default_rng(0).permutation(len(train))
        pool = min(2 * settings.calib_samples, len(train) // 2)
        self.calibrating = train.select(order[:pool])
        test = load(settings.data, dims, **form)
        self.splits = {
            "train": train.select(order[pool:]),
            "test": test.select(np.random.default_rng(0).permutation(len(test))),
        }
        self.estimates: Estimates = {}

    def _claim(self) -> None:
        """The settings of this folder are these, and the network is the one that they name."""
        content = hashlib.sha256(self.ann.SerializeToString()).hexdigest()
        mine = {**self.settings.__dict__, "ann_sha256": content}
        path = self.folder / "settings.json"
        if not path.exists():
            write_atomically(path, json.dumps(mine, indent=2).encode())
        theirs = json.loads(path.read_text(encoding="utf-8"))
        for name, value in mine.items():
            if theirs.get(name) != value:
                raise SystemExit(f"{self.folder} was begun with {name} {theirs.get(name)}, not {value}")

    def converted(self, cell: Cell) -> Path:
        """The file of a cell. V(0) = 0 and Poisson coding, as in the paper."""
        path = self.folder / f"{cell.name}.snn.onnx"
        if not path.exists():
            start = time.process_time()
            model = snnc.convert(
                self.ann,
                calib=self.calibrating,
                estimates=self.estimates,
                reset=cell.reset,
                alpha=cell.alpha,
                alpha_when=cell.when,
                v_init=0.0,
                steps=min(64, self.settings.calib_steps),  # of the verification; any number of steps can be run
                calib_samples=self.settings.calib_samples,
                calib_steps=self.settings.calib_steps,
                relaxed=self.settings.relaxed,
                accept_poor=True,
            )
            model.save(path)
            say(f"converted {cell.name}: {time.process_time() - start:.0f} s")
        return path

    def measure(self, cell: Cell, images: int, steps: Sequence[int], *, split: str = "test", seed: int = 0) -> Curve:
        """The curve of a cell on the first so many images of a split, of which those not yet measured are."""
        data, part = self.splits[split], self.settings.part
        images = min(images, len(data))
        path = self.folder / "measured" / f"{split}-{cell.name}-seed{seed}-T{steps[-1]}.json"
        path.parent.mkdir(exist_ok=True)
        parts: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        parts = parts[: -(-images // part)]
        for first in range(part * len(parts), images, part):
            start = time.process_time()
            chosen = data.select(slice(first, first + part))
            curve = self._curve(cell, chosen, steps, seed, first)
            parts.append({**curve.to_json(), "seconds": time.process_time() - start})
            write_atomically(path, json.dumps(parts).encode())
            found = joined(parts)
            say(f"{path.stem}: {found.samples} images, {100 * (found.points[-1].accuracy or 0):.2f} %")
        return joined(parts)

    def _curve(self, cell: Cell, data: DataSet, steps: Sequence[int], seed: int, first: int) -> Curve:
        return snnc.evaluate(
            str(self.converted(cell)),
            data,
            ann=self.ann,
            steps=list(steps),
            seed=seed,
            first_sample=first,
            threads=self.threads,
        )


def joined(parts: Sequence[Mapping[str, Any]]) -> Curve:
    """One curve of what was measured on several parts of the data, in the form of `Curve.to_json`."""
    weights = [part["samples"] for part in parts]

    def mean(values: Sequence[float]) -> float:
        return float(np.average(values, weights=weights))

    points = []
    for rows in zip(*(part["points"] for part in parts), strict=True):
        layers = {name: mean([row["layer_rates"][name] for row in rows]) for name in rows[0]["layer_rates"]}
        values: dict[str, Any] = {name: mean([row[name] for row in rows]) for name in _MEANS}
        values |= {name: sum(row[name] for row in rows) for name in _SUMS}
        points.append(Point(steps=rows[0]["steps"], layer_rates=layers, **values))
    return Curve(
        points,
        sum(weights),
        parts[0]["seed"],
        mean([part["ann_accuracy"] for part in parts]),
        parts[0]["ann_macs"],
        mean([part["clipped"] for part in parts]),
    )


def say(line: str) -> None:
    """A line of the log, with the time of day: runs take hours."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)
