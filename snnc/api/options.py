"""The options of `snnc.convert` with their types, for editors, type checkers and `help()`.

`python -m snnc.cli.generate` writes this file from the declarations in `snnc/ir/options.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict


class ConvertOptions(TypedDict, total=False):
    """Options of a conversion: what is left out, or None, has the default of the method and the threshold rule.

    method: How to convert, a name for all that follows: coding, thresholds, neurons and defaults.  [default: rmp]
    reset: What a spike does to the membrane potential: subtract the threshold, or set it to zero.  [default: soft]
    leak: Leaky neurons: every step begins with V - floor(V / 2^M). Small currents never make them fire.  [from 0 to
        15; default: 0, no leak]
    coding: The input: random spikes at the rate of its values, or the values themselves as a current of every step
        or as a charge that enters once.  [default: that of the method]
    levels: Levels that activations are quantised to: spikes that stand for the largest one. 16,conv1=32,fc=8 gives
        some layers others.  [from 1 to 4096; default: 16, or chosen by target_drop]
    alpha: Factor on every threshold, and with it the rule vmax; auto tries several on the held-back samples.
        [above 0 and at most 1, or auto; default: 1, and for soft reset the rule rate]
    threshold: Thresholds from mean input sums, from the largest one, from the weights alone, or from activations of
        the ANN: largest, percentile, least squared error at these steps, balanced.  [default: rate for soft reset
        without alpha, else vmax]
    rate_quantile: Share of neurons and samples that the rule rate keeps from saturating.  [from 0.9 to 1; default:
        0.9997]
    percentile: Percentage of activations that the rule percentile keeps from saturating.  [from 50 to 100; default:
        99.9]
    per_channel: A threshold of its own for every channel (for flat layers: for every neuron), instead of one for
        each layer.  [default: False]
    alpha_when: Scale each threshold before the next layer is measured, or all of them at the end: that compounds,
        and networks of more than a few layers lose their signal or saturate.  [default: during]
    weight_bits: Bits of the integer weights of neurons, sign included (depthwise layers keep as many as fit); auto
        takes the fewest for each layer, from 8 on, at which rounding changes currents by less than 1 % over all
        layers in a row. Fewer bits are added faster.  [from 4 to 16, or auto; default: 16]
    calib_samples: Samples that calibrate.  [default: 512; of synthetic images 128, fewer for large networks]
    calib_steps: Steps of the calibration.  [default: 256 or max_steps]
    v_init: Membrane potential at step 0, in thresholds.  [default: 0; with the rule rate and those of activations
        0.5 where it does clearly better on the held-back samples]
    input_scale: Input value that fires at every step.  [default: largest  or x or  of the data or of input_range]
    input_range: Values of the synthetic images.  [default: what the model says of its input, else -2,2]
    max_steps: Largest number of steps ever to be run.  [from 1 to 2^25; default: 4096]
    shape: Shape of a sample where the network leaves sizes open, such as 3,48,192.  [default: that of the network,
        else of calib]
    bias: Layers with a bias: refuse them, or add the bias as a constant current.  [default: reject]
    batchnorm: Batch normalization: refuse it, or fold it into the layer in front.  [default: reject]
    max_pool: Max-pooling: refuse it, or compare spike counts.  [default: reject]
    steps: Steps that the file runs by default.  [default: 256 or max_steps]
    delay: Steps that go by before the readout begins, as deep layers get their inputs late. They count as steps.
        [default: 0, none]
    target_drop: Choose the fewest steps (exact: levels) for which the held-back samples show, with 95 % confidence,
        that no more accuracy is lost against the ANN (without labels: that no more samples are in another class).
        [above 0 and at most 0.2; default: no choice, steps or levels]
    seed: Seed of the input spikes.  [default: 0]
    schedule: One call for all steps, the same without a Loop for a fixed number of them, or one call for each block
        of steps with the states outside.  [default: loop]
    controls: How the file takes steps and seed: optional inputs (not for JavaScript), required inputs, or
        constants.  [default: optional]
    accept_poor: Write the network even where it certainly agrees with the ANN on less than 80 % of samples or, if
        the outputs are no classes, has an output error above 0.5.  [default: False]
    relaxed: The same as `bias="current", batchnorm="fold", max_pool="exact"`.  [default: False]
    plugin_options: Options that a plug-in's rule or method has of its own, by name.
    """

    method: str | None
    reset: Literal["soft", "hard"] | None
    leak: int | None
    coding: Literal["poisson", "direct", "charge"] | None
    levels: int | Mapping[str, int] | str | None
    alpha: float | Literal["auto"] | None
    threshold: str | None
    rate_quantile: float | None
    percentile: float | None
    per_channel: bool | None
    alpha_when: Literal["during", "after"] | None
    weight_bits: int | Literal["auto"] | None
    calib_samples: int | None
    calib_steps: int | None
    v_init: float | None
    input_scale: float | None
    input_range: Sequence[float] | None
    max_steps: int | None
    shape: str | Sequence[int] | None
    bias: Literal["reject", "current"] | None
    batchnorm: Literal["reject", "fold"] | None
    max_pool: Literal["reject", "exact"] | None
    steps: int | None
    delay: int | None
    target_drop: float | str | None
    seed: int | None
    schedule: Literal["loop", "unrolled", "stream"] | None
    controls: Literal["optional", "required", "fixed"] | None
    accept_poor: bool | None
    relaxed: bool
    plugin_options: Mapping[str, object]
