"""`percentile`: λ = a percentile of the activations of the ANN over neurons and samples (Rueckauer et al. 2017)."""

from __future__ import annotations

from snnc.ir.options import OPTIONS
from snnc.thresholds.contract import Estimate, Layer, ThresholdRule


class Percentile(ThresholdRule):
    """Like `max`, but a few outliers do not slow down the rest. Zeros count: it is the share that does not saturate."""

    name = "percentile"
    summary = (
        f"what the smallest {OPTIONS['percentile'].default} % (`--percentile`) of the ANN's activations need; nothing "
        "is simulated"
    )
    source = "Rueckauer et al. 2017"
    needs = "activations"
    options = (OPTIONS["percentile"],)
    v_init = None

    def estimate(self, layer: Layer) -> Estimate:
        share = layer.options.percentile / 100
        found = layer.activations.percentile(share, per_channel=layer.options.per_channel)
        return Estimate(layer.in_input_spikes(found))
