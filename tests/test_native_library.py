"""The native library as a whole: registration, shapes, threads, processes."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from native_operators import GRAPHS, assert_same, operator, random_words, run, session_of


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    random = np.random.default_rng(2)
    shape = (4, 16, 33, 31)
    words = random_words(random, shape)
    current = random.integers(-50, 99, (64 * 4, *shape[1:])).astype(np.float32)
    threshold = random.integers(1, 99, (16, 1, 1)).astype(np.int32)
    fanout = random.integers(0, 99, shape[1:])
    image = random.normal(size=shape).astype(np.float32)
    counts = random.integers(0, 9, shape, np.int32)
    table = [np.sort(random.integers(-99, 99, (16, 20), np.int32)), random.integers(-1, 2, (16, 20), np.int32)]
    inputs: dict[str, tuple[npt.ArrayLike, ...]] = {
        "PoissonEncode": (image, 1, 2, 3, 64),
        "SpikeEncode": (image, 1, 2, 3, 64),
        "SpikeUnpack": (words, 64),
        "RMP": (current, np.zeros(shape, np.int32), threshold, 64),
        "IF": (current, np.zeros(shape, np.int32), threshold, 64),
        "Staircase": (current, np.zeros(shape, np.int32), counts, threshold, 64),
        "StaircaseCharge": (current[:4], np.zeros(shape, np.int32), counts, threshold, 64),
        "StaircaseTable": (current, np.zeros(shape, np.int32), counts, np.zeros(16, np.int32), *table, 64),
        "SpikeMaxPool": (words, counts[:, :8], 64),
        "SpikeProduct": (words, words[:, :8, :1, :1], counts[:, :8], counts[:, :8, :1, :1], 64),
        "SpikeCount": (words,),
        "LastSpike": (words,),
        "SpikeTotals": (words, fanout),
    }
    attributes = {
        "PoissonEncode": "scale = 1.5",
        "SpikeEncode": "scale = 1.5",
        "Staircase": "low = -5, high = 12",
        "StaircaseCharge": "low = -5, high = 12",
        "SpikeMaxPool": "kernel_shape = [3, 2], strides = [2, 2], pads = [1, 0, 1, 1], dilations = [1, 1], signed = 1",
        "SpikeProduct": "first_signed = 1, second_signed = 0",
    }
    assert inputs.keys() == GRAPHS.keys()
    for name, values in inputs.items():
        one = run(operator(name, attributes.get(name, ""), threads=1), *values)
        two = run(operator(name, attributes.get(name, ""), threads=2), *values)
        assert_same(one, two, name)


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


def test_shapes_of_signed_spikes_are_inferred() -> None:
    graph = """(float[M, 3, 4] current, int32[2, 3, 4] v, int32 threshold, int64 count) => (uint64[] fired)
        { fired, v_out, counts_out = ai.snnc.Staircase<low = 0, high = 8>(current, v, v, threshold, count) }"""
    assert session_of(graph).get_outputs()[0].shape in ([2, 6, 4], [])


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
