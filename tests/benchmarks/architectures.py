"""VGG-16, ResNet-20, ResNet-34, a residual network with its ReLUs in front and a network for signals as ONNX, with
random weights; random images.

    python -m tests.benchmarks.architectures vgg16-224 vgg16-224.onnx
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

INPUT_DIMS = (3, 32, 32)
SIGNAL_DIMS = (20, 100)
CLASSES = 10
#: Of ImageNet.
LARGE_DIMS = (3, 224, 224)
LARGE_CLASSES = 1000
# Slightly inhibitory weights: the potentials of neurons that never fire drift down instead of wandering about 0.
MEAN_WEIGHT = -0.02
_RESNET34 = ((64, 3), (128, 4), (256, 6), (512, 3))
_VGG16: list[int | str] = [64, 64, "A", 128, 128, "A", 256, 256, 256, "A", 512, 512, 512, "A", 512, 512, 512, "A"]


@dataclass
class _Network:
    """An ONNX graph under construction; every method appends to it and returns the name of its output."""

    rng: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)

    def conv(self, x: str, channels: int, filters: int, kernel: int = 3, stride: int = 1, axes: int = 2) -> str:
        shape, pads = [kernel] * axes, [kernel // 2] * (2 * axes)
        weight = self._weight((filters, channels, *shape), channels * kernel**axes)
        return self.node("Conv", [x, weight], kernel_shape=shape, strides=[stride] * axes, pads=pads)

    def dense(self, x: str, inputs: int, outputs: int) -> str:
        return self.node("Gemm", [x, self._weight((inputs, outputs), inputs)])

    def residual(self, x: str, channels: int, width: int, stride: int) -> str:
        """Two convolutions beside x, which is projected where its shape is another."""
        y = self.conv(self.relu(self.conv(x, channels, width, stride=stride)), width, width)
        shortcut = x if channels == width else self.conv(x, channels, width, kernel=1, stride=stride)
        return self.relu(self.node("Add", [y, shortcut]))

    def relu(self, x: str) -> str:
        return self.node("Relu", [x])

    def node(self, op: str, inputs: list[str], **attrs: Any) -> str:
        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [f"{name}/out"], name, **attrs))
        return f"{name}/out"

    def finish(
        self, output: str, name: str, dims: tuple[int, ...] = INPUT_DIMS, classes: int = CLASSES
    ) -> onnx.ModelProto:
        self.nodes.append(helper.make_node("Identity", [output], ["logits"], "logits"))
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", *dims])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", classes])],
            self.weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)

    def _weight(self, dims: tuple[int, ...], fan_in: int) -> str:
        """He initialisation, shifted."""
        name = f"weight{len(self.weights)}"
        values = self.rng.normal(MEAN_WEIGHT, 1.0, dims) * np.sqrt(2 / fan_in)
        self.weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name


def vgg16(seed: int = 0) -> onnx.ModelProto:
    """VGG-16 for 32x32 images: 13 convolutions, average pooling, two fully connected layers."""
    network = _Network(np.random.default_rng(seed))
    x = network.node("Flatten", [_vgg16_features(network)])
    x = network.relu(network.dense(x, 512, 512))
    return network.finish(network.dense(x, 512, CLASSES), "vgg16")


def vgg16_large(seed: int = 0) -> onnx.ModelProto:
    """VGG-16 for 224x224 images, with the three fully connected layers of its paper: 138 million weights."""
    network = _Network(np.random.default_rng(seed))
    x = network.node("Flatten", [_vgg16_features(network)])
    x = network.relu(network.dense(x, 512 * 7 * 7, 4096))
    x = network.relu(network.dense(x, 4096, 4096))
    return network.finish(network.dense(x, 4096, LARGE_CLASSES), "vgg16-224", LARGE_DIMS, LARGE_CLASSES)


def _vgg16_features(network: _Network) -> str:
    x, channels = "image", INPUT_DIMS[0]
    for entry in _VGG16:
        if isinstance(entry, str):
            x = network.node("AveragePool", [x], kernel_shape=[2, 2], strides=[2, 2])
        else:
            x = network.relu(network.conv(x, channels, entry))
            channels = entry
    return x


def resnet34_large(seed: int = 0) -> onnx.ModelProto:
    """ResNet-34 for 224x224 images: average pooling behind the first layer, 1x1 projections where the shape changes."""
    network = _Network(np.random.default_rng(seed))
    x, channels = network.relu(network.conv("image", LARGE_DIMS[0], 64, kernel=7, stride=2)), 64
    x = network.node("AveragePool", [x], kernel_shape=[2, 2], strides=[2, 2])
    for stage, (width, blocks) in enumerate(_RESNET34):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            x, channels = network.residual(x, channels, width, stride), width
    x = network.node("Flatten", [network.node("AveragePool", [x], kernel_shape=[7, 7])])
    return network.finish(network.dense(x, channels, LARGE_CLASSES), "resnet34-224", LARGE_DIMS, LARGE_CLASSES)


def resnet20(seed: int = 0) -> onnx.ModelProto:
    """ResNet-20 for 32x32 images: three stages of three blocks, 1x1 projections where the shape changes."""
    network = _Network(np.random.default_rng(seed))
    x, channels = network.relu(network.conv("image", INPUT_DIMS[0], 16)), 16
    for stage, width in enumerate((16, 32, 64)):
        for block in range(3):
            stride = 2 if stage and not block else 1
            x, channels = network.residual(x, channels, width, stride), width
    x = network.node("Flatten", [network.node("AveragePool", [x], kernel_shape=[8, 8])])
    return network.finish(network.dense(x, 64, CLASSES), "resnet20")


def preactivation(blocks: int, seed: int = 0) -> onnx.ModelProto:
    """Residual blocks of 16 channels on planes of 8x8 whose ReLUs stand in front of the convolutions: nothing cuts the
    sum that goes from block to block."""
    network, dims = _Network(np.random.default_rng(seed)), (3, 8, 8)
    x = network.conv("image", dims[0], 16)
    for _ in range(blocks):
        y = network.conv(network.relu(x), 16, 16)
        x = network.node("Add", [x, network.conv(network.relu(y), 16, 16)])
    x = network.node("Flatten", [network.node("GlobalAveragePool", [network.relu(x)])])
    return network.finish(network.dense(x, 16, CLASSES), "preactivation", dims)


def keyword(seed: int = 0) -> onnx.ModelProto:
    """Four convolutions along 100 samples of 20 channels, as networks for keywords have; global average pooling."""
    network = _Network(np.random.default_rng(seed))
    x, channels = "image", SIGNAL_DIMS[0]
    for width, stride in ((32, 1), (32, 2), (64, 2), (64, 1)):
        x, channels = network.relu(network.conv(x, channels, width, kernel=5, stride=stride, axes=1)), width
    x = network.node("Flatten", [network.node("GlobalAveragePool", [x])])
    return network.finish(network.dense(x, channels, CLASSES), "keyword", SIGNAL_DIMS)


NETWORKS: dict[str, Callable[[int], onnx.ModelProto]] = {"vgg16": vgg16, "resnet20": resnet20}
#: Networks for images of ImageNet's size.
LARGE: dict[str, Callable[[int], onnx.ModelProto]] = {"vgg16-224": vgg16_large, "resnet34-224": resnet34_large}


def images(count: int, seed: int = 0, dims: tuple[int, ...] = INPUT_DIMS) -> np.ndarray:
    """Smooth random images in [0, 1] with a little noise: float32 `[count, *dims]`, two spatial axes.

    Image n is the same for every `count`.
    """
    channels, height, width = dims
    rows, columns = _interpolation(height), _interpolation(width)
    pictures = []
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        smooth = rows @ rng.random((channels, rows.shape[1], columns.shape[1])) @ columns.T
        pictures.append(np.clip(smooth + rng.normal(0, 0.05, dims), 0, 1))
    return np.array(pictures, np.float32)


def _interpolation(size: int) -> np.ndarray:
    """Linear interpolation from every fourth point to `size` points, as a matrix."""
    coarse = max(2, size // 4)
    position = np.linspace(0, coarse - 1, size)
    return np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(coarse)))


if __name__ == "__main__":
    onnx.save((NETWORKS | LARGE)[sys.argv[1]](0), sys.argv[2])
