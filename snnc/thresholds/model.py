"""`model`: V_th = the largest sum that the weights allow (Diehl et al. 2015).

For 0/1 inputs the sum of the positive weights, for signed inputs that of |w|. Needs no samples.
"""

from __future__ import annotations

from snnc.thresholds.contract import Estimate, Layer, ThresholdRule


class Model(ThresholdRule):
    """Nothing can saturate, but such sums never come: deep networks stay silent."""

    name = "model"
    summary = "the largest sum of positive weights, of abs(w) for the signed input; needs no samples"
    source = "Diehl et al. 2015"
    needs = "nothing"
    caution = ("SNN501", "the threshold of a layer is the largest sum its inputs can have")

    def estimate(self, layer: Layer) -> Estimate:
        return Estimate(layer.of_rows(layer.rounded.signal.high * layer.unit))
