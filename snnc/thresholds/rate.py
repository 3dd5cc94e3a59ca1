"""`rate`: V_th = quantile_q over neurons and samples of the mean weighted input sum over the steps.

That is f_in·V_in of RMP-SNN, eq. 6 and 7, the lower end of the paper's desired range: a neuron with a larger mean fires
at every step and loses the rest, so the share 1 - q of neurons and samples saturates.

One threshold for a layer would silence a channel whose means are a thousandfold smaller, as folded batch normalization
makes them: such a channel, below 1/32 of the layer, has a threshold of its own. The other channels share one, which is
better where the samples are synthetic (docs/results/deep-networks.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from snnc.integers.quantile import LargestValues, largest, needed
from snnc.ir.graph import sample_shape
from snnc.ir.options import OPTIONS
from snnc.ir.signal import FloatArray
from snnc.thresholds.contract import Estimate, Layer, ThresholdRule
from snnc.thresholds.vmax import largest_sum

# A channel below this share of the layer's threshold would fire a few times in 256 steps at most.
_SMALL = 1 / 32


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
        of_layer, of_channels = quantiles_of_means(layer, layer.options.rate_quantile)
        if of_layer == 0:
            return largest_sum(layer)
        sums = layer.trains.measure(layer.target, layer.unit, layer.progress, batches=1)
        small = (of_channels > 0) & (of_channels < _SMALL * of_layer)
        chosen: FloatArray | float = of_channels
        if not layer.options.per_channel:
            chosen = np.where(small, of_channels, of_layer) if small.any() else of_layer
        return Estimate(chosen, sums.positive_share, sums.positive_mean)


@dataclass(frozen=True)
class _LargestMeans:
    """Of means `[N, C, ...]` so many of the largest of all, `[1, any]`, and of each channel, `[C, any]`."""

    of_all: int
    of_each: int

    def __call__(self, means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        by_channel = np.moveaxis(means, 1, 0).reshape(means.shape[1], -1)
        return largest(means.reshape(1, -1), self.of_all), largest(by_channel, self.of_each)


def quantiles_of_means(layer: Layer, share: float) -> tuple[float, FloatArray]:
    """The quantile over neurons and samples of the mean weighted input sum over the steps: of the layer, and of each of
    its channels, `[C]`.

    Where fewer neurons than 1 - share have a positive mean at all, none of those may saturate: the largest mean, or 0.
    """
    shape = sample_shape(layer.target.outputs[0])
    channels, values = shape[0], len(layer.trains.images) * math.prod(shape)
    of_all, of_each = LargestValues(share, 1, values), LargestValues(share, channels, values // channels)
    reduce = _LargestMeans(needed(share, values), needed(share, values // channels))
    for batch_of_all, batch_of_each in layer.trains.mean_currents(layer.target, layer.unit, layer.progress, reduce):
        of_all.add(batch_of_all)
        of_each.add(batch_of_each)
    found = [
        np.where(means.at_share() > 0, means.at_share(), np.maximum(means.largest, 0)) for means in (of_all, of_each)
    ]
    return float(found[0][0]), found[1]
