"""Memory: how much is free, so that what cannot fit is refused and not killed, and giving back what is not used.

A conversion works on several copies of the weights for a moment, with libraries that ask for small pieces between them.
The C library keeps such gaps; without giving them back, every pass would start with the peaks of all before it.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from pathlib import Path

from snnc.diagnostics import fail
from snnc.scratch import text_of

_CGROUP = Path("/sys/fs/cgroup")


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


def free_memory() -> int | None:
    """Bytes that this process can still have: of the machine, and of its control group (containers); None where the
    system does not tell."""
    found = [amount for amount in (_free_of_machine(), _free_of_group()) if amount is not None]
    return min(found, default=None)


def require_memory(needed: int, what: str, hint: str) -> None:
    """SNN414 where `what` needs more bytes than are free."""
    free = free_memory()
    if free is not None and needed > free:
        fail("SNN414", f"{what} of memory, and {text_of(free)} are free", hint=hint)


def _free_of_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return None


def _free_of_group() -> int | None:
    """Of version 2, where the group is the root of what is mounted; its file cache can be given up."""
    try:
        limit, used = ((_CGROUP / f"memory.{name}").read_text(encoding="ascii") for name in ("max", "current"))
        pairs = (line.split() for line in (_CGROUP / "memory.stat").read_text(encoding="ascii").splitlines())
        return int(limit) - int(used) + int(dict(pairs).get("inactive_file", 0))
    except (OSError, ValueError):  # there is none, or it has no limit ("max")
        return None
