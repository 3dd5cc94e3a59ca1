"""Single operators of `ai.snnc` through onnxruntime, native and as functions, and what their tests share."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx.parser
import onnxruntime
from hypothesis import settings
from hypothesis import strategies as st

from snnc.operators.functions import functions_used_by
from snnc.runtime.session import make_session

Array = npt.NDArray[Any]
Random = np.random.Generator

_STATES = "float[] current, int32[] v, int32[] counts"
_SIGNED = "(uint64[] fired, int32[] v_out, int32[] counts_out)"

# One model per operator. `[]` after a type: any rank.
GRAPHS = {
    "PoissonEncode": """(float[] x, int64 seed, int64 first_sample, int64 first_step, int64 count) => (uint64[] spikes)
        { spikes = ai.snnc.PoissonEncode<ATTRIBUTES>(x, seed, first_sample, first_step, count) }""",
    "SpikeEncode": """(float[] x, int64 seed, int64 first_sample, int64 first_step, int64 count)
        => (uint64[] plus, uint64[] minus)
        { plus, minus = ai.snnc.SpikeEncode<ATTRIBUTES>(x, seed, first_sample, first_step, count) }""",
    "SpikeUnpack": """(uint64[] spikes, int64[] count) => (float[] out)
        { out = ai.snnc.SpikeUnpack(spikes, count) }""",
    "RMP": """(float[] current, int32[] v, int32[] threshold, int64 count)
        => (uint64[] spikes, int32[] v_out)
        { spikes, v_out = ai.snnc.RMP<ATTRIBUTES>(current, v, threshold, count) }""",
    "IF": """(float[] current, int32[] v, int32[] threshold, int64 count)
        => (uint64[] spikes, int32[] v_out)
        { spikes, v_out = ai.snnc.IF<ATTRIBUTES>(current, v, threshold, count) }""",
    "Staircase": f"""({_STATES}, int32[] threshold, int64 count) => {_SIGNED}
        {{ fired, v_out, counts_out = ai.snnc.Staircase<ATTRIBUTES>(current, v, counts, threshold, count) }}""",
    "StaircaseCharge": f"""({_STATES}, int32[] threshold, int64 count) => {_SIGNED}
        {{ fired, v_out, counts_out = ai.snnc.StaircaseCharge<ATTRIBUTES>(current, v, counts, threshold, count) }}""",
    "StaircaseTable": f"""({_STATES}, int32[] first, int32[] breaks, int32[] rises, int64 count) => {_SIGNED}
        {{ fired, v_out, counts_out = ai.snnc.StaircaseTable(current, v, counts, first, breaks, rises, count) }}""",
    "SpikeMaxPool": """(uint64[] spikes, int32[] counts, int64 count) => (uint64[] fired, int32[] counts_out)
        { fired, counts_out = ai.snnc.SpikeMaxPool<ATTRIBUTES>(spikes, counts, count) }""",
    "SpikeProduct": """(uint64[] first, uint64[] second, int32[] first_counts, int32[] second_counts, int64 count)
        => (float[] current, int32[] first_counts_out, int32[] second_counts_out)
        { current, first_counts_out, second_counts_out
            = ai.snnc.SpikeProduct<ATTRIBUTES>(first, second, first_counts, second_counts, count) }""",
    "LastSpike": """(uint64[] spikes) => (int64[] last)
        { last = ai.snnc.LastSpike(spikes) }""",
    "SpikeCount": """(uint64[] spikes) => (int32[] counts)
        { counts = ai.snnc.SpikeCount(spikes) }""",
    "SpikeTotals": """(uint64[] spikes, int64[] fanout) => (int64[] total, int64[] operations)
        { total, operations = ai.snnc.SpikeTotals(spikes, fanout) }""",
}


def session_of(graph: str, threads: int = 1, native: bool = True) -> onnxruntime.InferenceSession:
    """A session for a graph in ONNX text: with the library, or with nothing but the functions."""
    model = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["" : 18, "ai.snnc" : 1]> main {graph}')
    if not native:
        model.functions.extend(functions_used_by(model.graph))
    return make_session(model.SerializeToString(), native=native, threads=threads)


@functools.lru_cache(1000)
def operator(name: str, attributes: str = "", threads: int = 1, native: bool = True) -> onnxruntime.InferenceSession:
    """A session for one operator; `attributes` in ONNX text."""
    graph = GRAPHS[name].replace("<ATTRIBUTES>", f"<{attributes}>" if attributes else "")
    return session_of(graph, threads, native)


def run(session: onnxruntime.InferenceSession, *inputs: npt.ArrayLike) -> list[Array]:
    """Runs on positional inputs; Python integers are int64 scalars."""
    names = [tensor.name for tensor in session.get_inputs()]
    feed = {
        name: np.asarray(value, np.int64 if isinstance(value, int) else None)
        for name, value in zip(names, inputs, strict=True)
    }
    outputs: list[Array] = session.run(None, feed)
    return outputs


def assert_same(actual: list[Array], wanted: list[Array], note: str = "") -> None:
    """Equality of values, shapes and element types."""
    for got, want in zip(actual, wanted, strict=True):
        assert got.dtype == want.dtype, note
        assert got.shape == want.shape, note
        np.testing.assert_array_equal(got, want, err_msg=note)


def assert_both_forms_give(wanted: list[Array], name: str, attributes: str, *inputs: npt.ArrayLike) -> None:
    """The native operator and the function, on the same inputs."""
    assert_same(run(operator(name, attributes), *inputs), wanted, f"{name}, native")
    assert_same(run(operator(name, attributes, native=False), *inputs), wanted, f"{name}, function")


# --- references -------------------------------------------------------------------------------------------------------


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


def joined_words_of(spikes: Array) -> Array:
    """uint64 [N, 2 * C, ...] from spikes [count, N, C, ...] in {-1, 0, 1}."""
    return np.concatenate([words_of(spikes > 0), words_of(spikes < 0)], axis=1)


def wrapped(values: Array) -> Array:
    """int64 values as int32 arithmetic has them: modulo 2^32."""
    return (values + 2**31) % 2**32 - 2**31


# --- strategies -------------------------------------------------------------------------------------------------------

no_deadline = settings(deadline=None)  # the first example of an operator creates its session

counts = st.integers(0, 64)
blocks = st.lists(st.one_of(counts, st.sampled_from([0, 1, 32, 33, 64])), min_size=1, max_size=3)
batched_shapes = st.lists(st.integers(0, 5), min_size=1, max_size=4).map(tuple)
randoms = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def channel_shapes(largest_rank: int = 5) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes [N, C, ...]: also empty batches, one channel, empty planes."""
    plane = st.lists(st.integers(0, 4), max_size=largest_rank - 2)
    return st.builds(
        lambda batch, channels, axes: (batch, channels, *axes), st.integers(0, 3), st.integers(1, 5), plane
    )


def random_words(random: Random, shape: tuple[int, ...], count: int = 64, density: float = 0.5) -> Array:
    """Words with spikes in the first `count` steps."""
    return words_of(random.random((count, *shape)) < density)


def zeros(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    return np.zeros(shape, dtype)
