"""Layers by name, each of a kind of its own, with what they must give."""

from __future__ import annotations

import functools
import itertools

import numpy as np
from spiking_layer_examples import Sizes, Values, conv, random_layer
from spiking_layers import Array, Layer, reference

DENSE = Values(density=1.0)
HALF = Values(density=0.5, weights="small")
RARE = Values(density=0.005)
WIDE = Values(density=0.3, weights="wide", potentials="extreme")
SCALAR = Values(density=0.1, per_channel=False, bias=False, potentials="zero")
HARD = Values(density=0.1, soft=False)
FULL = Values(density=1.0, potentials="extreme")
LEAKY = Values(density=0.1, leak=2)
LEAKY_HARD = Values(density=0.3, weights="small", leak=1, soft=False, per_channel=False)
RISING = Values(density=0.1, staircase=(0, 8))
FALLING = Values(density=0.3, weights="small", staircase=(-3, 5), per_channel=False)

NAMED: dict[str, tuple[Sizes, Values]] = {
    # Layers of VGG and ResNet.
    "vgg first, signed pixels": (conv(6, 16, (32, 32), 3, pad=1, batch=1), HALF),
    "vgg 64 on 32x32": (conv(64, 64, (32, 32), 3, pad=1, batch=1), Values()),
    "vgg 128 on 16x16 behind a pool": (conv(64, 128, (16, 16), 3, pad=1, copies=4, batch=1, count=33), Values()),
    "vgg 512 on 2x2": (conv(512, 512, (2, 2), 3, pad=1, batch=3), Values()),
    "vgg 512 on 2x2, all fire": (conv(512, 512, (2, 2), 3, pad=1, batch=1, count=5), Values(1.0, soft=False)),
    "resnet 16, stride 2": (conv(16, 32, (32, 32), 3, stride=2, pad=1, batch=1), Values()),
    "resnet 16, identity": (conv(16, 16, (32, 32), 3, pad=1, residual=(16, 16, 1), batch=1), Values()),
    "resnet 64, identity": (conv(64, 64, (8, 8), 3, pad=1, residual=(64, 64, 1), batch=3), SCALAR),
    "resnet projection": (conv(32, 64, (8, 8), 3, pad=1, residual=(32, 1, 1)), Values()),
    "resnet stem 7x7": (conv(6, 64, (40, 40), 7, stride=2, pad=3, batch=1, count=32), HALF),
    "depthwise": (conv(48, 48, (14, 14), 3, pad=1, group=48), Values(0.1)),
    "depthwise, stride 2": (conv(65, 65, (9, 9), 3, stride=2, pad=1, group=65), DENSE),
    "depthwise, multiplier 3": (conv(17, 51, (6, 7), 3, pad=1, group=17), HARD),
    "pointwise": (conv(96, 24, (7, 7), 1), Values(0.3)),
    "pointwise, stride 3": (conv(33, 65, (10, 11), 1, stride=3), SCALAR),
    # Shapes at the edges.
    "one of everything": (conv(1, 1, (1, 1), 1, batch=1, count=1), FULL),
    "one pixel under a 3x3 kernel": (conv(15, 17, (1, 1), 3, pad=1), DENSE),
    "kernel larger than the image": (conv(5, 9, (3, 2), 7, pad=(3, 2, 3, 3)), DENSE),
    "kernel wholly in the padding": (conv(3, 4, (2, 2), 2, stride=3, pad=3), DENSE),
    "asymmetric pads": (conv(7, 31, (6, 5), (3, 2), pad=(2, 0, 0, 3)), Values(0.3)),
    "strides and dilations differ": (
        Sizes(8, 16, (13, 17), (3, 2), strides=(3, 1), dilations=(2, 3), pads=(1, 2, 0, 1)),
        Values(0.3),
    ),
    "stride larger than kernel": (conv(9, 33, (11, 10), 2, stride=3, pad=1), HARD),
    "pixels left over by the stride": (conv(4, 64, (12, 40), 3, stride=3), Values(0.3)),
    "dilated": (conv(16, 15, (12, 9), 3, pad=2, dilation=3), Values(0.3)),
    "one long line": (conv(2, 3, (1, 40), (1, 5), pad=(0, 2, 0, 2)), DENSE),
    "one long column": (conv(2, 3, (40, 1), (5, 1), pad=(2, 0, 2, 0)), DENSE),
    "wide image": (conv(3, 16, (3, 200), 3, pad=1, batch=1), Values(0.1)),
    "many small images": (conv(20, 48, (3, 3), 3, pad=1, batch=23, count=40), Values(0.1)),
    "groups of odd sizes": (conv(3 * 5, 3 * 11, (6, 6), 3, pad=1, group=3), Values(0.3)),
    "groups and copies": (conv(4 * 3, 4 * 16, (5, 5), 3, pad=1, group=4, copies=3), HALF),
    "depthwise and copies": (conv(31, 31, (5, 5), 2, group=31, copies=4), Values(0.3)),
    "127 to 129 channels": (conv(127, 129, (4, 5), 3, pad=1), Values(0.1)),
    "130 to 63 channels": (conv(130, 63, (3, 4), 3, pad=1, copies=2), RARE),
    "audio": (conv(16, 32, (1000,), 9, stride=2, pad=4, batch=1), Values()),
    "audio, dilated, depthwise": (conv(33, 33, (100,), 3, pad=(6, 0), dilation=3, group=33), Values(0.3)),
    "audio, very long": (conv(3, 65, (5000,), 9, pad=4, batch=1, count=8), Values(0.1)),
    "video": (conv(4, 18, (5, 6, 7), 3, pad=1), Values(0.1)),
    "video, stride and group": (conv(6, 4, (4, 5, 6), (1, 3, 2), stride=2, pad=(0, 1, 0, 1, 0, 1), group=2), HARD),
    "video, residual": (conv(4, 4, (3, 4, 5), 3, pad=1, residual=(4, 4, 1)), Values(0.1)),
    "residual, dense 1x1 of copies": (conv(16, 33, (6, 5), 3, pad=1, residual=(17, 1, 4)), HALF),
    "residual, grouped": (conv(8, 12, (6, 5), 3, pad=1, residual=(8, 4, 1), group=2), HARD),
    "residual of a depthwise layer": (conv(64, 64, (5, 5), 3, pad=1, group=64, residual=(64, 64, 2)), Values(0.3)),
    "residual, weights beyond int16": (conv(16, 16, (8, 8), 3, pad=1, residual=(16, 16, 1)), WIDE),
    # Values at the edges.
    "no spikes": (conv(16, 16, (8, 8), 3, pad=1), Values(0.0)),
    "no samples": (conv(16, 16, (8, 8), 3, pad=1, batch=0), Values()),
    "no steps": (conv(16, 16, (8, 8), 3, pad=1, count=0), Values()),
    "one step": (conv(16, 16, (8, 8), 3, pad=1, count=1), DENSE),
    "all fire, extreme potentials": (conv(32, 64, (9, 9), 3, pad=1), FULL),
    "weights beyond int16": (conv(24, 33, (9, 9), 3, pad=1), WIDE),
    "weights beyond int16, depthwise": (conv(33, 33, (9, 9), 3, pad=1, group=33), WIDE),
    "weights beyond int16, 512 outputs": (conv(16, 512, (2, 3), 3, pad=1), WIDE),
    # Signed spikes.
    "signed, first layer": (conv(3, 16, (32, 32), 3, pad=1, signed=True, batch=1), HALF),
    "signed, stem 7x7 of grey images": (conv(1, 64, (20, 20), 7, stride=2, pad=3, signed=True, batch=1), HALF),
    "signed copies": (conv(17, 33, (6, 5), 3, pad=1, copies=3, signed=True), HALF),
    "signed, groups": (conv(4 * 3, 4 * 5, (5, 5), 3, pad=1, group=4, copies=2, signed=True), HALF),
    "signed, depthwise": (conv(31, 31, (5, 5), 3, pad=1, group=31, signed=True), HALF),
    "signed, depthwise, multiplier 2": (conv(17, 34, (5, 5), 3, pad=1, group=17, signed=True), HALF),
    "signed, all fire": (conv(16, 65, (5, 5), 3, pad=1, signed=True), FULL),
    "signed, int16 limits": (conv(16, 33, (6, 6), 3, pad=1, signed=True), Values(0.3)),
    "signed identity": (
        conv(16, 16, (8, 8), 3, pad=1, residual=(16, 16, 1), signed=True, residual_signed=True),
        HALF,
    ),
    "signed residual of copies": (conv(5, 33, (6, 5), 3, pad=1, residual=(17, 1, 2), residual_signed=True), HALF),
    "gemm of signed copies": (Sizes(65, 31, copies=4, signed=True, batch=9), Values(0.3)),
    # A leak.
    "leak": (conv(16, 16, (9, 9), 3, pad=1), LEAKY),
    "leak, first layer": (conv(3, 32, (12, 12), 3, pad=1, signed=True), LEAKY_HARD),
    "leak, 65 outputs": (conv(20, 65, (5, 9), 3, pad=1), LEAKY),
    "leak, depthwise": (conv(33, 33, (6, 6), 3, pad=1, group=33, signed=True), LEAKY_HARD),
    "leak, identity": (conv(16, 16, (8, 8), 3, pad=1, residual=(16, 16, 1), residual_signed=True), LEAKY),
    "leak, projection": (conv(32, 64, (8, 8), 3, pad=1, residual=(32, 1, 1)), LEAKY_HARD),
    "leak, audio": (conv(16, 32, (100,), 9, stride=2, pad=4, signed=True, batch=1), LEAKY),
    "leak, extreme": (conv(16, 33, (6, 6), 3, pad=1), Values(1.0, "wide", "extreme", leak=15)),
    "leak, no steps": (conv(16, 16, (8, 8), 3, pad=1, count=0), LEAKY),
    "gemm with a leak": (Sizes(64, 100, signed=True), LEAKY_HARD),
    # Staircases.
    "staircase": (conv(16, 16, (9, 9), 3, pad=1), RISING),
    "staircase, first layer": (conv(3, 32, (12, 12), 3, pad=1, signed=True), RISING),
    "staircase, 65 outputs": (conv(20, 65, (5, 9), 3, pad=1, signed=True), FALLING),
    "staircase, 40 outputs, stride 2": (conv(20, 40, (9, 9), 3, stride=2, pad=1, signed=True), FALLING),
    "staircase, depthwise": (conv(33, 33, (6, 6), 3, pad=1, group=33, signed=True), FALLING),
    "staircase, identity": (
        conv(16, 16, (8, 8), 3, pad=1, residual=(16, 16, 1), signed=True, residual_signed=True),
        FALLING,
    ),
    "staircase, projection": (conv(32, 64, (8, 8), 3, pad=1, residual=(32, 1, 1), residual_signed=True), RISING),
    "staircase, audio": (conv(16, 32, (100,), 9, stride=2, pad=4, signed=True, batch=1), FALLING),
    "staircase, extreme": (conv(16, 33, (6, 6), 3, pad=1), Values(1.0, "wide", "extreme", staircase=(0, 3))),
    "staircase, no samples": (conv(16, 16, (8, 8), 3, pad=1, batch=0), RISING),
    "staircase, no steps": (conv(16, 16, (8, 8), 3, pad=1, count=0), FALLING),
    "gemm of staircases": (Sizes(64, 100, signed=True), FALLING),
    "gemm of staircases, one step": (Sizes(33, 16, count=1), RISING),
    # Fully connected layers.
    "gemm 512 to 512": (Sizes(512, 512, batch=3), Values()),
    "gemm behind a pool": (Sizes(65, 31, copies=4, batch=9), Values(0.3)),
    "gemm, all fire": (Sizes(130, 17, batch=1), FULL),
    "gemm beyond int16, hard reset": (Sizes(33, 129, count=33), Values(0.3, "wide", "extreme", soft=False)),
    "gemm of one neuron": (Sizes(1, 1, batch=1, count=63), SCALAR),
    "readout of 10 classes": (Sizes(512, 10, batch=3), Values(0.1)),
    "readout of copies": (Sizes(33, 65, copies=3), FULL),
    "readout beyond int16": (Sizes(31, 16, count=7), WIDE),
    "readout of signed copies": (Sizes(33, 300, copies=3, signed=True), FULL),
    "readout of one step, no bias": (Sizes(200, 1000, count=1), SCALAR),
    "readout of nothing": (Sizes(16, 16, batch=0, count=0), Values()),
}  # fmt: skip


# Bits of several columns are moved at once: lines of all lengths about these numbers, for all widths of a column.
NAMED |= {
    f"{channels} channels, lines of {columns}": (conv(channels, channels, (3, columns), 3, pad=1, batch=1), Values(0.2))
    for channels, columns in itertools.product((16, 17, 32, 33, 64), (7, 8, 9, 31, 32, 33, 64, 65))
}


@functools.cache
def named(name: str) -> Layer:
    sizes, values = NAMED[name]
    return random_layer(sizes, values, np.random.default_rng(list(NAMED).index(name)), readout="readout" in name)


@functools.cache
def expected(name: str) -> list[Array]:
    return reference(named(name))


def small_names() -> list[str]:
    """Layers that take little time whatever computes them."""
    return [name for name in NAMED if not name.startswith(("vgg", "resnet stem", "audio", "gemm 512"))]
