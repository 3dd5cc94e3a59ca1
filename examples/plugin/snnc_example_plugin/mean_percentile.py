"""`mean-percentile`: V_th = the percentile over neurons and samples of the mean weighted input sum over the steps."""

from __future__ import annotations

from snnc.ir.option import Option
from snnc.thresholds import Estimate, Layer, ThresholdRule
from snnc.thresholds.rate import quantiles_of_means

PERCENT = Option("percent", float, 99.9, "Percent of neurons and samples that do not saturate.", low=50, high=100)


class MeanPercentile(ThresholdRule):
    """Like `rate`, with an option of its own and V(0) = θ/2."""

    name = "mean-percentile"
    summary = "the percentile over neurons and samples of the mean weighted input sum over the steps"
    source = "RMP-SNN, eq. 6, 7"
    options = (PERCENT,)
    v_init = 0.5

    def estimate(self, layer: Layer) -> Estimate:
        percent: float = layer.options.own(PERCENT)
        of_layer, of_channels = quantiles_of_means(layer, percent / 100)
        return Estimate(of_channels if layer.options.per_channel else of_layer)
