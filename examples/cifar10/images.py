"""CIFAR-10 or CIFAR-100 for training: read by `snnc.data`, normalised, a part held out, crops and flips drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from snnc.data import load

IMAGE_SHAPE = (3, 32, 32)
# Of the pixels of the training images, divided by 255. The same numbers go to `snnc eval --mean --std`.
MEAN = (0.4914, 0.4822, 0.4465)
DEVIATION = (0.25, 0.245, 0.262)
PADDING = 4


@dataclass(frozen=True)
class Split:
    """Images, float32 [S, 3, 32, 32], normalised, and their labels, int64 [S]."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, indices: Tensor) -> Split:
        return Split(self.images[indices], self.labels[indices])

    def to(self, device: str) -> Split:
        return Split(self.images.to(device), self.labels.to(device))


def read_split(data: Path, split: str) -> Split:
    """`train` or `test` of a folder of CIFAR batches or of an npz file. DiagnosticError if it cannot be read."""
    dataset = load(f"{data}:{split}", IMAGE_SHAPE, mean=MEAN, std=DEVIATION)
    if dataset.labels is None:
        raise SystemExit(f"{dataset.name} has no labels")
    return Split(torch.from_numpy(dataset.images), torch.from_numpy(dataset.labels))


def hold_out(data: Split, fraction: float, seed: int) -> tuple[Split, Split]:
    """The images to train on and those held out of them; the same for every run with this seed."""
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    held_out = round(len(data) * fraction)
    return data.part(order[held_out:]), data.part(order[:held_out])


def crop_and_flip(images: Tensor) -> Tensor:
    """A random 32x32 window of each image padded by 4 pixels of the mean, half of them mirrored."""
    samples, _, height, width = images.shape
    windows = F.pad(images, (PADDING,) * 4).unfold(2, height, 1).unfold(3, width, 1)
    down, right = torch.randint(2 * PADDING + 1, (2, samples), device=images.device)
    cropped = windows[torch.arange(samples, device=images.device), :, down, right]
    mirrored = torch.rand(samples, device=images.device) < 0.5
    return torch.where(mirrored.view(-1, 1, 1, 1), cropped.flip(3), cropped)
