"""What the native operators of layers did and how long it took, and how fast this machine can add weights at most."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from snnc.runtime.library import library_path


@dataclass(frozen=True)
class KernelUse:
    """How often a kernel computed a block, and the packed weights that it reads over and over.

    `working_set` is their size in bytes, `width` how many weights of `weight_bytes` bytes are added together; all are 0
    for a kernel that adds no rows of weights.
    """

    calls: int
    width: int
    weight_bytes: int
    working_set: int


@dataclass(frozen=True)
class NodeStatistics:
    """What one layer of one session did since collecting was switched on.

    `name` is that of the ONNX node; sessions may share names, `id` is of this session alone. `sample_steps` is the sum
    of samples x steps over all blocks, `spikes` that of the input spikes (those of a residual input apart),
    `nanoseconds` the time from the start of a block to its end, on all threads together. `kernels` has those that ran.
    """

    id: int
    name: str
    sample_steps: int
    spikes: int
    nanoseconds: int
    kernels: dict[str, KernelUse]


@contextmanager
def collecting() -> Iterator[None]:
    """Forget what was collected, and collect until the end of the block, in all sessions of this process."""
    _library().snnc_collect_statistics(1)
    try:
        yield
    finally:
        _library().snnc_collect_statistics(0)


def read() -> list[NodeStatistics]:
    """The statistics of every layer of every session that exists."""
    return [
        NodeStatistics(
            id=node["id"],
            name=node["name"],
            sample_steps=node["sample_steps"],
            spikes=node["spikes"],
            nanoseconds=node["nanoseconds"],
            kernels={name: KernelUse(**use) for name, use in node["kernels"].items()},
        )
        for node in _document()["nodes"]
    ]


def vector_unit() -> str:
    """Which version of the kernels this machine runs: `avx512`, `avx2` or `portable`."""
    name: str = _document()["vector_unit"]
    return name


def add_stream(working_set: int, weight_bytes: int, width: int) -> float:
    """Additions per second of one thread that reads `working_set` bytes of weights in order, again and again.

    Rows of `width` (16, 32 or 64) weights of `weight_bytes` (1, 2 or 4) bytes are added to sums in registers: what
    a kernel would reach that found its rows at once and had nothing else to do. Takes some 20 milliseconds.
    """
    found = float(_library().snnc_add_stream(working_set, weight_bytes, width))
    if found == 0:
        raise ValueError(f"cannot measure rows of {width} weights of {weight_bytes} bytes in {working_set} bytes")
    return found


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(library_path()))
    library.snnc_collect_statistics.argtypes = [ctypes.c_int]
    library.snnc_collect_statistics.restype = None
    library.snnc_statistics.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    library.snnc_statistics.restype = ctypes.c_size_t
    library.snnc_add_stream.argtypes = [ctypes.c_int64, ctypes.c_int, ctypes.c_int]
    library.snnc_add_stream.restype = ctypes.c_double
    return library


def _document() -> dict[str, Any]:
    needed = _library().snnc_statistics(None, 0)
    while True:
        buffer = ctypes.create_string_buffer(needed)
        size, needed = needed, _library().snnc_statistics(buffer, needed)
        if needed == 0:
            raise MemoryError("no memory for the statistics of the operators")
        if needed <= size:
            document: dict[str, Any] = json.loads(buffer.value)
            return document
