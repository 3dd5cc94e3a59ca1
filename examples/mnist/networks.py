"""Networks for MNIST, [N, 1, 28, 28] -> [N, 10]: one made to be converted by any method, one as people have them."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor, nn

CLASSES = 10


def constrained() -> nn.Sequential:
    """Four convolutions and a linear layer under the constraints of RMP-SNN (Han, Srinivasan, Roy: CVPR 2020)."""
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.ReLU(), nn.Dropout(0.1),
        nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(32, 24, 3, padding=1, bias=False), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(24, 48, 3, padding=1, bias=False), nn.ReLU(), nn.Dropout(0.2),
        nn.Flatten(),
        nn.Linear(48 * 7 * 7, CLASSES, bias=False),
    )  # fmt: skip
    for layer in network:
        if isinstance(layer, nn.Conv2d):
            fan_out = layer.kernel_size[0] * layer.kernel_size[1] * layer.out_channels
            nn.init.normal_(layer.weight, 0.0, math.sqrt(2.0 / fan_out))
    return network


class InvertedResidual(nn.Module):
    """Widen, convolve channel by channel, narrow without an activation (Sandler et al.: CVPR 2018)."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int = 4) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.layers = nn.Sequential(
            *_normalized(nn.Conv2d(inputs, hidden, 1, bias=False)),
            nn.ReLU6(),
            *_normalized(nn.Conv2d(hidden, hidden, 3, stride, padding=1, groups=hidden, bias=False)),
            nn.ReLU6(),
            *_normalized(nn.Conv2d(hidden, outputs, 1, bias=False)),
        )
        self.skips = stride == 1 and inputs == outputs

    def forward(self, images: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        found: Tensor = self.layers(images)
        return images + found if self.skips else found


def mobilenet() -> nn.Sequential:
    """A small MobileNetV2: depthwise convolutions, batch normalisation, ReLU6, linear bottlenecks, biases."""
    return nn.Sequential(
        *_normalized(nn.Conv2d(1, 16, 3, stride=2, padding=1, bias=False)),
        nn.ReLU6(),
        InvertedResidual(16, 16, stride=1),
        InvertedResidual(16, 24, stride=2),
        InvertedResidual(24, 24, stride=1),
        *_normalized(nn.Conv2d(24, 96, 1, bias=False)),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(96, CLASSES),
    )


def _normalized(layer: nn.Conv2d) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    return layer, nn.BatchNorm2d(layer.out_channels)


NETWORKS: dict[str, Callable[[], nn.Sequential]] = {"constrained": constrained, "mobilenet": mobilenet}
