"""Mutant number N: a model that was changed, and the options to convert it with. The same for every run."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import onnx

from . import bombs, graph, interface, raw, tensors
from .corpus import Seed

Mutator = Callable[[onnx.ModelProto, random.Random], None]
#: Kinds of changes, and how often they are taken.
_GROUPS: tuple[tuple[Sequence[Mutator], int], ...] = (
    (graph.MUTATORS, 8),
    (tensors.MUTATORS, 8),
    (interface.MUTATORS, 4),
    (bombs.MUTATORS, 4),
)
_RAW_ONLY, _RAW_TOO = 0.15, 0.03


@dataclass(frozen=True)
class Mutant:
    """What is converted: of the seed with this name, with these `changes`, by these `options`.

    `content` is that of the file, `model` what is given in memory where it is not a file (`in_memory`).
    """

    number: int
    seed: str
    changes: tuple[str, ...]
    options: dict[str, Any]
    content: bytes
    in_memory: bool


def mutant(number: int, seed: int, seeds: Sequence[Seed]) -> Mutant:
    """Mutant `number` of the run `seed` over the corpus `seeds`."""
    draw = random.Random(f"{seed}/{number}")
    chosen = draw.choice(seeds)
    options = _options(draw)
    changes: list[str] = []
    content = chosen.content
    only_raw = draw.random() < _RAW_ONLY
    if not only_raw:
        model = chosen.model()
        for _ in range(draw.choice([1, 1, 1, 1, 2, 2, 3])):
            changes += _change(model, draw)
        content = model.SerializeToString()
    if only_raw or draw.random() < _RAW_TOO:
        content = raw.changed(content, draw)
        changes.append("raw")
    return Mutant(number, chosen.name, tuple(changes), options, content, draw.random() < 0.3)


def _change(model: onnx.ModelProto, draw: random.Random) -> list[str]:
    (mutators,) = draw.choices([group for group, _ in _GROUPS], [weight for _, weight in _GROUPS])
    mutator = draw.choice(mutators)
    before = model.SerializeToString()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of onnx, about what a change before has left
            mutator(model, draw)
        model.SerializeToString()
    except Exception:  # there is nothing to change here, or a change before it has made it unreadable
        model.ParseFromString(before)
        return []
    return [mutator.__name__]


def _options(draw: random.Random) -> dict[str, Any]:
    """Rather quick ones, and a few that do not fit."""
    method = draw.choice(["rmp", "rmp", "exact", "exact", "low-latency"])
    found: dict[str, Any] = {
        "method": method,
        "calib_samples": 12,
        "accept_poor": True,
        "relaxed": draw.random() < 0.85,
    }
    if method == "exact":
        found["levels"] = draw.choice([1, 3, 16, 64])
    else:
        found["steps"] = draw.choice([1, 2, 4, 16, 70])
    if method == "rmp":
        found["calib_steps"] = draw.choice([2, 8])
        more: list[dict[str, Any]] = [{}, {}, {}, {"reset": "hard"}, {"leak": 3}, {"alpha": 0.6}, {"threshold": "vmax"}]
        found |= draw.choice(more)
    forms: list[dict[str, Any]] = [{}] * 8
    forms += [{"schedule": "unrolled"}, {"schedule": "stream"}, {"per_channel": True}]
    found |= draw.choice(forms)
    if draw.random() < 0.04:
        found["shape"] = draw.choice(["3,8,8", "2,6,6", "x=4", "99999999999,2", "", "é", "0", "-1,2", "1x2x5x5"])
    if draw.random() < 0.04:
        found["input_range"] = draw.choice([(0.0, 1.0), (0.0, 255.0), (-1e30, 1e30), (0.0, 1e-30), (1.0, 1.0)])
    if draw.random() < 0.03:
        strange: list[dict[str, Any]] = [{"max_steps": 2**25}, {"levels": 4096}, {"levels": "2,h=9"}, {"steps": 0}]
        found |= draw.choice(strange)
    return found
