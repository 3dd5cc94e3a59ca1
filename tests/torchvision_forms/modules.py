"""Small modules of torch with the operators and the topology of the networks of torchvision, random weights.

Each is a few blocks of its form for images `[N, 3, 16, 16]` and ten classes, written so that no torchvision is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

IMAGE = (3, 16, 16)
CLASSES = 10


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """A convolution that keeps the plane (over `stride`), without a bias, and its batch normalization."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [layer, nn.BatchNorm2d(outputs)]


def conv_relu(*arguments: int, **options: int) -> nn.Sequential:
    """The same with a ReLU behind it."""
    return nn.Sequential(*conv(*arguments, **options), nn.ReLU(inplace=True))


class Fire(nn.Module):
    """SqueezeNet: 1x1 squeeze, then 1x1 and 3x3 beside each other, joined."""

    def __init__(self, inputs: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, images: Tensor) -> Tensor:
        squeezed = self.squeeze_activation(self.squeeze(images))
        narrow = self.expand1x1_activation(self.expand1x1(squeezed))
        return torch.cat([narrow, self.expand3x3_activation(self.expand3x3(squeezed))], 1)


class SqueezeNet(nn.Module):
    """Convolutional classifier behind dropout; max-pools whose last window reaches over the edge (ceil mode)."""

    def __init__(self) -> None:
        super().__init__()
        pools = [nn.MaxPool2d(3, 2, ceil_mode=True) for _ in range(2)]
        stem = [nn.Conv2d(3, 8, 3, 1), nn.ReLU(inplace=True), pools[0]]
        self.features = nn.Sequential(*stem, Fire(8, 4, 6), pools[1], Fire(12, 4, 8))
        last = [nn.Dropout(), nn.Conv2d(16, CLASSES, 1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1))]
        self.classifier = nn.Sequential(*last)

    def forward(self, images: Tensor) -> Tensor:
        return torch.flatten(self.classifier(self.features(images)), 1)


class DenseLayer(nn.Module):
    """DenseNet: batch normalization and ReLU in front of each convolution; reads all that is before it in the block."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.relu1 = nn.BatchNorm2d(inputs), nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(inputs, 2 * growth, 1, bias=False)
        self.norm2, self.relu2 = nn.BatchNorm2d(2 * growth), nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(2 * growth, growth, 3, padding=1, bias=False)

    def forward(self, features: list[Tensor]) -> Tensor:
        narrow = self.conv1(self.relu1(self.norm1(torch.cat(features, 1))))
        found: Tensor = self.conv2(self.relu2(self.norm2(narrow)))
        return found


class DenseBlock(nn.Module):
    """Layers that read everything in front of them."""

    def __init__(self, inputs: int, growth: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DenseLayer(inputs + growth * index, growth) for index in range(layers))

    def forward(self, images: Tensor) -> Tensor:
        features = [images]
        for layer in self.layers:
            features.append(layer(features))
        return torch.cat(features, 1)


class DenseNet(nn.Module):
    """Two dense blocks with a transition between."""

    def __init__(self) -> None:
        super().__init__()
        transition = [nn.BatchNorm2d(16), nn.ReLU(inplace=True), nn.Conv2d(16, 8, 1, bias=False), nn.AvgPool2d(2, 2)]
        self.features = nn.Sequential(
            *(conv_relu(3, 8, 3), nn.MaxPool2d(3, 2, 1)),
            *(DenseBlock(8, 4, 2), nn.Sequential(*transition), DenseBlock(8, 4, 2), nn.BatchNorm2d(16)),
        )
        self.classifier = nn.Linear(16, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        features = nn.functional.relu(self.features(images), inplace=True)
        pooled = nn.functional.adaptive_avg_pool2d(features, (1, 1))
        found: Tensor = self.classifier(torch.flatten(pooled, 1))
        return found


class Inception(nn.Module):
    """GoogLeNet: four branches, joined."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.branch1 = conv_relu(inputs, width, 1)
        self.branch2 = nn.Sequential(conv_relu(inputs, width, 1), conv_relu(width, width, 3))
        self.branch3 = nn.Sequential(conv_relu(inputs, width, 1), conv_relu(width, width, 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), conv_relu(inputs, width, 1))

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([self.branch1(images), self.branch2(images), self.branch3(images), self.branch4(images)], 1)


class GoogLeNet(nn.Module):
    """Two inceptions; the input is scaled by channel first (`transform_input`)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.maxpool1 = conv_relu(3, 8, 3), nn.MaxPool2d(3, 2, ceil_mode=True)
        self.inception3a, self.maxpool2 = Inception(8, 3), nn.MaxPool2d(2, 2, ceil_mode=True)
        self.inception3b = Inception(12, 4)
        self.avgpool, self.dropout, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Dropout(0.2), nn.Linear(16, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        scaled = [torch.unsqueeze(images[:, index], 1) * 0.458 - 0.03 * index for index in range(3)]
        found = self.maxpool1(self.conv1(torch.cat(scaled, 1)))
        found = self.inception3b(self.maxpool2(self.inception3a(found)))
        scores: Tensor = self.fc(self.dropout(torch.flatten(self.avgpool(found), 1)))
        return scores


class InvertedResidual(nn.Module):
    """MobileNetV2 and MNASNet: wide, by channel, narrow again without an activation; added where the shape is kept."""

    def __init__(self, inputs: int, outputs: int, stride: int, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        wide = 2 * inputs
        self.use_res_connect = stride == 1 and inputs == outputs
        by_channel = conv(wide, wide, 3, stride, groups=wide)
        layers = [*conv(inputs, wide, 1), activation(), *by_channel, activation(), *conv(wide, outputs, 1)]
        self.conv = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.conv(images)
        return images + found if self.use_res_connect else found


class MobileNetV2(nn.Module):
    """Inverted residuals with ReLU6."""

    def __init__(self) -> None:
        super().__init__()
        blocks = [(6, 6, 1), (6, 8, 2), (8, 8, 1)]
        residuals = [InvertedResidual(*block, activation=nn.ReLU6) for block in blocks]
        self.features = nn.Sequential(*conv(3, 6, 3, 2), nn.ReLU6(), *residuals, *conv(8, 16, 1), nn.ReLU6())
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(16, CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        pooled = nn.functional.adaptive_avg_pool2d(self.features(images), (1, 1))
        found: Tensor = self.classifier(torch.flatten(pooled, 1))
        return found


class MNASNet(nn.Module):
    """Inverted residuals with ReLU behind a convolution by channel; the mean of the plane at the end."""

    def __init__(self) -> None:
        super().__init__()
        separable = [*conv(6, 6, 3, groups=6), nn.ReLU(inplace=True), *conv(6, 4, 1)]
        blocks = [(4, 6, 2), (6, 6, 1), (6, 6, 1)]
        residuals = [InvertedResidual(*block, activation=nn.ReLU) for block in blocks]
        self.layers = nn.Sequential(conv_relu(3, 6, 3, 2), *separable, *residuals, conv_relu(6, 16, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(16, CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.classifier(self.layers(images).mean([2, 3]))
        return found


def channel_shuffle(images: Tensor, groups: int) -> Tensor:
    """As torchvision writes it: `view`, `transpose`, `view`."""
    batch, channels, height, width = images.size()
    grouped = images.view(batch, groups, channels // groups, height, width)
    return torch.transpose(grouped, 1, 2).contiguous().view(batch, channels, height, width)


class ShuffleUnit(nn.Module):
    """ShuffleNetV2: half of the channels pass (stride 1), or both branches see all of them; then they are shuffled."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        half, self.stride = outputs // 2, stride
        self.branch1 = nn.Sequential()
        if stride > 1:
            self.branch1 = nn.Sequential(*conv(inputs, inputs, 3, stride, groups=inputs), conv_relu(inputs, half, 1))
        seen = inputs if stride > 1 else half
        by_channel = conv(half, half, 3, stride, groups=half)
        self.branch2 = nn.Sequential(conv_relu(seen, half, 1), *by_channel, conv_relu(half, half, 1))

    def forward(self, images: Tensor) -> Tensor:
        if self.stride == 1:
            passed, changed = images.chunk(2, dim=1)
            return channel_shuffle(torch.cat((passed, self.branch2(changed)), dim=1), 2)
        return channel_shuffle(torch.cat((self.branch1(images), self.branch2(images)), dim=1), 2)


class GroupedUnit(nn.Module):
    """ShuffleNet of the first kind: grouped 1x1 convolutions with `reshape` between, averages beside them."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.grouped = conv_relu(channels, channels, 1, 1, groups=groups)
        by_channel = conv(channels, channels, 3, 2, groups=channels)
        self.expand = nn.Sequential(*by_channel, *conv(channels, channels, 1, 1, groups=groups))
        self.pool = nn.AvgPool2d(3, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        found = self.grouped(images)
        apart = found.reshape(-1, self.groups, found.shape[1] // self.groups, *found.shape[2:])
        shuffled = apart.permute(0, 2, 1, 3, 4).reshape(found.shape)
        return torch.relu(torch.cat([self.pool(images), self.expand(shuffled)], 1))


class ShuffleNet(nn.Module):
    """A unit of ShuffleNet, then two of ShuffleNetV2, `split` between; the mean of the plane at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.maxpool = conv_relu(3, 6, 3), nn.MaxPool2d(3, 2, 1)
        self.stage2, self.stage3 = GroupedUnit(6, 3), nn.Sequential(ShuffleUnit(8, 12, 2), ShuffleUnit(12, 12, 1))
        self.conv5, self.fc = conv_relu(12, 16, 1), nn.Linear(16, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        kept, _ = torch.split(self.stage2(self.maxpool(self.conv1(images))), [8, 4], dim=1)
        scores: Tensor = self.fc(self.conv5(self.stage3(kept)).mean([2, 3]))
        return scores


class VGG(nn.Module):
    """Convolutions with batch normalization, adaptive pooling to a plane, dense layers behind dropout."""

    def __init__(self) -> None:
        super().__init__()
        pool = nn.MaxPool2d(2, 2)
        self.features = nn.Sequential(conv_relu(3, 8), pool, conv_relu(8, 8), conv_relu(8, 12), pool)
        self.avgpool = nn.AdaptiveAvgPool2d((2, 2))
        hidden = [nn.Linear(48, 16), nn.ReLU(inplace=True), nn.Dropout()]
        self.classifier = nn.Sequential(*hidden, nn.Linear(16, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.classifier(torch.flatten(self.avgpool(self.features(images)), 1))
        return found


class BasicBlock(nn.Module):
    """ResNet-18: two convolutions beside an identity or a projection."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(conv_relu(inputs, outputs, 3, stride), *conv(outputs, outputs))
        projects = stride > 1 or inputs != outputs
        self.downsample = nn.Sequential(*conv(inputs, outputs, 1, stride)) if projects else None
        self.relu = nn.ReLU(inplace=True)

    def forward(self, images: Tensor) -> Tensor:
        found = self.body(images)
        found += images if self.downsample is None else self.downsample(images)
        result: Tensor = self.relu(found)
        return result


class Bottleneck(BasicBlock):
    """ResNet-50: narrow, 3x3, wide again."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, stride)
        narrow = outputs // 2
        last = conv(narrow, outputs, 1)
        self.body = nn.Sequential(conv_relu(inputs, narrow, 1), conv_relu(narrow, narrow, 3, stride), *last)


class ResNet(nn.Module):
    """A stage of basic blocks and one of bottlenecks, each behind a projection of stride 2."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.maxpool = conv_relu(3, 8, 3), nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(BasicBlock(8, 8), BasicBlock(8, 12, 2))
        self.layer2 = nn.Sequential(Bottleneck(12, 16, 2), Bottleneck(16, 16))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(16, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        found = self.avgpool(self.layer2(self.layer1(self.maxpool(self.conv1(images)))))
        scores: Tensor = self.fc(torch.flatten(found, 1))
        return scores


FORMS: dict[str, Callable[[], nn.Module]] = {
    "SqueezeNet": SqueezeNet,
    "DenseNet": DenseNet,
    "GoogLeNet": GoogLeNet,
    "MobileNetV2": MobileNetV2,
    "ShuffleNet": ShuffleNet,
    "MNASNet": MNASNet,
    "VGG-BN": VGG,
    "ResNet": ResNet,
}


def network(name: str) -> nn.Module:
    """One of `FORMS` in inference mode, the same at every call."""
    torch.manual_seed(0)
    return with_statistics(FORMS[name](), IMAGE)


def images(count: int, image: tuple[int, ...], seed: int = 0) -> Tensor:
    """Random patches of colour, values from 0 to 1: unlike noise they do not all look the same behind a pool."""
    generator = torch.Generator().manual_seed(seed)
    channels, height, width = image
    patches = torch.rand(count, channels, 4, 4, generator=generator)
    return nn.functional.interpolate(patches, (height, width))


def with_statistics(module: nn.Module, image: tuple[int, ...]) -> nn.Module:
    """The module in inference mode, batch normalization with random weights and the statistics of random images.

    Means and variances are those of training, so that values stay of the size of 1 however deep the network is.
    """
    norms: list[Any] = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.7, 1.3)
        nn.init.normal_(norm.bias, std=0.2)
        norm.momentum = None
    module.train()
    with torch.no_grad():
        module(images(32, image, seed=1))
    return module.eval()
