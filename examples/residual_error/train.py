"""Train a network for few steps on CIFAR-10, with the residual error as noise or without, and export it to ONNX.

Huang et al., Explicit Modelling of Residual Error in ANNs: ReLUs are quantisers of L = 4 levels with learned
thresholds; after each epoch the residual error of the SNN is measured on a tenth of the training images, which is never
trained on, and the next epoch trains with noise as large.

The number of epochs is fixed beforehand and the last epoch is exported; the test images are looked at once, at the end.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from networks import NETWORKS
from torch import Tensor, nn

from snnc.training import ResidualNoise, SpikingNetwork, export, replace_relus

sys.path.append(str(Path(__file__).parents[1] / "cifar10"))
from images import IMAGE_SHAPE, Split, hold_out, read_split
from steps import PRECISIONS, Steps, accuracy, channels_last, sgd

HELD_OUT = 0.1
LEVELS = 4
# Of the SNN whose residual error is measured: as many as there are levels.
STEPS = 4
STEPS_SHOWN = (1, 2, 4, 8, 16)
EVALUATION_BATCH = 1000


@dataclass(frozen=True)
class Settings:
    """What decides the numbers of a run, apart from the data, the device and the number of threads."""

    network: str
    noisy: bool
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int
    precision: str

    def learning_rate_at(self, epochs: float) -> float:
        """After so many epochs, fractions included: half a wave of a cosine, down to 0."""
        return self.learning_rate * (1 + math.cos(math.pi * min(1.0, epochs / self.epochs))) / 2


class Run:
    """A network in training."""

    def __init__(self, settings: Settings, training: Split, held_out: Split) -> None:
        """Both parts are on the device to train on."""
        self.settings, self.held_out = settings, held_out
        self.epochs_done = 0
        self.deviations: dict[str, Tensor] = {}
        torch.manual_seed(settings.seed)
        network = NETWORKS[settings.network]()
        replace_relus(network, levels=LEVELS, noisy=settings.noisy)
        self.network: nn.Sequential = network.to(training.labels.device, memory_format=torch.channels_last)
        self.optimizer = sgd(network, settings.learning_rate, settings.weight_decay)
        self.steps = Steps(network, self.optimizer, training, settings.batch_size, precision=settings.precision)
        self.noise = ResidualNoise(network, batches_of(held_out), STEPS)

    def train_epoch(self) -> float:
        """One pass over the training data; returns the mean loss. SystemExit if the training diverges."""
        loss = self.steps.epoch(lambda share: self.settings.learning_rate_at(self.epochs_done + share))
        if not math.isfinite(loss):
            raise SystemExit(f"the loss is {loss}: train with a lower --learning-rate")
        self.epochs_done += 1
        if self.settings.noisy:
            self.deviations = self.noise.update()
        return loss


def batches_of(data: Split) -> Sequence[Tensor]:
    """The images in parts, in the order of memory that the network has."""
    return [channels_last(part) for part in data.images.split(EVALUATION_BATCH)]


def accuracy_by_steps(network: nn.Module, data: Split, steps: Sequence[int]) -> dict[int, float]:
    """Share of images that the SNN of the network has right after so many steps."""
    spiking = SpikingNetwork(network)
    correct = torch.zeros(max(steps), dtype=torch.int64, device=data.labels.device)
    for images, labels in zip(batches_of(data), data.labels.split(EVALUATION_BATCH), strict=True):
        correct += (spiking.run(images, max(steps)).outputs.argmax(2) == labels).sum(1)
    return {count: correct[count - 1].item() / len(data) for count in steps}


def results(run: Run, test: Split) -> dict[str, Any]:
    """What is reported of a run, as JSON has it. The ANN is without noise."""
    return {
        **asdict(run.settings),
        "ann": accuracy(run.network, test, EVALUATION_BATCH),
        "snn": accuracy_by_steps(run.network, test, STEPS_SHOWN),
        "deviations": {name: deviation.item() for name, deviation in run.deviations.items()},
    }


def train(settings: Settings, data: Path, output: Path, device: str = "cpu") -> dict[str, Any]:
    """Train, export to `output`, look at the test images, write what they gave beside it and return it."""
    training, held_out = (part.to(device) for part in hold_out(read_split(data, "train"), HELD_OUT, settings.seed))
    run = Run(settings, training, held_out)
    while run.epochs_done < settings.epochs:
        start = time.perf_counter()
        loss = run.train_epoch()
        watched = accuracy(run.network, held_out, EVALUATION_BATCH)
        print(f"epoch {run.epochs_done}/{settings.epochs}: loss {loss:.4f}, held out {watched:.2%}, "
              f"{time.perf_counter() - start:.1f} s", flush=True)  # fmt: skip
    export(run.network, torch.zeros(1, *IMAGE_SHAPE, device=device), output)
    found = results(run, read_split(data, "test").to(device))
    output.with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    shown = ", ".join(f"T = {steps}: {share:.2%}" for steps, share in found["snn"].items())
    print(f"wrote {output}; test accuracy: ANN {found['ann']:.2%}, SNN {shown}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Train for few steps on CIFAR-10, and export to ONNX.")
    parser.add_argument("--data", type=Path, required=True, help="folder of CIFAR-10 batches, or npz with x_train, ...")
    parser.add_argument("--network", choices=NETWORKS, default="resnet20")
    parser.add_argument("--without-noise", dest="noisy", action="store_false", help="quantisers alone (QCFS)")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=0.05)
    parser.add_argument("--weight-decay", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="cpu, or cuda for a GPU")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of the products of the layers")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, help="default: the name of the network, .onnx; results go to .json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.backends.cudnn.benchmark = True  # batches have one size
    settings = Settings(**{name: getattr(options, name) for name in Settings.__dataclass_fields__})
    train(settings, options.data, options.output or Path(options.network + ".onnx"), options.device)


if __name__ == "__main__":
    main()
