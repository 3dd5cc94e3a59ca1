"""What a program is given in each step, and what its encoder makes of bytes, by the arithmetic of snnc's encoders.

Poisson: the quota of a value, ceil(|x|/λ₀ · 2^24), at most 2^24, with the sign of x; a spike where a random number of
24 bits is below it. Graded: n = round(clip((x - origin)/unit, low, high)). Both in float32, as docs/ops.md and the
encoders say. A byte has 256 values only, so a table of them is all that a microcontroller needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from snnc.data import Preparation, as_dataset
from snnc.data.preparation import shown
from snnc.diagnostics import DiagnosticError
from snnc.export.c.integers import holding, runs
from snnc.export.c.program import Constant, Input
from snnc.ir.graph import sample_shape
from snnc.operators.graded_encoder import LEVELS, preparation

BYTE_VALUES = 256
#: Random numbers have so many bits.
QUOTA_BITS = 24
CODINGS = {"PoissonEncode": "poisson", "DirectEncode": "direct", "ChargeEncode": "charge"}


def input_of(encoder: gs.Node, stored: Preparation) -> Input:
    """The input of a network whose pixels are prepared so."""
    shape = sample_shape(encoder.inputs[0])
    coding = CODINGS[encoder.op]
    scale = float(np.asarray(encoder.attrs["scale"]).reshape(-1)[0])
    low, high = int(encoder.attrs.get("low", -LEVELS)), int(encoder.attrs.get("high", LEVELS))
    factor, origin = preparation(encoder)
    unit = (np.asarray(encoder.attrs["scale"], np.float64) / factor).astype(np.float32)
    if coding == "poisson":
        low, high = -1, 1
    found = Input(coding, holding(low, high), shape, scale, unit, origin.astype(np.float32), low, high, None, stored)
    values = _prepared(shape, stored)
    if values is None:
        return found
    table = encoded(found, values).reshape(BYTE_VALUES, -1).T.reshape(-1)
    ctype = "int32_t" if coding == "poisson" else found.ctype
    pixels = Constant("of_pixel", ctype, table, encoder.name)
    return Input(coding, found.ctype, shape, scale, unit, found.origin, low, high, pixels, stored)


def described(stored: Preparation) -> str:
    """What becomes of a byte p in front of the encoder, as a formula."""
    value = "p / 255" if stored.scale is None else f"p * {stored.scale!r}"
    if stored.mean is not None:
        value = f"({value} - mean)"
    if stored.std is not None:
        value = f"{value} / std"
    numbers = [f"{name} {shown(values)}" for name, values in (("mean", stored.mean), ("std", stored.std)) if values]
    return ", ".join([value, *numbers])


def encoded(given: Input, values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Samples of the network's input, float32 `[N, ...]`, as integers: quotas, or numbers of a step."""
    if given.coding == "poisson":
        probability = np.abs(values) / np.float32(given.scale)
        quotas = np.ceil(np.minimum(probability, np.float32(1)) * np.float32(2**QUOTA_BITS)).astype(np.int64)
        signed: NDArray[np.int64] = np.where(values < 0, -quotas, quotas)
        return signed
    units = np.clip((values - given.origin) / given.unit, np.float32(given.low), np.float32(given.high))
    found: NDArray[np.int64] = np.rint(units).astype(np.int64)
    return found


def _prepared(shape: Sequence[int], stored: Preparation) -> NDArray[np.float32] | None:
    """Every byte as the network gets it, float32 `[256, C or 1, 1...]`, made by the code that prepares data; None where
    its preparation does not go by the first axis, or is of no bytes."""
    many = max((len(values) for values in (stored.mean, stored.std) if values is not None), default=1)
    if many > 1 and many != shape[0]:
        return None
    channels = shape[0] if many > 1 else 1
    sizes = [channels, *[1] * (len(shape) - 1)]
    every = np.broadcast_to(
        np.arange(BYTE_VALUES, dtype=np.uint8).reshape(-1, *[1] * len(shape)), (BYTE_VALUES, *sizes)
    )
    said: dict[str, Any] = {name: value for name, value in stored.given.items() if name != "layout"}
    try:
        return np.asarray(as_dataset(np.ascontiguousarray(every), tuple(sizes), **said).images, np.float32)
    except DiagnosticError:
        return None


def runs_of(given: Input) -> tuple[NDArray[Any], NDArray[Any], int]:
    """Units and origins of graded values by runs of elements that share them, and the length of a run."""
    both = (given.unit + 1j * given.origin).astype(np.complex64)  # pairs of float32, which can be compared
    values, size = runs(both, given.shape)
    return np.real(values), np.imag(values), size
