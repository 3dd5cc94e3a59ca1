"""A process that tries one mutant after the other: numbers on stdin, a line of JSON for each on stdout.

What anybody else writes to stdout and stderr, also native code, goes to a file, whose content is a finding.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import random
import resource
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from .attempt import Attempt, attempt
from .corpus import Seed
from .mutant import mutant

#: Beyond what the process has when it begins.
MOST_BYTES = 8 * 2**30
# Beyond what snnc lets a model take.
_SUSPICIOUS_MEGABYTES = 5120
_WRITES_OF_A_NEW_PEAK = Path("/proc/self/clear_refs")


def main(seed: int, share: float, seeds: list[Seed]) -> None:
    """Try the mutants of the run `seed` that are asked for; this `share` of them is converted, others are checked."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    said = tempfile.TemporaryFile()  # noqa: SIM115 (open until the process ends)
    for descriptor in (1, 2):
        os.dup2(said.fileno(), descriptor)
    log = logging.getLogger("snnc")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    warnings.simplefilter("always")
    _limit_memory()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "link").symlink_to("/etc/hostname")
        for line in sys.stdin:
            found = _measured(int(line), seed, seeds, Path(folder), share)
            _add_what_was_said(found, said)
            answers.write(json.dumps(found.record(), default=str) + "\n")
            answers.flush()


def _measured(number: int, seed: int, seeds: list[Seed], folder: Path, share: float) -> Attempt:
    drawn = mutant(number, seed, seeds)
    convert = random.Random(f"convert {seed}/{number}").random() < share
    before = _status("VmRSS")
    _WRITES_OF_A_NEW_PEAK.write_text("5")
    found = attempt(drawn, folder, convert)
    found.megabytes = _status("VmHWM") - before
    if not found.is_finding and found.megabytes > _SUSPICIOUS_MEGABYTES:
        found.detail = f"{found.outcome} {found.codes} with {found.megabytes:.0f} MB"
        found.outcome, found.place = "memory", f"{found.outcome} {' '.join(found.codes)}"
    return found


def _status(field: str) -> float:
    """In MB."""
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith(field + ":"))


def _limit_memory() -> None:
    most = int(_status("VmSize")) * 2**20 + MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _add_what_was_said(found: Attempt, said: Any) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    said.seek(0)
    text = said.read().decode(errors="replace")
    said.seek(0)
    said.truncate()
    if text.strip() and not found.is_finding:
        found.outcome, found.place, found.detail = "output", text.strip()[:80], text[:4000]


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), pickle.loads(Path(sys.argv[3]).read_bytes()))
