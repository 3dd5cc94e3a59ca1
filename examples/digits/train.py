"""Train the network of `snnc demo` on scikit-learn's 8x8 digits, in seconds, and export it to ONNX.

The constraints are those of RMP-SNN (Han, Srinivasan, Roy: CVPR 2020, sections 4 and 5): no bias, no batch
normalisation, ReLU, average pooling, weights drawn from N(0, sqrt(2 / (k² · C_out))). Pixels are x / 16 in
[0, 1].

The number of epochs is fixed beforehand, so nothing is selected, and the 500 test images are looked at once,
at the end.
"""

import argparse
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import snnc.training
from snnc.data import load


def build_network() -> nn.Sequential:
    """Three convolutions and a linear layer; [N, 1, 8, 8] -> [N, 10]."""
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.ReLU(), nn.Dropout(0.1),
        nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1, bias=False), nn.ReLU(), nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 2 * 2, 10, bias=False),
    )  # fmt: skip
    for layer in network:
        if isinstance(layer, nn.Conv2d):
            fan_out = layer.kernel_size[0] * layer.kernel_size[1] * layer.out_channels
            nn.init.normal_(layer.weight, 0.0, math.sqrt(2.0 / fan_out))
    return network


def read_digits(split: str) -> tuple[Tensor, Tensor]:
    """Images, float32 [S, 1, 8, 8] in [0, 1], and labels, int64 [S], of `digits:train` or `digits:test`."""
    data = load(f"digits:{split}", input_shape=(1, 8, 8))
    return torch.from_numpy(data.images), torch.from_numpy(data.labels)


def train(network: nn.Module, images: Tensor, labels: Tensor, epochs: int) -> None:
    """SGD with momentum 0.9; the learning rate falls along a cosine to zero."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    network.train()
    for _ in range(epochs):
        for indices in torch.randperm(len(labels)).split(32):
            loss = F.cross_entropy(network(images[indices]), labels[indices])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    network.eval()


@torch.no_grad()
def accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    return float((network(images).argmax(1) == labels).float().mean())


def export(network: nn.Module, path: Path) -> None:
    """Write one ONNX file: opset 18, input "image" [batch, 1, 8, 8], output "logits" [batch, 10]."""
    snnc.training.export_ann(network, torch.zeros(1, 1, 8, 8), path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a convertible network on the digits and export it to ONNX.")
    parser.add_argument("--output", type=Path, default=Path("digits.onnx"))
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    network = build_network()
    train(network, *read_digits("train"), options.epochs)
    export(network, options.output)
    print(f"test accuracy {accuracy(network, *read_digits('test')):.2%}; wrote {options.output}")


if __name__ == "__main__":
    main()
