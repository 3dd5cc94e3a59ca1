"""Options and calibration data that make no sense: always a diagnostic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bad_models import GOOD, codes, mlp

# Options


@pytest.mark.parametrize(
    "options",
    [
        {"alpha": 0.0}, {"alpha": 1.5}, {"alpha": float("nan")}, {"steps": 0}, {"steps": 5000}, {"max_steps": 0},
        {"seed": 2**63}, {"v_init": 0.3}, {"reset": "none"}, {"input_scale": -1.0}, {"input_scale": float("inf")},
        {"bias": "keep"}, {"threshold": "mean"}, {"rate_quantile": 0.0}, {"alpha": 0.5, "rate_quantile": 0.9},
        {"input_range": (1.0, 0.0)}, {"input_range": (0.0, float("nan"))}, {"input_range": (1.0,)},
        {"calib_samples": 0}, {"max_steps": 2**31}, {"max_steps": 2**40}, {"steps": 8.0}, {"steps": True},
        {"seed": "1"}, {"alpha": "0.5"}, {"alpha": True}, {"input_range": 3}, {"input_range": "01"},
        {"accept_poor": "no"}, {"preparation": 5},
    ],
    ids=str,
)  # fmt: skip
def test_options_out_of_range(options: dict[str, Any]) -> None:
    assert set(codes(GOOD, **options)) <= {"SNN404", "SNN405", "SNN406"}
    assert codes(GOOD, **options)


def test_numpy_scalars_and_lists_are_options() -> None:
    numbers = {"steps": np.int64(8), "seed": np.uint8(3), "alpha": np.float32(0.5), "v_init": np.float64(0.5)}
    assert codes(GOOD, **numbers, input_range=[np.float32(0), np.float64(1)]) == []


@pytest.mark.parametrize("steps", [1, 2, 3, 63, 64, 65])
def test_any_number_of_steps_is_verified(steps: int) -> None:
    """On a network whose neurons fire from the first step on."""
    assert codes(mlp("a = Relu (x) y = Relu (a)"), steps=steps) == []


def test_calibration_data_that_says_nothing() -> None:
    images = np.zeros((8, 4), np.float32)
    assert codes(GOOD, calib=images) == ["SNN306"]
    assert codes(GOOD, calib=images, input_scale=1.0, calib_steps=4) == []
    assert codes(GOOD, calib=images[:1]) == ["SNN306"]
    assert codes(GOOD, calib=images + np.float32(1e-44)) == ["SNN306"]
    assert codes(GOOD, calib=np.ones((8, 5))) == ["SNN302"]
    assert codes(GOOD, calib=np.full((8, 4), np.nan)) == ["SNN304"]
