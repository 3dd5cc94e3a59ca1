"""Networks for 32x32 colour images that are made to be converted: no bias, no batch normalisation, average pooling.

The constraints are those of RMP-SNN (Han, Srinivasan, Roy: CVPR 2020, section 5). Without batch normalisation the
first weights decide whether training starts: N(0, sqrt(2 / (k² · C_out))), for all but the last layer of residual
networks.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor, nn

# Widths are multiples of this: PyTorch 2.13 (oneDNN on AVX2) writes outside of its memory in the backward pass of a
# 1x1 convolution of stride 2 in channels_last with 2 or 4 input channels.
CHANNEL_STEP = 8
# Of the last layer of residual networks. Small, so that the first logits are, however large the activations have grown
# from block to block. In VGG-16 they shrink on the way, and a small last layer would leave no gradient to start with.
RESIDUAL_LAST_DEVIATION = 0.01

RESNET20_STAGES = (16, 32, 64)
BLOCKS_PER_STAGE = 3
VGG16_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
VGG16_HIDDEN = 4096
# Of the two hidden linear layers of VGG-16, as in the original (Simonyan and Zisserman, 2015).
VGG16_HIDDEN_DROPOUT = 0.5


def convolution(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Conv2d:
    """Without bias, and padded so that stride 1 keeps height and width."""
    return nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)


class ResidualBlock(nn.Module):
    """`relu(F(x) + x)` with two convolutions in F; where the shape changes, x goes through a 1x1 convolution.

    Dropout is in F only. At the junction it would cut the path that all gradients take.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            convolution(inputs, outputs, stride=stride),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            convolution(outputs, outputs),
        )
        same_shape = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same_shape else convolution(inputs, outputs, size=1, stride=stride)
        self.junction = nn.ReLU(inplace=True)

    def forward(self, images: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        return self.junction(self.residual(images) + self.shortcut(images))


def resnet20(classes: int, width: float, dropout: float) -> nn.Sequential:
    """ResNet-20 of He et al. (2016) with 1x1 shortcuts; [N, 3, 32, 32] -> [N, classes]."""
    first, *_ = stages = [scaled(channels, width) for channels in RESNET20_STAGES]
    layers: list[nn.Module] = [convolution(3, first), nn.ReLU(inplace=True)]
    inputs = first
    for stage, outputs in enumerate(stages):
        for block in range(BLOCKS_PER_STAGE):
            stride = 2 if stage > 0 and block == 0 else 1
            layers.append(ResidualBlock(inputs, outputs, stride, dropout))
            inputs = outputs
    return nn.Sequential(*layers, nn.AvgPool2d(8), nn.Flatten(), nn.Linear(inputs, classes, bias=False))


def vgg16(classes: int, width: float, dropout: float, size: int = 32) -> nn.Sequential:
    """VGG-16: thirteen convolutions, two hidden linear layers and a last one; [N, 3, size, size] -> [N, classes].

    Dropout follows every ReLU that no pooling follows.
    """
    layers: list[nn.Module] = []
    inputs = 3
    for stage in VGG16_STAGES:
        for outputs in (scaled(channels, width) for channels in stage):
            layers += [convolution(inputs, outputs), nn.ReLU(inplace=True), nn.Dropout(dropout)]
            inputs = outputs
        layers[-1] = nn.AvgPool2d(2)
    layers.append(nn.Flatten())
    inputs *= (size // 2 ** len(VGG16_STAGES)) ** 2
    for outputs in [scaled(VGG16_HIDDEN, width)] * 2:
        layers += [nn.Linear(inputs, outputs, bias=False), nn.ReLU(inplace=True), nn.Dropout(VGG16_HIDDEN_DROPOUT)]
        inputs = outputs
    return nn.Sequential(*layers, nn.Linear(inputs, classes, bias=False))


NETWORKS: dict[str, Callable[[int, float, float], nn.Sequential]] = {"resnet20": resnet20, "vgg16": vgg16}


def build_network(name: str, width: float, dropout: float, classes: int = 10) -> nn.Sequential:
    """One of `NETWORKS` with the first weights drawn; `width` is a factor on all channels but those of the input."""
    network = NETWORKS[name](classes, width, dropout)
    draw_weights(network, small_last=name == "resnet20")
    return network


def draw_weights(network: nn.Sequential, *, small_last: bool) -> None:
    """N(0, sqrt(2 / (k² · C_out))) for all layers, but for the last one of a residual network."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            area = math.prod(layer.kernel_size) if isinstance(layer, nn.Conv2d) else 1
            outputs = layer.weight.shape[0]
            nn.init.normal_(layer.weight, 0.0, math.sqrt(2.0 / (area * outputs)))
    if small_last:
        nn.init.normal_(network[-1].weight, 0.0, RESIDUAL_LAST_DEVIATION)


def full_name(name: str, width: float) -> str:
    """`vgg16`, or `vgg16-w0.5` where it has half the channels: a narrower network is not the one of the paper."""
    return name if width == 1.0 else f"{name}-w{width:g}"


def scaled(channels: int, width: float) -> int:
    """The nearest multiple of `CHANNEL_STEP`, at least that."""
    return CHANNEL_STEP * max(1, round(channels * width / CHANNEL_STEP))
