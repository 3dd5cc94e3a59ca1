"""`mmse`: λ = argmin ‖λ/T·clip(floor(x·T/λ + 1/2), 0, T) - x‖² over the activations x of the ANN (Li et al. 2021).

T are the steps of the file. A neuron that starts at θ/2 and gets a constant current gives just this after T steps.
"""

from __future__ import annotations

from snnc.thresholds.contract import Estimate, Layer, ThresholdRule


class Mmse(ThresholdRule):
    """What is cut off and what is rounded cost the same kind of error; more steps leave more room for outliers. Of
    neurons with the attribute relative, errors count as shares of x."""

    name = "mmse"
    summary = (
        "what gives the least mean squared error of the ANN's activations when they are cut off there and rounded to "
        "spike counts of the file's steps; nothing is simulated"
    )
    source = "Li et al. 2021"
    needs = "activations"
    by_steps = True
    v_init = None

    def estimate(self, layer: Layer) -> Estimate:
        low, high = layer.counts
        found = layer.activations.mmse(
            *(max(-low, high), low, high, 0.5),
            per_channel=layer.options.per_channel,
            relative=layer.target.attrs.get("relative", False),
        )
        return Estimate(layer.in_input_spikes(found))
