"""What is said of data as stored: its scale, mean and standard deviation, and the order of its axes."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnc.diagnostics import fail


@dataclass(frozen=True)
class Preparation:
    """What the user says about the data; None means: guess, and say so.

    `scale` multiplies the stored values; then `(x - mean) / std`, each of one value or one per channel. `layout` is how
    the samples are stored: NCHW or NHWC.

    Raises:
        DiagnosticError: SNN405 if a value makes no sense.
    """

    scale: float | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    layout: str | None = None

    def __post_init__(self) -> None:
        if self.scale is not None:
            object.__setattr__(self, "scale", _number("scale", self.scale))
        for name in ("mean", "std"):
            object.__setattr__(self, name, _numbers(name, getattr(self, name)))
        if self.layout is not None:
            object.__setattr__(self, "layout", str(self.layout).upper())
        self._check()

    def _check(self) -> None:
        if self.scale is not None and not (math.isfinite(self.scale) and self.scale != 0):
            fail("SNN405", f"the scale of the data must be a finite number other than 0, not {self.scale}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and (len(values) == 0 or not all(math.isfinite(value) for value in values)):
                fail("SNN405", f"{name} must be one finite number, or one per channel, not {list(values)}")
        if self.std is not None and min(self.std) <= 0:
            fail("SNN405", f"std must be positive, not {list(self.std)}")
        if self.layout not in (None, "NCHW", "NHWC"):
            fail("SNN405", f"the layout must be NCHW or NHWC, not {self.layout!r}")

    @classmethod
    def of(cls, scale: Any = None, mean: Any = None, std: Any = None, layout: str | None = None) -> Preparation:
        """The same from what users have: sequences of any kind, single numbers."""
        return cls(scale, mean, std, layout)

    @classmethod
    def said(cls, given: Any) -> Preparation:
        """What a caller gave as a preparation, of which None says nothing; SNN405 where it is none."""
        if given is not None and not isinstance(given, cls):
            hint = "give a snnc.data.Preparation, such as Preparation(mean=(0.5,), std=(0.25,))"
            fail("SNN405", f"preparation is {given!r}", hint=hint)
        return given or cls()

    @property
    def given(self) -> dict[str, Any]:
        """What is said, by name: fields that are not None."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}

    @property
    def nothing_is_done(self) -> bool:
        """Whether it says that the data are ready: the scale is 1, all means 0, all standard deviations 1."""
        return self.scale == 1 and set(self.mean or ()) == {0} and set(self.std or ()) == {1}

    def completed_by(self, stored: Preparation) -> Preparation:
        """What this one says, and `stored` where it says nothing."""
        return Preparation(**{**stored.given, **self.given})

    def contradictions(self, stored: Preparation) -> list[str]:
        """Where both say something, and not the same: a phrase for each."""
        own, other = self.given, stored.given
        return [
            f"{name} {shown(own[name])} instead of {shown(other[name])}"
            for name in own
            if name in other and own[name] != other[name]
        ]

    def __str__(self) -> str:
        return ", ".join(f"{name} {shown(value)}" for name, value in self.given.items()) or "nothing was said"


def shown(value: Any) -> str:
    """A value as the command line takes it: `0.5,0.25`, `NHWC`."""
    if isinstance(value, str):
        return value
    return ",".join(f"{number:g}" for number in (value if isinstance(value, tuple) else (value,)))


def _number(name: str, value: Any) -> float:
    found = _numbers(name, value)
    if found is None or len(found) != 1:
        fail("SNN405", f"{name} is {value!r}, must be a number")
    return found[0]


def _numbers(name: str, values: Any) -> tuple[float, ...] | None:
    if values is None:
        return None
    try:
        many = np.asarray(values)
    except ValueError:  # lists of several lengths
        fail("SNN405", f"{name} is {values!r}, must be numbers")
    if many.size and many.dtype.kind not in "uif":  # text and booleans could be read as numbers
        fail("SNN405", f"{name} is {values!r}, must be numbers")
    return tuple(float(value) for value in many.reshape(-1))
