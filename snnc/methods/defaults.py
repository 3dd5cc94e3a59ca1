"""The options of a conversion from those that a user gave: types, and defaults that depend on other options."""

from __future__ import annotations

import operator
from typing import Any

from snnc.data.synthetic import synthetic_seed
from snnc.diagnostics import fail
from snnc.ir.options import Options

_INTEGERS = ("steps", "calib_steps", "calib_samples", "max_steps", "seed")
_NUMBERS = ("alpha", "rate_quantile", "v_init", "input_scale")


def check_range_is_used(options: Options, calib: Any) -> None:
    """SNN405 where a range of synthetic images is given beside data."""
    if options.input_range is not None and calib is not None and synthetic_seed(calib) is None:
        fail("SNN405", "the input range is that of synthetic images, and there is calibration data")


def make_options(*, relaxed: bool = False, **options: Any) -> Options:
    """`Options` from those that a user gave (None: not given), with the defaults that depend on others:

    - `relaxed` stands for `bias="current", batchnorm="fold"`;
    - `threshold`: `rate` for soft reset without `alpha`; where an alpha is given it scales the paper's `vmax`, and hard
      reset, whose rate is not linear in its input (RMP-SNN, eq. 3), keeps `vmax` too;
    - `v_init`: 0 as in the paper; with `rate` 0.5 where that does clearly better on the held-back samples;
    - `steps` and `calib_steps` never exceed a given `max_steps`.
    """
    given = {name: _plain(name, value) for name, value in options.items() if value is not None}
    if relaxed:
        given = {"bias": "current", "batchnorm": "fold", **given}
    by_rate = "alpha" not in given and given.get("reset", Options.reset) == "soft"
    given.setdefault("threshold", "rate" if by_rate else "vmax")
    if "rate_quantile" in given and given["threshold"] != "rate":
        fail("SNN405", f"rate_quantile belongs to the threshold rule rate, the rule here is {given['threshold']}")
    if given["threshold"] != "rate":
        given.setdefault("v_init", 0.0)
    for name in ("steps", "calib_steps"):
        given.setdefault(name, max(1, min(getattr(Options, name), given.get("max_steps", Options.max_steps))))
    return Options(**given)


def _plain(name: str, value: Any) -> Any:
    """An option in the type of `Options`: numpy's scalars count as numbers, a list of two as a range."""
    if (name in ("accept_poor", "per_channel")) != isinstance(value, bool):
        fail("SNN405", f"{name} is {value!r}, of the wrong type")
    try:
        if name in _INTEGERS:
            return operator.index(value)
        if name in _NUMBERS:
            return _number(value)
        if name == "input_range":
            return tuple(map(_number, value))
    except (TypeError, ValueError):
        fail("SNN405", f"{name} is {value!r}, of the wrong type")
    return value


def _number(value: Any) -> float:
    if isinstance(value, str):  # float() would read it
        raise TypeError
    return float(value)
