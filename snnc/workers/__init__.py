"""Where work on samples is done: in this process, or on a cluster.

Samples go in parts, always the same ones, whoever works on them: the batches of a network. What is found of them is
put together in the order of the parts, by whoever asked. So the results are the same, bit for bit, for any number of
workers, and whichever of them is done first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from snnc.diagnostics import fail
from snnc.workers.contract import Part, Progress, Trains, Work, Workers, in_order
from snnc.workers.here import Here

__all__ = ["RAY", "Here", "Part", "Progress", "Trains", "Work", "Workers", "in_order", "opened"]

#: The name of a cluster of Ray that is started on this machine; behind it comes the address of another one.
RAY = "ray"


@contextmanager
def opened(on: str | Workers | None, threads: int | None = None) -> Iterator[Workers]:
    """The workers that `on` names, with so many threads each: None is this process, `ray` a cluster of Ray on this
    machine, `ray://HOST:PORT` or `HOST:PORT` one that runs already. Workers stay open, what is named is closed.

    Raises:
        DiagnosticError: SNN405 where `on` names nothing, SNN415 where the cluster cannot be used.
    """
    if isinstance(on, Workers):
        yield on
    elif on is None:
        yield Here(threads)
    else:
        address = address_of(on)
        from snnc.workers.cluster import Cluster

        with Cluster(address, threads) as cluster:
            yield cluster


def address_of(on: str) -> str | None:
    """The address of a cluster as Ray wants it, None of one that is to be started; SNN405 where `on` names nothing."""
    if on == RAY:
        return None
    host, colon, port = str(on).removeprefix(f"{RAY}://").rpartition(":")
    if not (isinstance(on, str) and colon and host.strip("[]") and port.isdecimal() and 0 < int(port) < 2**16):
        hint = "`--on ray` starts Ray on this machine, `--on ray://HOST:PORT` or `--on HOST:PORT` joins a cluster"
        fail("SNN405", f"on is {on!r}, must be ray, ray://HOST:PORT or HOST:PORT", hint=hint)
    return on
