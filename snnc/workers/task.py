"""What a worker of a cluster does: it is sent nothing but this function, by name."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any

from snnc.diagnostics import fail
from snnc.workers.contract import Arrays
from snnc.workers.identity import differences

# The last work of this process: its key, and its function. The session in it is made once.
_prepared: tuple[str, Callable[..., Any]] | None = None


def do_part(
    key: str,
    fetch: Callable[[], Any],
    expected: tuple[tuple[str, str], ...],
    threads: int,
    given: Any,
    *kept: Arrays,
) -> Any:
    """What the work `key`, which `fetch` gives, finds of a part. SNN415 where this process is another snnc."""
    found = differences(expected)
    if found:
        message = f"a worker on {socket.gethostname()} has {found}"
        fail("SNN415", message, hint="install the same versions of snnc and its packages on all machines")
    return _function(key, fetch, threads)(given, kept, _nobody)


def _function(key: str, fetch: Callable[[], Any], threads: int) -> Callable[[Any, Sequence[Arrays], Any], Any]:
    global _prepared
    if _prepared is None or _prepared[0] != key:
        _prepared = None  # its memory first
        _prepared = key, fetch().prepare(threads)
    return _prepared[1]


def _nobody(share: float) -> None:
    """Progress within a part is not told across machines."""
