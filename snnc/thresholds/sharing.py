"""Which conversions of a network have the same estimates, so that they are measured once."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

from snnc.ir.conversion import Conversion
from snnc.thresholds import RULES


def dependencies(conversion: Conversion, data_hash: str) -> Any:
    """All that estimates depend on: the network, the data, and the options, but α only where layers are measured with
    it, the steps only where the rule looks at them, and nothing that comes later."""
    options = conversion.options
    measured_with = options.factor if options.alpha_when == "during" else 1.0
    steps = options.steps if RULES[options.threshold].by_steps else 1
    relevant = dataclasses.replace(
        options, alpha=measured_with, v_init=None, steps=steps, schedule="loop", controls="optional", accept_poor=False
    )
    return relevant, data_hash, hashlib.sha256(conversion.ann.SerializeToString()).hexdigest()
