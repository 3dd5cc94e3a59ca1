"""`rate`: V_th = quantile_q over neurons and samples of the mean weighted input sum over the steps.

That is f_in·V_in of RMP-SNN, eq. 6 and 7, the lower end of the paper's desired range: a neuron with a larger mean fires
at every step and loses the rest, so the share 1 - q of neurons and samples saturates.
"""

from __future__ import annotations

from snnc.ir.options import OPTIONS
from snnc.thresholds.contract import Estimate, Layer, ThresholdRule
from snnc.thresholds.vmax import largest_sum


class Rate(ThresholdRule):
    """Where no mean is positive, single sums may be all the same: the rule is `vmax` there."""

    name = "rate"
    summary = (
        f"the {OPTIONS['rate_quantile'].default}-quantile (`--rate-quantile`) over neurons and samples of the mean "
        "weighted input sum over the steps: f_in·V_in, the lower end of that range"
    )
    source = "[RMP-SNN], eq. 6, 7"
    options = (OPTIONS["rate_quantile"],)
    v_init = None

    def estimate(self, layer: Layer) -> Estimate:
        from snnc.integers.quantile import StreamedQuantile

        means = StreamedQuantile()
        for batch in layer.trains.mean_currents(layer.target, layer.progress):
            means.add(batch)
        # Where fewer neurons than 1 - q have a positive mean at all, none of those may saturate.
        threshold = means.at(layer.options.rate_quantile) or means.largest
        if threshold == 0:
            return largest_sum(layer)
        sums = layer.trains.measure(layer.target, layer.progress, batches=1)
        return Estimate(threshold * layer.unit, sums.positive_share, sums.positive_mean * layer.unit)
