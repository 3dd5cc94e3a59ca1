"""Starting a cluster of Ray, or joining one. Ray waits for minutes for a cluster that is not there, in code that
Ctrl-C does not reach: whether one answers is asked by a process of its own."""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import sys
from typing import Any

from snnc.diagnostics import fail

_CONNECT_SECONDS = 5.0
_JOIN_SECONDS = 30.0
_QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
_PROBE = "import sys, ray; ray.init(address=sys.argv[1], log_to_driver=False, logging_level='ERROR'); ray.shutdown()"
_REACHABLE = "look whether the cluster runs and the port is right: 6379 on its machines, 10001 with ray://"
_TOKEN = f"{_REACHABLE}; if it asks for a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"
_INSTALL = "pip install 'snnc[ray]'"


def ray() -> Any:
    """The package; SNN407 where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Jobs without GPUs see them as they are: Ray warns where nothing is said.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        return importlib.import_module("ray")
    except ImportError:
        fail("SNN407", f"`--on ray` needs Ray, install it with `{_INSTALL}`")


def join(ray: Any, address: str | None, cpus: int, object_bytes: int) -> None:
    """Connect this process with the cluster at `address`, or with one that is started (None). SNN415 if that fails."""
    if address is None:
        more = {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": object_bytes}
        # Else a part that takes all memory is tried for ever.
        _init(ray, "local", **more, _system_config={"task_oom_retries": 3})
        return
    _require_answer(address)
    _init(ray, address)


def _init(ray: Any, address: str, **more: Any) -> None:
    try:
        ray.init(address=address, **_QUIET, **more)
    except (OSError, RuntimeError, ValueError, TimeoutError) as error:
        what = "Ray does not start" if address == "local" else f"{address} cannot be joined"
        fail("SNN415", f"{what}: {_last_line(str(error))}", hint="" if address == "local" else _TOKEN)


def _require_answer(address: str) -> None:
    """SNN415 where nobody listens, or somebody else than Ray."""
    client, place = address.startswith("ray://"), address.removeprefix("ray://")
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except OSError as error:
        fail("SNN415", f"nobody answers at {place}: {error.strerror or error}", hint=_REACHABLE)
    if client:
        try:
            importlib.import_module("grpc")
        except ImportError:
            fail("SNN407", f"ray:// needs the client of Ray, install it with `{_INSTALL}`")
    command = [sys.executable, "-c", _PROBE, address]
    try:
        tried = subprocess.run(command, capture_output=True, text=True, timeout=_JOIN_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        fail("SNN415", f"{place} does not answer as a cluster of Ray within {_JOIN_SECONDS:.0f} s", hint=_TOKEN)
    if tried.returncode:
        fail("SNN415", f"{address} cannot be joined: {_last_line(tried.stderr)}", hint=_TOKEN)


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no reason is given")
