"""`max`: λ = the largest activation of the ANN (Diehl et al. 2015, data-based normalization)."""

from __future__ import annotations

from snnc.thresholds.contract import Estimate, Layer, ThresholdRule


class Largest(ThresholdRule):
    """No activation of the samples is cut off."""

    name = "max"
    summary = "what the largest activation of the ANN needs; nothing is simulated"
    source = "Diehl et al. 2015"
    needs = "activations"
    v_init = None

    def estimate(self, layer: Layer) -> Estimate:
        largest = layer.activations.largest(per_channel=layer.options.per_channel)
        return Estimate(layer.in_input_spikes(largest))
