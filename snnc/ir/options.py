"""How to convert: the options of a conversion, every one decided."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from snnc.diagnostics import fail

# Beyond this many steps a layer's weights would keep fewer than five bits in 32-bit potentials.
LARGEST_MAX_STEPS = 2**25
# Inputs are float32, and so is everything that is computed from them.
SMALLEST_INPUT, LARGEST_INPUT = 1e-30, 1e30
# A quantile below this would let a tenth of a layer's neurons saturate.
LEAST_RATE_QUANTILE = 0.9


@dataclass(frozen=True)
class Options:
    """How to convert. Field by field the options of `snnc convert` (docs/cli.md), every one decided.

    Defaults that depend on other options are those of `snnc.methods.defaults.make_options`. None leaves the choice to
    the conversion: `calib_samples` (512 of data; of synthetic images as many as the network's size allows), `v_init`
    (0, or half a threshold where the held-back samples clearly prefer that), `input_scale` and `input_range`.
    """

    reset: Literal["soft", "hard"] = "soft"
    alpha: float = 1.0
    alpha_when: Literal["during", "after"] = "during"
    threshold: Literal["rate", "vmax", "model"] = "rate"
    rate_quantile: float = 0.9997
    calib_samples: int | None = None
    calib_steps: int = 256
    v_init: float | None = None
    steps: int = 256
    seed: int = 0
    input_scale: float | None = None
    input_range: tuple[float, float] | None = None
    max_steps: int = 4096
    bias: Literal["reject", "current"] = "reject"
    batchnorm: Literal["reject", "fold"] = "reject"
    schedule: Literal["loop", "unrolled", "stream"] = "loop"
    controls: Literal["optional", "required", "fixed"] = "optional"
    accept_poor: bool = False

    def __post_init__(self) -> None:
        choices = {
            "reset": ("soft", "hard"),
            "alpha_when": ("during", "after"),
            "threshold": ("rate", "vmax", "model"),
            "v_init": (0.0, 0.5, None),
            "bias": ("reject", "current"),
            "batchnorm": ("reject", "fold"),
            "schedule": ("loop", "unrolled", "stream"),
            "controls": ("optional", "required", "fixed"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                fail("SNN405", f"{name} is {getattr(self, name)!r}, must be one of {allowed}")
        if not (0 < self.alpha <= 1):
            fail("SNN405", f"alpha is {self.alpha}, must be in (0, 1]")
        if not (LEAST_RATE_QUANTILE <= self.rate_quantile <= 1):
            fail("SNN405", f"rate_quantile is {self.rate_quantile}, must be from {LEAST_RATE_QUANTILE} to 1")
        if self.input_scale is not None and not (SMALLEST_INPUT <= self.input_scale <= LARGEST_INPUT):
            fail("SNN405", f"input_scale is {self.input_scale}, must be from {SMALLEST_INPUT} to {LARGEST_INPUT}")
        if self.input_range is not None:
            _check_range(self.input_range)
        for name in ("calib_samples", "calib_steps", "steps", "max_steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                fail("SNN405", f"{name} is {value}, must be at least 1")
        if self.max_steps > LARGEST_MAX_STEPS:
            fail("SNN405", f"max_steps is {self.max_steps}, must be at most {LARGEST_MAX_STEPS}")
        for name in ("steps", "calib_steps"):
            if getattr(self, name) > self.max_steps:
                fail("SNN404", f"{name} is {getattr(self, name)}, larger than max_steps {self.max_steps}")
        if not -(2**63) <= self.seed < 2**63:
            fail("SNN405", f"seed is {self.seed}, must fit into a signed 64-bit integer")

    def to_json(self) -> dict[str, Any]:
        """The options by name."""
        return dataclasses.asdict(self)


def _check_range(limits: tuple[float, float]) -> None:
    ascending = len(limits) == 2 and -LARGEST_INPUT <= limits[0] < limits[1] <= LARGEST_INPUT
    if not ascending or max(map(abs, limits)) < SMALLEST_INPUT:
        fail("SNN405", f"input_range is {limits}, must be two numbers of at most {LARGEST_INPUT}, the lower one first")
