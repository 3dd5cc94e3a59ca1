"""Running the simulator of somebody else in a process of its own, of which nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress


def run(command: Sequence[str], seconds: int) -> tuple[int, str]:
    """Exit status of a command, and what it wrote to stderr.

    Where it takes longer than so many `seconds` (subprocess.TimeoutExpired), or Ctrl-C interrupts it, it ends with all
    that it has started. OSError where it cannot be run.
    """
    with tempfile.TemporaryFile() as errors:
        nowhere = subprocess.DEVNULL
        with subprocess.Popen(command, stdin=nowhere, stdout=nowhere, stderr=errors, start_new_session=True) as process:
            try:
                status = process.wait(seconds)
            except BaseException:
                with suppress(ProcessLookupError):  # it has just ended by itself
                    os.killpg(process.pid, signal.SIGKILL)
                raise
        errors.seek(0)
        return status, errors.read().decode(errors="replace")
