"""The parts of the reference simulator against published vectors, naive loops and properties of the neurons."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnc.simulate import reference, reference_coding, reference_layers, reference_operators

PARTS = (reference, reference_coding, reference_layers, reference_operators)


def test_the_reference_is_independent() -> None:
    """It imports numpy, the standard library and its own other files, nothing else of snnc and nothing of ONNX."""
    modules: set[str] = set()
    for part in PARTS:
        tree = ast.parse(Path(str(part.__file__)).read_text(encoding="utf-8"))
        modules |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    others = {module for module in modules if module.split(".")[0] not in {*sys.stdlib_module_names, "numpy"}}
    assert others == {part.__name__ for part in PARTS[1:]}


# The generator and the encoder


@pytest.mark.parametrize(
    ("rounds", "counter", "key", "expected"),
    [
        (
            7,
            "00000000 00000000 00000000 00000000",
            "00000000 00000000",
            "5f6fb709 0d893f64 4f121f81 4f730a48",
        ),
        (
            7,
            "ffffffff ffffffff ffffffff ffffffff",
            "ffffffff ffffffff",
            "5207ddc2 45165e59 4d8ee751 8c52f662",
        ),
        (
            7,
            "243f6a88 85a308d3 13198a2e 03707344",
            "a4093822 299f31d0",
            "4dfccaba 190a87f0 c47362ba b6b5242a",
        ),
        (
            10,
            "00000000 00000000 00000000 00000000",
            "00000000 00000000",
            "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
        ),
        (
            10,
            "ffffffff ffffffff ffffffff ffffffff",
            "ffffffff ffffffff",
            "408f276d 41c83b0e a20bc7c6 6d5451fd",
        ),
        (
            10,
            "243f6a88 85a308d3 13198a2e 03707344",
            "a4093822 299f31d0",
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_gives_the_published_vectors(rounds: int, counter: str, key: str, expected: str) -> None:
    """Known answers of Random123, the authors' implementation."""

    def words(text: str) -> list[int]:
        return [int(word, 16) for word in text.split()]

    assert reference_coding.philox4x32(words(counter), words(key), rounds).tolist() == words(expected)


def test_poisson_spikes_follow_their_definition() -> None:
    """Element by element, from the words of the generator; samples and seeds beyond 32 bits."""
    x = np.array([[0.3, -0.7, 0.0, 1.0, -2.0, 0.999]], np.float32)
    seed, sample, step = -5, 2**33 + 1, 2**20
    spikes = reference_coding.poisson_spikes(x, 1.5, seed, sample, step, 1)[0, 0]
    for element, value in enumerate(x[0]):
        counter = (element // 4, step, sample % 2**32, sample // 2**32)
        word = int(reference_coding.philox4x32(counter, (seed % 2**32, seed % 2**64 // 2**32))[element % 4])
        probability = float(abs(value) / np.float32(1.5))
        assert spikes[element] == np.sign(value) * ((word >> 8) < probability * 2**24)


def test_poisson_spikes_compare_exactly() -> None:
    """A random number u of 24 bits fires for p > u and not for p = u, down to the last bit of p."""
    u = reference_coding.philox4x32((np.arange(64), 0, 0, 0), (9, 0)).reshape(1, 256) >> np.uint32(8)
    x = (u / 2**24).astype(np.float32)
    assert not reference_coding.poisson_spikes(x, 1.0, 9, 0, 0, 1).any()
    assert reference_coding.poisson_spikes(np.nextafter(x, np.float32(2)), 1.0, 9, 0, 0, 1).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 6), st.integers(0, 20), st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**40))
def test_poisson_spikes_do_not_depend_on_batches_and_blocks(
    split: int, block: int, seed: int, first_sample: int
) -> None:
    x = np.random.default_rng(3).normal(size=(6, 2, 3, 1)).astype(np.float32)
    whole = reference_coding.poisson_spikes(x, 1.5, seed, first_sample, 0, 20)
    by_sample = [
        reference_coding.poisson_spikes(x[:split], 1.5, seed, first_sample, 0, 20),
        reference_coding.poisson_spikes(x[split:], 1.5, seed, first_sample + split, 0, 20),
    ]
    by_step = [
        reference_coding.poisson_spikes(x, 1.5, seed, first_sample, 0, block),
        reference_coding.poisson_spikes(x, 1.5, seed, first_sample, block, 20 - block),
    ]
    assert np.array_equal(np.concatenate(by_sample, axis=1), whole)
    assert np.array_equal(np.concatenate(by_step, axis=0), whole)


def test_poisson_rates_converge_to_the_input() -> None:
    """Mean over T steps against x/scale, within 5 standard deviations of a binomial."""
    x, steps = np.linspace(-2, 2, 41, dtype=np.float32)[None], 20_000
    rates = reference_coding.poisson_spikes(x, 2.0, 0, 0, 0, steps).mean(axis=0)
    expected = x / 2
    deviation = np.sqrt(np.abs(expected) * (1 - np.abs(expected)) / steps)
    assert np.all(np.abs(rates - expected) <= 5 * deviation)


def test_poisson_edges() -> None:
    """Certain spikes from |x| = scale on, none at zero; what is no number fires as if it were large."""
    x = np.array([[1.0, -1.0, 7.0, -np.inf, np.inf, np.nan, 0.0, -0.0]], np.float32)
    spikes = reference_coding.poisson_spikes(x, 1.0, 1, 0, 0, 50)
    assert np.array_equal(spikes, np.broadcast_to([1, -1, 1, -1, 1, 1, 0, 0], (50, 1, 8)))


# Linear operators


def naive_convolution(
    x: np.ndarray, weight: np.ndarray, strides: list[int], pads: list[int], dilations: list[int], group: int
) -> np.ndarray:
    """ONNX Conv, one multiplication at a time."""
    rank = len(strides)
    padded = np.pad(x, [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)])
    sizes = [
        (padded.shape[2 + i] - (weight.shape[2 + i] - 1) * dilations[i] - 1) // strides[i] + 1 for i in range(rank)
    ]
    out = np.zeros((len(x), len(weight), *sizes), np.int64)
    filters_per_group = len(weight) // group
    for sample, channel in np.ndindex(len(x), len(weight)):
        first_input = channel // filters_per_group * weight.shape[1]
        for position in np.ndindex(*sizes):
            for inner in range(weight.shape[1]):
                for tap in np.ndindex(*weight.shape[2:]):
                    at = tuple(
                        p * stride + k * dilation
                        for p, stride, k, dilation in zip(position, strides, tap, dilations, strict=True)
                    )
                    product = padded[sample, first_input + inner][at] * weight[channel, inner][tap]
                    out[sample, channel][position] += product
    return out


CONVOLUTIONS = [
    # spatial shape, kernel, strides, pads, dilations, groups
    ([7], [3], [2], [1, 0], [2], 1),
    ([6, 5], [3, 3], [1, 1], [1, 1, 1, 1], [1, 1], 1),
    ([6, 5], [3, 2], [2, 1], [0, 1, 2, 0], [1, 2], 2),
    ([5, 5], [1, 1], [2, 2], [0, 0, 0, 0], [1, 1], 4),
    ([4, 3, 4], [2, 3, 1], [1, 2, 1], [1, 0, 0, 0, 1, 1], [2, 1, 1], 2),
]


@pytest.mark.parametrize(("size", "kernel", "strides", "pads", "dilations", "group"), CONVOLUTIONS)
def test_convolution_equals_a_naive_loop(
    size: list[int], kernel: list[int], strides: list[int], pads: list[int], dilations: list[int], group: int
) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(-1, 2, (2, 4, *size))
    weight, bias = rng.integers(-99, 99, (8, 4 // group, *kernel)), rng.integers(-9, 9, 8)
    options: dict[str, Any] = {"strides": strides, "pads": pads, "dilations": dilations, "group": group}
    result = reference_operators.convolve(x, weight, bias, **options)
    expected = naive_convolution(x, weight, **options) + bias.reshape(8, *[1] * len(size))
    assert result.dtype == np.int64
    assert np.array_equal(result, expected)
    assert reference_operators.convolve(x[:0], weight, bias, **options).shape == (0, *expected.shape[1:])


@pytest.mark.parametrize("size", [2**20, 2**26 + 1, 2**30 + 1])
def test_products_are_exact_beyond_float64(size: int) -> None:
    """Products of numbers that float64 cannot hold."""
    x = np.array([[[size, -1, size]]], np.int64)
    weight = np.array([[[size, 1, 2]]], np.int64)
    assert reference_operators.convolve(x, weight).tolist() == [[[size * size - 1 + 2 * size]]]


def test_sum_pool_is_a_convolution_with_ones() -> None:
    x = np.random.default_rng(1).integers(0, 2, (2, 3, 5, 6))
    options: dict[str, Any] = {"strides": [2, 1], "pads": [0, 1, 1, 0]}
    ones = np.ones((3, 1, 2, 3), np.int64)
    assert np.array_equal(
        reference_operators.sum_pool(x, [2, 3], **options), reference_operators.convolve(x, ones, group=3, **options)
    )


# Neurons


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(-500, 500), min_size=1, max_size=80),
    st.integers(1, 200).map(lambda half: 2 * half),
    st.sampled_from([0, 0.5]),
)
def test_soft_reset_conserves_charge(currents: list[int], threshold: int, v_init: float) -> None:
    """θ·n + V(T) - V(0) = Σ I."""
    spikes, v = reference.neuron(currents, threshold, "soft", v_init)
    assert threshold * spikes.sum() + v - v_init * threshold == sum(currents)


def test_neurons_of_an_array_are_independent() -> None:
    rng = np.random.default_rng(2)
    currents, thresholds = rng.integers(-20, 40, (30, 3, 4)), np.array([[10], [24], [30]])
    for reset in ("soft", "hard"):
        spikes, v = reference.neuron(currents, thresholds, reset, 0.5)
        for i, j in np.ndindex(3, 4):
            alone = reference.neuron(currents[:, i, j], thresholds[i, 0], reset, 0.5)
            assert np.array_equal(spikes[:, i, j], alone[0])
            assert v[i, j] == alone[1]


def test_hard_reset_forgets_what_exceeds_the_threshold() -> None:
    spikes, v = reference.neuron([15, 12, 3, -4], 10, "hard")
    assert spikes.tolist() == [1, 1, 0, 0]
    assert v == -1
