"""Train ResNet-20 or VGG-16 on CIFAR-10 or CIFAR-100 so that they can be converted, and export them to ONNX.

The constraints are those of RMP-SNN (Han, Srinivasan, Roy: CVPR 2020, section 5), see models.py. What stands in for
batch normalisation in training is a warm-up of the learning rate and a bound on the norm of the gradient: without them
the first steps of a residual network of this depth can diverge.

The number of epochs is fixed beforehand and the last epoch is exported. 5 % of the training images are held out to
watch, nothing is chosen on them, and the test images are looked at once, at the end.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from images import IMAGE_SHAPE, Split, hold_out, read_split
from models import NETWORKS, build_network, full_name
from steps import PRECISIONS, Steps, accuracy, sgd
from torch import nn

import snnc.training

HELD_OUT = 0.05
# The schedule of Wide ResNet (Zagoruyko and Komodakis, 2016): a fifth, after 60, 120 and 160 of 200 epochs.
MILESTONES = (0.3, 0.6, 0.8)
DECAY = 0.2
WARM_UP_EPOCHS = 1
LARGEST_GRADIENT = 1.0
EVALUATION_BATCH = 250


@dataclass(frozen=True)
class Settings:
    """What decides the numbers of a run, apart from the data, the device and the number of threads."""

    network: str
    width: float
    dropout: float
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int
    precision: str

    def learning_rate_at(self, epochs: float) -> float:
        """After so many epochs, fractions included: a linear warm-up, then steps."""
        steps = sum(epochs >= milestone * self.epochs for milestone in MILESTONES)
        return self.learning_rate * DECAY**steps * min(1.0, epochs / WARM_UP_EPOCHS)


class Run:
    """A network in training, and all that it needs to go on after an interruption as if there had been none."""

    def __init__(self, settings: Settings, training: Split) -> None:
        """`training`: the images, on the device to train on; their labels say how many classes there are."""
        self.settings = settings
        self.epochs_done = 0
        torch.manual_seed(settings.seed)
        network = build_network(
            settings.network, settings.width, settings.dropout, classes=int(training.labels.max()) + 1
        )
        self.network: nn.Sequential = network.to(training.labels.device, memory_format=torch.channels_last)
        self.optimizer = sgd(network, settings.learning_rate, settings.weight_decay)
        self.steps = Steps(
            network,
            self.optimizer,
            training,
            settings.batch_size,
            largest_gradient=LARGEST_GRADIENT,
            precision=settings.precision,
        )

    def save(self, path: Path) -> None:
        """Write beside and rename, so that an interruption leaves the previous checkpoint whole."""
        state = {
            "settings": asdict(self.settings),
            "epochs_done": self.epochs_done,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
        }
        unfinished = path.with_name(path.name + ".part")
        torch.save(state, unfinished)
        os.replace(unfinished, path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint. SystemExit if it was written with other settings."""
        state = torch.load(path, weights_only=True)
        for name, value in asdict(self.settings).items():
            if state["settings"].get(name) != value:
                raise SystemExit(f"{path} was written with {name} {state['settings'].get(name)}, not {value}")
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epochs_done = state["epochs_done"]
        torch.set_rng_state(state["random"])
        print(f"resumed after epoch {self.epochs_done}", flush=True)

    def train_epoch(self) -> float:
        """One pass over the training data; returns the mean loss. SystemExit if the training diverges."""
        loss = self.steps.epoch(lambda share: self.settings.learning_rate_at(self.epochs_done + share))
        if not math.isfinite(loss):
            raise SystemExit(f"the loss is {loss}: train with a lower --learning-rate")
        self.epochs_done += 1
        return loss


def export(network: nn.Module, path: Path) -> None:
    """Write one ONNX file: opset 18, input "image" [batch, 3, 32, 32], output "logits" [batch, classes]."""
    snnc.training.export_ann(network, torch.zeros(1, *IMAGE_SHAPE, device=next(network.parameters()).device), path)


def train(settings: Settings, data: Path, output: Path, checkpoint: Path | None, device: str = "cpu") -> None:
    """Train, or go on from the checkpoint if there is one, then export and look at the test images."""
    training, held_out = (part.to(device) for part in hold_out(read_split(data, "train"), HELD_OUT, settings.seed))
    test = read_split(data, "test").to(device)
    run = Run(settings, training)
    if checkpoint is not None and checkpoint.exists():
        run.resume(checkpoint)
    while run.epochs_done < settings.epochs:
        start = time.perf_counter()
        loss = run.train_epoch()
        speed = len(training) / (time.perf_counter() - start)
        watched = accuracy(run.network, held_out, EVALUATION_BATCH)
        print(f"epoch {run.epochs_done}/{settings.epochs}: loss {loss:.4f}, held out {watched:.2%}, "
              f"{speed:.0f} images/s", flush=True)  # fmt: skip
        if checkpoint is not None:
            run.save(checkpoint)
    export(run.network, output)
    print(f"wrote {output}; test accuracy {accuracy(run.network, test, EVALUATION_BATCH):.2%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a convertible network on CIFAR and export it to ONNX.")
    parser.add_argument("--data", type=Path, required=True, help="folder of CIFAR batches, or npz with x_train, ...")
    parser.add_argument("--network", choices=NETWORKS, default="resnet20")
    parser.add_argument("--width", type=float, default=1.0, help="factor on the number of channels")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--weight-decay", type=float, default=1e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="cpu, or cuda for a GPU")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of the products of the layers")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--checkpoint", type=Path, help="written after every epoch; resumed from where it exists")
    parser.add_argument("--output", type=Path, help="default: the name of the network, .onnx")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.backends.cudnn.benchmark = True  # batches have one size
    settings = Settings(**{name: getattr(options, name) for name in Settings.__dataclass_fields__})
    output = options.output or Path(full_name(settings.network, settings.width) + ".onnx")
    train(settings, options.data, output, options.checkpoint, options.device)


if __name__ == "__main__":
    main()
