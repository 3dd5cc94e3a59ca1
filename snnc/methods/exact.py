"""`exact`: neurons that take back what they fired too early, so that counts settle at those of the quantised ANN.

Charge-coded input and staircase neurons (after ST-BIF): once the input has entered, layer after layer settles at
S = g(Σ W·S + charge), which is what the quantised ANN computes, integer for integer (docs/exact.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from snnc.ir.function_kind import Kind, Other, Quantiser, sample_points
from snnc.ir.graph import PRODUCT, REGION
from snnc.ir.options import LARGEST_MAX_STEPS, MOST_LEVELS, OPTIONS
from snnc.methods.contract import Method, kept
from snnc.operators.product import SpikeProduct
from snnc.operators.staircase import Staircase, StaircaseTable

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from snnc.ir.conversion import Pass
    from snnc.ir.options import Options
    from snnc.ir.region import Region

_MOVES = ("Gather", "Reshape", "Transpose")
_TAKES_BACK = "its neurons take spikes back, whatever order they come in"
_UNTIL_QUIET = "the network runs until it is quiet, which takes as many steps as it takes"
_FROM_ACTIVATIONS = "thresholds come from the activations of the ANN, not from spikes"


class Exact(Method):
    """Thresholds are those that quantise activations best: one spike is worth λ over the levels of its layer."""

    name = "exact"
    summary = "signed spikes whose counts settle at those of the quantised ANN, integer for integer, with a certificate"
    source = "[exact](exact.md)"
    coding = "charge"
    codings = ("charge",)
    settles = True
    options = (OPTIONS["levels"], OPTIONS["target_drop"])
    target_chooses = "levels"
    without: ClassVar[Mapping[str, str]] = {
        "reset": _TAKES_BACK,
        "leak": "charge that leaks away is lost, and counts would not settle",
        "v_init": "counts are rounded to the nearest",
        "alpha": _FROM_ACTIVATIONS,
        "alpha_when": _FROM_ACTIVATIONS,
        "calib_steps": _FROM_ACTIVATIONS,
        "steps": _UNTIL_QUIET,
        "max_steps": _UNTIL_QUIET,
        "seed": "nothing in it is random",
    }

    @property
    def passes(self) -> list[Pass]:
        from snnc import pipeline

        return pipeline.EXACT

    def takes(self, kind: Kind) -> bool:
        return True

    def rules(self) -> list[str]:
        return ["mmse", "percentile", "max"]

    def defaults(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Everything that has an exact treatment is allowed; every channel has a step of its own."""
        return {
            "threshold": "mmse",
            "per_channel": True,
            "bias": "current",
            "batchnorm": "fold",
            "max_pool": "exact",
            "v_init": 0.5,
            "calib_steps": 1,
            "max_steps": LARGEST_MAX_STEPS,
        }

    def remedies(self, options: Options) -> list[tuple[str, dict[str, Any]]]:
        """More levels, everywhere; the bound of steps that was found for these is none of the others."""
        found = []
        for factor in (2, 4):
            levels = factor * options.levels
            layers = tuple((layer, factor * own) for layer, own in options.layer_levels)
            if max(levels, *(own for _, own in layers), 1) <= MOST_LEVELS:
                words = ",".join([str(levels), *(f"{layer}={own}" for layer, own in layers)])
                change = {"levels": levels, "layer_levels": layers, "target_drop": None, "max_steps": LARGEST_MAX_STEPS}
                found.append((f"--levels {words}", change))
        return found

    def place_neuron(self, node: gs.Node, options: Options) -> None:
        """`Relu` → `Staircase` from 0 to its levels; `Relay` → the same below 0 too; `Region` → `StaircaseTable`."""
        levels = options.levels_of(node.name)
        if node.op != REGION:
            low = 0 if node.op == "Relu" else -levels
            node.op, node.attrs = Staircase.name, {**kept(node), "v_init": 0.5, "low": low, "high": levels}
        else:
            relative = isinstance(node.attrs["kind"], Other) and node.attrs["kind"].inverse and _only_multiplies(node)
            node.op, node.attrs = StaircaseTable.name, _any_function(node.attrs["region"], node.attrs["kind"], levels)
            node.attrs["relative"] = relative
        node.domain = Staircase.domain


def _only_multiplies(node: gs.Node) -> bool:
    """Whether only products read what `node` gives: an inverse among them is one of what it multiplies, in size, and
    its errors count as shares of it."""
    readers = node.outputs[0].outputs
    return bool(readers) and all(
        reader.op in (PRODUCT, SpikeProduct.name) or (reader.op in _MOVES and _only_multiplies(reader))
        for reader in readers
    )


def _any_function(region: Region, kind: Kind, levels: int) -> dict[str, Any]:
    """Attributes of a neuron for a function with steps of its own, or with `levels` of them on each side of 0 that it
    reaches."""
    if isinstance(kind, Quantiser):
        return {"region": region, "value": kind.step, "low": kind.low, "high": kind.high}
    with np.errstate(all="ignore"):  # it may leave its domain
        values = region.curve(sample_points(region))
    values = values[~np.isnan(values)]
    low = -levels if values.min(initial=0) < 0 else 0
    return {"region": region, "low": low, "high": levels if values.max(initial=0) > 0 or low == 0 else 0}
