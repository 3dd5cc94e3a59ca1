"""What the reference simulator has to know of `Negate`; nothing of the operator's room is used here."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def negate(attrs: dict[str, Any], x: NDArray[np.int64]) -> NDArray[np.int64]:
    """y = -x for x `[N, ...]`."""
    return -x
