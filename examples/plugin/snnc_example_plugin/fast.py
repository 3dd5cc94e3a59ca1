"""`rmp-fast`: the method `rmp` for few steps, with biases and batch normalization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from snnc.ir.options import Options
from snnc.methods.rmp import Rmp

LARGEST = (("percent", 100.0),)


class Fast(Rmp):
    """Other defaults; passes, coding and rules are those of `rmp`."""

    name = "rmp-fast"
    summary = "as rmp, for few steps: thresholds by percentile, biases and batch normalization are taken"
    without: ClassVar[Mapping[str, str]] = {"alpha": "its thresholds are percentiles, which need no factor"}

    def defaults(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {"threshold": "mean-percentile", "steps": 64, "bias": "current", "batchnorm": "fold"}

    def remedies(self, options: Options) -> list[tuple[str, dict[str, Any]]]:
        return [
            (
                "--threshold mean-percentile --set percent=100",
                {"threshold": "mean-percentile", "plugin_options": LARGEST},
            )
        ]
