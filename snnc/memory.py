"""Memory of the process that is free and not given back.

A conversion works on several copies of the weights for a moment, with libraries that ask for small pieces between them.
The C library keeps such gaps; without giving them back, every pass would start with the peaks of all before it.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable


def give_back() -> None:
    """Give free memory back to the system, where the C library (glibc) can."""
    trim = _trim()
    if trim is not None:
        trim(0)


@functools.cache
def _trim() -> Callable[[int], int] | None:
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library, or none of its own
        return None
    trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
    found: Callable[[int], int] = trim
    return found
