"""How long the demo network takes: native operators against the functions inside the file, and against the ANN.

    python -m pytest tests/benchmarks --benchmark-group-by=param:steps

All forms run the same samples and give the same spikes, which is asserted; times are shown, never asserted.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import snnc
from snnc.api import SpikingModel
from snnc.simulate.ann import Ann, load_model

NET = Path(snnc.__file__).parent / "demo" / "digits.onnx"
IMAGES = np.random.default_rng(0).random((32, 1, 8, 8), np.float32)


@pytest.fixture(scope="module")
def model() -> SpikingModel:
    return snnc.convert(NET, steps=64, alpha=0.6)


@pytest.mark.parametrize("steps", [64, 256])
@pytest.mark.parametrize("form", ["native", "function"])
def test_spiking(benchmark: BenchmarkFixture, model: SpikingModel, form: str, steps: int) -> None:
    session = model.session(native=form == "native", threads=1)
    result = benchmark(session.run, IMAGES, steps)
    other = model.session(native=form != "native", threads=1).run(IMAGES, steps)
    assert np.array_equal(result.spike_totals, other.spike_totals)
    benchmark.extra_info["spikes per sample"] = int(result.spike_totals.sum() / len(IMAGES))


@pytest.mark.parametrize("steps", [64, 256])
def test_ann_folded_over_time(benchmark: BenchmarkFixture, steps: int) -> None:
    """The dense opponent: the ANN on steps x samples, without neurons."""
    ann = Ann(load_model(NET), threads=1)
    folded = np.repeat(IMAGES, steps, axis=0)
    benchmark(ann.run, folded)
