"""Train a network on MNIST and export it to ONNX.

That of `--network constrained` is made to be converted. The constraints are those of RMP-SNN (Han, Srinivasan, Roy:
CVPR 2020, sections 4 and 5): no bias, no batch normalisation, ReLU, average pooling, dropout after every ReLU that no
pooling follows, weights drawn from N(0, sqrt(2 / (k² · C_out))), SGD with momentum 0.9 and learning rate steps.
`--network mobilenet` keeps to none of them: the method exact takes it as it is.

Pixels are x / 255 in [0, 1]. No mean is subtracted, so that every input is a rate a spike train can have.

The epoch to export is chosen on 5,000 images held out of the *training* set. Test images are looked at once,
at the end.
"""

import argparse
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from networks import NETWORKS
from torch import Tensor, nn

import snnc.training

VALIDATION_IMAGES = 5_000
MAX_SHIFT = 2


@dataclass(frozen=True)
class Split:
    """Images, float32 [S, 1, 28, 28] in [0, 1], and their labels, int64 [S]."""

    images: Tensor
    labels: Tensor

    def part(self, indices: Tensor) -> "Split":
        return Split(self.images[indices], self.labels[indices])


def multiply_accumulates(network: nn.Module, image: Tensor) -> int:
    """Multiply-accumulates of one image, [1, C, H, W]; padding counts as if it were pixels."""
    total = 0

    def count(layer: nn.Module, _: object, activation: Tensor) -> None:
        nonlocal total
        total += activation.numel() * layer.weight[0].numel()

    weighted = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in weighted]
    with torch.no_grad():
        network.eval()(image)
    for hook in hooks:
        hook.remove()
    return total


def read_mnist(path: Path) -> tuple[Split, Split]:
    """Training and test images of an npz file with x_train, y_train, x_test and y_test (uint8, [S, 28,
    28])."""
    with np.load(path) as arrays:
        train, test = (
            Split(
                torch.from_numpy(arrays[f"x_{part}"]).unsqueeze(1).float() / 255.0,
                torch.from_numpy(arrays[f"y_{part}"]).long(),
            )
            for part in ("train", "test")
        )
    return train, test


def shift_randomly(images: Tensor) -> Tensor:
    """Every image moved by up to MAX_SHIFT pixels each way, zeros moving in."""
    height, width = images.shape[-2:]
    padded = F.pad(images, (MAX_SHIFT,) * 4)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    down, right = torch.randint(2 * MAX_SHIFT + 1, (2, len(images)))
    return windows[torch.arange(len(images)), :, down, right]


def train_epoch(network: nn.Module, optimizer: torch.optim.Optimizer, data: Split, batch_size: int) -> float:
    """One pass over the training data; returns the mean loss."""
    network.train()
    total_loss = 0.0
    for indices in torch.randperm(len(data.labels)).split(batch_size):
        batch = data.part(indices)
        loss = F.cross_entropy(network(shift_randomly(batch.images)), batch.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total_loss += loss.item() * len(indices)
    return total_loss / len(data.labels)


@torch.no_grad()
def accuracy(network: nn.Module, data: Split) -> float:
    network.eval()
    correct = sum(
        int((network(images).argmax(1) == labels).sum())
        for images, labels in zip(data.images.split(500), data.labels.split(500), strict=True)
    )
    return correct / len(data.labels)


def export(network: nn.Module, path: Path) -> None:
    """Write one ONNX file: opset 18, input "image" [batch, 1, 28, 28], output "logits" [batch, 10]."""
    snnc.training.export_ann(network, torch.zeros(1, 1, 28, 28), path)


@dataclass
class Run:
    """All that a run needs to go on after an interruption."""

    network: nn.Sequential
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    epochs_done: int = 0
    best_accuracy: float = -1.0
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    @staticmethod
    def start(network: nn.Sequential, epochs: int, learning_rate: float) -> "Run":
        optimizer = torch.optim.SGD(network.parameters(), lr=learning_rate, momentum=0.9, weight_decay=1e-4)
        steps = [round(epochs * fraction) for fraction in (0.5, 0.75, 0.9)]
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=steps, gamma=0.2)
        return Run(network, optimizer, schedule)

    def save(self, path: Path) -> None:
        """Write beside and rename, so that an interruption leaves the previous checkpoint whole."""
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "epochs_done": self.epochs_done,
            "best_accuracy": self.best_accuracy,
            "best_weights": self.best_weights,
        }
        unfinished = path.with_name(path.name + ".part")
        torch.save(state, unfinished)
        os.replace(unfinished, path)

    def resume(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.epochs_done = state["epochs_done"]
        self.best_accuracy = state["best_accuracy"]
        self.best_weights = state["best_weights"]
        print(f"resumed after epoch {self.epochs_done}")


def split_off_validation(data: Split, seed: int) -> tuple[Split, Split]:
    """Training and validation images; the same for every run with this seed."""
    order = torch.randperm(len(data.labels), generator=torch.Generator().manual_seed(seed))
    return data.part(order[VALIDATION_IMAGES:]), data.part(order[:VALIDATION_IMAGES])


def train(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    everything, test = read_mnist(options.data)
    training, validation = split_off_validation(everything, options.seed)

    run = Run.start(NETWORKS[options.network](), options.epochs, options.learning_rate)
    print(f"{multiply_accumulates(run.network, test.images[:1]):,} multiply-accumulates per image")
    if options.checkpoint and options.checkpoint.exists():
        run.resume(options.checkpoint)

    while run.epochs_done < options.epochs:
        torch.manual_seed(options.seed + 1 + run.epochs_done)  # so that resuming changes nothing
        loss = train_epoch(run.network, run.optimizer, training, options.batch_size)
        run.schedule.step()
        run.epochs_done += 1
        validated = accuracy(run.network, validation)
        print(f"epoch {run.epochs_done}: loss {loss:.4f}, validation accuracy {validated:.2%}", flush=True)
        if validated >= run.best_accuracy:
            run.best_accuracy = validated
            run.best_weights = {name: weight.clone() for name, weight in run.network.state_dict().items()}
            export(run.network, options.output)
        if options.checkpoint:
            run.save(options.checkpoint)

    run.network.load_state_dict(run.best_weights)
    export(run.network, options.output)
    print(f"validation accuracy of the best epoch {run.best_accuracy:.2%}; wrote {options.output}")
    print(f"test accuracy {accuracy(run.network, test):.2%}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a network on MNIST and export it to ONNX.")
    parser.add_argument("--network", choices=NETWORKS, default="constrained")
    parser.add_argument("--data", type=Path, required=True, help="npz file: x_train, y_train, x_test, y_test")
    parser.add_argument("--output", type=Path, default=Path("mnist.onnx"))
    parser.add_argument("--checkpoint", type=Path, help="written after every epoch; resumed from where it exists")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
