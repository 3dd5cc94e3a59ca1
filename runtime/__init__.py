"""Running spiking networks: the native operator library and `SpikingSession`.

Needs onnxruntime and numpy only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from snnc.runtime.library import library_path

if TYPE_CHECKING:
    from snnc.runtime.session import SpikingSession

__all__ = ["SpikingSession", "library_path"]


def __getattr__(name: str) -> object:
    # onnxruntime takes a while to import, and `snnc library` does not need it.
    if name == "SpikingSession":
        from snnc.runtime.session import SpikingSession

        return SpikingSession
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
