"""Train ResNet-34 or VGG-16 on ImageNet so that they can be converted, and export them to ONNX.

The constraints are those of RMP-SNN (Han, Srinivasan, Roy: CVPR 2020, section 5). The schedule is that of
fb.resnet.torch: 90 epochs of SGD, the learning rate falls to a tenth after 30 and 60; a warm-up of the first epoch and
a bound on the norm of the gradient stand in for batch normalisation.

Nothing is chosen: the last epoch is exported, and the validation images are looked at once, at the end.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from folders import Batches, Images, centre_batches
from networks import NETWORKS, build_network
from torch import Tensor, nn
from torch.utils.data import DataLoader

import snnc.training

MOMENTUM = 0.9
MILESTONES = (1 / 3, 2 / 3)
DECAY = 0.1
WARM_UP_EPOCHS = 1
LARGEST_GRADIENT = 1.0


@dataclass(frozen=True)
class Settings:
    """What decides the numbers of a run, apart from the data, the device and the number of threads."""

    network: str
    size: int
    width: float
    dropout: float
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int

    def learning_rate_at(self, epochs: float) -> float:
        """After so many epochs, fractions included: a linear warm-up, then steps."""
        steps = sum(epochs >= milestone * self.epochs for milestone in MILESTONES)
        return self.learning_rate * DECAY**steps * min(1.0, epochs / WARM_UP_EPOCHS)


class Run:
    """A network in training, and all that it needs to go on after an interruption as if there had been none."""

    def __init__(self, settings: Settings, images: Images, device: str) -> None:
        self.settings, self.images, self.device = settings, images, device
        self.epochs_done = self.batches_done = 0
        torch.manual_seed(settings.seed)
        network = build_network(
            settings.network, len(images.classes), settings.width, settings.dropout, size=settings.size
        )
        self.network: nn.Sequential = network.to(device, memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(
            network.parameters(), settings.learning_rate, momentum=MOMENTUM, weight_decay=settings.weight_decay
        )

    def save(self, path: Path) -> None:
        """Write beside and rename, so that an interruption leaves the previous checkpoint whole."""
        state: dict[str, Any] = {
            "settings": asdict(self.settings),
            "done": (self.epochs_done, self.batches_done),
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
        }
        if self.device != "cpu":
            state["device_random"] = torch.cuda.get_rng_state()
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
        self.epochs_done, self.batches_done = state["done"]
        torch.set_rng_state(state["random"])
        if "device_random" in state:
            torch.cuda.set_rng_state(state["device_random"])
        print(f"resumed after epoch {self.epochs_done}, batch {self.batches_done}", flush=True)

    def steps(self, workers: int) -> Iterator[float]:
        """The losses of the batches that are left of this epoch. SystemExit if the training diverges."""
        settings = self.settings
        size, seed = settings.batch_size, settings.seed
        batches = Batches(len(self.images), size, self.epochs_done, seed, first=self.batches_done)
        total = self.batches_done + len(batches)
        self.network.train()
        # With a generator of its own it draws nothing from that of dropout, however often a run is resumed.
        own = torch.Generator()
        for images, labels in DataLoader(self.images, batch_sampler=batches, num_workers=workers, generator=own):
            self.batches_done += 1
            rate = settings.learning_rate_at(self.epochs_done + self.batches_done / total)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            loss = self._step(images.to(self.device), labels.to(self.device))
            if not math.isfinite(loss):
                raise SystemExit(f"the loss is {loss}: train with a lower --learning-rate")
            yield loss
        self.epochs_done, self.batches_done = self.epochs_done + 1, 0

    def _step(self, images: Tensor, labels: Tensor) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(self.network(images.contiguous(memory_format=torch.channels_last)), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)
        self.optimizer.step()
        return loss.item()


@torch.no_grad()
def accuracy(network: nn.Module, images: Images, batch_size: int, workers: int, device: str) -> float:
    """Share of the centre crops whose largest logit is that of their class, without dropout."""
    network.eval()
    correct = sum(
        int((network(batch.to(device)).argmax(1).cpu() == labels).sum())
        for batch, labels in centre_batches(images, batch_size, workers)
    )
    return correct / len(images)


def export(network: nn.Module, size: int, path: Path) -> None:
    """Write one ONNX file: opset 18, input "image" [batch, 3, size, size], output "logits" [batch, classes]."""
    snnc.training.export_ann(network, torch.zeros(1, 3, size, size, device=next(network.parameters()).device), path)


def train(
    settings: Settings,
    data: Path,
    output: Path,
    *,
    checkpoint: Path | None = None,
    every: int = 1000,
    workers: int = 0,
    device: str = "cpu",
) -> float:
    """Train on `data/train`, or go on from the checkpoint if there is one, export, and return the accuracy on
    `data/val`. The checkpoint is written after `every` batches and every epoch."""
    run = Run(settings, Images(data / "train", settings.size, settings.seed), device)
    validation = Images(data / "val", settings.size)
    if validation.classes != run.images.classes:
        raise SystemExit(f"{data}/train and {data}/val have other class folders")
    if checkpoint is not None and checkpoint.exists():
        run.resume(checkpoint)
    while run.epochs_done < settings.epochs:
        start, losses = time.perf_counter(), []
        for loss in run.steps(workers):
            losses.append(loss)
            if checkpoint is not None and run.batches_done % every == 0:
                run.save(checkpoint)
        speed = len(losses) * settings.batch_size / (time.perf_counter() - start)
        mean = sum(losses) / max(1, len(losses))
        print(f"epoch {run.epochs_done}/{settings.epochs}: loss {mean:.4f}, {speed:.0f} images/s", flush=True)
        if checkpoint is not None:
            run.save(checkpoint)
    export(run.network, settings.size, output)
    found = accuracy(run.network, validation, settings.batch_size, workers, device)
    print(f"wrote {output}; accuracy on the validation images {found:.2%}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Train a convertible network on ImageNet and export it to ONNX.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with train and val, of class folders of JPEGs")
    parser.add_argument("--network", choices=NETWORKS, default="resnet34")
    parser.add_argument("--size", type=int, default=224, help="pixels of a side")
    parser.add_argument("--width", type=float, default=1.0, help="factor on the number of channels")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--epochs", type=int, default=90)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--weight-decay", type=float, default=1e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="cpu, or cuda for a GPU")
    parser.add_argument("--workers", type=int, default=8, help="processes that decode images")
    parser.add_argument("--checkpoint", type=Path, help="resumed from where it exists")
    parser.add_argument("--every", type=int, default=1000, help="batches from one checkpoint to the next")
    parser.add_argument("--output", type=Path, help="default: the name of the network, .onnx")
    options = parser.parse_args()
    torch.backends.cudnn.benchmark = True  # batches have one size
    settings = Settings(**{name: getattr(options, name) for name in Settings.__dataclass_fields__})
    train(
        settings,
        options.data,
        options.output or Path(settings.network + ".onnx"),
        checkpoint=options.checkpoint,
        every=options.every,
        workers=options.workers,
        device=options.device,
    )


if __name__ == "__main__":
    main()
