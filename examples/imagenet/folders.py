"""ImageNet as folders of JPEG files: `train/n01440764/*.JPEG`, `val/n01440764/*.JPEG`; one folder for each class.

Images are decoded when they are asked for. What is drawn for an image (its crop, whether it is mirrored) depends on the
seed, the epoch and the image alone, so that neither the number of workers nor an interruption changes anything.

As a program it writes the centre crops of a folder, in class folders of PNG files, which `snnc` reads as they are:

    python folders.py --data imagenet/val --output val224
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

# Of the pixels of the training images, divided by 255. The same numbers go to `snnc eval --mean --std`.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
ENDINGS = {".jpeg", ".jpg", ".png"}
#: The shorter side of a validation image is this much longer than its crop: 256 for 224 pixels.
MARGIN = 8 / 7
#: Of a training crop: its share of the area, and the range of its aspect ratio.
SMALLEST_AREA = 0.08
WIDEST = 4 / 3
_TRIES = 10

Place = tuple[int, int]


class Images(Dataset[tuple[Tensor, int]]):
    """The images of class folders. A place is an epoch and the number of an image; epoch -1 is the centre crop.

    Gives float32 [3, size, size], normalised, and the number of the class in alphabetical order.
    """

    def __init__(self, folder: Path, size: int, seed: int = 0) -> None:
        """SystemExit if there are no class folders with images."""
        self.size, self.seed = size, seed
        self.classes = sorted(path.name for path in folder.iterdir() if path.is_dir())
        self.files = [
            (path, label)
            for label, name in enumerate(self.classes)
            for path in sorted((folder / name).iterdir())
            if path.suffix.lower() in ENDINGS
        ]
        if not self.files:
            raise SystemExit(f"{folder} has no class folders with JPEG or PNG files")

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: Place) -> tuple[Tensor, int]:
        epoch, number = place
        path, label = self.files[number]
        with Image.open(path) as file:
            image = file.convert("RGB")
        if epoch < 0:
            return normalised(centre_crop(image, self.size)), label
        return normalised(random_crop(image, self.size, np.random.default_rng((self.seed, epoch, number)))), label


def centre_crop(image: Image.Image, size: int) -> Image.Image:
    """The middle of the image, once its shorter side has `size` pixels and a margin."""
    factor = round(size * MARGIN) / min(image.size)
    width, height = (max(size, round(side * factor)) for side in image.size)
    left, top = (width - size) // 2, (height - size) // 2
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    return resized.crop((left, top, left + size, top + size))


def random_crop(image: Image.Image, size: int, random: np.random.Generator) -> Image.Image:
    """A part of 8 to 100 % of the area and of an aspect ratio of 3/4 to 4/3, half of them mirrored (Inception's)."""
    width, height = image.size
    for _ in range(_TRIES):
        area = width * height * random.uniform(SMALLEST_AREA, 1)
        ratio = math.exp(random.uniform(-math.log(WIDEST), math.log(WIDEST)))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            break
    else:
        wide = high = min(width, height)
    left, top = random.integers(width - wide + 1), random.integers(height - high + 1)
    box = (left, top, left + wide, top + high)
    cropped = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    return cropped.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else cropped


def normalised(image: Image.Image) -> Tensor:
    """float32 [3, H, W]: (x / 255 - mean) / deviation."""
    pixels = np.asarray(image, np.float32) / 255
    return torch.from_numpy(((pixels - MEAN) / DEVIATION).astype(np.float32).transpose(2, 0, 1).copy())


class Batches(Sampler[list[Place]]):
    """The batches of an epoch in random order, from batch `first` on; what is left over at the end is not used."""

    def __init__(self, images: int, batch_size: int, epoch: int, seed: int, first: int = 0) -> None:
        order = np.random.default_rng((seed, epoch)).permutation(images)
        whole = order[: images - images % batch_size].reshape(-1, batch_size)
        self.batches = [[(epoch, int(number)) for number in batch] for batch in whole[first:]]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[Place]]:
        return iter(self.batches)


def centre_batches(images: Images, batch_size: int, workers: int) -> DataLoader[tuple[Tensor, int]]:
    """All images in order, as centre crops."""
    places = [(-1, number) for number in range(len(images))]
    batches = [places[start : start + batch_size] for start in range(0, len(places), batch_size)]
    return DataLoader(images, batch_sampler=batches, num_workers=workers)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the centre crops of class folders as PNG files.")
    parser.add_argument("--data", type=Path, required=True, help="folder of class folders")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--size", type=int, default=224, help="pixels of a side")
    options = parser.parse_args()
    images = Images(options.data, options.size)
    for path, label in images.files:
        target = options.output / images.classes[label] / f"{path.stem}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as file:
            centre_crop(file.convert("RGB"), options.size).save(target)


if __name__ == "__main__":
    main()
