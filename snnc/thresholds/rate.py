"""`rate`: V_th = quantile_q over neurons and samples of the mean weighted input sum over the steps.

That is f_in·V_in of RMP-SNN, eq. 6 and 7, the lower end of the paper's desired range: a neuron with a larger mean fires
at every step and loses the rest, so the share 1 - q of neurons and samples saturates.
"""

from __future__ import annotations

import math

import numpy as np

from snnc.integers.quantile import LargestValues
from snnc.ir.graph import sample_shape
from snnc.ir.options import OPTIONS
from snnc.ir.signal import FloatArray
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
        threshold = quantile_of_means(layer, layer.options.rate_quantile)
        if not threshold.any():
            return largest_sum(layer)
        sums = layer.trains.measure(layer.target, layer.unit, layer.progress, batches=1)
        return Estimate(threshold, sums.positive_share, sums.positive_mean)


def quantile_of_means(layer: Layer, share: float) -> FloatArray:
    """The quantile over neurons and samples of the mean weighted input sum over the steps, `[layer.rows]`.

    Where fewer neurons than 1 - share have a positive mean at all, none of those may saturate: the largest mean, or 0.
    """
    shape, rows = sample_shape(layer.target.outputs[0]), layer.rows
    means = LargestValues(share, rows, len(layer.trains.images) * math.prod(shape) // rows)
    for batch in layer.trains.mean_currents(layer.target, layer.unit, layer.progress):
        means.add(np.moveaxis(batch, 1, 0).reshape(rows, -1))
    return np.where(means.at_share() > 0, means.at_share(), np.maximum(means.largest, 0))
