"""Networks for 224x224 colour images that are made to be converted: no bias, no batch normalisation, average pooling.

The constraints and first weights are those of examples/cifar10, whose blocks are used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from torch import nn

sys.path.append(str(Path(__file__).parents[1] / "cifar10"))
from models import ResidualBlock, convolution, draw_weights, scaled, vgg16

RESNET34_STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
#: Both networks halve height and width five times.
SIZE_STEP = 32


def resnet34(classes: int, width: float, dropout: float, size: int) -> nn.Sequential:
    """ResNet-34 of He et al. (2016) with 1x1 shortcuts, pooling by means; [N, 3, size, size] -> [N, classes]."""
    inputs = scaled(RESNET34_STAGES[0][0], width)
    layers: list[nn.Module] = [convolution(3, inputs, size=7, stride=2), nn.ReLU(inplace=True), nn.AvgPool2d(2)]
    for stage, (channels, blocks) in enumerate(RESNET34_STAGES):
        outputs = scaled(channels, width)
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            layers.append(ResidualBlock(inputs, outputs, stride, dropout))
            inputs = outputs
    return nn.Sequential(*layers, nn.AvgPool2d(size // SIZE_STEP), nn.Flatten(), nn.Linear(inputs, classes, bias=False))


NETWORKS: dict[str, Callable[[int, float, float, int], nn.Sequential]] = {"resnet34": resnet34, "vgg16": vgg16}


def build_network(name: str, classes: int, width: float, dropout: float, size: int) -> nn.Sequential:
    """One of `NETWORKS` with the first weights drawn. SystemExit if images of this size cannot be halved so often."""
    if size % SIZE_STEP:
        raise SystemExit(f"images of {size} pixels cannot be halved five times: take a multiple of {SIZE_STEP}")
    network = NETWORKS[name](classes, width, dropout, size)
    draw_weights(network, small_last=name == "resnet34")
    return network
