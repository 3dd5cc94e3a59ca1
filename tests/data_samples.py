"""Small images in the forms in which users have them, and what is said of bad ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnc.diagnostics import DiagnosticError

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (6, 5, 4), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


@contextmanager
def diagnosed(rule: str, *words: str) -> Iterator[None]:
    """The body must raise one diagnostic of this rule whose text has all these words."""
    with pytest.raises(DiagnosticError) as caught:
        yield
    assert [found.rule.code for found in caught.value.diagnostics] == [rule], str(caught.value)
    for word in words:
        assert word in str(caught.value)


def save_npz(path: Path, **arrays: Any) -> str:
    np.savez(path, **arrays)
    return str(path)
