"""`vmax`: V_th = the largest weighted input sum over neurons, steps and samples (RMP-SNN, section 4.1)."""

from __future__ import annotations

from snnc.thresholds.contract import Estimate, Layer, ThresholdRule


class Vmax(ThresholdRule):
    """No neuron saturates on the samples."""

    name = "vmax"
    summary = "the largest weighted input sum over neurons, steps and samples"
    source = "[RMP-SNN], section 4.1, after Sengupta et al. 2019"

    def estimate(self, layer: Layer) -> Estimate:
        return largest_sum(layer)


def largest_sum(layer: Layer) -> Estimate:
    """The largest weighted input sum, 0 where none is positive, with f_in and V_in from all samples."""
    sums = layer.trains.measure(layer.target, layer.unit, layer.progress)
    return Estimate(layer.of_rows(sums.maximum), sums.positive_share, sums.positive_mean)
