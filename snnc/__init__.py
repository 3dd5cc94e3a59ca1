"""snnc: a compiler from trained ONNX networks to spiking networks.

    model = snnc.convert("net.onnx", reset="soft", alpha=0.6, calib=images)
    model.save("net.snn.onnx")
    result = snnc.runtime.SpikingSession("net.snn.onnx").run(images, steps=128)

Everything is imported on first use, so that `import snnc` is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snnc import data, runtime
    from snnc.api import (
        SpikingModel,
        check,
        compare,
        convert,
        error_budget,
        evaluate,
        export_c,
        export_graded,
        export_nir,
        from_torch,
        record,
        sweep,
        verify,
    )
    from snnc.api.options import ConvertOptions
    from snnc.diagnostics import DiagnosticError
    from snnc.measure.plot import plot_raster

__version__ = "0.1.0"

__all__ = [
    "ConvertOptions",
    "DiagnosticError",
    "SpikingModel",
    "check",
    "compare",
    "convert",
    "data",
    "error_budget",
    "evaluate",
    "export_c",
    "export_graded",
    "export_nir",
    "from_torch",
    "plot_raster",
    "record",
    "runtime",
    "sweep",
    "verify",
]

_MODULES = {"data", "runtime"}
_HOME = {
    "ConvertOptions": "snnc.api.options",
    "DiagnosticError": "snnc.diagnostics",
    "SpikingModel": "snnc.api",
    "check": "snnc.api",
    "compare": "snnc.api",
    "convert": "snnc.api",
    "error_budget": "snnc.api",
    "evaluate": "snnc.api",
    "export_c": "snnc.api",
    "export_graded": "snnc.api",
    "export_nir": "snnc.api",
    "from_torch": "snnc.api",
    "plot_raster": "snnc.measure.plot",
    "record": "snnc.api",
    "sweep": "snnc.api",
    "verify": "snnc.api",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"snnc.{name}")
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'snnc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
