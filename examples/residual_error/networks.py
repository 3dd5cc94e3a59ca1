"""Networks for 32x32 colour images with batch normalisation and average pooling; their ReLUs become quantisers."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

CLASSES = 10
RESNET20_STAGES = (16, 32, 64)
BLOCKS_PER_STAGE = 3
SMALL_VGG_STAGES = ((32, 32), (64, 64), (128, 128))


def convolution(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> list[nn.Module]:
    """With batch normalisation behind it, and padded so that stride 1 keeps height and width."""
    layer = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return [layer, nn.BatchNorm2d(outputs)]


class ResidualBlock(nn.Module):
    """`relu(F(x) + x)` with two convolutions in F; where the shape changes, x goes through a 1x1 convolution."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        first, second = convolution(inputs, outputs, stride=stride), convolution(outputs, outputs)
        self.residual = nn.Sequential(*first, nn.ReLU(), *second)
        same_shape = inputs == outputs and stride == 1
        self.shortcut = nn.Sequential(*([] if same_shape else convolution(inputs, outputs, size=1, stride=stride)))
        self.junction = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        return self.junction(self.residual(images) + self.shortcut(images))


def resnet20() -> nn.Sequential:
    """ResNet-20 of He et al. (2016) with 1x1 shortcuts; [N, 3, 32, 32] -> [N, 10]."""
    first, *_ = RESNET20_STAGES
    layers = [*convolution(3, first), nn.ReLU()]
    inputs = first
    for stage, outputs in enumerate(RESNET20_STAGES):
        for block in range(BLOCKS_PER_STAGE):
            layers.append(ResidualBlock(inputs, outputs, stride=2 if stage > 0 and block == 0 else 1))
            inputs = outputs
    return nn.Sequential(*layers, nn.AvgPool2d(8), nn.Flatten(), nn.Linear(inputs, CLASSES))


def small_vgg() -> nn.Sequential:
    """Six convolutions, pooled in pairs, and one linear layer; [N, 3, 32, 32] -> [N, 10]."""
    layers: list[nn.Module] = []
    inputs = 3
    for stage in SMALL_VGG_STAGES:
        for outputs in stage:
            layers += [*convolution(inputs, outputs), nn.ReLU()]
            inputs = outputs
        layers.append(nn.AvgPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(inputs * 4 * 4, CLASSES))


NETWORKS: dict[str, Callable[[], nn.Sequential]] = {"resnet20": resnet20, "small-vgg": small_vgg}
