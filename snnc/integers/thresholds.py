"""Threshold rules: from what a layer receives to its threshold before alpha, in units of the layer's integer grid.

`rate`  (from RMP-SNN, eq. 6 and 7)  the `rate_quantile` over neurons and samples of the mean weighted input sum over
        the steps, f_in·V_in: the lower end of the paper's desired range, below which neurons saturate
`vmax`  (RMP-SNN, section 4.1, after Sengupta et al. 2019)  the largest weighted input sum over neurons, steps, samples
`model` (Diehl et al. 2015)  the largest sum that the weights allow: of the positive ones, of |w| for signed inputs

Where no mean is positive, `rate` takes `vmax`. A rule gives 0 where no weighted input sum was ever positive.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from snnc.integers.grid import Rounded
from snnc.integers.layer_simulation import SpikeTrains
from snnc.integers.quantile import LargestValues
from snnc.ir.conversion import Conversion, Estimate
from snnc.ir.graph import sample_shape
from snnc.ir.options import Options

Progress = Callable[[float], None]


def estimate(
    target: gs.Node, rounded: Rounded, trains: SpikeTrains | None, options: Options, progress: Progress
) -> Estimate:
    """The threshold of `target` by the rule of `options`; `trains` are None for `model`, which needs no samples."""
    if options.threshold == "model":
        return Estimate(_of_channels(rounded.signal.high * rounded.unit, options))
    assert trains is not None
    threshold: np.ndarray = np.zeros(())
    if options.threshold == "rate":
        threshold = _rate(target, rounded, trains, options, progress)
    # Where no neuron has a positive mean, single sums may be positive all the same, and those are for `vmax`.
    sums = trains.measure(target, rounded.unit, progress, batches=1 if threshold.any() else None)
    if not threshold.any():
        threshold = _of_channels(sums.maximum, options)
    return Estimate(threshold, sums.positive_share, sums.positive_mean)


def _of_channels(values: np.ndarray, options: Options) -> np.ndarray:
    """The largest of each channel, or of all."""
    return values.max(tuple(range(1, values.ndim))) if options.per_channel else np.asarray(values.max())


def _rate(target: gs.Node, rounded: Rounded, trains: SpikeTrains, options: Options, progress: Progress) -> np.ndarray:
    shape = sample_shape(target.outputs[0])
    rows = shape[0] if options.per_channel else 1
    means = LargestValues(options.rate_quantile, rows, len(trains.images) * math.prod(shape) // rows)
    for batch in trains.mean_currents(target, rounded.unit, progress):
        means.add(np.moveaxis(batch, 1, 0).reshape(rows, -1))
    # Where fewer neurons than 1 - share have a positive mean at all, none of those may saturate.
    found = means.at_share() if means.at_share().any() else means.largest
    return np.maximum(found if options.per_channel else found[0], 0)


def dependencies(conversion: Conversion, data_hash: str) -> Any:
    """All that estimates depend on: the network, the data, and the options, but α only where layers are measured with
    it, and nothing that comes later."""
    options = conversion.options
    measured_with = options.alpha if options.alpha_when == "during" else 1.0
    relevant = dataclasses.replace(
        options, alpha=measured_with, v_init=None, steps=1, schedule="loop", controls="optional", accept_poor=False
    )
    return relevant, data_hash, hashlib.sha256(conversion.ann.SerializeToString()).hexdigest()
