"""Look the samples through, or make synthetic images where there are none.

Takes and gives level SPIKING. Data are read once from end to end: whether they are finite, their range and their hash
are known then, whatever is looked at later and wherever it lies. Without data:

1. their range is `--input-range`, else what the model says of its input (`snnc.integers.input_range`), else -2 to 2;
2. as many as `--calib-samples`, else 128 or, for large networks, what can be simulated in about a minute and within
   half a gigabyte for the spike trains of the largest layer, calibrate; half as many again are held back to verify on;
3. for an input of integers they are rounded;
4. warning SNN507 says so: nothing has been measured on data. Where all neurons have thresholds that the network was
   trained with (attribute `value`), the images only verify.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from snnc.data.synthetic import synthetic
from snnc.integers.calibration_split import with_held_back
from snnc.integers.input_range import range_of_input
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.graph import sample_shape
from snnc.ir.trees import neurons, targets
from snnc.measure.fanout import count_macs
from snnc.reading.precision import takes_integers

_MOST, _LEAST = 128, 8
_BUDGET = 4e12  # multiply-accumulates over all steps of all samples that calibrate
_BYTES = 2**29  # one bit per neuron and step; two, plus and minus, of the input


def run(conversion: Conversion) -> None:
    if conversion.data is not None:
        conversion.data.survey(lambda share: conversion.progress("reading the data", share))
        return
    options, pixels = conversion.options, conversion.graph.inputs[0]
    limits, reason = options.input_range, "--input-range"
    if limits is None:
        limits, reason = range_of_input(conversion.ann)
    macs = max(1, sum(count_macs(target.inputs[0]) for target in targets(conversion.graph)))
    layers = [math.prod(sample_shape(target.outputs[0])) for target in targets(conversion.graph)]
    largest = max(2 * math.prod(sample_shape(pixels)), *layers)
    in_time = int(_BUDGET // (macs * options.calib_steps))
    in_memory = 8 * _BYTES // (largest * options.calib_steps)
    samples = options.calib_samples or max(_LEAST, min(_MOST, in_time, in_memory))
    data = synthetic(sample_shape(pixels), with_held_back(samples), limits, conversion.synthetic_seed)
    whole = takes_integers(conversion.ann)
    conversion.data = dataclasses.replace(data, stored=np.rint(data.images)) if whole else data
    low, high = limits
    images = f"random images with values from {low:g} to {high:g} ({reason})"
    if all("value" in node.attrs for node in neurons(conversion.graph)):
        message = f"{images} verify; the thresholds are those that the network was trained with"
    else:
        message = f"{samples} {images} calibrate"
    conversion.diagnostics.report("SNN507", message)


PASS = Pass("synthesize", Level.SPIKING, Level.SPIKING, run)
