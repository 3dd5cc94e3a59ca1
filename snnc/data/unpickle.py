"""Reading pickles of numbers without running what is in them.

A pickle names functions to call. Here the few names that numpy's arrays need stand for the plain classes
below, and every other name is refused. Even numpy's own functions are not called: with a forged dtype they
fail in ways that Python cannot catch.
"""

from __future__ import annotations

import pickle
from typing import IO, Any

import numpy as np

from snnc.data.rows import Array


class PickledDtype:
    """Stands for `numpy.dtype`: numbers only."""

    def __init__(self, code: str | bytes, *_: Any) -> None:
        self.dtype = np.dtype(_text(code))
        if self.dtype.kind not in "buif":
            raise pickle.UnpicklingError(f"it holds an array of dtype {self.dtype}")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """`state` is numpy's: a version, the byte order, and what only structures and subarrays have."""
        byte_order = _text(state[1])
        if byte_order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder("<" if byte_order == "<" else ">")


class PickledArray:
    """Stands for `numpy.ndarray`."""

    array: Array = np.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """`state` is numpy's: version, shape, dtype, whether in Fortran order, bytes."""
        _, shape, dtype, is_fortran, content = state
        self.array = np.frombuffer(content, dtype.dtype).reshape(shape, order="F" if is_fortran else "C")


def _reconstruct(*_: Any) -> PickledArray:
    """An array that gets its content from `__setstate__`, up to pickle protocol 4."""
    return PickledArray()


def _frombuffer(content: bytes, dtype: PickledDtype, shape: tuple[int, ...], order: str) -> PickledArray:
    """A whole array, from pickle protocol 5 on."""
    array = PickledArray()
    array.__setstate__((1, shape, dtype, order == "F", content))
    return array


def _encode(text: str, _encoding: str = "latin1") -> bytes:
    """Bytes of Python 3 in protocols for Python 2."""
    return text.encode("latin1")


ALLOWED_NAMES = {
    ("numpy", "ndarray"): PickledArray,
    ("numpy", "dtype"): PickledDtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("numpy._core.numeric", "_frombuffer"): _frombuffer,
    ("_codecs", "encode"): _encode,
    ("builtins", "bytes"): bytes,
    ("__builtin__", "bytes"): bytes,
}


class _NumbersUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED_NAMES:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which plain numbers do not need")
        return ALLOWED_NAMES[module, name]


def load_numbers(file: IO[bytes]) -> Any:
    """The content of a pickle of containers, numbers, strings and `PickledArray`s.

    Strings that Python 2 wrote are bytes. Raises whatever a damaged or forged pickle leads to.
    """
    return _NumbersUnpickler(file, encoding="bytes").load()


def _text(value: str | bytes) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else str(value)
