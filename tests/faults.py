"""A converted network and faults in one of its forms, for the tests of what compares them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import networks
import numpy as np
import pytest

from snnc.files import ConvertedFile
from snnc.ir.conversion import Conversion
from snnc.ir.report import Comparison
from snnc.measure import comparison
from snnc.measure.comparison import compare_forms
from snnc.simulate.traces import Trace

STEPS = 70
Fault = Callable[[Trace], Trace]


IMAGES = networks.images_for(networks.small().model(), 6)
NEURON = "Relu_6"


@functools.cache
def emitted(**choices: Any) -> tuple[Conversion, ConvertedFile]:
    """A conversion up to its file, and the file; shared by the tests, so leave both as they are."""
    conversion = networks.emit(networks.small().model(), **{"steps": 90, **choices})
    assert conversion.emitted is not None
    return conversion, ConvertedFile(conversion.emitted, "the file")


def compare(**choices: Any) -> list[Comparison]:
    """Compare the forms of the network converted with these options."""
    conversion, file = emitted(**choices)
    return compare_forms(conversion, file, IMAGES)


def words_changed(layer: str, change: Callable[[np.ndarray], np.ndarray]) -> Fault:
    """The trace with other spike words of a layer."""

    def faulty(trace: Trace) -> Trace:
        return dataclasses.replace(
            trace, words=lambda name: change(trace.words(name).copy()) if name == layer else trace.words(name)
        )

    return faulty


def flipped(layer: str, step: int, sample: int) -> Fault:
    """The trace with one spike of a layer missing or too many."""

    def change(words: np.ndarray) -> np.ndarray:
        place = (step // 64, sample, *[0] * (words.ndim - 2))
        words[place] ^= np.uint64(1 << (step % 64))
        return words

    return words_changed(layer, change)


def value_changed(what: str, sample: int) -> Fault:
    """The trace with the smallest possible change of a result of one sample."""

    def faulty(trace: Trace) -> Trace:
        value = trace.values[what].copy()
        first = (sample, *[0] * (value.ndim - 1))
        value[first] = np.nextafter(value[first], np.inf) if value.dtype.kind == "f" else value[first] + 1
        return dataclasses.replace(trace, values={**trace.values, what: value})

    return faulty


def inject(monkeypatch: pytest.MonkeyPatch, form: str, fault: Fault) -> None:
    """Let one form come out with a fault."""
    real = getattr(comparison, form)

    def faulty(*arguments: Any, **options: Any) -> Any:
        result = real(*arguments, **options)
        return {cut: fault(trace) for cut, trace in result.items()} if isinstance(result, dict) else fault(result)

    monkeypatch.setattr(comparison, form, faulty)
