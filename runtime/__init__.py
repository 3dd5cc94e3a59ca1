"""Running spiking networks: the native operator library, `SpikingSession`, `StreamSession`, `GradedSession`,
`EarlyExitSession`.

Needs onnxruntime and numpy only.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from snnc.runtime.library import library_path

if TYPE_CHECKING:
    from snnc.runtime.early_exit import EarlyExitSession
    from snnc.runtime.graded import GradedFrame, GradedSession
    from snnc.runtime.session import SpikingSession
    from snnc.runtime.stream import Frame, StreamSession

__all__ = [
    "EarlyExitSession",
    "Frame",
    "GradedFrame",
    "GradedSession",
    "SpikingSession",
    "StreamSession",
    "library_path",
]

_HOME = {
    "EarlyExitSession": "early_exit",
    "Frame": "stream",
    "GradedFrame": "graded",
    "GradedSession": "graded",
    "SpikingSession": "session",
    "StreamSession": "stream",
}


def __getattr__(name: str) -> object:
    # onnxruntime takes a while to import, and `snnc library` does not need it.
    if name in _HOME:
        found: object = getattr(importlib.import_module(f"snnc.runtime.{_HOME[name]}"), name)
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
