"""Inputs around 300 that vary by 1: a poor result has its cause named (SNN523), and a hint that works."""

from __future__ import annotations

from typing import Any

import golden
import numpy as np
import pytest

import snnc
from snnc.data import Preparation
from snnc.diagnostics import Diagnostic

NET = golden.model("""# random: W [20, 32] seed 1
# random: U [32, 32] seed 2
# random: V [32, 5] seed 3
net (float[N, 20] x) => (float[N, 5] y) {
  a = MatMul (x, W)
  r = Relu (a)
  b = MatMul (r, U)
  s = Relu (b)
  y = MatMul (s, V)
}""")
PLANES = golden.model("""# random: W [8, 2, 3, 3] seed 1
# random: V [128, 4] seed 3
net (float[N, 2, 6, 6] x) => (float[N, 4] y) {
  a = Conv (x, W)
  r = Relu (a)
  f = Flatten (r)
  y = MatMul (f, V)
}""")
METHODS: list[dict[str, Any]] = [{}, {"method": "exact", "levels": 32}, {"method": "low-latency"}]


def samples(mean: Any, *shape: int) -> np.ndarray:
    """128 samples of a normal distribution around `mean`, with deviation 1."""
    images: np.ndarray = (mean + np.random.default_rng(0).normal(size=(128, *shape))).astype(np.float32)
    return images


def offset_findings(model: Any, data: np.ndarray, **options: Any) -> list[Diagnostic]:
    report = snnc.convert(model, calib=data, calib_samples=96, accept_poor=True, **options).report
    return [found for found in report.diagnostics.found if found.rule.code == "SNN523"]


@pytest.mark.parametrize("options", METHODS, ids=str)
def test_an_offset_is_named_and_can_be_removed(options: dict[str, Any]) -> None:
    (found,) = offset_findings(NET, samples(300, 20), **options)
    assert found.rule.code == "SNN523"
    assert found.message.startswith("the inputs are 300 on average and vary by 1")
    assert "`--mean 300 --std 1`" in found.hint
    prepared = Preparation(mean=(300,), std=(1,))
    assert offset_findings(NET, samples(300, 20), preparation=prepared, **options) == []


@pytest.mark.parametrize("options", METHODS, ids=str)
@pytest.mark.parametrize("mean", [0, 3, -5])
def test_other_data_are_not(mean: float, options: dict[str, Any]) -> None:
    assert offset_findings(NET, samples(mean, 20), **options) == []


def test_channels_are_told_one_by_one() -> None:
    means = np.array([300.0, -150.0]).reshape(2, 1, 1)
    (found,) = offset_findings(PLANES, samples(means, 2, 6, 6), method="exact")
    assert found.message.startswith("the inputs are 300,-150 on average and vary by ")
    assert "`--mean 300,-150 --std " in found.hint
    prepared = Preparation(mean=(300, -150), std=(1, 1))
    assert offset_findings(PLANES, samples(means, 2, 6, 6), method="exact", preparation=prepared) == []


def test_a_preparation_that_leaves_it_there() -> None:
    prepared = Preparation(mean=(100,), std=(1,))
    (found,) = offset_findings(NET, samples(300, 20), preparation=prepared)
    assert "the mean and the std that were given do not bring them around 0" in found.hint


def test_without_data_nothing_is_told_of_them() -> None:
    report = snnc.convert(NET, input_range=(299, 301), calib_samples=32, calib_steps=32, accept_poor=True).report
    assert "SNN523" not in {found.rule.code for found in report.diagnostics.found}


def test_what_the_network_subtracts_itself_is_no_offset() -> None:
    """The encoder takes x - 300, and sees values around 0."""
    model = golden.model("""# random: W [20, 32] seed 1
# random: V [32, 5] seed 3
net (float[N, 20] x) => (float[N, 5] y) <float m = {300.0}> {
  d = Sub (x, m)
  a = MatMul (d, W)
  r = Relu (a)
  y = MatMul (r, V)
}""")
    assert offset_findings(model, samples(300, 20), method="exact", levels=32) == []
