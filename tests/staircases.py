"""Passes that put other neurons in the place of `RMP` and `IF`, for tests: no method chooses them yet."""

from __future__ import annotations

import numpy as np

from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import sample_shape
from snnc.ir.trees import layers
from snnc.passes.spike import connect_pools

LOW, HIGH = -3, 40


def _staircases(conversion: Conversion) -> None:
    """Uniform steps, of which neurons may also go some down."""
    for node in layers(conversion.graph):
        if node.op in ("RMP", "IF"):
            node.op = "Staircase"
            node.attrs |= {"low": LOW, "high": HIGH}
    connect_pools(conversion.graph)


def _tables(conversion: Conversion) -> None:
    """A table of random steps up and down for every channel of every other layer, one table for the rest."""
    random = np.random.default_rng(5)
    for index, node in enumerate(layers(conversion.graph)):
        if node.op not in ("RMP", "IF"):
            continue
        rows = sample_shape(node.outputs[0])[0] if index % 2 else 1
        node.op = "StaircaseTable"
        node.attrs = {
            "value": 0.25,
            "first": random.integers(-2, 3, rows),
            "breaks": np.sort(random.normal(0, 3, (rows, 7)), axis=1),
            "rises": random.integers(-2, 4, (rows, 7)),
        }
    connect_pools(conversion.graph)


def _charges(conversion: Conversion) -> None:
    """Staircases behind an input that is all charge of the first step."""
    _staircases(conversion)
    for node in conversion.graph.nodes:
        if node.op in ("PoissonEncode", "DirectEncode"):
            node.op = "ChargeEncode"


STAIRCASES = Pass("staircases", Level.SPIKING, Level.SPIKING, _staircases)
TABLES = Pass("tables", Level.SPIKING, Level.SPIKING, _tables)
CHARGES = Pass("charges", Level.SPIKING, Level.SPIKING, _charges)
OTHER_NEURONS = {"staircase": STAIRCASES, "table": TABLES, "charge": CHARGES}
