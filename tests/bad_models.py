"""Converting what may be no network at all, in limited time."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import golden
import onnx

import snnc
from snnc.diagnostics import DiagnosticError

WEIGHTS = "# random: V [4,3] seed 2\n# random: K [4,2,3,3] seed 3\n"
# On the processor, and by the clock where others have the processor.
SECONDS, CLOCK_SECONDS = 20, 200


@contextlib.contextmanager
def no_hang() -> Iterator[None]:
    """A TimeoutError after SECONDS or CLOCK_SECONDS."""

    def ring(*_: Any) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    timers = ((signal.ITIMER_PROF, signal.SIGPROF, SECONDS), (signal.ITIMER_REAL, signal.SIGALRM, CLOCK_SECONDS))
    before = [signal.signal(number, ring) for _, number, _ in timers]
    try:
        for timer, _, seconds in timers:
            signal.setitimer(timer, seconds)
        yield
    finally:
        for (timer, number, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


def codes(model: str | onnx.ModelProto | Path, **options: Any) -> list[str]:
    """Codes of the errors; none if the model was converted. `model` may be ONNX text."""
    source = golden.model(WEIGHTS + model) if isinstance(model, str) else model
    with no_hang():
        try:
            snnc.convert(source, **{"relaxed": True, "steps": 8, "accept_poor": True, **options})
        except DiagnosticError as error:
            found = sorted({diagnostic.rule.code for diagnostic in error.diagnostics})
        else:
            return []
    assert found
    return found


def mlp(body: str, inputs: str = "float[N,4] x", outputs: str = "float[N,M] y") -> str:
    return f"net ({inputs}) => ({outputs}) {{ {body} }}"


GOOD = mlp("a = MatMul (x, V) y = Relu (a)")
