"""The layers of the event-driven runtime in blocks, on threads, and by every kernel and vector unit."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from named_layers import NAMED, expected, named, small_names
from spiking_layer_examples import COUNTS, RANDOM, VALUES, Sizes, Values, conv, convolutions, dense, random_layer
from spiking_layers import (
    Array,
    Layer,
    Random,
    assert_same,
    describe,
    loop_of,
    reference,
    run,
    session_of,
)


@pytest.mark.parametrize(
    "name",
    [
        "resnet 16, stride 2",
        "resnet 64, identity",
        "depthwise, multiplier 3",
        "gemm behind a pool",
        "readout of copies",
        "signed identity",
        "leak, identity",
        "staircase, identity",
    ],
)
def test_a_loop_over_blocks_carries_the_potential(name: str) -> None:
    layer = named(name)
    layer = layer.having(v=layer.inputs["v"] // 4)  # what was chosen for 64 steps may leave int32 in more
    random, steps = np.random.default_rng(0), np.array([64, 64, 17], np.int64)
    blocks: dict[str, Array] = {"count": steps}
    for key in [key for key in ("spikes", "residual") if key in layer.inputs]:
        words = random.permuted(np.stack([layer.inputs[key]] * len(steps)), axis=-1)
        words[-1] &= np.uint64(2**17 - 1)
        blocks[key] = words
    feeds = {f"all/{key}": value for key, value in blocks.items()}
    feeds |= {f"{state}/start": layer.inputs[state] for state in layer.states}
    results = session_of(loop_of(layer)).run(None, {**feeds, "blocks": np.array(len(steps), np.int64)})
    fired, ends = results[: -len(layer.states)], results[-len(layer.states) :]

    trains: list[Array] = []
    states = [layer.inputs[state] for state in layer.states]
    for block in range(len(steps)):
        changes = {key: value[block] for key, value in blocks.items()}
        block_layer = layer.having(**changes, **dict(zip(layer.states, states, strict=True)))
        outputs = reference(block_layer)
        states = outputs[-len(states) :]
        trains += outputs[: -len(states)]
    assert_same([*ends, *fired], [*states, *([np.stack(trains)] if trains else [])])


@given(split=COUNTS, random=RANDOM)
@settings(max_examples=20)
def test_a_block_equals_its_parts(split: int, random: Random) -> None:
    layer = random_layer(conv(17, 33, (5, 6), 3, pad=1), Values(0.1), random)
    words, mask = layer.inputs["spikes"], np.uint64(2**split - 1)
    whole, v_whole = run(layer)
    first, v_first = run(layer.having(spikes=words & mask, count=np.int64(split)))
    rest = words >> np.uint64(split) if split < 64 else np.zeros_like(words)
    second, v_second = run(layer.having(spikes=rest, count=np.int64(64 - split), v=v_first))
    shifted = second << np.uint64(split) if split < 64 else np.zeros_like(second)
    assert_same([first | shifted, v_second], [whole, v_whole])


@pytest.mark.parametrize("threads", [2, 4])
@pytest.mark.parametrize("name", NAMED)
def test_results_do_not_depend_on_threads(name: str, threads: int) -> None:
    assert_same(run(named(name), threads=threads), expected(name))


def vector_units() -> list[str]:
    """Values of SNNC_SIMD that this machine can run."""
    cpu = Path("/proc/cpuinfo")
    features = set(cpu.read_text().split()) if cpu.is_file() else set()
    needed: dict[str, set[str]] = {
        "portable": set(),
        "avx2": {"avx2"},
        "avx512": {"avx512bw", "avx512_vnni", "avx512vbmi", "avx512_vbmi2"},
    }
    return [unit for unit, flags in needed.items() if flags <= features]


CHOICES = [*itertools.product(vector_units(), ["", "gather", "chunk", "table", "sparse"])]


@pytest.fixture(scope="module", params=CHOICES, ids="-".join)
def run_chosen(request: pytest.FixtureRequest) -> Iterator[Callable[[Layer], list[Array]]]:
    """`run` with a chosen vector unit and kernel, in another process: the library chooses when it is loaded."""
    unit, kernel = request.param
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("SNNC_SIMD", unit)
            if kernel:
                environment.setenv("SNNC_KERNEL", kernel)
            pool.submit(run, named("one of everything")).result(60)
        yield lambda layer: pool.submit(run, layer, threads=2).result(60)


def test_every_kernel_on_named_layers(run_chosen: Callable[[Layer], list[Array]]) -> None:
    for name in small_names():
        assert_same(run_chosen(named(name)), expected(name), name)


@given(
    sizes=st.one_of(convolutions(), convolutions(), convolutions(residual=True), dense()), values=VALUES, random=RANDOM
)
@settings(max_examples=40)
def test_every_kernel_on_random_layers(
    run_chosen: Callable[[Layer], list[Array]], sizes: Sizes, values: Values, random: Random
) -> None:
    layer = random_layer(sizes, values, random)
    assert_same(run_chosen(layer), reference(layer), describe(layer))


def test_fields_far_outside_the_plane_cost_nothing() -> None:
    """Only the middle output meets the image; the table kernel once made strings of all columns between."""
    random = np.random.default_rng(0)
    inputs: dict[str, np.ndarray] = {
        "spikes": random.integers(0, 2**63, (2, 3, 5, 5)).astype(np.uint64),
        "weight": random.integers(-9, 9, (4, 3, 3, 3)).astype(np.float32),
        "v": np.zeros((2, 4, 3, 3), np.int32),
        "threshold": np.array(20, np.int32),
        "count": np.array(64),
    }
    near, far_away = (
        run(Layer("SpikingConv", inputs, {"strides": [far] * 2, "pads": [far] * 4, "dilations": [1, 1], "group": 1,
                                          "copies": 1, "signed": 0, "soft_reset": 1}))
        for far in (8, 2**30)
    )  # fmt: skip
    assert_same(near, far_away)
