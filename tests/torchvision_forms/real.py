"""The definitions of torchvision, where it is installed: small inputs, and narrow where the constructors allow it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torchvision import models
from torchvision.models.densenet import DenseNet
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.models.vgg import VGG, make_layers

from .modules import CLASSES, with_statistics

IMAGE = (3, 32, 32)
_VGG: list[str | int] = [8, "M", 16, "M", 32, 32, "M", 64, 64, "M", 512, 512, "M"]

FORMS: dict[str, Callable[[], torch.nn.Module]] = {
    "squeezenet1_1": lambda: models.squeezenet1_1(num_classes=CLASSES),
    "DenseNet, blocks of 3, 4, 3": lambda: DenseNet(8, (3, 4, 3), 16, num_classes=CLASSES),
    "googlenet": lambda: models.googlenet(num_classes=CLASSES, aux_logits=False, init_weights=False),
    "mobilenet_v2, width 0.35": lambda: models.mobilenet_v2(num_classes=CLASSES, width_mult=0.35),
    "shufflenet_v2_x0_5": lambda: models.shufflenet_v2_x0_5(num_classes=CLASSES),
    "mnasnet, width 0.35": lambda: models.MNASNet(0.35, num_classes=CLASSES),
    "VGG-11 with BN, narrow": lambda: VGG(make_layers(_VGG, batch_norm=True), num_classes=CLASSES),
    "ResNet of basic blocks": lambda: ResNet(BasicBlock, [1, 1, 1, 1], num_classes=CLASSES),
    "ResNet of bottlenecks": lambda: ResNet(Bottleneck, [1, 1, 1, 1], num_classes=CLASSES),
}


def network(name: str) -> torch.nn.Module:
    """One of `FORMS` in inference mode, the same at every call."""
    torch.manual_seed(0)
    return with_statistics(FORMS[name](), IMAGE)
