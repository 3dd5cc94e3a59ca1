"""What has to be the same wherever numbers come from that are put together."""

from __future__ import annotations

import functools
import hashlib

import numpy as np
import onnxruntime

import snnc
from snnc.runtime.library import library_path


@functools.cache
def identity() -> tuple[tuple[str, str], ...]:
    """What this process computes with: names, and versions or hashes."""
    return (
        ("snnc", snnc.__version__),
        ("library of operators", hashlib.sha256(library_path().read_bytes()).hexdigest()[:12]),
        ("onnxruntime", str(onnxruntime.__version__)),
        ("numpy", np.__version__),
    )


def differences(expected: tuple[tuple[str, str], ...]) -> str:
    """In what this process differs from another one of that identity: `snnc 0.2.0 instead of 0.1.0`; "" in nothing."""
    own = dict(identity())
    return ", ".join(
        f"{name} {own.get(name, 'missing')} instead of {value}" for name, value in expected if own.get(name) != value
    )
