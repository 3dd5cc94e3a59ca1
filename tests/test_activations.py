"""What is known of the activations of the ANN: histograms against the raw values, and where they come from."""

from __future__ import annotations

from collections.abc import Iterator

import golden
import networks
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnc.diagnostics import DiagnosticError
from snnc.emit.analog import analog_network
from snnc.integers import activations as module
from snnc.integers.activations import Activations, in_batches
from snnc.integers.histogram import Histogram
from snnc.ir.conversion import Level
from snnc.ir.trees import targets
from snnc.runtime.session import make_session

BINS = 2048
SHARES = st.sampled_from([0.5, 0.9, 0.99, 0.999, 1.0])


@st.composite
def samples(draw: st.DrawFn) -> np.ndarray:
    """Activations `[C, n]` float32: of a ReLU, or signed; channels of different scale, some silent; with outliers."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    channels, count = draw(st.integers(1, 4)), draw(st.sampled_from([50, 500, 5000]))
    values = rng.normal(draw(st.sampled_from([-1.0, 0.0, 1.0])), 1, (channels, count))
    if draw(st.booleans()):
        values = np.sign(values) * np.abs(values) ** 3
    if draw(st.booleans()):
        values = np.maximum(values, 0)
    scales = draw(st.lists(st.sampled_from([0.0, 1e-3, 1.0, 700.0]), min_size=channels, max_size=channels))
    scaled: np.ndarray = (values * np.array(scales)[:, None]).astype(np.float32)
    return scaled


def histogram_of(values: np.ndarray, parts: int = 1, bins: int = BINS) -> Histogram:
    histogram = Histogram(values.min(1), values.max(1), bins)
    for part in np.array_split(values, parts, axis=1):
        histogram.add(part)
    return histogram


def rows_of(values: np.ndarray, per_channel: bool) -> np.ndarray:
    """One row for each threshold."""
    return values if per_channel else values.reshape(1, -1)


def quantised(x: np.ndarray, scale: float, levels: int, low: int, high: int, offset: float) -> np.ndarray:
    """λ/L·clip(floor(x·L/λ + offset), low, high)."""
    step = scale / levels
    return step * np.clip(np.floor(x.astype(np.float64) / step + offset), low, high)


@settings(max_examples=100)
@given(values=samples(), parts=st.integers(1, 3), per_channel=st.booleans())
def test_the_largest_magnitude(values: np.ndarray, parts: int, per_channel: bool) -> None:
    found = histogram_of(values, parts).largest(per_channel=per_channel)
    assert np.array_equal(found, np.abs(rows_of(values, per_channel)).max(1))


@settings(max_examples=100)
@given(values=samples(), parts=st.integers(1, 3), share=SHARES, per_channel=st.booleans())
def test_percentiles_lie_within_a_bin(values: np.ndarray, parts: int, share: float, per_channel: bool) -> None:
    """Of magnitudes; where fewer values than 1 - share differ from 0, the largest one."""
    found = histogram_of(values, parts).percentile(share, per_channel=per_channel)
    rows = np.abs(rows_of(values, per_channel)).astype(np.float64)
    wanted = np.quantile(rows, share, axis=1, method="inverted_cdf")
    wanted = np.where(wanted > 0, wanted, rows.max(1))
    spread = (np.maximum(values.max(1), 0) - np.minimum(values.min(1), 0)).max() if not per_channel else 0
    spreads = np.maximum(values.max(1), 0) - np.minimum(values.min(1), 0) if per_channel else spread
    assert (np.abs(found - wanted) <= 1.01 * spreads / BINS).all()


@settings(max_examples=60)
@given(
    values=samples(),
    per_channel=st.booleans(),
    levels=st.sampled_from([2, 4, 15, 64, 256]),
    signed=st.booleans(),
    offset=st.sampled_from([0.5, 0.5, 0.0]),
)
def test_the_scale_of_least_squared_error(
    values: np.ndarray, per_channel: bool, levels: int, signed: bool, offset: float
) -> None:
    """As good on the raw values as the best of a fine grid."""
    low = -levels if signed else 0
    found = histogram_of(values).mmse(levels, low, levels, offset, per_channel=per_channel)
    for scale, row in zip(found, rows_of(values, per_channel), strict=True):
        reach = max(row.max(), -row.min() if signed else 0)
        if reach <= 0:
            assert scale == 0
            continue

        def error(scale: float, row: np.ndarray = row) -> float:
            return float(np.square(quantised(row, scale, levels, low, levels, offset) - row).mean())

        best = min(error(reach * fraction) for fraction in np.geomspace(1 / 128, 1, 200))
        # A few values lie anywhere in a step, where many fill it evenly.
        few = 0.25 * (scale / levels) ** 2 / np.sqrt(len(row))
        assert error(scale) <= 1.15 * best + few


def test_the_scale_of_least_relative_error() -> None:
    """A few values far above the others take no levels from these: errors count as shares of a value."""
    values = np.concatenate([np.linspace(1, 2, 4000), np.full(40, 200.0)]).astype(np.float32)[None]
    by_size, by_share = (
        histogram_of(values).mmse(16, 0, 16, 0.5, per_channel=True, relative=relative) for relative in (False, True)
    )
    assert by_size == pytest.approx(200, rel=0.1)
    assert by_share == pytest.approx(2, rel=0.2)


def test_zeros_cost_nothing() -> None:
    """However many there are, the scale is that of the other values."""
    values = np.abs(np.random.default_rng(0).normal(size=(1, 4000))).astype(np.float32)
    with_zeros = np.concatenate([values, np.zeros((1, 400_000), np.float32)], axis=1)
    few, many = (histogram_of(row).mmse(8, 0, 8, 0.5, per_channel=True) for row in (values, with_zeros))
    assert few == many


def test_limits_that_differ_from_the_levels() -> None:
    """A spike is worth λ/L, and there may be more of them than L: the reach is high·λ/L."""
    values = np.linspace(0, 6, 6001, dtype=np.float32)[None]
    assert histogram_of(values).mmse(32, 0, 32, 0.5, per_channel=True) == pytest.approx(6, rel=0.05)
    assert histogram_of(values).mmse(32, 0, 64, 0.5, per_channel=True) == pytest.approx(3, rel=0.05)
    assert histogram_of(-values).mmse(32, -16, 0, 0.5, per_channel=True) == pytest.approx(12, rel=0.05)


def test_where_activations_come_from() -> None:
    """Of every neuron, whatever the batches; the samples are walked through twice and only if somebody asks."""
    model = networks.small().model()
    images = networks.images_for(model, 40, seed=2)
    walks: list[int] = []

    def batches() -> Iterator[np.ndarray]:
        walks.append(1)
        yield from np.array_split(images, 3)

    conversion = golden.run_to(model, Level.SPIKING, bias="current")
    found = Activations(conversion.graph, batches)
    assert not walks
    network = analog_network(conversion.graph)
    neurons = [node for node in targets(conversion.graph) if node.op == "RMP"]
    session = make_session(network.model.SerializeToString())
    for node in neurons:
        (values,) = session.run([network.outputs[node.name]], {"x": images})
        wanted = histogram_of(np.moveaxis(values, 1, 0).reshape(values.shape[1], -1))
        assert np.allclose(found.of(node.name).counts, wanted.counts, atol=2)
        assert np.allclose(found.of(node.name).largest(per_channel=True), wanted.largest(per_channel=True), rtol=1e-5)
    assert len(walks) == 2
    assert sum(len(batch) for batch in in_batches(images, conversion.graph)()) == len(images)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bins get fewer where there are many channels."""
    model = networks.perceptron([60, 40]).model()
    graph = golden.run_to(model, Level.SPIKING).graph
    images = networks.images_for(model, 10)
    neurons = [node for node in targets(graph) if node.op == "RMP"]

    def bins() -> list[int]:
        found = Activations(graph, in_batches(images, graph))
        return [found.of(node.name).counts.shape[1] for node in neurons]

    assert bins() == [2048, 2048]
    monkeypatch.setattr(module, "HISTOGRAM_BYTES", 8 * 100 * 300)
    assert bins() == [300, 300]
    monkeypatch.setattr(module, "HISTOGRAM_BYTES", 8 * 100)
    assert bins() == [16, 16]


def test_batches_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model = networks.perceptron([60, 40]).model()
    graph = golden.run_to(model, Level.SPIKING).graph
    images = networks.images_for(model, 10)
    monkeypatch.setattr(module, "BATCH_BYTES", 4 * (4 + 60 + 40 + 2) * 3)
    assert [len(batch) for batch in in_batches(images, graph)()] == [3, 3, 3, 1]
    monkeypatch.setattr(module, "BATCH_BYTES", 1)
    assert [len(batch) for batch in in_batches(images, graph)()] == [1] * 10


def test_activations_beyond_float32_are_told() -> None:
    model = networks.perceptron([3, 3]).model()
    for tensor in model.graph.initializer:
        values = np.abs(np.frombuffer(tensor.raw_data, np.float32)) * np.float32(1e30)
        tensor.raw_data = values.tobytes()
    graph = golden.run_to(model, Level.SPIKING).graph
    images = np.ones((4, 4), np.float32)
    with pytest.raises(DiagnosticError, match=r"SNN406.*Relu_3"):
        Activations(graph, in_batches(images, graph)).of("Relu_3")
