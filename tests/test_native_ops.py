"""Every native operator, through onnxruntime, against a few lines of numpy."""

from __future__ import annotations

import functools
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx.parser
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument, RuntimeException

from snnc.runtime import library_path

Array = npt.NDArray[Any]
Random = np.random.Generator

# One model per operator. `[]` after a type: any rank.
GRAPHS = {
    "SpikeEncode": """(float[] x, int64 seed, int64 first_sample, int64 first_step, int64 count)
        => (uint64[] plus, uint64[] minus)
        { plus, minus = ai.snnc.SpikeEncode<scale = SCALE>(x, seed, first_sample, first_step, count) }""",
    "SpikeUnpack": """(uint64[] spikes, int64[] count) => (float[] out)
        { out = ai.snnc.SpikeUnpack(spikes, count) }""",
    "RMP": """(float[] current, int32[] v, int32[] threshold, int64 count)
        => (uint64[] spikes, int32[] v_out)
        { spikes, v_out = ai.snnc.RMP(current, v, threshold, count) }""",
    "IF": """(float[] current, int32[] v, int32[] threshold, int64 count)
        => (uint64[] spikes, int32[] v_out)
        { spikes, v_out = ai.snnc.IF(current, v, threshold, count) }""",
    "SpikeCount": """(uint64[] spikes) => (int32[] counts)
        { counts = ai.snnc.SpikeCount(spikes) }""",
    "SpikeTotals": """(uint64[] spikes, int64[] fanout) => (int64[] total, int64[] operations)
        { total, operations = ai.snnc.SpikeTotals(spikes, fanout) }""",
}


def session_of(graph: str, threads: int = 1) -> onnxruntime.InferenceSession:
    text = f'<ir_version: 9, opset_import: ["" : 18, "ai.snnc" : 1]> main {graph}'
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    options.register_custom_ops_library(str(library_path()))
    model = onnx.parser.parse_model(text).SerializeToString()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@functools.cache
def operator(name: str, scale: str = "1.0", threads: int = 1) -> onnxruntime.InferenceSession:
    return session_of(GRAPHS[name].replace("SCALE", scale), threads)


def run(session: onnxruntime.InferenceSession, *inputs: npt.ArrayLike) -> list[Array]:
    """Runs on positional inputs; Python integers are int64 scalars."""
    names = [tensor.name for tensor in session.get_inputs()]
    feed = {
        name: np.asarray(value, np.int64 if isinstance(value, int) else None)
        for name, value in zip(names, inputs, strict=True)
    }
    outputs: list[Array] = session.run(None, feed)
    return outputs


# --- references ---------------------------------------------------------------------------------------------


def bits_of(words: Array, count: int) -> Array:
    """[count, ...]: bit k of every word."""
    steps = np.arange(count, dtype=np.uint64).reshape(-1, *[1] * words.ndim)
    bits: Array = (words[None] >> steps) & np.uint64(1)
    return bits


def words_of(spikes: Array) -> Array:
    """uint64 [...] from booleans [count, ...]."""
    words = np.zeros(spikes.shape[1:], np.uint64)
    for step, fired in enumerate(spikes):
        words |= fired.astype(np.uint64) << np.uint64(step)
    return words


def neurons_reference(current: Array, v: Array, threshold: Array, count: int, *, soft: bool) -> tuple[Array, Array]:
    v = v.copy()
    spikes = np.zeros((count, *v.shape), bool)
    for step, charge in enumerate(current.reshape(count, *v.shape)):
        v = v + charge.astype(np.int32)
        spikes[step] = v >= threshold
        v = np.where(spikes[step], v - threshold if soft else np.int32(0), v)
    return words_of(spikes), v.astype(np.int32)


def philox4x32_10(counter: list[Array], key: tuple[int, int]) -> list[Array]:
    """Salmon et al., SC 2011, on arrays of counters: four uint64 arrays that hold 32-bit values."""
    low = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    c0, c1, c2, c3 = counter
    for i in range(10):
        k0 = np.uint64((key[0] + i * 0x9E3779B9) % 2**32)
        k1 = np.uint64((key[1] + i * 0xBB67AE85) % 2**32)
        p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (p1 >> half) ^ c1 ^ k0, p1 & low, (p0 >> half) ^ c3 ^ k1, p0 & low
    return [c0, c1, c2, c3]


def encode_reference(
    x: Array, scale: float, seed: int, first_sample: int, first_step: int, count: int
) -> tuple[Array, Array]:
    samples, elements = x.shape[0], int(np.prod(x.shape[1:]))
    with np.errstate(invalid="ignore", over="ignore"):
        p = np.abs(x) / np.float32(scale)
        odds = np.where(p < 1, np.ceil(np.where(p < 1, p, 0).astype(np.float64) * 2**24), 2**24)
    e = np.arange(elements, dtype=np.uint64)
    i = np.uint64(first_sample % 2**64) + np.arange(samples, dtype=np.uint64)[:, None]
    spikes = np.zeros((count, samples, elements), bool)
    for k in range(count):
        step = np.uint64((first_step + k) % 2**32)
        counter = np.broadcast_arrays(e // np.uint64(4), step, i & np.uint64(0xFFFFFFFF), i >> np.uint64(32))
        words = philox4x32_10(list(counter), (seed % 2**32, seed // 2**32 % 2**32))
        drawn = np.choose((e % np.uint64(4)).astype(int), words)
        spikes[k] = (drawn >> np.uint64(8)) < odds.reshape(samples, elements)
    trains = words_of(spikes.reshape(count, *x.shape))
    zero = np.uint64(0)
    return np.where(x < 0, zero, trains), np.where(x < 0, trains, zero)


# --- strategies ---------------------------------------------------------------------------------------------

no_deadline = settings(deadline=None)  # the first example of an operator creates its session

counts = st.integers(0, 64)
batched_shapes = st.lists(st.integers(0, 5), min_size=1, max_size=4).map(tuple)
randoms = st.integers(0, 2**32 - 1).map(np.random.default_rng)
steps = st.integers(0, 2**32)
int64s = st.integers(-(2**63), 2**63 - 1)


def random_words(random: Random, shape: tuple[int, ...]) -> Array:
    return random.integers(0, 2**64, shape, np.uint64)


# --- neurons ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["RMP", "IF"])
@no_deadline
@given(shape=batched_shapes, count=counts, per_channel=st.booleans(), extreme=st.booleans(), random=randoms)
def test_neurons_equal_the_reference(
    name: str, shape: tuple[int, ...], count: int, per_channel: bool, extreme: bool, random: Random
) -> None:
    theta_shape = (shape[1], *[1] * (len(shape) - 2)) if per_channel and len(shape) > 1 else ()
    largest = 2**24 - 1 if extreme else 9
    current = random.integers(-largest, largest, (count * shape[0], *shape[1:]), endpoint=True)
    v_range = (-(2**31), 2**31 - 1) if extreme else (-20, 20)
    v = np.asarray(random.integers(*v_range, shape, endpoint=True), np.int32)
    threshold = np.asarray(random.integers(1, v_range[1], theta_shape, endpoint=True), np.int32)
    got = run(operator(name), current.astype(np.float32), v, threshold, count)
    expected = neurons_reference(current, v, threshold, count, soft=name == "RMP")
    for actual, wanted in zip(got, expected, strict=True):
        assert actual.dtype == wanted.dtype
        np.testing.assert_array_equal(actual, wanted)


@pytest.mark.parametrize(("name", "spikes"), [("RMP", 0b111), ("IF", 0b011)])
def test_toy_of_the_paper(name: str, spikes: int) -> None:
    """Currents of 1.5, 1.2 and 0.3 thresholds: soft reset fires three times, hard reset twice."""
    current = np.array([[15], [12], [3]], np.float32)
    words, _ = run(operator(name), current, np.zeros((1, 1), np.int32), np.int32(10), 3)
    assert words.item() == spikes


@pytest.mark.parametrize("name", ["RMP", "IF"])
@no_deadline
@given(split=counts, random=randoms)
def test_a_block_equals_its_parts(name: str, split: int, random: Random) -> None:
    current = random.integers(-5, 9, (64, 7)).astype(np.float32)  # one sample, 64 steps
    v = np.zeros((1, 7), np.int32)
    threshold = np.int32(6)
    whole, v_whole = run(operator(name), current, v, threshold, 64)
    first, v_first = run(operator(name), current[:split], v, threshold, split)
    second, v_second = run(operator(name), current[split:], v_first, threshold, 64 - split)
    shifted = second << np.uint64(split) if split < 64 else np.zeros_like(second)
    np.testing.assert_array_equal(first | shifted, whole)
    np.testing.assert_array_equal(v_second, v_whole)


# --- encoder ------------------------------------------------------------------------------------------------


def test_reference_generator_gives_the_published_numbers() -> None:
    """Known answers of Random123 (kat_vectors, philox4x32 10)."""
    ones = 0xFFFFFFFF
    pi = ([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], (0xA4093822, 0x299F31D0))
    for (counter, key), expected in [
        (([0] * 4, (0, 0)), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        (([ones] * 4, (ones, ones)), [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (pi, [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]),
    ]:
        words = philox4x32_10([np.array(c, np.uint64) for c in counter], key)
        assert [int(word) for word in words] == expected


@pytest.mark.parametrize(("above", "spike"), [(0, 0), (1, 1)])
def test_encoder_draws_the_published_numbers(above: int, spike: int) -> None:
    """Known answer for counter 0 and key 0: an element spikes from odds of (w >> 8) + 1 on, and not below."""
    words = np.array([0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8])
    x = (((words >> 8) + above) / 2**24).astype(np.float32)[None]
    plus, minus = run(operator("SpikeEncode"), x, 0, 0, 0, 1)
    np.testing.assert_array_equal(plus, np.full((1, 4), spike, np.uint64))
    assert not minus.any()


@no_deadline
@given(shape=batched_shapes, count=counts, seed=int64s, first_sample=int64s, first_step=steps, random=randoms)
def test_encoder_equals_the_reference(
    shape: tuple[int, ...], count: int, seed: int, first_sample: int, first_step: int, random: Random
) -> None:
    x = np.asarray(random.uniform(-3, 3, shape) * random.integers(0, 2, shape), np.float32)
    got = run(operator("SpikeEncode", "2.5"), x, seed, first_sample, first_step, count)
    expected = encode_reference(x, 2.5, seed, first_sample, first_step, count)
    for actual, wanted in zip(got, expected, strict=True):
        np.testing.assert_array_equal(actual, wanted)


def test_encoder_equals_the_reference_on_large_samples() -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (2, 3, 37, 41)).astype(np.float32)
    got = run(operator("SpikeEncode"), x, 7, 2**32 - 1, 64, 64)
    for actual, wanted in zip(got, encode_reference(x, 1.0, 7, 2**32 - 1, 64, 64), strict=True):
        np.testing.assert_array_equal(actual, wanted)


def test_encoder_of_special_values() -> None:
    always, never = 2**64 - 1, 0
    x = np.array([[0.0, -0.0, 2.0, -2.0, 1e30, np.inf, -np.inf, np.nan]], np.float32)
    plus, minus = run(operator("SpikeEncode", "2.0"), x, 1, 0, 0, 64)
    assert plus.tolist() == [[never, never, always, never, always, always, never, always]]
    assert minus.tolist() == [[never, never, never, always, never, never, always, never]]


def test_encoder_does_not_depend_on_batch_or_block() -> None:
    x = np.random.default_rng(1).uniform(-1, 1, (5, 9)).astype(np.float32)
    whole = run(operator("SpikeEncode"), x, 3, 100, 1000, 60)
    for sample in range(5):
        for start, stop in [(0, 13), (13, 60)]:
            one = slice(sample, sample + 1)
            part = run(operator("SpikeEncode"), x[one], 3, 100 + sample, 1000 + start, stop - start)
            for of_whole, of_part in zip(whole, part, strict=True):
                expected = bits_of(of_whole[one], 60)[start:stop].astype(bool)
                np.testing.assert_array_equal(of_part, words_of(expected))


# --- unpack, counts -----------------------------------------------------------------------------------------


@no_deadline
@given(shape=batched_shapes, count=counts, random=randoms)
def test_unpack_equals_the_reference(shape: tuple[int, ...], count: int, random: Random) -> None:
    words = random_words(random, shape)
    (out,) = run(operator("SpikeUnpack"), words, count)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, bits_of(words, count).reshape(count * shape[0], *shape[1:]))


@no_deadline
@given(shape=batched_shapes, random=randoms)
def test_count_equals_the_reference(shape: tuple[int, ...], random: Random) -> None:
    words = random_words(random, shape)
    (got,) = run(operator("SpikeCount"), words)
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, bits_of(words, 64).sum(axis=0))


@no_deadline
@given(shape=batched_shapes, ones=st.integers(0, 3), random=randoms)
def test_totals_equal_the_reference(shape: tuple[int, ...], ones: int, random: Random) -> None:
    sample = shape[1:]
    ones = min(ones, len(sample))
    fanout = np.asarray(random.integers(0, 10**6, (*[1] * ones, *sample[ones:])), np.int64)
    words = random_words(random, shape)
    total, operations = run(operator("SpikeTotals"), words, fanout)
    spikes = bits_of(words, 64).sum(axis=0).astype(np.int64)
    axes = tuple(range(1, len(shape)))
    np.testing.assert_array_equal(total, spikes.sum(axis=axes))
    np.testing.assert_array_equal(operations, (spikes * fanout).sum(axis=axes))


# --- threads ------------------------------------------------------------------------------------------------


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    random = np.random.default_rng(2)
    shape = (4, 16, 33, 31)
    words = random_words(random, shape)
    current = random.integers(-50, 99, (64 * 4, *shape[1:])).astype(np.float32)
    threshold = random.integers(1, 99, (16, 1, 1)).astype(np.int32)
    fanout = random.integers(0, 99, shape[1:])
    inputs: dict[str, tuple[npt.ArrayLike, ...]] = {
        "SpikeEncode": (random.normal(size=shape).astype(np.float32), 1, 2, 3, 64),
        "SpikeUnpack": (words, 64),
        "RMP": (current, np.zeros(shape, np.int32), threshold, 64),
        "IF": (current, np.zeros(shape, np.int32), threshold, 64),
        "SpikeCount": (words,),
        "SpikeTotals": (words, fanout),
    }
    assert inputs.keys() == GRAPHS.keys()
    for name, values in inputs.items():
        one = run(operator(name, threads=1), *values)
        two = run(operator(name, threads=2), *values)
        for of_one, of_two in zip(one, two, strict=True):
            np.testing.assert_array_equal(of_one, of_two, err_msg=name)


# --- errors -------------------------------------------------------------------------------------------------


def zeros(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("name", "inputs", "message"),
    [
        ("RMP", (zeros((5, 3), "f4"), zeros((2, 3), "i4"), np.int32(1), 2),
         r"RMP: current has shape \[5, 3\], must be \[4, 3\] for v \[2, 3\] and count 2"),
        ("IF", (zeros((4, 3, 1), "f4"), zeros((2, 3), "i4"), np.int32(1), 2),
         r"IF: current has shape \[4, 3, 1\], must be \[4, 3\]"),
        ("RMP", (zeros((2, 3), "f4"), zeros((2, 3), "i4"), zeros((2,), "i4"), 1),
         r"RMP: threshold has shape \[2\], must be \[\] or \[3\] for v \[2, 3\]"),
        ("RMP", (zeros((2, 3, 4), "f4"), zeros((2, 3, 4), "i4"), zeros((3, 4), "i4"), 1),
         r"RMP: threshold has shape \[3, 4\], must be \[\] or \[3, 1\]"),
        ("IF", (zeros((2,), "f4"), zeros((2,), "i4"), zeros((1,), "i4"), 1),
         r"IF: threshold has shape \[1\], must be \[\] for v \[2\]"),
        ("RMP", (zeros((), "f4"), zeros((), "i4"), np.int32(1), 1), r"RMP: v has shape \[\]"),
        ("RMP", (zeros((2, 3), "f4"), zeros((2, 3), "i4"), np.int32(1), 65),
         r"RMP: count is 65, must be 0 to 64"),
        ("SpikeUnpack", (zeros((2, 3), "u8"), -1), r"SpikeUnpack: count is -1, must be 0 to 64"),
        ("SpikeUnpack", (zeros((2, 3), "u8"), zeros((1,), "i8")),
         r"SpikeUnpack: count has shape \[1\], must be a scalar \[\]"),
        ("SpikeUnpack", (zeros((), "u8"), 1), r"SpikeUnpack: spikes has shape \[\], must have a batch axis"),
        ("SpikeEncode", (zeros((2, 3), "f4"), 0, 0, 0, 65), r"SpikeEncode: count is 65"),
        ("SpikeEncode", (zeros((), "f4"), 0, 0, 0, 1), r"SpikeEncode: x has shape \[\]"),
        ("SpikeCount", (zeros((), "u8"),), r"SpikeCount: spikes has shape \[\]"),
        ("SpikeTotals", (zeros((2, 3, 4), "u8"), zeros((4,), "i8")),
         r"SpikeTotals: fanout has shape \[4\], must be \[3, 4\] or that with leading axes of 1, "
         r"for spikes \[2, 3, 4\]"),
        ("SpikeTotals", (zeros((2, 3, 4), "u8"), zeros((3, 1), "i8")),
         r"SpikeTotals: fanout has shape \[3, 1\]"),
        ("SpikeTotals", (zeros((), "u8"), zeros((), "i8")), r"SpikeTotals: spikes has shape \[\]"),
    ],
)  # fmt: skip
def test_wrong_inputs_are_errors_that_name_the_operator(
    name: str, inputs: tuple[npt.ArrayLike, ...], message: str
) -> None:
    session = operator(name)
    with pytest.raises(InvalidArgument, match=message):
        run(session, *inputs)


@pytest.mark.parametrize("scale", ["0.0", "-1.0"])
def test_scale_must_be_positive(scale: str) -> None:
    with pytest.raises(RuntimeException, match=r"SpikeEncode: attribute scale is .*must be greater than 0"):
        operator("SpikeEncode", scale)


def test_scale_must_be_there() -> None:
    graph = GRAPHS["SpikeEncode"].replace("<scale = SCALE>", "")
    with pytest.raises(RuntimeException, match=r"SpikeEncode: attribute scale \(float\) is missing"):
        session_of(graph)


# --- registration, shapes -----------------------------------------------------------------------------------


def test_known_shapes_are_inferred_and_unknown_ones_left_alone() -> None:
    graph = """(float[M, 3] current, int32[BATCH, 3] v, int32 threshold, int64 count) => (uint64[] spikes)
        { spikes, v_out = ai.snnc.RMP(current, v, threshold, count) }"""
    known = session_of(graph.replace("BATCH", "2")).get_outputs()[0]
    unknown = session_of(graph.replace("BATCH", "N")).get_outputs()[0]
    assert known.type == "tensor(uint64)"
    # Newer versions of onnxruntime show what was inferred, older ones what the file declares.
    assert known.shape in ([2, 3], [])
    assert unknown.type == "tensor(uint64)"
    assert -1 not in (unknown.shape or [])


def count_ones_in_a_new_session() -> int:
    session = session_of(GRAPHS["SpikeCount"])
    return int(run(session, np.full((1, 1), 2**64 - 1, np.uint64))[0].item())


def test_many_sessions_at_the_same_time() -> None:
    with ThreadPoolExecutor(8) as pool:
        results = [pool.submit(count_ones_in_a_new_session) for _ in range(32)]
    assert [result.result() for result in results] == [64] * 32


def test_several_processes_at_the_same_time() -> None:
    program = (
        "import onnxruntime as o, snnc.runtime as r;"
        "[o.SessionOptions().register_custom_ops_library(str(r.library_path())) for _ in range(3)]"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
